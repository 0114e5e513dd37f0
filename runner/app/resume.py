"""Going on with a run that nobody drives: its plan compiled again from its record, what it has behind it, what still
runs on this machine.

Nothing of the working tree is looked at: file, code, executor and arguments are those of the record. Only the user's
settings, secrets and grants are those of today.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from runner.app.behind import Behind, look_behind
from runner.app.ground import Ground, lay_ground
from runner.app.place import Place
from runner.app.plan import plan_recorded, recorded_arguments
from runner.app.request import Decider, Request
from runner.app.retelling import so_far
from runner.app.run import Ended, drive
from runner.app.secret import Secrets
from runner.app.taken import find_taken
from runner.app.wish import Wish
from runner.digest import Digest
from runner.engine import entry
from runner.errors import ExitCode, MlrunError, usage_error
from runner.escape import printable
from runner.events import Event, Listener, RunStarted
from runner.plan.address import public
from runner.plan.model import Arguments, Commit, Plan
from runner.provenance.git import find_repository
from runner.reuse.content import CodeKey
from runner.settings import Settings, executor_name, network_name
from runner.spec.model import Project, Step
from runner.spec.project import parse_project
from runner.state import FINAL, State
from runner.store.lease import current_owner
from runner.store.record import Run
from runner.store.recovery import lost_executions
from runner.store.store import Store
from runner.store.writer import RunWriter


def _as_it_is(request: Request) -> Request:
    return request


@dataclass(frozen=True, slots=True)
class Orders:
    """What the user says about a run that goes on: settings and secrets of today, in whose name all approvals are given
    (None: nobody's), what becomes of nodes that await one, and by whom that was decided. `prepare` changes the request
    at the very last, such as who is asked for approvals."""

    settings: Settings
    secrets: Callable[[Place], Secrets]
    approver: str | None = None
    decisions: Mapping[str, bool] = field(default_factory=dict)
    by: str = ""
    prepare: Callable[[Request], Request] = _as_it_is


def resume_run(run_id: str, orders: Orders, emit: Listener) -> Ended:
    """Go on with a run until it ends or is parked again.

    Raises MlrunError: LOCKED while somebody drives it, USAGE where nothing is left to do or the record tells too
    little, POLICY for a secret that is not there any more, and what the start of a run raises; then it is as it was.
    """
    with Store.open(orders.settings.store, create=True) as store, store.resume_run(run_id) as writer:
        run = writer.run()
        check_resumable(run)
        request = orders.prepare(recorded_request(store, run, orders))
        ground = lay_ground(request, emit, again=run)
        with ground.store:
            return _go_on(request, ground, writer, run, orders, emit)


def check_resumable(run: Run) -> None:
    """Raise MlrunError (USAGE) for a run of which nothing is left to do, or that nobody can go on with."""
    if run.state is State.SUCCEEDED:
        raise usage_error(
            f"run {run.counter} has succeeded: nothing of it is left to do",
            hint=f"`mlrun rerun run:{run.counter} --from NODE` runs some of it again",
        )
    if run.arguments is None:
        raise usage_error(
            f"the record of run {run.counter} does not tell what its plan was made with",
            hint=f"`mlrun reproduce run:{run.counter}` repeats what it ran",
        )


def recorded_place(run: Run) -> Place:
    """Where the project of a run was; it need not be there any more."""
    root = Path(run.project.root)
    file = root / run.project.file
    return Place(root, file, str(file), find_repository(root) if root.is_dir() else None, run.project)


def recorded_request(store: Store, run: Run, orders: Orders) -> Request:
    """What was asked for when the run began. Raises MlrunError."""
    place = recorded_place(run)
    told = run.arguments or {}
    project = parse_project(store.objects.read(run.spec), f"run {run.counter}: {run.project.file}")
    settings = replace(orders.settings, executor=executor_name(run.executor))
    if told.get("network"):
        settings = replace(settings, network=network_name(told["network"]))
    if run.reuse is not None:
        settings = replace(settings, code_key=run.reuse.code_key)
    plan = _compile(store, run, project, place, settings)
    secrets = orders.secrets(place).values
    _check_secrets(run, plan, secrets)
    return Request(
        plan=plan,
        place=place,
        project=project,
        settings=settings,
        argv=run.argv,
        title=run.title,
        tags=run.tags,
        git=place.repository is not None,
        gpus=told.get("gpus"),
        secrets=secrets,
        reuse=_wish(run, plan, project),
        approver=orders.approver,
    )


def _compile(store: Store, run: Run, project: Project, place: Place, settings: Settings) -> Plan:
    arguments = recorded_arguments(run)
    if run.kind == "exec":
        step = _with_inherited(project.steps[run.name], run, arguments)
        project = replace(project, steps={**project.steps, step.name: step})
    commit = partial(_recorded_commit, store, run, project)
    return plan_recorded(run, place, project, arguments, settings, commit)


def _with_inherited(step: Step, run: Run, arguments: Arguments) -> Step:
    """The step with the addresses that it had from an earlier run instead of its own. The record has none with a
    password, so that those which are its own are taken from the file."""
    (node,) = run.plan["nodes"]
    given = arguments.nodes.get(step.name)
    inputs = []
    for declared in step.inputs:
        uris = tuple(node.get("inputs", {}).get(declared.name, ()))
        is_given = given is not None and (declared.name in given.inputs or declared.name in given.files)
        own = is_given or uris == tuple(map(public, declared.default))
        inputs.append(declared if own else replace(declared, default=uris))
    return replace(step, inputs=tuple(inputs))


def _recorded_commit(store: Store, run: Run, project: Project, revision: str) -> Commit:
    """A commit at which nodes of the run are, by what was captured of it."""
    node = next(one.name for one in project.pipelines[run.name].nodes if one.commit == revision)
    code = run.codes.get(node)
    if code is None or code.commit is None:
        raise MlrunError(f"the code of node `{printable(node)}` is not in the record", code=ExitCode.STORE)
    for file in store.objects.read_tree(code.snapshot):
        if file.path == run.project.file:
            data = store.objects.read(Digest(file.content))
            return Commit(code.commit, parse_project(data, f"{revision}:{file.path}"))
    raise MlrunError(f"commit `{revision}` has no `{run.project.file}`", code=ExitCode.STORE)


def _check_secrets(run: Run, plan: Plan, secrets: Mapping[str, str]) -> None:
    """Raise MlrunError (POLICY) for a secret that a node had and that nobody gives today."""
    for node in plan.nodes.values():
        for name in node.secrets:
            if name not in secrets:
                raise MlrunError(
                    f"node `{printable(node.name)}` of run {run.counter} had the secret `{printable(name)}`, which is "
                    "not set any more",
                    code=ExitCode.POLICY,
                    hint=f"`mlrun secret set {printable(name)}`, or `--env-file FILE` with it",
                )


def _wish(run: Run, plan: Plan, project: Project) -> Wish:
    told = run.reuse
    if told is None:
        return Wish(on=False, policies=project.policies)
    sources = None if told.sources is None else frozenset(told.sources)
    return Wish(told.on, frozenset(told.refresh) & plan.nodes.keys(), CodeKey(told.code_key), project.policies, sources)


def _go_on(request: Request, ground: Ground, writer: RunWriter, run: Run, orders: Orders, emit: Listener) -> Ended:
    behind = look_behind(request.plan, ground, run)
    _check_decisions(run, behind, orders)
    writer.resume(
        [
            *lost_executions(run, behind.running),
            entry.run_resumed(current_owner(), behind.again),
            *behind.told,
        ]
    )

    def attend(decide: Decider) -> None:
        for node, approved in orders.decisions.items():
            decide(node, approved, orders.by)
        if request.attend is not None:
            request.attend(decide)

    def tell(event: Event) -> None:
        emit(event)
        if isinstance(event, RunStarted):
            for known in so_far(writer.run()):
                emit(known)

    over = {name for name, node in behind.nodes.items() if node.state in FINAL}
    taken = find_taken(ground.store, request.plan, over)
    return drive(replace(request, attend=attend), ground, writer, tell, taken, behind.past(), behind.running)


def _check_decisions(run: Run, behind: Behind, orders: Orders) -> None:
    for name in orders.decisions:
        restored = behind.nodes.get(name)
        if restored is None or restored.state is not State.AWAITING_APPROVAL:
            raise usage_error(f"node `{printable(name)}` of run {run.counter} does not await approval")
