"""What a run stands on, laid before it starts: executor, images, grants, code, and a store without leftovers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.app import publication, scratch
from runner.app.executor import choose_executor, find_images
from runner.app.gang import check_gangs, free_gangs
from runner.app.grant import Granted, grant_plan, unkept
from runner.app.input import check_inputs, make_fetcher
from runner.app.request import Request
from runner.errors import ExitCode, Location, MlrunError
from runner.events import Listener, Noticed
from runner.executors.secret import remove_leftovers
from runner.job import Executor, Identity
from runner.plan.model import Plan, PlannedNode
from runner.provenance.commit import capture_commit
from runner.provenance.folder import capture_folder
from runner.provenance.host import user_name
from runner.provenance.worktree import capture_worktree
from runner.settings import Settings
from runner.state import FINAL
from runner.store.layout import Layout
from runner.store.record import Code, Run
from runner.store.recovery import may_go_on, open_executions
from runner.store.store import Store
from runner.upkeep.usage import check_quota
from runner.worker.reserve import Reserve
from runner.worker.run import end


@dataclass(frozen=True, slots=True)
class Ground:
    """What a run stands on: all that is chosen, fetched and captured before it starts. `images` has what each image of
    the plan is on this machine; `store` is open for writing; `codes` is the code of nodes that are at another commit
    than the run."""

    executor: Executor
    images: Mapping[str, Identity]
    granted: Granted
    store: Store
    code: Code
    codes: Mapping[str, Code] = field(default_factory=dict)

    def code_of(self, node: PlannedNode) -> Code:
        """The code that a node runs."""
        return self.codes.get(node.trial_of or node.name, self.code)


def lay_ground(request: Request, emit: Listener, again: Run | None = None) -> Ground:
    """Choose and look at everything, and put right what others left. Records nothing. A run that goes on `again` has
    the code that it had. Raises MlrunError."""
    if (layout := Layout.open_existing(request.settings.store)) is not None:
        check_quota(layout, request.settings.quota)
    with Store.open(request.settings.store, create=False) as known:
        check_inputs(make_fetcher(request.place.root, known), request.plan)
    granted = grant_plan(request.plan, request.settings, request.gpus)
    check_gangs(request.plan, request.settings.network)
    executor, sentence = choose_executor(request.settings, request.place.root)
    emit(Noticed(sentence))
    for notice in (*granted.notices, *unkept(request.plan, granted, executor.name)):
        emit(Noticed(notice))
    images = find_images(executor, _images(request.plan), emit)
    store = Store.open(request.settings.store, create=True)
    try:
        make_reserve(request.settings, store, executor).check()
        end_lost(executor, store, emit)
        free_gangs(executor, store)
        remove_scratch(executor, store)
        remove_leftovers()
        if again is not None:
            return Ground(executor, images, granted, store, again.code, again.codes)
        code, codes = _capture_code(request, store), _capture_commits(request, store)
        _notice_ignored(request, emit)
        for path in dict.fromkeys(path for one in (code, *codes.values()) for path in one.not_captured):
            emit(Noticed(f"not captured: {path}"))
        return Ground(executor, images, granted, store, code, codes)
    except BaseException:
        store.close()
        raise


def look_ground(request: Request, emit: Listener) -> Ground:
    """The ground that a run would have, as far as it can be seen without pulling, asking other machines or writing
    anything: images that are not on this machine are left out of `images`, and what is put into `store` is forgotten.

    Raises MlrunError as `lay_ground`.
    """
    settings = request.settings
    granted = grant_plan(request.plan, settings, request.gpus)
    executor, _ = choose_executor(settings, request.place.root, keep=False)
    for notice in (*granted.notices, *unkept(request.plan, granted, executor.name)):
        emit(Noticed(notice))
    found = {name: executor.resolve(name) for name in _images(request.plan)}
    images = {name: identity for name, identity in found.items() if identity is not None}
    store = Store.look(settings.store)
    try:
        check_inputs(make_fetcher(request.place.root, store), request.plan)
        code, codes = _capture_code(request, store), _capture_commits(request, store)
        return Ground(executor, images, granted, store, code, codes)
    except BaseException:
        store.close()
        raise


def _images(plan: Plan) -> tuple[str, ...]:
    """The images of a plan, each once; a deployment node runs in none, nor does one that is taken from another run."""
    running = (node for node in plan.nodes.values() if node.kind != "deployment" and node.taken_from is None)
    return tuple(dict.fromkeys(node.step.image for node in running))


def make_reserve(settings: Settings, store: Store, executor: Executor) -> Reserve:
    """What has to be left of the disks that steps can fill."""
    return Reserve((store.layout.root, *executor.disks()), settings.reserve)


def end_lost(executor: Executor, store: Store, emit: Listener) -> None:
    """Close the record of runs that lost their runner, and end the jobs that outlived one whose record is closed, such
    as containers. A run of which jobs go on is left to who resumes or stops it, and told.

    Asked in this order, nothing that another process has just started can be taken for a leftover: an execution is in
    the store before its job is on the machine.
    """
    existing = executor.mine()

    def goes_on(run: Run) -> bool:
        return may_go_on(run) and (run.executor != executor.name or not existing.isdisjoint(open_executions(run)))

    for said in publication.catch_up(store, user_name(), store.reconcile(goes_on)):
        emit(Noticed(said))
    if not existing:
        return
    going: set[str] = set()
    for run in filter(goes_on, store.lost_runs()):
        alive = existing.intersection(open_executions(run))
        going |= alive
        if alive:
            emit(Noticed(_going(run, len(alive))))
    over = {row["id"] for row in store.executions() if row["state"] in FINAL}
    for id in sorted(existing & over - going):
        if _end_job(executor, id):
            emit(Noticed(f"ended what was left on this machine of execution {id}"))


def _going(run: Run, jobs: int) -> str:
    still = "its container still runs" if jobs == 1 else f"{jobs} containers of it still run"
    name = f"run:{run.counter}"
    them = "it" if jobs == 1 else "them"
    return (
        f"{name} lost its runner, {still}: `mlrun resume {name}` goes on with {them}, `mlrun stop {name}` ends {them}"
    )


def remove_scratch(executor: Executor, store: Store) -> None:
    """End and remove what is not recorded and whose process was killed before it could do so."""
    for folder in scratch.abandoned(store.layout.work):
        for id in scratch.jobs(folder):
            _end_job(executor, id)
        scratch.remove(folder, store.objects.unlink)


def _end_job(executor: Executor, id: str) -> bool:
    """Kill a job that nobody waits for; whether there was one."""
    handle = executor.reattach(id)
    if handle is None:
        return False
    end(handle)
    return True


def _capture_code(request: Request, store: Store) -> Code:
    """The exact code of the run, in the store. Raises MlrunError outside git unless that was allowed."""
    repository = request.place.repository
    if repository is None:
        if request.git:
            raise MlrunError(
                f"{request.place.root} is not in a git repository, so its code cannot be recorded",
                code=ExitCode.USAGE,
                hint="`git init` there, or `--no-git` to record the folder as it is",
            )
        captured = capture_folder(store.objects, request.place.root, store.layout.cache, keep=store.keeps)
        return Code(captured.snapshot, dirty=True, not_captured=captured.not_captured)
    head = repository.head()
    if request.commit is not None:
        revision = repository.resolve(request.commit)
        captured = capture_commit(store.objects, repository, revision)
        return Code(
            captured.snapshot,
            commit=revision,
            remote=head.remote,
            describe=request.commit,
            not_captured=captured.not_captured,
        )
    captured = capture_worktree(store.objects, repository.root, store.layout.cache, keep=store.keeps)
    return Code(
        captured.snapshot,
        commit=head.commit,
        branch=head.branch,
        remote=head.remote,
        describe=head.describe,
        dirty=captured.dirty,
        not_captured=captured.not_captured,
    )


def _capture_commits(request: Request, store: Store) -> dict[str, Code]:
    """The code of the nodes that are at other commits, in the store. Raises MlrunError (INPUT) for one that is not
    complete."""
    nodes, repository = request.plan.nodes.values(), request.place.repository
    commits = dict.fromkeys(node.commit for node in nodes if node.commit)
    if repository is None or not commits:
        return {}
    remote = repository.head().remote
    codes: dict[str | None, Code] = {}
    for commit in commits:
        captured = capture_commit(store.objects, repository, commit)
        codes[commit] = Code(captured.snapshot, commit=commit, remote=remote, not_captured=captured.not_captured)
    return {node.name: codes[node.commit] for node in nodes if node.commit}


def _notice_ignored(request: Request, emit: Listener) -> None:
    """Say which fields of the file ask for something that will not happen."""
    asked = [field for node in request.plan.nodes.values() for field in node.step.ignored.items()]
    if request.plan.kind == "pipeline":
        asked += request.project.pipelines[request.plan.name].ignored
    places: dict[str, dict[Location, None]] = {}
    for name, location in asked:
        places.setdefault(name, {})[location] = None
    for name, locations in places.items():
        first, *others = locations
        more = f" (and in {len(others)} more places)" if len(others) > 1 else f" (and at {others[0]})" if others else ""
        emit(Noticed(f"{first}: `{name}` has no effect in this version{more}"))
