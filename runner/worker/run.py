"""One job from its first folder to its last byte: stage, start, read, wait, collect, store, clean up.

Runs on the calling thread, which must live as long as the job. Failures of the program and of ours both come back as
`Finished`; only bugs are raised.
"""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from runner.digest import Digest
from runner.errors import ExitCode, MlrunError
from runner.job import Executor, Handle, Identity, Job, LogChunk, Outcome, Staged, Workspace
from runner.metrics import LastValues, MetricEvent, MetricReader
from runner.state import Reason
from runner.store.durable import disk_errors
from runner.store.record import LogRef, OutputFile
from runner.store.thread import side_by_side
from runner.worker.collect import Collected, Taken, collect
from runner.worker.live import Live
from runner.worker.log import LogFiles, LogWriter, metrics_file
from runner.worker.mask import Mask
from runner.worker.rerun import write_rerun
from runner.worker.stage import KnownChecksums, fill, make_folders, only_blake3
from runner.worker.stopper import Stopper
from runner.worker.storage import ObjectStore
from runner.worker.tree import remove_tree
from runner.worker.watch import Watch

_REASONS = {
    ExitCode.IMAGE: Reason.IMAGE,
    ExitCode.INPUT: Reason.INPUT,
    ExitCode.STORE: Reason.INPUT,
    ExitCode.DISK: Reason.DISK,
}
"""What an error before the start means for the execution; any other is `start`."""

_EXITS = {
    Reason.START: ExitCode.EXECUTOR,
    Reason.IMAGE: ExitCode.IMAGE,
    Reason.INPUT: ExitCode.INPUT,
    Reason.OUTPUT: ExitCode.OUTPUT,
    Reason.DISK: ExitCode.DISK,
}
"""With what a failure for which not the program is to blame ends the command; any other ends it with 1."""

_NEVER_STARTED = Outcome(Reason.STOP, None, "stopped before it started")

_BY_STOPPING = frozenset({Reason.EXIT, Reason.KILLED})
"""How a program ends that was asked to, when its executor did not see the connection."""

_OWN_ENDS = frozenset({Reason.EXIT, Reason.KILLED, Reason.OOM})
"""Ends that nobody asked for, of a program that had begun."""

_DETAILS: Mapping[Reason, Callable[[Job], str]] = {
    Reason.TIMEOUT: lambda job: f"it ran longer than its time limit of {job.time_limit or 0:g} s",
    Reason.NO_OUTPUT: lambda job: f"it printed nothing for {job.no_output_timeout or 0:g} s",
}
"""The sentence of each limit of time that fails a step."""


class JobListener(Protocol):
    """Who is told while the job runs, on the job's thread; neither blocks nor raises."""

    def started(self) -> None:
        """The program runs."""
        ...

    def paused(self) -> None:
        """The program has failed, and somebody is about to look at its place; the end of that is the end of the job."""
        ...

    def log(self, chunk: LogChunk) -> None:
        """The program printed something; it is on its way to the log folder."""
        ...

    def metric(self, event: MetricEvent) -> None:
        """The program printed a metadata event."""
        ...

    def limit(self, reason: Reason) -> None:
        """The program must be ended for this reason; may come from any thread, and more than once."""
        ...

    def taken(self, file: OutputFile) -> None:
        """An output is in the store while the program runs; comes from a thread of its own and may block until that is
        recorded."""
        ...


Pause = Callable[[Staged, Outcome, Stopper], None]
"""Lets somebody look at the place of a program that has failed, before its folders are collected; ends when they have
seen enough, or soon after the stopper was asked. Called by the job's own thread."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of a job; everything that it names is durable.

    `outcome.detail` is the sentence for people, `hint` what they can do, `exit` what the command should end with if
    this is its worst news, `asked` why the job was to be stopped, None when nobody asked. `outputs` hold what could be
    collected, also of a job that failed or was stopped. `metrics` is the last value per key, strict JSON; `metric_log`
    an object with all events (`runner.worker.log`), None when there are none. `log` is None when it could not be
    stored. `duration` is seconds of the monotonic clock from the program's start to its end, 0 when it never ran.
    `work` is the kept work folder, `leftover` one that nobody needs and `clear` removes.
    """

    outcome: Outcome
    exit: ExitCode
    hint: str | None
    asked: Reason | None
    outputs: tuple[OutputFile, ...]
    log: LogRef | None
    metrics: Mapping[str, object]
    metric_log: Digest | None
    warnings: tuple[str, ...]
    duration: float
    work: Path | None
    leftover: Path | None


def clear(finished: Finished) -> str | None:
    """Remove the work folder of a job that has been reported; tells in a sentence if it cannot be.

    Not done before the report, because removing a large copy takes as long as a small step.
    """
    if finished.leftover is None:
        return None
    try:
        remove_tree(finished.leftover)
    except OSError as error:
        return f"the work folder `{finished.leftover}` could not be removed: {error.strerror}"
    return None


def run_job(
    job: Job,
    executor: Executor,
    identity: Identity,
    objects: ObjectStore,
    work: Path,
    log_folder: Path,
    listener: JobListener,
    stopper: Stopper | None = None,
    secrets: Mapping[str, str] | None = None,
    checksums: KnownChecksums = only_blake3,
    pause: Pause | None = None,
) -> Finished:
    """Run `job` to its end in a new folder below `work`, its log meanwhile in the new folder `log_folder`.

    Afterwards the log folder still holds the log, as read-only files, so that a reader always finds it: in the folder
    until the execution is recorded, in the store from then on. Whoever records the execution removes the folder.
    The work folder is kept with a `rerun.sh` when the program failed or outputs could not be stored. `secrets` are the
    values of `job.secrets`; what the program prints of them is masked wherever it goes, what it writes is not. `pause`
    lets somebody look at the place of a program that has failed; the job's time is that of its program.
    """
    attempt = _Attempt(
        job,
        executor,
        identity,
        objects,
        Workspace.below(work / job.id),
        log_folder,
        listener,
        secrets or {},
        checksums,
        pause,
    )
    attempt.run(stopper or Stopper())
    return attempt.finished()


@dataclass(slots=True)
class _Attempt:
    job: Job
    executor: Executor
    identity: Identity
    objects: ObjectStore
    workspace: Workspace
    log_folder: Path
    listener: JobListener
    secrets: Mapping[str, str] = field(repr=False)
    checksums: KnownChecksums
    pause: Pause | None
    _mask: Mask = field(init=False, repr=False)
    _log: LogWriter | None = None
    _metrics: MetricReader = field(default_factory=MetricReader)
    _last: LastValues = field(default_factory=LastValues)
    _outcome: Outcome = _NEVER_STARTED
    """The program's own end."""
    _failure: tuple[MlrunError, Reason] | None = None
    """What we could not do, and what that means for the execution."""
    _asked: Reason | None = None
    _met: str | None = None
    """Why the stop-condition holds."""
    _taken: tuple[Taken, ...] = ()
    _collected: Collected = field(default_factory=Collected)
    _log_ref: LogRef | None = None
    _metric_log: Digest | None = None
    _log_error: MlrunError | None = None
    _warnings: list[str] = field(default_factory=list)
    _duration: float = 0.0
    _ours: bool = False
    """The work folder was made by this attempt."""
    _kept: bool = False

    def __post_init__(self) -> None:
        self._mask = Mask(self.secrets)
        self._warnings += self._mask.warnings()

    def run(self, stopper: Stopper) -> None:
        """The whole life of the job. Raises only for bugs, and then the job is dead and its handle closed."""
        staged = self._stage()
        handle = None if staged is None or stopper.asked else self._start(staged)
        if staged is None or handle is None:
            self._asked = stopper.detach()
            if self._log is not None:
                self._close_log(self._log)
        else:
            try:
                self._execute(handle, stopper)
                self._let_look(staged, stopper)
                # Before the handle is closed: what it holds, a container for instance, may be needed for the folders.
                self._store()
            finally:
                stopper.detach()
                handle.close()
            self._keep(staged)

    def finished(self) -> Finished:
        """The report. Called after `run`."""
        outcome = self._verdict()
        if outcome.detail is not None:
            outcome = replace(outcome, detail=self._mask.text(outcome.detail))
        exit = ExitCode.OK if outcome.succeeded else _EXITS.get(outcome.reason, ExitCode.STEP_FAILED)
        return Finished(
            outcome=outcome,
            exit=self._failure[0].code if self._failure else exit,
            hint=self._failure[0].hint if self._failure else None,
            asked=self._asked,
            outputs=self._collected.outputs,
            log=self._log_ref,
            metrics=self._last.values(),
            metric_log=self._metric_log,
            warnings=tuple(map(self._mask.text, self._warnings)),
            duration=self._duration,
            work=self.workspace.root if self._kept else None,
            leftover=self.workspace.root if self._ours and not self._kept else None,
        )

    def _verdict(self) -> Outcome:
        if self._failure is not None:
            error, reason = self._failure
            return replace(self._outcome, reason=reason, detail=error.message)
        outcome = self._outcome
        if self._asked is None or outcome.succeeded:
            return outcome
        if self._asked is Reason.STOP_CONDITION:
            # Nothing but our own request may make a success of it: a program that failed by itself has failed.
            met = outcome.reason is Reason.STOP
            return replace(outcome, reason=Reason.STOP_CONDITION, detail=self._met) if met else outcome
        if self._asked in _DETAILS and outcome.reason in {*_BY_STOPPING, Reason.STOP}:
            return replace(outcome, reason=self._asked, detail=_DETAILS[self._asked](self.job))
        if outcome.reason in _BY_STOPPING:
            return replace(outcome, reason=Reason.STOP, detail="stopped on request")
        return outcome

    def _fail(self, error: MlrunError, reason: Reason) -> None:
        """Our own failure decides the outcome, the first one if there are several."""
        self._failure = self._failure or (error, reason)

    def _lose(self, error: MlrunError, reason: Reason) -> None:
        """Something of a finished program is lost. It fails a success; a failure keeps its own reason."""
        if self._verdict().succeeded:
            self._fail(error, reason)
        else:
            self._warnings.append(error.message)

    def _stage(self) -> Staged | None:
        try:
            self._log = LogWriter(self.log_folder)
            self._ours = not os.path.lexists(self.workspace.root)
            make_folders(self.workspace)
            view = self.executor.view(self.workspace)
            staged, warnings = fill(self.job, self.workspace, view, self.identity, self.objects, self.checksums)
        except MlrunError as error:
            self._fail(error, _REASONS.get(error.code, Reason.START))
            return None
        self._warnings += warnings
        return replace(staged, secrets=self.secrets)

    def _start(self, staged: Staged) -> Handle | None:
        try:
            return self.executor.start(staged)
        except MlrunError as error:
            self._fail(error, _REASONS.get(error.code, Reason.START))
            return None

    def _execute(self, handle: Handle, stopper: Stopper) -> None:
        """From the start of the program to the death of its last process."""
        began = time.monotonic()
        watch = Watch(self.job, self.listener.limit)
        live = Live(
            self.workspace.outputs, self.workspace.root / "taken", self.objects, self.listener.taken, self.job.inputs
        )
        live.start()
        try:
            # A program may close its streams and go on: silence counts until it has ended.
            with watch:
                self._read(handle, stopper, watch)
                self._outcome = handle.wait()
            if self._outcome.succeeded and self._outcome.oom_killed:
                self._warnings.append("a process of the step ran out of memory and was killed, and the step went on")
        except MlrunError as error:
            # The executor has lost its engine, and with it how the program ended.
            self._outcome = Outcome(Reason.RUNTIME, None)
            self._fail(error, Reason.RUNTIME)
        finally:
            self._duration = time.monotonic() - began
            self._taken = live.stop()
            self._asked, self._met = stopper.asked, watch.met

    def _let_look(self, staged: Staged, stopper: Stopper) -> None:
        """Only at a failure of the program's own, which nobody asked for."""
        failed = not self._outcome.succeeded and self._outcome.reason in _OWN_ENDS
        if self.pause is None or not failed or self._failure is not None or stopper.asked is not None:
            return
        self.listener.paused()
        try:
            outcome = self._verdict()
            self.pause(staged, replace(outcome, detail=self._mask.text(outcome.detail or "")), stopper)
        except MlrunError as error:
            self._warnings.append(error.message)

    def _read(self, handle: Handle, stopper: Stopper, watch: Watch) -> None:
        chunks = handle.logs()
        try:
            stopper.attach(handle)
            self.listener.started()
            for chunk in chunks:
                watch.hear()
                self._take(self._mask.chunk(chunk), handle, watch)
                watch.heard()
            for chunk in self._mask.rest():
                self._take(chunk, handle, watch)
            self._note(self._metrics.finish(), handle, watch)
        except BaseException:
            # Whatever went wrong, the program must not go on without anybody who watches it.
            handle.stop(0)
            with suppress(MlrunError):
                for _ in chunks:
                    pass
                handle.wait()
            raise

    def _take(self, chunk: LogChunk, handle: Handle, watch: Watch) -> None:
        if not chunk.data:
            return
        self.listener.log(chunk)
        if self._log is None or self._failure is not None:
            # A log that cannot be written any more is read on, so that the dying program does not block.
            return
        try:
            offset = self._log.append(chunk.stream, chunk.data)
        except MlrunError as error:
            self._give_up(error, handle)
            return
        if chunk.stream == "stdout":
            self._note(self._metrics.feed(chunk.data, offset), handle, watch)

    def _note(self, events: list[MetricEvent], handle: Handle, watch: Watch) -> None:
        for event in map(self._mask.event, events):
            self._last.update(event.values)
            self.listener.metric(event)
            watch.take(event.values)
            try:
                if self._log is not None and self._failure is None:
                    self._log.event(event)
            except MlrunError as error:
                self._give_up(error, handle)

    def _give_up(self, error: MlrunError, handle: Handle) -> None:
        """The log cannot be written: what the program would still do could not be proven, so it ends."""
        self._fail(error, Reason.DISK)
        handle.stop(0)

    def _store(self) -> None:
        """Take outputs and log into the store, at the same time, for both wait for the disk."""
        works: list[Callable[[], None]] = [self._collect]
        if self._log is not None:
            works.append(partial(self._store_log, self._log))
        side_by_side(_call, works)
        collected = self._collected
        self._warnings += collected.warnings
        if collected.failure is not None:
            disk = collected.code is ExitCode.DISK
            hint = "free some space and run it again" if disk else "what could be kept is listed as its outputs"
            error = MlrunError(collected.failure, code=collected.code, hint=hint)
            self._lose(error, Reason.DISK if disk else Reason.OUTPUT)
        if self._log_error is not None:
            self._lose(self._log_error, Reason.DISK)
        if self._last.dropped:
            self._warnings.append(f"{self._last.dropped:,} metric values are only in the log: too many, or too long")

    def _collect(self) -> None:
        workspace = self.workspace
        self._collected = collect(workspace.outputs, workspace.root / "collected", self.objects, taken=self._taken)

    def _close_log(self, log: LogWriter) -> None:
        try:
            log.close()
        except MlrunError as error:
            self._log_error = error

    def _store_log(self, log: LogWriter) -> None:
        """Take the log into the store and leave it where readers have it."""
        self._close_log(log)
        files, events = LogFiles.below(self.log_folder), metrics_file(self.log_folder)
        digests: dict[Path, Digest] = {}

        def store(path: Path) -> None:
            digests[path] = self._store_in_place(path)

        try:
            side_by_side(store, (files.stdout, files.stderr, files.index, *([events] if events.exists() else [])))
        except MlrunError as error:
            self._log_error = self._log_error or error
        else:
            self._log_ref = LogRef(digests[files.stdout], digests[files.stderr], digests[files.index])
            self._metric_log = digests.get(events)

    def _store_in_place(self, path: Path) -> Digest:
        """Store a finished file and let its name stand for the object."""
        with disk_errors(path):
            if path.stat().st_size == 0:
                with path.open("rb", buffering=0) as file:
                    return self.objects.put_file(file.fileno())[0]
        digest, _ = self.objects.adopt(path)
        self.objects.materialise(digest, path, writable=False)
        return digest

    def _keep(self, staged: Staged) -> None:
        """Keep the work folder of a failure, ready to be run again by hand."""
        outcome = self._verdict()
        if (outcome.succeeded or outcome.reason is Reason.STOP) and self._collected.failure is None:
            return
        self._kept = True
        with suppress(OSError):
            (self.workspace.root / "collected").rmdir()
        try:
            write_rerun(staged, self.executor.view(self.workspace), self.executor.name)
        except MlrunError as error:
            self._warnings.append(error.message)


def _call(work: Callable[[], None]) -> None:
    work()
