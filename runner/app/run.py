"""Running a plan: executor, images, code, record and loop, joined in the only order in which nothing can be lost."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from runner import __version__
from runner.app import publication
from runner.app.binding import Chance, make_binder, make_drafter, make_identifier
from runner.app.forecast import estimate, forecast, known, make_asker
from runner.app.ground import Ground, lay_ground, make_reserve
from runner.app.input import left_files
from runner.app.interrupt import catching_signals
from runner.app.pause import make_pause
from runner.app.request import Request
from runner.app.reuse import Reuser
from runner.engine.callback import Callbacks, Recorder, Stand, Worker
from runner.engine.loop import Loop
from runner.errors import ExitCode
from runner.events import Foreseen, Listener, NodeShown, RunEnded, RunStarted
from runner.job import Executor, Job
from runner.plan.bind import Left
from runner.plan.document import RunContext
from runner.plan.model import Plan, plan_to_json
from runner.provenance.host import describe_host, user_name
from runner.state import State
from runner.store.flight import Flights
from runner.store.record import Run
from runner.worker.report import Finished, JobListener
from runner.worker.run import Equipment, run_job
from runner.worker.stopper import Stopper
from runner.worker.storage import ObjectStore


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that is over, and the exit code of the command that ran it."""

    run: Run
    exit: int


def run_plan(request: Request, emit: Listener) -> Ended:
    """Run the plan to its end. Raises MlrunError when it cannot start, and then nothing was started or recorded; or
    when the store fails, and then whoever reads the run next finds it interrupted."""
    ground = lay_ground(request, emit)
    with ground.store as store, store.begin_run(_header(request, ground)) as writer:
        emit(run_started(request.plan, writer.id, writer.counter, ground.executor))
        work = make_worker(request, ground, store.layout.work, writer.log_folder, emit)
        context = make_context(request, ground, writer.id, writer.counter)
        draft, publish = make_drafter(request, ground, emit), partial(publication.publish, store, context.user)
        reuser = make_reuser(request, ground)
        chance = Chance(reuser, Flights(store.layout.cache / "flights"))
        binder = make_binder(draft, make_identifier(ground, context), chance, emit)
        stands = _look_ahead(request, ground, reuser, emit)
        republish = partial(reuser.publish_again, context.user)
        loop = make_loop(request, ground, writer, Callbacks(binder, work, leave, publish, stands, republish), emit)
        with stopped_by_signals(loop) as caught, closing(chance.flights):
            end = loop.run()
        run = writer.run()
        reuser.sight.contents.keep()
    emit(RunEnded(run.id, run.counter, end.state, end.reason, run.duration or 0.0))
    return Ended(run, exit_code(end.state, caught, loop))


def _look_ahead(request: Request, ground: Ground, reuser: Reuser, emit: Listener) -> Mapping[str, Stand]:
    """The nodes for which another is sure to stand; of a pipeline the user is told how many, and how long the rest is
    likely to take. Raises MlrunError."""
    # What there is to say of a node is said when it is bound.
    draft = make_drafter(request, ground, lambda event: None)
    plan, slots = request.plan, slots_of(request)
    fates = forecast(plan, draft, reuser, make_asker(request, ground), explain=False)
    if plan.kind == "pipeline":
        told = estimate(ground.store, request.place.ref.id, plan, fates, slots)
        emit(Foreseen(told.nodes, told.reused, told.seconds))
    return known(fates)


def slots_of(request: Request) -> int:
    """How many nodes run at the same time."""
    return request.settings.jobs or os.cpu_count() or 1


def exit_code(state: State, caught: list[int], loop: Loop) -> int:
    """0 for success, 128 + n for a run that signal n stopped, else what its first failure asks for."""
    if state is State.SUCCEEDED:
        return ExitCode.OK
    if state is State.STOPPED:
        return 128 + caught[0] if caught else ExitCode.STEP_FAILED
    return loop.exit


def make_reuser(request: Request, ground: Ground) -> Reuser:
    """What knows which executions may stand for nodes of this run."""
    return Reuser(
        ground.store, request.place.ref.id, ground.images, ground.executor.name, ground.code.snapshot, request.reuse
    )


def _header(request: Request, ground: Ground) -> dict[str, Any]:
    return {
        "kind": request.plan.kind,
        "name": request.plan.name,
        "project": request.place.ref,
        "title": request.title,
        "tags": request.tags,
        "argv": request.argv,
        "code": ground.code,
        "spec": ground.store.objects.put_bytes(request.project.data),
        "plan": plan_to_json(request.plan),
        "executor": ground.executor.name,
        "host": describe_host(),
        "version": __version__,
        "reuse": request.reuse.options(),
    }


def run_started(plan: Plan, id: str, counter: int, executor: Executor) -> RunStarted:
    """The event that tells of a run with its nodes."""
    nodes = tuple(NodeShown(node.name, node.step.name, node.step.image, node.upstream) for node in plan.nodes.values())
    return RunStarted(id, counter, plan.kind, plan.name, executor.name, nodes)


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
) -> Worker:
    """What runs a bound job below `work_folder`; `log_folder` gives the folder of its log by its id, `objects` takes
    what it leaves, the store if there is none."""
    equipment = Equipment(
        executor=ground.executor,
        objects=objects or ground.store.objects,
        work=work_folder,
        checksums=ground.store.checksums.known,
        pause=make_pause(ground.executor, request.settle, emit) if request.settle else None,
        reserve=make_reserve(request.settings, ground.store, ground.executor),
    )

    def work(job: Job, stopper: Stopper, listener: JobListener) -> Finished:
        return run_job(
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
) -> Loop:
    """Join the loop with what binds, runs and remembers."""
    return Loop(
        request.plan,
        calls,
        slots=slots_of(request),
        recorder=recorder,
        identities=ground.images,
        executor=ground.executor.name,
        emit=emit,
        grace=request.settings.grace,
    )


def leave(job: Job, finished: Finished) -> Left:
    """What a finished job leaves for the nodes downstream."""
    outputs = left_files(job.id, finished.outputs)
    return Left(job.parameters, job.environment, job.inputs, outputs, finished.metrics)


@contextmanager
def stopped_by_signals(loop: Loop) -> Iterator[list[int]]:
    """While the loop runs, the first Ctrl-C, TERM or HUP stops it with grace, the second kills. Yields those caught."""
    with catching_signals(lambda count: loop.stop(kill=count > 1)) as caught:
        yield caught
