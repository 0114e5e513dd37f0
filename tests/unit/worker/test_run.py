import errno
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.digest import Digest
from runner.errors import ExitCode, MlrunError
from runner.executors.fake import FakeExecutor
from runner.job import Executor, Handle, Identity, InputFile, Job, LogChunk, Outcome, Script, Staged, View, Workspace
from runner.metrics import MetricEvent
from runner.state import Reason
from runner.store.landing import Landing
from runner.store.layout import Layout
from runner.store.objects import Objects
from runner.store.record import OutputFile
from runner.worker import log as log_module
from runner.worker.log import LogFiles, read_merged
from runner.worker.report import Finished, clear
from runner.worker.run import Equipment, run_job
from runner.worker.stopper import Stopper

HERE = FakeExecutor().resolve("python:3.12") or Identity("", {})


class Ear:
    """A listener that notes what it is told; `on_start` is called when the program runs."""

    def __init__(self, on_start: Callable[[], None] | None = None) -> None:
        self.told: list[object] = []
        self._on_start = on_start

    def started(self) -> None:
        self.told.append("started")
        if self._on_start is not None:
            self._on_start()

    def log(self, chunk: LogChunk) -> None:
        self.told.append((chunk.stream, chunk.data))

    def metric(self, event: MetricEvent) -> None:
        self.told.append(dict(event.values))

    def limit(self, reason: Reason) -> None:
        self.told.append(reason)

    def taken(self, file: OutputFile) -> None:
        self.told.append(file.name)


Run = Callable[..., Finished]


@pytest.fixture
def logs(layout: Layout, job: Job) -> Path:
    return layout.runs / "run" / "logs" / job.id


@pytest.fixture
def run(layout: Layout, objects: Objects, job: Job, logs: Path) -> Run:
    def run(
        *lines: str,
        executor: Executor | None = None,
        ear: Ear | None = None,
        stopper: Stopper | None = None,
        **changes: object,
    ) -> Finished:
        changed = replace(job, script=Script(lines), **changes)  # type: ignore[arg-type]
        equipment = Equipment(executor or FakeExecutor(), objects, layout.work)
        finished = run_job(changed, equipment, HERE, logs, ear or Ear(), stopper)
        assert clear(finished) is None
        return finished

    return run


def test_a_job_that_succeeds_leaves_outputs_log_and_metrics_in_the_store(
    run: Run, objects: Objects, layout: Layout, job: Job
) -> None:
    ear = Ear()
    finished = run('print {"loss": 0.5}', "warn oh", "write a/b.txt hello", 'print {"loss": NaN, "n": 2}', ear=ear)
    assert finished.outcome == Outcome(Reason.EXIT, 0)
    assert (finished.exit, finished.hint, finished.asked, finished.warnings) == (ExitCode.OK, None, None, ())
    assert [(output.name, objects.read(output.digest)) for output in finished.outputs] == [("a/b.txt", b"hello")]
    assert finished.metrics == {"loss": "NaN", "n": 2}
    assert finished.log is not None
    assert objects.read(finished.log.stdout) == b'{"loss": 0.5}\n{"loss": NaN, "n": 2}\n'
    assert objects.read(finished.log.stderr) == b"oh\n"
    assert finished.metric_log is not None
    events = [json.loads(line) for line in objects.read(finished.metric_log).splitlines()]
    assert [(event["offset"], event["values"]) for event in events] == [
        (0, {"loss": 0.5}),
        (14, {"loss": "NaN", "n": 2}),
    ]
    assert ear.told[:4] == ["started", ("stdout", b'{"loss": 0.5}\n'), {"loss": 0.5}, ("stderr", b"oh\n")]
    assert finished.work is None
    assert os.listdir(layout.work) == []


def test_the_log_merges_from_the_store_as_it_did_live(run: Run, objects: Objects) -> None:
    finished = run("print one", "warn two", "print three")
    assert finished.log is not None
    files = LogFiles(
        *(objects.path(digest) for digest in (finished.log.stdout, finished.log.stderr, finished.log.index))
    )
    assert [(piece.stream, piece.data) for piece in read_merged(files)] == [
        ("stdout", b"one\n"),
        ("stderr", b"two\n"),
        ("stdout", b"three\n"),
    ]


def test_the_log_folder_still_holds_the_log_until_it_is_removed(run: Run, logs: Path) -> None:
    run('print {"a": 1}', "warn oh")
    assert (logs / "stdout").read_bytes() == b'{"a": 1}\n'
    assert (logs / "stderr").read_bytes() == b"oh\n"
    assert b"".join(piece.data for piece in read_merged(LogFiles.below(logs))) == b'{"a": 1}\noh\n'
    assert (logs / "metrics").exists()


def test_a_silent_job_has_an_empty_log_and_no_metrics(run: Run, objects: Objects) -> None:
    finished = run("true")
    assert finished.log is not None
    assert [objects.read(digest) for digest in (finished.log.stdout, finished.log.stderr, finished.log.index)] == [
        b""
    ] * 3
    assert (finished.metric_log, finished.metrics) == (None, {})


def test_the_duration_is_the_programs(run: Run) -> None:
    assert 0.05 <= run("sleep 0.05").duration < 5


def test_a_failed_job_keeps_its_outputs_and_its_work_folder(
    run: Run, objects: Objects, layout: Layout, job: Job
) -> None:
    finished = run("write model weights", "exit 7")
    assert finished.outcome == Outcome(Reason.EXIT, 7, "the command failed (exit 7)")
    assert finished.exit is ExitCode.STEP_FAILED
    assert [objects.read(output.digest) for output in finished.outputs] == [b"weights"]
    assert finished.work == layout.work / job.id
    assert os.access(finished.work / "rerun.sh", os.X_OK)
    assert sorted(os.listdir(finished.work)) == [
        "config", "control", "inputs", "outputs", "repository", "rerun.sh", "scratch"
    ]  # fmt: skip


@pytest.mark.parametrize(("line", "reason"), [("oom", Reason.OOM), ("die", Reason.KILLED), ("restart", Reason.RUNTIME)])
def test_an_outcome_of_the_executor_is_handed_on(run: Run, line: str, reason: Reason) -> None:
    finished = run(line)
    assert finished.outcome.reason is reason
    assert finished.exit is ExitCode.STEP_FAILED
    assert finished.work is not None


def test_a_job_that_cannot_be_started_leaves_nothing(run: Run, layout: Layout) -> None:
    finished = run("refuse no such thing")
    assert finished.outcome.reason is Reason.START
    assert finished.outcome.detail == "no such thing"
    assert finished.exit is ExitCode.EXECUTOR
    assert (finished.log, finished.duration, finished.work) == (None, 0.0, None)
    assert os.listdir(layout.work) == []


def test_an_input_that_is_gone_is_a_failure_of_the_input(run: Run, with_inputs: Callable[..., Job]) -> None:
    inputs = with_inputs(data=[InputFile("a", "0" * 64, 1, "/a")]).inputs
    finished = run("true", inputs=inputs)
    assert (finished.outcome.reason, finished.exit) == (Reason.INPUT, ExitCode.STORE)
    assert finished.duration == 0.0


def test_warnings_of_staging_and_collecting_are_told(
    run: Run, with_inputs: Callable[..., Job], input_file: Callable[..., InputFile]
) -> None:
    inputs = with_inputs(data=[input_file("a", b"1", "/x/a"), input_file("a", b"2", "/y/a")]).inputs
    finished = run("read data/a", inputs=inputs, executor=Leaving(os.symlink))
    assert finished.outcome.succeeded
    assert len(finished.warnings) == 2


class Wrapped:
    """The fake executor with something else about it."""

    name: ClassVar[str] = "fake"
    confines: ClassVar[bool] = True

    def __init__(self) -> None:
        self.inner = FakeExecutor()

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def view(self, workspace: Workspace) -> View:
        return View()

    def start(self, staged: Staged) -> Handle:
        return self.inner.start(staged)


class Leaving(Wrapped):
    """Makes an entry of another kind among the outputs."""

    def __init__(self, make: Callable[[str, str], None]) -> None:
        super().__init__()
        self._make = make

    def start(self, staged: Staged) -> Handle:
        self._make("/etc/passwd", str(staged.workspace.outputs / "entry"))
        return self.inner.start(staged)


def huge(_: str, path: str) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    os.truncate(path, 10**13)


def test_outputs_that_cannot_be_kept_fail_a_job_that_succeeded(run: Run) -> None:
    finished = run("write kept x", executor=Leaving(huge))
    assert finished.outcome.reason is Reason.OUTPUT
    assert finished.outcome.exit_code == 0
    assert "`entry`" in (finished.outcome.detail or "")
    assert finished.exit is ExitCode.OUTPUT
    assert [output.name for output in finished.outputs] == ["kept"]
    assert finished.work is not None
    assert (finished.work / "outputs" / "entry").exists()


def test_a_failed_job_keeps_its_own_reason_when_outputs_are_lost_too(run: Run) -> None:
    finished = run("exit 3", executor=Leaving(huge))
    assert (finished.outcome.reason, finished.outcome.exit_code) == (Reason.EXIT, 3)
    assert finished.exit is ExitCode.STEP_FAILED
    assert any("`entry`" in warning for warning in finished.warnings)


@pytest.fixture
def _full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is on a full disk."""

    def adopt(_: Landing, path: Path) -> tuple[Digest, int]:
        raise MlrunError("the disk is full", code=ExitCode.DISK, hint="free some space")

    monkeypatch.setattr(Landing, "adopt", adopt)


@pytest.mark.usefixtures("_full_disk")
def test_a_full_disk_while_collecting_is_the_disk_and_the_outputs_stay_in_the_work_folder(
    run: Run,
) -> None:
    finished = run("print x", "write model weights")
    assert (finished.outcome.reason, finished.exit) == (Reason.DISK, ExitCode.DISK)
    assert finished.hint is not None
    assert finished.log is None
    assert finished.work is not None
    assert (finished.work / "outputs" / "model").read_bytes() == b"weights"


@pytest.mark.usefixtures("_full_disk")
def test_a_stopped_job_whose_outputs_are_lost_keeps_its_work_folder(run: Run) -> None:
    stopper = Stopper()
    finished = run("write model w", "block", stopper=stopper, ear=Ear(lambda: stopper.stop(0)))
    assert finished.outcome.reason is Reason.STOP
    assert finished.work is not None
    assert (finished.work / "outputs" / "model").exists()


def test_a_disk_that_fills_while_the_program_prints_ends_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write, room = log_module.write_all, [1000]

    def write_all(fd: int, data: bytes) -> None:
        room[0] -= len(data)
        if room[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(fd, data)

    monkeypatch.setattr(log_module, "write_all", write_all)
    ear = Ear()
    finished = run(*["print " + "x" * 100, "sleep 0.1"] * 200, "block", ear=ear)
    assert (finished.outcome.reason, finished.exit) == (Reason.DISK, ExitCode.DISK)
    assert finished.outcome.exit_code == 137
    assert finished.work is not None
    assert len(ear.told) < 50


def test_a_disk_that_is_full_before_the_start_is_told(
    run: Run, layout: Layout, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(log_module, "create", refuse)
    finished = run("true")
    assert (finished.outcome.reason, finished.exit) == (Reason.DISK, ExitCode.DISK)
    assert finished.duration == 0.0


def test_a_job_is_stopped_while_it_runs_and_its_outputs_are_kept(run: Run, layout: Layout) -> None:
    stopper = Stopper()
    finished = run("write a 1", "block", stopper=stopper, ear=Ear(lambda: stopper.stop(5)))
    assert finished.outcome.reason is Reason.STOP
    assert finished.asked is Reason.STOP
    assert [output.name for output in finished.outputs] == ["a"]
    assert finished.work is None
    assert os.listdir(layout.work) == []


class Obeying(Ear):
    """A listener that ends the job as soon as a limit asks for it, as the loop does."""

    def __init__(self, stopper: Stopper) -> None:
        super().__init__()
        self._stopper = stopper

    def limit(self, reason: Reason) -> None:
        super().limit(reason)
        self._stopper.stop(5, reason)


def test_a_job_that_is_silent_for_too_long_has_failed_for_that_reason(run: Run) -> None:
    stopper = Stopper()
    finished = run("print one", "block", stopper=stopper, ear=Obeying(stopper), no_output_timeout=0.1)
    assert finished.outcome == Outcome(Reason.NO_OUTPUT, 143, "it printed nothing for 0.1 s")
    assert (finished.exit, finished.asked) == (ExitCode.STEP_FAILED, Reason.NO_OUTPUT)
    assert finished.work is not None


def test_a_stop_condition_that_holds_ends_a_job_with_success(run: Run) -> None:
    stopper = Stopper()
    lines = ('print {"loss": 2}', "write model w", 'print {"loss": 0.5}', "block")
    finished = run(*lines, stopper=stopper, ear=Obeying(stopper), stop_condition="loss < 1")
    assert finished.outcome == Outcome(Reason.STOP_CONDITION, 143, "`loss < 1` holds: loss = 0.5")
    assert finished.outcome.succeeded
    assert (finished.exit, finished.work) == (ExitCode.OK, None)
    assert [output.name for output in finished.outputs] == ["model"]


def test_a_success_by_a_stop_condition_whose_outputs_are_lost_is_none(run: Run) -> None:
    stopper = Stopper()
    lines = ('print {"loss": 0.5}', "block")
    ear = Obeying(stopper)
    finished = run(*lines, stopper=stopper, ear=ear, stop_condition="loss < 1", executor=Leaving(huge))
    assert finished.outcome.reason is Reason.OUTPUT
    assert finished.exit is ExitCode.OUTPUT


def test_a_program_that_fails_by_itself_has_failed_whatever_its_stop_condition_says(run: Run) -> None:
    stopper = Stopper()
    executor = Late(Outcome(Reason.EXIT, 3, "the command failed (exit 3)"))
    ear = Ear(lambda: stopper.stop(5, Reason.STOP_CONDITION))
    finished = run("true", stopper=stopper, executor=executor, ear=ear)
    assert (finished.outcome.reason, finished.outcome.exit_code) == (Reason.EXIT, 3)


def test_another_thread_stops_a_job(run: Run) -> None:
    stopper = Stopper()
    timer = threading.Timer(0.05, stopper.stop, [0])
    finished = run("stubborn", "block", stopper=stopper, ear=Ear(timer.start))
    timer.join()
    assert (finished.outcome.reason, finished.outcome.exit_code) == (Reason.STOP, 137)


def test_a_job_that_was_stopped_before_its_start_never_starts(run: Run, layout: Layout) -> None:
    stopper, executor, ear = Stopper(), FakeExecutor(), Ear()
    stopper.stop(10)
    finished = run("true", stopper=stopper, executor=executor, ear=ear)
    assert finished.outcome == Outcome(Reason.STOP, None, "stopped before it started")
    assert finished.asked is Reason.STOP
    assert executor.started == []
    assert ear.told == []
    assert os.listdir(layout.work) == []


def test_a_program_that_ends_by_itself_while_it_is_stopped_succeeded(run: Run) -> None:
    stopper = Stopper()
    executor = Late(Outcome(Reason.EXIT, 0))
    finished = run("true", stopper=stopper, executor=executor, ear=Ear(lambda: stopper.stop(5)))
    assert finished.outcome.succeeded
    assert finished.asked is Reason.STOP


@pytest.mark.parametrize("reason", [Reason.STOP, Reason.TIMEOUT])
def test_a_program_that_dies_of_the_signal_was_stopped(run: Run, reason: Reason) -> None:
    stopper = Stopper()
    executor = Late(Outcome(Reason.EXIT, 143, "the command failed"))
    finished = run("true", stopper=stopper, executor=executor, ear=Ear(lambda: stopper.stop(5, reason)))
    assert (finished.outcome.reason, finished.outcome.exit_code) == (reason, 143)
    assert finished.asked is reason


def test_a_stop_that_comes_after_the_end_changes_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stopper, take = Stopper(), Landing.adopt

    def adopt(landing: Landing, path: Path) -> tuple[Digest, int]:
        stopper.stop(0)
        return take(landing, path)

    monkeypatch.setattr(Landing, "adopt", adopt)
    finished = run("print x", "write a 1", "exit 3", stopper=stopper)
    assert stopper.asked is not None
    assert (finished.outcome.reason, finished.outcome.exit_code) == (Reason.EXIT, 3)
    assert finished.asked is None


def test_a_work_folder_of_somebody_else_is_left_alone(run: Run, layout: Layout, job: Job) -> None:
    (layout.work / job.id).mkdir()
    (layout.work / job.id / "precious").write_text("x")
    finished = run("true")
    assert finished.duration == 0.0
    assert not finished.outcome.succeeded
    assert (layout.work / job.id / "precious").exists()


class Late(Wrapped):
    """Gives handles that yield `chunks`, raise `error` while they are read, and end with `outcome`; polices the
    caller."""

    def __init__(self, outcome: Outcome, chunks: list[LogChunk] | None = None, error: MlrunError | None = None) -> None:
        super().__init__()
        self.outcome, self.chunks, self.error = outcome, chunks or [], error
        self.calls: list[str] = []

    def start(self, staged: Staged) -> Handle:
        return self

    def logs(self) -> Iterator[LogChunk]:
        yield from self.chunks
        self.calls.append("end of log")
        if self.error is not None:
            raise self.error

    def wait(self) -> Outcome:
        assert "end of log" in self.calls
        self.calls.append("wait")
        return self.outcome

    def stop(self, grace: float) -> None:
        assert "close" not in self.calls
        self.calls.append(f"stop {grace:g}")

    def close(self) -> None:
        self.calls.append("close")


def test_the_handle_is_closed_after_the_outputs_are_collected(run: Run, layout: Layout, job: Job) -> None:
    class Closing(Late):
        def close(self) -> None:
            super().close()
            self.left = os.listdir(layout.work / job.id / "outputs")

    executor = Closing(Outcome(Reason.EXIT, 0))
    executor.start = lambda staged: (staged.workspace.outputs / "a").write_text("x") and executor  # type: ignore
    assert [output.name for output in run("true", executor=executor).outputs] == ["a"]
    assert executor.calls == ["end of log", "wait", "close"]
    assert executor.left == []


def test_an_executor_that_loses_its_engine_ends_the_job(run: Run, objects: Objects) -> None:
    gone = MlrunError("the engine does not answer", code=ExitCode.EXECUTOR, hint="start it")
    executor = Late(Outcome(Reason.KILLED, None), [LogChunk("stdout", b"so far\n")], gone)
    finished = run("true", executor=executor)
    assert finished.outcome == Outcome(Reason.RUNTIME, None, "the engine does not answer")
    assert (finished.exit, finished.hint) == (ExitCode.EXECUTOR, "start it")
    assert finished.log is not None
    assert objects.read(finished.log.stdout) == b"so far\n"
    assert executor.calls == ["end of log", "stop 0", "wait", "close"]


def test_a_bug_of_a_listener_is_raised_but_nothing_is_left_running(run: Run) -> None:
    class Broken(Ear):
        def log(self, chunk: LogChunk) -> None:
            raise ZeroDivisionError

    executor = Late(Outcome(Reason.KILLED, 137), [LogChunk("stdout", b"x"), LogChunk("stdout", b"y")])
    with pytest.raises(ZeroDivisionError):
        run("true", executor=executor, ear=Broken())
    assert executor.calls == ["stop 0", "end of log", "wait", "close"]


def test_the_last_bytes_before_the_end_are_kept(run: Run, objects: Objects) -> None:
    executor = Late(Outcome(Reason.EXIT, 0), [LogChunk("stdout", bytes([65 + n % 26]) * 65536) for n in range(16)])
    finished = run("true", executor=executor)
    assert finished.log is not None
    assert objects.read(finished.log.stdout) == b"".join(chunk.data for chunk in executor.chunks)


def test_too_many_metric_values_are_told(run: Run) -> None:
    lines = [b'{"k%d": 1}\n' % number for number in range(10_003)]
    finished = run("true", executor=Late(Outcome(Reason.EXIT, 0), [LogChunk("stdout", b"".join(lines))]))
    assert len(finished.metrics) == 10_000
    assert finished.warnings == ("3 metric values are only in the log: too many, or too long",)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_where_the_chunks_end_changes_neither_files_nor_metrics(
    data: st.DataObject, layout: Layout, objects: Objects, job: Job
) -> None:
    text = b'start\r 10%\r{"a": 1}\nlog\n{"a": 2, "b": "x"}\n\xff\n{"c": NaN}'
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    borders = [0, *cuts, len(text)]
    chunks = [LogChunk("stdout", text[begin:end]) for begin, end in pairwise(borders)]
    logs = layout.runs / "run" / str(time.monotonic_ns())
    executor = Late(Outcome(Reason.EXIT, 0), chunks)
    finished = run_job(job, Equipment(executor, objects, layout.work), HERE, logs, Ear())
    assert clear(finished) is None
    assert finished.log is not None
    assert finished.metric_log is not None
    assert objects.read(finished.log.stdout) == text
    events = [json.loads(line) for line in objects.read(finished.metric_log).splitlines()]
    assert [(event["offset"], event["values"]) for event in events] == [
        (11, {"a": 1}),
        (24, {"a": 2, "b": "x"}),
        (45, {"c": "NaN"}),
    ]
    assert finished.metrics == {"a": 2, "b": "x", "c": "NaN"}


def test_a_work_folder_that_cannot_be_removed_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    finished = run("true")
    assert finished.leftover is not None
    monkeypatch.setattr("runner.worker.report.remove_tree", refuse)
    assert clear(finished) == f"the work folder `{finished.leftover}` could not be removed: Operation not permitted"


def test_the_work_folder_goes_only_after_the_report(layout: Layout, objects: Objects, job: Job, logs: Path) -> None:
    finished = run_job(job, Equipment(FakeExecutor(), objects, layout.work), HERE, logs, Ear())
    assert finished.leftover is not None
    assert finished.leftover.is_dir()
    clear(finished)
    assert not finished.leftover.exists()
