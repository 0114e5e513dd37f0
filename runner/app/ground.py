"""What a run stands on, laid before it starts: executor, images, grants, code, and a store without leftovers."""

from collections.abc import Mapping
from dataclasses import dataclass

from runner.app import publication, scratch
from runner.app.executor import choose_executor, find_images
from runner.app.grant import Granted, grant_plan, unkept
from runner.app.input import check_inputs, make_fetcher
from runner.app.request import Request
from runner.errors import ExitCode, Location, MlrunError
from runner.events import Listener, Noticed
from runner.executors.secret import remove_leftovers
from runner.job import Executor, Identity
from runner.provenance.commit import capture_commit
from runner.provenance.folder import capture_folder
from runner.provenance.host import user_name
from runner.provenance.worktree import capture_worktree
from runner.settings import Settings
from runner.spec import policy
from runner.state import FINAL
from runner.store.layout import Layout
from runner.store.record import Code
from runner.store.store import Store
from runner.upkeep.usage import check_quota
from runner.worker.reserve import Reserve


@dataclass(frozen=True, slots=True)
class Ground:
    """What a run stands on: all that is chosen, fetched and captured before it starts. `images` has what each image of
    the plan is on this machine; `store` is open for writing."""

    executor: Executor
    images: Mapping[str, Identity]
    granted: Granted
    store: Store
    code: Code


def lay_ground(request: Request, emit: Listener) -> Ground:
    """Choose and look at everything, and put right what others left. Records nothing. Raises MlrunError."""
    if (layout := Layout.open_existing(request.settings.store)) is not None:
        check_quota(layout, request.settings.quota)
    with Store.open(request.settings.store, create=False) as known:
        check_inputs(make_fetcher(request.place.root, known), request.plan)
    granted = grant_plan(request.plan, request.settings, request.gpus)
    executor, sentence = choose_executor(request.settings, request.place.root)
    emit(Noticed(sentence))
    for notice in (*granted.notices, *unkept(request.plan, granted, executor.name)):
        emit(Noticed(notice))
    images = find_images(executor, (node.step.image for node in request.plan.nodes.values()), emit)
    store = Store.open(request.settings.store, create=True)
    try:
        make_reserve(request.settings, store, executor).check()
        for said in publication.catch_up(store, user_name(), store.reconcile()):
            emit(Noticed(said))
        end_leftovers(executor, store, emit)
        remove_scratch(executor, store)
        remove_leftovers()
        code = _capture_code(request, store)
        _notice_ignored(request, emit)
        for path in code.not_captured:
            emit(Noticed(f"not captured: {path}"))
        return Ground(executor, images, granted, store, code)
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
    names = dict.fromkeys(node.step.image for node in request.plan.nodes.values())
    found = {name: executor.resolve(name) for name in names}
    images = {name: identity for name, identity in found.items() if identity is not None}
    store = Store.look(settings.store)
    try:
        check_inputs(make_fetcher(request.place.root, store), request.plan)
        return Ground(executor, images, granted, store, _capture_code(request, store))
    except BaseException:
        store.close()
        raise


def make_reserve(settings: Settings, store: Store, executor: Executor) -> Reserve:
    """What has to be left of the disks that steps can fill."""
    return Reserve((store.layout.root, *executor.disks()), settings.reserve)


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
        if _end_job(executor, id):
            emit(Noticed(f"ended what was left on this machine of execution {id}"))


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
    handle.stop(0)
    for _ in handle.logs():
        pass
    handle.wait()
    handle.close()
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


def _notice_ignored(request: Request, emit: Listener) -> None:
    """Say which fields of the file ask for something that will not happen."""
    asked = [field for node in request.plan.nodes.values() for field in node.step.ignored.items()]
    if request.plan.kind == "pipeline":
        asked += request.project.pipelines[request.plan.name].ignored
    steps = {node.step.name for node in request.plan.nodes.values()}
    for one in (one for one in request.project.policies.values() if one.step in steps):
        asked += [(name, one.location) for name in policy.IGNORED if getattr(one, name) is not None]
    places: dict[str, dict[Location, None]] = {}
    for name, location in asked:
        places.setdefault(name, {})[location] = None
    for name, locations in places.items():
        first, *others = locations
        more = f" (and in {len(others)} more places)" if len(others) > 1 else f" (and at {others[0]})" if others else ""
        emit(Noticed(f"{first}: `{name}` has no effect in this version{more}"))
