"""The moment between a program's failure and the end of its job, in which somebody may look at its place."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from runner.errors import ExitCode, MlrunError
from runner.executors.fake import FakeExecutor
from runner.job import Identity, Job, LogChunk, Outcome, Script, Staged
from runner.metrics import MetricEvent
from runner.state import Reason
from runner.store.layout import Layout
from runner.store.objects import Objects
from runner.store.record import OutputFile
from runner.worker.report import Finished
from runner.worker.run import Equipment, Pause, run_job
from runner.worker.stopper import Stopper

HERE = FakeExecutor().resolve("python:3.12") or Identity("", {})


class Ear:
    """Notes when the job pauses."""

    def __init__(self) -> None:
        self.paused_times = 0

    def started(self) -> None: ...

    def paused(self) -> None:
        self.paused_times += 1

    def log(self, chunk: LogChunk) -> None: ...

    def metric(self, event: MetricEvent) -> None: ...

    def limit(self, reason: Reason) -> None: ...

    def taken(self, file: OutputFile) -> None: ...


Run = Callable[..., Finished]


@pytest.fixture
def run(layout: Layout, objects: Objects, job: Job, tmp_path: Path) -> Run:
    def run(*lines: str, pause: Pause, ear: Ear | None = None, stopper: Stopper | None = None) -> Finished:
        changed = replace(job, script=Script(lines))
        logs = tmp_path / "logs"
        equipment = Equipment(FakeExecutor(), objects, layout.work, pause=pause)
        return run_job(changed, equipment, HERE, logs, ear or Ear(), stopper)

    return run


def test_what_is_left_in_a_pause_is_collected_and_the_outcome_stays(run: Run) -> None:
    seen: list[Outcome] = []

    def pause(staged: Staged, outcome: Outcome, stopper: Stopper) -> None:
        seen.append(outcome)
        (staged.workspace.outputs / "more.txt").write_text("more")

    ear = Ear()
    finished = run("write left.txt x", "exit 5", pause=pause, ear=ear)

    assert seen == [Outcome(Reason.EXIT, 5, "the command failed (exit 5)")]
    assert finished.outcome == seen[0]
    assert {output.name for output in finished.outputs} == {"left.txt", "more.txt"}
    assert ear.paused_times == 1


@pytest.mark.parametrize("end", ["true", "restart", "refuse no"])
def test_there_is_no_pause_where_the_program_did_not_fail_by_itself(run: Run, end: str) -> None:
    def pause(staged: Staged, outcome: Outcome, stopper: Stopper) -> None:
        raise AssertionError("nobody is to look at this")

    ear = Ear()
    run(end, pause=pause, ear=ear)

    assert ear.paused_times == 0


def test_there_is_no_pause_for_what_was_asked_to_stop(run: Run) -> None:
    class Hasty(Ear):
        def started(self) -> None:
            stopper.stop(1.0)

    def pause(staged: Staged, outcome: Outcome, stopper: Stopper) -> None:
        raise AssertionError("nobody is to look at this")

    stopper = Stopper()
    finished = run("block", "exit 5", pause=pause, ear=Hasty(), stopper=stopper)

    assert finished.asked is Reason.STOP


def test_a_stop_in_a_pause_does_not_change_the_outcome(run: Run) -> None:
    stopper = Stopper()

    def pause(staged: Staged, outcome: Outcome, given: Stopper) -> None:
        assert given is stopper
        stopper.stop(1.0)

    finished = run("exit 5", pause=pause, stopper=stopper)

    assert finished.asked is None
    assert (finished.outcome.reason, finished.outcome.exit_code) == (Reason.EXIT, 5)


def test_a_place_that_cannot_be_entered_is_a_warning(run: Run) -> None:
    def pause(staged: Staged, outcome: Outcome, stopper: Stopper) -> None:
        raise MlrunError("no way in", code=ExitCode.EXECUTOR)

    finished = run("exit 5", pause=pause)

    assert finished.warnings == ("no way in",)
    assert finished.outcome.exit_code == 5
