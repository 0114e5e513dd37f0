"""Running a plan: executor, images, code, record and loop, joined in the only order in which nothing can be lost."""

import getpass
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from runner import __version__
from runner.app.executor import choose_executor, find_images
from runner.app.place import Place
from runner.data.source import check_sources, fetch
from runner.engine.loop import Binder, Loop
from runner.errors import ExitCode, Location, MlrunError
from runner.events import Listener, NodeShown, Noticed, RunEnded, RunStarted
from runner.job import Executor, Identity, InputFile, Job
from runner.plan.bind import Left, make_job, resolve
from runner.plan.document import RunContext, execution_document, identities
from runner.plan.model import Plan, PlannedNode, plan_to_json
from runner.provenance.git import capture_folder
from runner.provenance.host import describe_host
from runner.settings import Settings
from runner.spec.model import Project
from runner.spec.project import load_project, parse_project
from runner.state import FINAL, State
from runner.store.datum import datum_id
from runner.store.identity import new_id
from runner.store.journal import timestamp
from runner.store.record import Code, Run
from runner.store.store import Store
from runner.store.writer import RunWriter
from runner.worker.run import Finished, JobListener, run_job
from runner.worker.stopper import Stopper


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that is decided before a run starts. `git` False records the folder as it is, outside git."""

    plan: Plan
    place: Place
    project: Project
    settings: Settings
    argv: tuple[str, ...]
    title: str | None = None
    tags: tuple[str, ...] = ()
    commit: str | None = None
    git: bool = True


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that is over, and the exit code of the command that ran it."""

    run: Run
    exit: int


def open_project(place: Place, commit: str | None) -> Project:
    """The project of `place`, from the working tree or from a commit. Raises MlrunError."""
    if commit is None:
        return load_project(place.file, place.shown)
    if place.repository is None:
        raise MlrunError("`--commit` needs a git repository", code=ExitCode.USAGE, hint="leave it out, or `git init`")
    revision = place.repository.resolve(commit)
    data = place.repository.read_file(revision, place.ref.file)
    return parse_project(data, f"{commit}:{place.ref.file}")


def run_plan(request: Request, emit: Listener) -> Ended:
    """Run the plan to its end. Raises MlrunError when it cannot start; then nothing was started or recorded."""
    _check_inputs(request)
    executor, sentence = choose_executor(request.settings, request.place.root)
    emit(Noticed(sentence))
    images = find_images(executor, (node.step.image for node in request.plan.nodes.values()), emit)
    store = Store.open(request.settings.store, create=True)
    store.reconcile()
    end_leftovers(executor, store, emit)
    code = capture_code(request, store)
    _notice_ignored(request, emit)
    for path in code.not_captured:
        emit(Noticed(f"not captured: {path}"))
    writer = store.begin_run(_header(request, store, code, executor))
    emit(_started(request.plan, writer, executor))
    loop = _loop(request, store, writer, code, executor, images, emit)
    with _signals(loop) as caught:
        end = loop.run()
    writer.close()
    run = store.run(writer.id)
    store.close()
    emit(RunEnded(run.id, run.counter, end.state, end.reason, run.duration or 0.0))
    return Ended(run, _exit_code(end.state, caught, loop))


def _exit_code(state: State, caught: list[int], loop: Loop) -> int:
    """0 for success, 128 + n for a run that signal n stopped, else what its first failure asks for."""
    if state is State.SUCCEEDED:
        return ExitCode.OK
    if state is State.STOPPED:
        return 128 + caught[0] if caught else ExitCode.STEP_FAILED
    return loop.exit


def end_leftovers(executor: Executor, store: Store, emit: Listener) -> None:
    """End jobs that outlived their runner, such as containers after it was killed: their record is closed.

    Asked in this order, nothing that another process has just started can be taken for a leftover: an execution is in
    the store before its job is on the machine.
    """
    existing = executor.mine()
    if not existing:
        return
    over = {row["id"] for row in store.executions() if row["state"] in FINAL}
    for id in sorted(existing & over):
        handle = executor.reattach(id)
        if handle is not None:
            handle.stop(0)
            for _ in handle.logs():
                pass
            handle.wait()
            handle.close()
            emit(Noticed(f"ended what was left on this machine of execution {id}"))


def _check_inputs(request: Request) -> None:
    """Refuse paths that are not there before anything starts; what edges will bring in is not looked at."""
    for node in request.plan.nodes.values():
        fed = {edge.target.key for edge in node.edges if edge.target.type == "input"}
        for declared in node.step.inputs:
            if declared.name not in fed or node.append_edges:
                check_sources(declared, node.inputs[declared.name], request.place.root)


def capture_code(request: Request, store: Store) -> Code:
    """The exact code of the run, in the store. Raises MlrunError outside git unless that was allowed."""
    repository = request.place.repository
    if repository is None:
        if request.git:
            raise MlrunError(
                f"{request.place.root} is not in a git repository, so its code cannot be recorded",
                code=ExitCode.USAGE,
                hint="`git init` there, or `--no-git` to record the folder as it is",
            )
        captured = capture_folder(store.objects, request.place.root, store.layout.cache)
        return Code(captured.snapshot, dirty=True, not_captured=captured.not_captured)
    head = repository.head()
    if request.commit is not None:
        revision = repository.resolve(request.commit)
        captured = repository.capture_commit(store.objects, revision)
        return Code(
            captured.snapshot,
            commit=revision,
            remote=head.remote,
            describe=request.commit,
            not_captured=captured.not_captured,
        )
    captured = repository.capture(store.objects, store.layout.cache)
    return Code(
        captured.snapshot,
        commit=head.commit,
        branch=head.branch,
        remote=head.remote,
        describe=head.describe,
        dirty=captured.dirty,
        not_captured=captured.not_captured,
    )


def _notice_ignored(request: Request, emit: Listener) -> None:
    """Say which fields of the file ask for something that will not happen."""
    asked = [field for node in request.plan.nodes.values() for field in node.step.ignored.items()]
    if request.plan.kind == "pipeline":
        asked += request.project.pipelines[request.plan.name].ignored
    steps = {node.step.name for node in request.plan.nodes.values()}
    asked += [("policy", policy.location) for policy in request.project.policies.values() if policy.step in steps]
    places: dict[str, dict[Location, None]] = {}
    for name, location in asked:
        places.setdefault(name, {})[location] = None
    for name, locations in places.items():
        first, *others = locations
        more = f" (and in {len(others)} more places)" if len(others) > 1 else f" (and at {others[0]})" if others else ""
        emit(Noticed(f"{first}: `{name}` has no effect in this version{more}"))


def _header(request: Request, store: Store, code: Code, executor: Executor) -> dict[str, Any]:
    return {
        "kind": request.plan.kind,
        "name": request.plan.name,
        "project": request.place.ref,
        "title": request.title,
        "tags": request.tags,
        "argv": request.argv,
        "code": code,
        "spec": store.objects.put_bytes(request.project.data),
        "plan": plan_to_json(request.plan),
        "executor": executor.name,
        "host": describe_host(),
        "version": __version__,
    }


def _started(plan: Plan, writer: RunWriter, executor: Executor) -> RunStarted:
    nodes = tuple(NodeShown(node.name, node.step.name, node.step.image, node.upstream) for node in plan.nodes.values())
    return RunStarted(writer.id, writer.counter, plan.kind, plan.name, executor.name, nodes)


def _context(request: Request, writer: RunWriter, code: Code, executor: Executor) -> RunContext:
    return RunContext(
        run_id=writer.id,
        run_counter=writer.counter,
        project_id=request.place.ref.id,
        project_name=request.place.ref.name,
        commit=code.commit if code.commit and not code.dirty else f"~{code.snapshot}",
        executor=executor.name,
        user=_user(),
        title=request.title,
        tags=request.tags,
        pipeline=request.plan.name if request.plan.kind == "pipeline" else None,
    )


def _binder(
    request: Request,
    store: Store,
    code: Code,
    executor: Executor,
    images: Mapping[str, Identity],
    context: RunContext,
    emit: Listener,
) -> Binder:
    """What makes a job of a node whose upstreams are done: resolves its values, fetches its inputs, documents it."""

    def bind(node: PlannedNode, upstream: Mapping[str, Left], counter: int) -> Job:
        resolved = resolve(node, upstream)
        for notice in resolved.notices:
            emit(Noticed(notice, node.name))
        fetched = {
            declared.name: fetch(declared, resolved.sources.get(declared.name, ()), request.place.root, store.objects)
            for declared in node.step.inputs
        }
        id = new_id()
        document = execution_document(
            context,
            id=id,
            counter=counter,
            created=timestamp(),
            step=node.step.name,
            image=node.step.image,
            node=node.name,
        )
        runtime = {"executor": executor.name, "identity": images[node.step.image].id, "mlrun": __version__}
        return make_job(
            node,
            resolved,
            fetched,
            id=id,
            snapshot=code.snapshot,
            identities=identities(context, id, node.name),
            documents={"execution": document, "runtime": runtime},
            network=request.settings.network,
        )

    return bind


def _loop(
    request: Request,
    store: Store,
    writer: RunWriter,
    code: Code,
    executor: Executor,
    images: Mapping[str, Identity],
    emit: Listener,
) -> Loop:
    """Join the loop with what binds, runs and remembers."""

    def work(job: Job, stopper: Stopper, listener: JobListener) -> Finished:
        return run_job(
            job,
            executor=executor,
            identity=images[job.image],
            objects=store.objects,
            work=store.layout.work,
            log_folder=writer.log_folder(job.id),
            listener=listener,
            stopper=stopper,
        )

    return Loop(
        request.plan,
        slots=request.settings.jobs or os.cpu_count() or 1,
        recorder=writer,
        bind=_binder(request, store, code, executor, images, _context(request, writer, code, executor), emit),
        work=work,
        identities=images,
        executor=executor.name,
        leave=leave,
        emit=emit,
        grace=request.settings.grace,
    )


def leave(job: Job, finished: Finished) -> Left:
    """What a finished job leaves for the nodes downstream."""
    outputs = tuple(
        InputFile(output.name, output.digest, output.size, f"datum://{datum_id(job.id, output.name)}", output.metadata)
        for output in finished.outputs
    )
    return Left(job.parameters, job.environment, job.inputs, outputs, finished.metrics)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


@contextmanager
def _signals(loop: Loop) -> Iterator[list[int]]:
    """While the loop runs, the first Ctrl-C, TERM or HUP stops it with grace, the second kills. Yields those caught."""
    caught: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        loop.stop(kill=len(caught) > 1)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before: list[tuple[int, Any]] = [(number, signal.signal(number, ask)) for number in numbers]
    try:
        yield caught
    finally:
        for number, handler in before:
            signal.signal(number, handler)
