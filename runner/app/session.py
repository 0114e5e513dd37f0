"""A shell, or any program, in the place where a step ran or would run: its executor, image, code, inputs and values.

Nobody records it, and its folder is thrown away.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from runner.app import scratch
from runner.app.binding import make_drafter, make_identifier
from runner.app.device import make_allotter
from runner.app.executor import choose_executor
from runner.app.grant import grant_recorded
from runner.app.ground import lay_ground, remove_scratch
from runner.app.interrupt import catching_signals
from runner.app.overlay import Overlay, Take
from runner.app.pause import Ender, introduction
from runner.app.request import Request
from runner.app.run import make_context
from runner.digest import Digest
from runner.engine.entry import job_from_json
from runner.errors import ExitCode, MlrunError, usage_error
from runner.escape import printable
from runner.events import Listener, Noticed
from runner.executors.secret import remove_leftovers
from runner.job import Executor, Identity, Job, Staged, View, Workspace
from runner.plan.document import RunContext, execution_document, runtime_document
from runner.provenance.host import describe_host, user_name
from runner.settings import Settings
from runner.state import FINAL
from runner.store.identity import new_id
from runner.store.record import Execution, Run, code_of
from runner.store.store import Store
from runner.worker.collect import collect
from runner.worker.rerun import write_rerun
from runner.worker.stage import environment, fill, make_folders


@dataclass(frozen=True, slots=True)
class Visit:
    """What is to be done in a place: run `argv`, a shell if it is empty; `take` gets the outputs that are left;
    with `keep` the folder stays. `secrets` are values for those that the job names."""

    argv: tuple[str, ...] = ()
    keep: bool = False
    take: Take | None = None
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


def enter_step(request: Request, visit: Visit, emit: Listener) -> int:
    """Run an interactive program where the one step of the plan would run; its exit code. Raises MlrunError."""
    ground = lay_ground(request, emit)
    with ground.store:
        (node,) = request.plan.nodes.values()
        identify = make_identifier(ground, make_context(request, ground, new_id(), 0))
        job = identify(node, make_drafter(request, ground, emit)(node, {}), 0)
        session = _Session(ground.executor, ground.images[job.image], job, ground.store)
        return session.enter(visit, f"step `{printable(job.step)}` as it would run now", emit)


def enter_execution(
    settings: Settings, run: Run, execution: Execution, visit: Visit, emit: Listener, *, as_left: bool
) -> int:
    """Run an interactive program where an execution ran, with its code, inputs, values and image; its exit code.

    With `as_left` it gets the folder that the failed execution left, and may change it. Raises MlrunError: IMAGE when
    the image is gone, USAGE when the folder is, POLICY for what the user does not grant it today, EXECUTOR and STORE.
    """
    job, notices = grant_recorded(job_from_json(execution.id, execution.job), settings)
    job = replace(job, documents=recorded_documents(run, execution))
    executor, sentence = choose_executor(settings, Path(run.project.root))
    for notice in (sentence, *notices):
        emit(Noticed(notice))
    identity = _find_identity(executor, execution, job.image, emit)
    title = f"execution {execution.counter} of step `{printable(job.step)}`"
    with Store.open(settings.store, create=True) as store:
        remove_leftovers()
        remove_scratch(executor, store)
        session = _Session(executor, identity, job, store)
        left = _folder_left(store, execution)
        if not as_left:
            if left is not None:
                emit(Noticed("its folder was kept: `--as-left` enters that instead of a fresh copy"))
            return session.enter(visit, title, emit)
        if left is None:
            raise usage_error(
                f"the folder of execution {execution.counter} was not kept",
                hint="only that of one that failed is; leave `--as-left` out for a fresh copy",
            )
        return session.enter_left(left, visit, f"{title}, as it left its folder", emit)


def _folder_left(store: Store, execution: Execution) -> Path | None:
    """The work folder of an execution that is over, also of one whose runner was killed; None if it is gone.

    Where it is, the store knows: a record that comes from elsewhere could name any folder.
    """
    folder = store.work_folder(execution.id)
    return folder if execution.state in FINAL and folder.is_dir() and not folder.is_symlink() else None


@dataclass(frozen=True, slots=True)
class _Session:
    """Where a job runs, or ran."""

    executor: Executor
    identity: Identity
    job: Job
    store: Store

    def enter(self, visit: Visit, title: str, emit: Listener) -> int:
        """Enter a fresh place in a scratch folder."""
        names = {Digest(file.digest): file.name for input in self.job.inputs for file in input.files}
        for digest in self.store.objects.lacking(names):
            self.store.catalog.require(names[digest], digest)
        with scratch.scratch_folder(self.store.layout.work, self.store.objects.unlink) as folder:
            workspace = Workspace.below(folder / new_id())
            make_folders(workspace)
            view = self.executor.view(workspace)
            job, checksums = self.job, self.store.checksums.known
            staged, warnings = fill(job, workspace, view, self.identity, self.store.objects, checksums)
            for warning in warnings:
                emit(Noticed(warning))
            code = self._interact(staged, view, visit, title, emit)
            if visit.keep:
                write_rerun(staged, view, self.executor.name)
                kept = scratch.keep(folder) / workspace.root.name
                emit(Noticed(f"kept: `{printable(str(kept))}`; `bash rerun.sh` in it runs the step's command"))
            else:
                self._take_outputs(workspace, folder, visit, emit)
            return code

    def enter_left(self, root: Path, visit: Visit, title: str, emit: Listener) -> int:
        """Enter the folder of an execution as it is."""
        workspace = Workspace.below(root)
        view = self.executor.view(workspace)
        staged = Staged(self.job, workspace, environment(self.job, view), self.identity)
        return self._interact(staged, view, visit, title, emit)

    def _interact(self, staged: Staged, view: View, visit: Visit, title: str, emit: Listener) -> int:
        missing = [name for name in staged.job.secrets if name not in visit.secrets]
        if missing:
            emit(Noticed(f"without {', '.join(f'`{name}`' for name in missing)}: no secret of this name is set"))
        secrets = {name: visit.secrets[name] for name in staged.job.secrets if name in visit.secrets}
        # Another id than that of an execution: what is on this machine under that one is its own.
        staged = replace(staged, job=replace(staged.job, id=new_id()), secrets=secrets)
        if not visit.argv and os.isatty(0) and os.isatty(1):
            emit(Noticed(f"{title}, with {self.executor.name}"))
            for line in introduction(staged, view):
                emit(Noticed(line))
            emit(Noticed("nothing is recorded; leave with `exit` or Ctrl-D"))
        with closing(make_allotter(self.store.layout.cache)) as allotter, until_signal() as (until, caught):
            lot, is_shared = allotter.borrow(staged.job)
            if is_shared:
                emit(Noticed("its devices are shared with jobs that run: not as many are free"))
            code = self.executor.interact(replace(staged, devices=lot.devices), visit.argv, until)
        return 128 + caught[0] if caught else code

    def _take_outputs(self, workspace: Workspace, folder: Path, visit: Visit, emit: Listener) -> None:
        if visit.take is None:
            count = sum(len(files) for _, _, files in os.walk(workspace.outputs))
            if count:
                files = "1 file" if count == 1 else f"{count} files"
                emit(
                    Noticed(f"{files} in the outputs went with the folder; `-d DIR` copies them out, `--keep` keeps it")
                )
            return
        overlay = Overlay(self.store.objects, folder / "objects")
        collected = collect(workspace.outputs, folder / "collected", overlay)
        for warning in collected.warnings:
            emit(Noticed(warning))
        if collected.failure is not None:
            raise MlrunError(collected.failure, code=collected.code)
        visit.take(overlay, collected.outputs)


@contextmanager
def until_signal() -> Iterator[tuple[int, list[int]]]:
    """While this lasts, INT, TERM and HUP do not end this process: they are noted, and make a descriptor readable.

    Main thread only. Yields the descriptor and the signals.
    """
    ender = Ender()
    try:
        with catching_signals(lambda so_far: ender.stop(0)) as caught:
            yield ender.until, caught
    finally:
        ender.close()


def recorded_documents(run: Run, execution: Execution) -> dict[str, Mapping[str, object]]:
    """The config files of an execution, but for `inputs`, made again from its record."""
    context = RunContext(
        run_id=run.id,
        run_counter=run.counter,
        project_id=run.project.id,
        project_name=run.project.name,
        commit=code_of(run, execution.node).identifier,
        executor=execution.executor or run.executor,
        user=user_name(),
        host={**describe_host(), **run.host},
        title=run.title,
        tags=run.tags,
        pipeline=run.name if run.kind == "pipeline" else None,
    )
    job = execution.job
    document = execution_document(
        context,
        id=execution.id,
        counter=execution.counter,
        created=execution.created,
        step=execution.step,
        image=job["image"],
        node=execution.node,
        task=run.nodes[execution.node].trial_of,
    )
    document |= job.get("told", {})
    runtime = runtime_document(
        context,
        image=job["image"],
        identity=str((execution.identity or {}).get("id", "")),
        allowance=job_from_json(execution.id, job).allowance,
        version=run.version,
    )
    return {"execution": document, "parameters": job["parameters"], "runtime": runtime}


def _find_identity(executor: Executor, execution: Execution, image: str, emit: Listener) -> Identity:
    """What the execution's programs came from, if it is still here. Raises MlrunError (IMAGE) for an image that is not.

    A machine that has changed is told; an execution that never started had no identity yet.
    """
    recorded = execution.identity if execution.executor == executor.name else None
    if recorded is not None and executor.name == "docker":
        # An image is found by its id too, whatever its name means by now.
        found = executor.resolve(str(recorded["id"]))
        if found is None:
            raise MlrunError(
                f"the image of execution {execution.counter} is gone: `{printable(image)}` was {recorded['id']}",
                code=ExitCode.IMAGE,
                hint="pull or build it again, or enter the step as it is now: `mlrun shell STEP`",
            )
        return found
    found = executor.resolve(image)
    if found is None:
        raise MlrunError(
            f"image `{printable(image)}` is not on this machine", code=ExitCode.IMAGE, hint="pull it first"
        )
    if recorded is None and execution.executor is not None:
        emit(Noticed(f"the execution ran with {execution.executor}, this is {executor.name}"))
    elif recorded is not None and recorded["id"] != found.id:
        emit(Noticed("the programs and packages of this machine are not the same as then"))
    return found
