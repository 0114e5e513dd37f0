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

from runner.crew import side_by_side
from runner.errors import ExitCode, MlrunError
from runner.job import NO_DEVICES, Devices, Executor, Handle, Identity, Job, Outcome, Staged, Workspace
from runner.state import Reason
from runner.store.durable import disk_errors
from runner.store.record import UNWATCHED, OutputFile, Reading
from runner.worker.collect import Collected, Taken, collect
from runner.worker.conclusion import conclude, exit_code, has_failed_itself, start_reason
from runner.worker.intake import Intake
from runner.worker.live import Live
from runner.worker.mask import Mask
from runner.worker.report import Finished, JobListener
from runner.worker.rerun import write_rerun
from runner.worker.reserve import HINT, Reserve, ReserveWatch
from runner.worker.stage import KnownChecksums, environment, fill, make_folders, only_blake3
from runner.worker.stopper import Stopper
from runner.worker.storage import ObjectStore
from runner.worker.tree import remove_tree
from runner.worker.watchdog import Watchdog
from runner.worker.witness import Witness

_NEVER_STARTED = Outcome(Reason.STOP, None, "stopped before it started")

Pause = Callable[[Staged, Outcome, Stopper], None]
"""Lets somebody look at the place of a program that has failed, before its folders are collected; ends when they have
seen enough, or soon after the stopper was asked. Called by the job's own thread."""


@dataclass(frozen=True, slots=True)
class Equipment:
    """What every job of a run is run with. Each gets a new folder of its own below `work`; `checksums` tells what is
    known of input files, `pause` lets somebody look at the place of a program that has failed, `reserve` is what is to
    be left of the disk."""

    executor: Executor
    objects: ObjectStore
    work: Path
    checksums: KnownChecksums = only_blake3
    pause: Pause | None = None
    reserve: Reserve | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """A job that was started by a process which has gone. Its program runs since so many seconds, or has ended since;
    `taken` is what it left so far that is recorded, oldest first."""

    handle: Handle
    since: float
    taken: tuple[OutputFile, ...] = ()


def run_job(
    job: Job,
    equipment: Equipment,
    identity: Identity,
    log_folder: Path,
    listener: JobListener,
    stopper: Stopper | None = None,
    secrets: Mapping[str, str] | None = None,
    devices: Devices = NO_DEVICES,
) -> Finished:
    """Run `job` to its end, its programs being those of `identity`, its log meanwhile in the new folder `log_folder`.

    Afterwards the log folder still holds the log, as read-only files, so that a reader always finds it: in the folder
    until the execution is recorded, in the store from then on. Whoever records the execution removes the folder.
    The work folder is kept with a `rerun.sh` when the program failed or outputs could not be stored. `secrets` are the
    values of `job.secrets`; what the program prints of them is masked wherever it goes, what it writes is not.
    `devices` are those of this machine that it gets.
    """
    attempt = _Attempt(job, equipment, identity, log_folder, listener, secrets or {}, devices)
    attempt.run(stopper or Stopper())
    return attempt.finished()


def follow_job(
    running: Running,
    job: Job,
    equipment: Equipment,
    identity: Identity,
    log_folder: Path,
    listener: JobListener,
    stopper: Stopper | None = None,
    secrets: Mapping[str, str] | None = None,
) -> Finished:
    """Take a job up that runs since before, in the work folder that it has, and see it to its end as `run_job` does.

    The log is made anew from the executor's copy: what was written of it when the runner went away may lack the end of
    what it had read. Nobody knows what the program opened meanwhile.
    """
    devices = running.handle.devices
    attempt = _Attempt(job, equipment, identity, log_folder, listener, secrets or {}, devices, running)
    attempt.follow(running, stopper or Stopper())
    return attempt.finished()


@dataclass(slots=True)
class _Attempt:
    job: Job
    equipment: Equipment
    identity: Identity
    log_folder: Path
    listener: JobListener
    secrets: Mapping[str, str] = field(repr=False)
    devices: Devices
    running: Running | None = None
    workspace: Workspace = field(init=False)
    _mask: Mask = field(init=False, repr=False)
    _intake: Intake | None = None
    _outcome: Outcome = _NEVER_STARTED
    """The program's own end."""
    _failure: tuple[MlrunError, Reason] | None = None
    """What we could not do, and what that means for the execution."""
    _asked: Reason | None = None
    _why: str | None = None
    """How the stop-condition holds, or which disk is short."""
    _taken: tuple[Taken, ...] = ()
    _collected: Collected = field(default_factory=Collected)
    _warnings: list[str] = field(default_factory=list)
    _duration: float = 0.0
    _witness: Witness | None = None
    _reading: Reading = UNWATCHED
    _ours: bool = False
    """The work folder was made by this attempt."""
    _kept: bool = False

    def __post_init__(self) -> None:
        self.workspace = Workspace.below(self.equipment.work / self.job.id)
        self._mask = Mask(self.secrets)
        self._warnings += self._mask.warnings()

    def run(self, stopper: Stopper) -> None:
        """The whole life of the job. Raises only for bugs, and then the job is dead and its handle closed."""
        staged = self._stage()
        handle = None if staged is None or stopper.asked else self._start(staged)
        intake = self._intake
        if staged is None or intake is None or handle is None:
            self._asked = stopper.detach()
            if intake is not None:
                intake.close()
        else:
            self._see_through(staged, handle, intake, stopper)

    def follow(self, running: Running, stopper: Stopper) -> None:
        """The rest of the life of a job that somebody else started. Raises as `run` does."""
        view = self.equipment.executor.view(self.workspace)
        variables = environment(self.job, view)
        staged = Staged(self.job, self.workspace, variables, self.identity, self.secrets, self.devices)
        self._ours = True
        self._reading = Reading(doubt="its runner went away while it ran")
        try:
            with disk_errors(self.log_folder):
                for left in (self.log_folder, self._aside):
                    if left.exists():
                        remove_tree(left, self.equipment.objects.unlink)
                self.log_folder.mkdir(mode=0o700)
            self._intake = Intake(self.log_folder, self._mask, self.listener)
        except MlrunError as error:
            self._fail(error, start_reason(error))
            end(running.handle)
            self._asked = stopper.detach()
            return
        self._see_through(staged, running.handle, self._intake, stopper)

    def _see_through(self, staged: Staged, handle: Handle, intake: Intake, stopper: Stopper) -> None:
        try:
            self._execute(handle, intake, stopper)
            self._let_look(staged, stopper)
            # Before the handle is closed: what it holds, a container for instance, may be needed for the folders.
            self._store(intake)
        finally:
            stopper.detach()
            handle.close()
        self._keep(staged)

    def finished(self) -> Finished:
        """The report. Called after `run`."""
        outcome = self._verdict()
        if outcome.detail is not None:
            outcome = replace(outcome, detail=self._mask.text(outcome.detail))
        intake = self._intake
        return Finished(
            outcome=outcome,
            exit=self._failure[0].code if self._failure else exit_code(outcome),
            hint=self._failure[0].hint if self._failure else HINT if self._is_short else None,
            asked=self._asked,
            outputs=self._collected.outputs,
            log=intake.log if intake else None,
            metrics=intake.last.values() if intake else {},
            metric_log=intake.metric_log if intake else None,
            warnings=tuple(map(self._mask.text, self._warnings)),
            duration=self._duration,
            work=self.workspace.root if self._kept else None,
            leftover=self.workspace.root if self._ours and not self._kept else None,
            read=self._reading,
            unlink=self.equipment.objects.unlink,
        )

    def _verdict(self) -> Outcome:
        if self._failure is not None:
            error, reason = self._failure
            return replace(self._outcome, reason=reason, detail=error.message)
        return conclude(self.job, self._outcome, self._asked, self._why)

    @property
    def _aside(self) -> Path:
        """Where files wait that were taken while the program ran."""
        return self.workspace.root / "taken"

    @property
    def _is_short(self) -> bool:
        """Whether the program was ended because it had taken too much of the disk."""
        return self._asked is Reason.DISK and not self._outcome.succeeded

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
            if self.equipment.reserve is not None:
                self.equipment.reserve.check()
            self._intake = Intake(self.log_folder, self._mask, self.listener)
            self._ours = not os.path.lexists(self.workspace.root)
            make_folders(self.workspace)
            view = self.equipment.executor.view(self.workspace)
            objects, checksums = self.equipment.objects, self.equipment.checksums
            staged, warnings = fill(self.job, self.workspace, view, self.identity, objects, checksums)
        except MlrunError as error:
            self._fail(error, start_reason(error))
            return None
        self._warnings += warnings
        return replace(staged, secrets=self.secrets, devices=self.devices)

    def _start(self, staged: Staged) -> Handle | None:
        executor = self.equipment.executor
        self._witness = Witness(staged.workspace, confined=executor.confines)
        handle = None
        try:
            handle = executor.start(staged)
        except MlrunError as error:
            self._fail(error, start_reason(error))
        finally:
            if handle is None:
                self._witness.close()
        return handle

    def _execute(self, handle: Handle, intake: Intake, stopper: Stopper) -> None:
        """From the start of the program to the death of its last process."""
        began = time.monotonic() - (self.running.since if self.running else 0.0)
        watchdog = Watchdog(self.job, self.listener.limit)
        reserve = ReserveWatch(self.equipment.reserve or Reserve((), 0), partial(self._end, stopper))
        live = Live(
            self.workspace.outputs,
            self._aside,
            self.equipment.objects,
            self.listener.taken,
            self.job.inputs,
            before=self.running.taken if self.running else (),
        )
        live.start()
        try:
            # A program may close its streams and go on: silence counts until it has ended.
            with watchdog, reserve:
                self._read(handle, intake, stopper, watchdog)
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
            if self._witness is not None:
                self._reading = self._witness.close()
            self._asked, self._why = stopper.asked, watchdog.met or reserve.found

    def _end(self, stopper: Stopper, reason: Reason) -> None:
        """End the program at once: in the time that it would take to record that first it could take the rest."""
        stopper.stop(0, reason)
        self.listener.limit(reason)

    def _let_look(self, staged: Staged, stopper: Stopper) -> None:
        """Only at a failure of the program's own, which nobody asked for."""
        pause = self.equipment.pause
        if pause is None or self._failure is not None or stopper.asked is not None:
            return
        if not has_failed_itself(self._outcome):
            return
        self.listener.paused()
        try:
            outcome = self._verdict()
            pause(staged, replace(outcome, detail=self._mask.text(outcome.detail or "")), stopper)
        except MlrunError as error:
            self._warnings.append(error.message)

    def _read(self, handle: Handle, intake: Intake, stopper: Stopper, watchdog: Watchdog) -> None:
        chunks = handle.logs()
        try:
            stopper.attach(handle)
            self.listener.started()
            for chunk in chunks:
                watchdog.hear()
                intake.take(chunk, watchdog.take)
                self._give_up(intake, handle)
                watchdog.heard()
            intake.finish(watchdog.take)
            self._give_up(intake, handle)
        except BaseException:
            # Whatever went wrong, the program must not go on without anybody who watches it.
            handle.stop(0)
            with suppress(MlrunError):
                for _ in chunks:
                    pass
                handle.wait()
            raise

    def _give_up(self, intake: Intake, handle: Handle) -> None:
        """Without a log what the program would still do could not be proven, so it ends."""
        if intake.failure is not None and self._failure is None:
            self._fail(intake.failure, Reason.DISK)
            handle.stop(0)

    def _store(self, intake: Intake) -> None:
        """Take outputs and log into the store, at the same time, for both wait for the disk."""
        works: tuple[Callable[[], None], ...] = (self._collect, partial(intake.store, self.equipment.objects))
        side_by_side(_call, works)
        collected = self._collected
        self._warnings += collected.warnings
        if collected.failure is not None:
            disk = collected.code is ExitCode.DISK
            hint = "free some space and run it again" if disk else "what could be kept is listed as its outputs"
            error = MlrunError(collected.failure, code=collected.code, hint=hint)
            self._lose(error, Reason.DISK if disk else Reason.OUTPUT)
        if intake.loss is not None:
            self._lose(intake.loss, Reason.DISK)
        if intake.last.dropped:
            self._warnings.append(f"{intake.last.dropped:,} metric values are only in the log: too many, or too long")

    def _collect(self) -> None:
        outputs, aside = self.workspace.outputs, self.workspace.root / "collected"
        self._collected = collect(outputs, aside, self.equipment.objects, taken=self._taken)

    def _keep(self, staged: Staged) -> None:
        """Keep the work folder of a failure, ready to be run again by hand."""
        outcome = self._verdict()
        # What has filled the disk is not kept, but for outputs.
        needless = outcome.succeeded or outcome.reason is Reason.STOP or self._is_short
        if needless and self._collected.failure is None:
            return
        self._kept = True
        with suppress(OSError):
            (self.workspace.root / "collected").rmdir()
        executor = self.equipment.executor
        try:
            write_rerun(staged, executor.view(self.workspace), executor.name)
        except MlrunError as error:
            self._warnings.append(error.message)


def end(handle: Handle) -> None:
    """Kill a job and wait until nothing of it is left; what it printed and how it ended is nobody's business."""
    handle.stop(0)
    for _ in handle.logs():
        pass
    handle.wait()
    handle.close()


def _call(work: Callable[[], None]) -> None:
    work()
