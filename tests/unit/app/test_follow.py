"""What a command ends with that only looks at a run."""

from dataclasses import replace

from runner.app.follow import exit_of
from runner.errors import ExitCode
from runner.state import State
from tests.unit.report.conftest import Diary


def test_a_node_that_never_began_decides_the_exit_code_by_its_reason() -> None:
    diary = Diary("pipeline", "p", [{"name": "a"}, {"name": "b"}]).ran("a").moved("b", "failed", reason="input")
    assert exit_of(diary.subject("failed").run) is ExitCode.INPUT


def test_a_program_that_failed_decides_before_what_never_began() -> None:
    diary = Diary("pipeline", "p", [{"name": "a"}, {"name": "b"}]).ran("a", state="failed", reason="exit", exit_code=4)
    assert exit_of(diary.moved("b", "failed", reason="input").subject("failed").run) is ExitCode.STEP_FAILED


def test_the_record_knows_the_exit_code_best() -> None:
    diary = Diary("pipeline", "p", [{"name": "a"}, {"name": "b"}]).ran("a", state="failed", reason="exit", exit_code=4)
    run = diary.moved("b", "failed", reason="input").subject("failed").run
    assert exit_of(replace(run, exit_code=ExitCode.INPUT)) == ExitCode.INPUT
    assert exit_of(replace(run, state=State.STOPPED, exit_code=130)) == 130
