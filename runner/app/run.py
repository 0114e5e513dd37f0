"""Running a plan: executor, images, code, record and loop, joined in the only order in which nothing can be lost."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from runner import __version__
from runner.app import publication
from runner.app.binding import Chance, by_kind, make_binder, make_drafter, make_identifier
from runner.app.claim import make_capacity, make_claims, unbounded
from runner.app.device import Equipped, make_allotter
from runner.app.forecast import Estimate, Fate, Sweeps, costs_of, estimate, forecast, known, make_asker
from runner.app.gang import Gangs
from runner.app.ground import Ground, lay_ground, make_reserve
from runner.app.input import left_files
from runner.app.interrupt import catching_signals
from runner.app.notify import notifying
from runner.app.pause import make_pause
from runner.app.pool import make_pooling
from runner.app.request import Request
from runner.app.reuse import Reuser
from runner.app.taken import Taken, find_taken, stands_of
from runner.engine.account import show_node
from runner.engine.action import Park
from runner.engine.callback import NO_PAST, Callbacks, Past, Recorder, Stand
from runner.engine.loop import Loop, Terms
from runner.events import Foreseen, Listener, Noticed, RunEnded, RunParked, RunStarted
from runner.job import Devices, Executor, Job
from runner.plan.argument import arguments_to_json
from runner.plan.bind import Left
from runner.plan.document import RunContext
from runner.plan.model import Plan, plan_to_json
from runner.provenance.host import describe_host, user_name
from runner.share import share_of
from runner.state import State
from runner.store.flight import Flights
from runner.store.record import Run
from runner.store.writer import RunWriter
from runner.worker.report import Finished, JobListener
from runner.worker.run import Equipment, Running, follow_job, run_job
from runner.worker.stopper import Stopper
from runner.worker.storage import ObjectStore

NOTHING_RUNS: Mapping[str, Running] = MappingProxyType({})
"""Of a run that begins: no job of it runs since before."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that is over, or parked, and the exit code of the command that drove it."""

    run: Run
    exit: int


def run_plan(request: Request, emit: Listener) -> Ended:
    """Run the plan to its end. Raises MlrunError when it cannot start, and then nothing was started or recorded; or
    when the store fails, and then whoever reads the run next finds it interrupted."""
    ground = lay_ground(request, emit)
    with ground.store as store:
        # What is taken from earlier runs has to be there before anything is recorded.
        taken = find_taken(store, request.plan)
        with store.begin_run(_header(request, ground)) as writer:
            return drive(request, ground, writer, emit, taken)


def drive(
    request: Request,
    ground: Ground,
    writer: RunWriter,
    emit: Listener,
    taken: Mapping[str, Taken],
    past: Past = NO_PAST,
    running: Mapping[str, Running] = NOTHING_RUNS,
) -> Ended:
    """Drive a recorded run until it ends or is parked; `taken` stands for nodes by the user's word, `past` tells what
    it has behind it, `running` has its jobs by id that run since before. Raises MlrunError when the store fails."""
    with notifying(request.settings.notify, request.place.ref.name, emit) as emit:
        store = ground.store
        emit(run_started(request.plan, writer.id, writer.counter, ground.executor))
        context = make_context(request, ground, writer.id, writer.counter)
        draft, publish = make_drafter(request, ground, emit), partial(publication.publish, store, context.user)
        reuser = make_reuser(request, ground)
        chance = Chance(reuser, Flights(store.layout.cache / "flights"))
        gangs = Gangs(ground.executor, request.plan.nodes, writer.id)
        pooling = make_pooling(request.plan, request.settings, store.layout.cache)
        for said in unbounded(request.plan, request.settings):
            emit(Noticed(said))
        allotter = make_allotter(store.layout.cache)
        work = make_worker(request, ground, store.layout.work, writer.log_folder, emit, running=running)
        calls = Callbacks(
            bind=by_kind(make_binder(draft, make_identifier(ground, context), chance, emit, gangs), context, emit),
            # In this order: who has devices waits for no place in a pool, so that no two wait for each other.
            work=pooling.bound(allotter.bound(work, emit), emit),
            adopt=pooling.joined(allotter.joined(work, running)),
            leave=leave,
            publish=publish,
            known=_look_ahead(request, ground, reuser, emit, taken, past),
            republish=partial(reuser.publish_again, context.user),
        )
        loop = make_loop(request, ground, writer, calls, emit, past)
        if request.attend is not None:
            request.attend(loop.decide)
        with (
            stopped_by_signals(loop),
            closing(chance.flights),
            closing(gangs),
            closing(pooling),
            closing(allotter),
        ):
            end = loop.run()
        run = writer.run()
        reuser.sight.contents.keep()
        if isinstance(end, Park):
            waiting = (node.name for node in run.nodes.values() if node.state is State.AWAITING_APPROVAL)
            emit(RunParked(run.id, run.counter, tuple(waiting)))
        else:
            emit(RunEnded(run.id, run.counter, end.state, end.reason, run.duration))
        return Ended(run, loop.exit)


def _look_ahead(
    request: Request, ground: Ground, reuser: Reuser, emit: Listener, taken: Mapping[str, Taken], past: Past
) -> Mapping[str, Stand]:
    """The nodes for which another is sure to stand; of a pipeline the user is told how many, how many are kept, and how
    long the rest is likely to take. Raises MlrunError."""
    # What there is to say of a node is said when it is bound.
    draft = make_drafter(request, ground, lambda event: None)
    plan, slots = request.plan, slots_of(request, ground.executor.name)
    reuser.take(execution for one in taken.values() for execution in one.executions)
    asker = make_asker(request, ground)
    fates = forecast(plan, draft, reuser, asker, explain=False, taken=stands_of(taken), past=past)
    if plan.kind == "pipeline":
        emit(_foreseen(estimate(ground.store, request.place.ref.id, plan, fates, slots), fates, past))
    return known(fates)


def _foreseen(told: Estimate, fates: Mapping[str, Fate], past: Past) -> Foreseen:
    """What is ahead of a run, beside what it has behind it: that counts as reused if it was, else as kept."""
    over = past.over().values()
    nodes = [one.becomes or one.state for one in over if one.trial_of is None]
    trials = [one.state for one in over if isinstance(fates.get(one.trial_of or ""), Sweeps)]
    reused, trials_reused = nodes.count(State.REUSED), trials.count(State.REUSED)
    return Foreseen(
        told.nodes + len(nodes),
        told.reused + reused,
        told.seconds,
        told.trials.size,
        told.trials.reused + trials_reused,
        told.trials.at_least,
        kept=len(nodes) - reused,
        trials_kept=len(trials) - trials_reused,
    )


def _seconds(request: Request, ground: Ground) -> Mapping[str, float]:
    """What the steps are likely to take; for a single node there is no order that it could tell of."""
    if len(request.plan.nodes) == 1:
        return {}
    costs = costs_of(ground.store, request.place.ref.id, {node.step.name for node in request.plan.nodes.values()})
    return {step: cost.seconds for step, cost in costs.items()}


def slots_of(request: Request, executor: str) -> int:
    """How many nodes run at the same time by that executor."""
    return request.settings.jobs or share_of(executor).places


def make_reuser(request: Request, ground: Ground) -> Reuser:
    """What knows which executions may stand for nodes of this run."""
    return Reuser(ground.store, request.place.ref.id, ground.images, ground.executor.name, request.reuse)


def _header(request: Request, ground: Ground) -> dict[str, Any]:
    return {
        "kind": request.plan.kind,
        "name": request.plan.name,
        "project": request.place.ref,
        "title": request.title,
        "tags": request.tags,
        "argv": request.argv,
        "code": ground.code,
        "codes": {node: asdict(code) for node, code in ground.codes.items()},
        "spec": ground.store.objects.put_bytes(request.project.data),
        "plan": plan_to_json(request.plan),
        "executor": ground.executor.name,
        "host": describe_host(),
        "version": __version__,
        "reuse": request.reuse.options(),
        "arguments": recorded_arguments(request),
    }


def recorded_arguments(request: Request) -> dict[str, Any] | None:
    """What it takes to ask for the same again, besides what else the record has."""
    if request.plan.arguments is None:
        return None
    network = request.settings.network
    return {**arguments_to_json(request.plan.arguments), "gpus": request.gpus, "network": str(network)}


def run_started(plan: Plan, id: str, counter: int, executor: Executor) -> RunStarted:
    """The event that tells of a run with its nodes."""
    return RunStarted(id, counter, plan.kind, plan.name, executor.name, tuple(map(show_node, plan.nodes.values())))


def make_context(request: Request, ground: Ground, id: str, counter: int) -> RunContext:
    """What every step of the run with this id and number is told about it."""
    code = ground.code
    return RunContext(
        run_id=id,
        run_counter=counter,
        project_id=request.place.ref.id,
        project_name=request.place.ref.name,
        commit=code.identifier,
        executor=ground.executor.name,
        user=user_name(),
        host=describe_host(),
        title=request.title,
        tags=request.tags,
        pipeline=request.plan.name if request.plan.kind == "pipeline" else None,
    )


def make_worker(
    request: Request,
    ground: Ground,
    work_folder: Path,
    log_folder: Callable[[str], Path],
    emit: Listener,
    objects: ObjectStore | None = None,
    running: Mapping[str, Running] = NOTHING_RUNS,
) -> Equipped:
    """What runs a bound job below `work_folder`, or follows one of `running`, jobs by id that run since before;
    `log_folder` gives the folder of its log by its id, `objects` takes what it leaves, the store if there is none."""
    equipment = Equipment(
        executor=ground.executor,
        objects=objects or ground.store.objects,
        work=work_folder,
        checksums=ground.store.checksums.known,
        pause=make_pause(ground.executor, request.settle, emit) if request.settle else None,
        reserve=make_reserve(request.settings, ground.store, ground.executor),
    )

    def work(job: Job, stopper: Stopper, listener: JobListener, devices: Devices) -> Finished:
        start = partial(follow_job, running[job.id]) if job.id in running else partial(run_job, devices=devices)
        return start(
            job,
            equipment,
            ground.images[job.image],
            log_folder(job.id),
            listener,
            stopper,
            secrets={name: request.secrets[name] for name in job.secrets},
        )

    return work


def make_loop(
    request: Request,
    ground: Ground,
    recorder: Recorder,
    calls: Callbacks,
    emit: Listener,
    past: Past = NO_PAST,
) -> Loop:
    """Join the loop with what binds, runs and remembers."""
    executor = ground.executor.name
    return Loop(
        request.plan,
        calls,
        terms=Terms(
            make_capacity(request.settings, slots_of(request, executor), share_of(executor), ground.granted),
            make_claims(request.plan, ground.granted, _seconds(request, ground)),
            grace=request.settings.grace,
            delay=request.settings.retry_delay,
            parks=request.parks,
            approver=request.approver,
        ),
        recorder=recorder,
        identities=ground.images,
        executor=ground.executor.name,
        emit=emit,
        past=past,
    )


def leave(job: Job, finished: Finished) -> Left:
    """What a finished job leaves for the nodes downstream."""
    outputs = left_files(job.id, finished.outputs)
    return Left(job.parameters, job.environment, job.inputs, outputs, finished.metrics)


@contextmanager
def stopped_by_signals(loop: Loop) -> Iterator[None]:
    """While the loop runs, the first Ctrl-C, TERM or HUP stops it with grace, the second kills."""
    with catching_signals(lambda so_far: loop.stop(kill=len(so_far) > 1, signal=so_far[0])):
        yield
