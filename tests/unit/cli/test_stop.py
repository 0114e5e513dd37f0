"""`mlrun stop`: asking the owner of a run, and waiting for its answer."""

import json
import os
import time
from threading import Thread

import pytest

from runner.cli import stop
from runner.cli.main import run
from runner.store.journal import read
from tests.patience import PATIENCE

from .conftest import Project, Telling


class Owner(Thread):
    """Drives a run until it is asked to stop."""

    def __init__(self, telling: Telling, id: str) -> None:
        super().__init__()
        self.telling = telling
        self.id = id
        self.asked: list[str] = []

    def run(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self.asked and time.monotonic() < deadline:
            self.asked += [request["type"] for request in self.telling.writer.inbox()]
            time.sleep(0.01)
        self.telling.finish(self.id, "stopped")
        self.telling.end("stopped", "stop")


def owned(project: Project, *nodes: str) -> Owner:
    telling = project.begin(*nodes, kind="pipeline" if nodes else "exec")
    owner = Owner(telling, telling.start(*nodes[:1]))
    owner.start()
    return owner


def test_the_one_run_under_way_is_stopped(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    owner = owned(project)
    assert run(["stop", "--json"]) == 0
    owner.join()
    assert owner.asked == ["stop"]
    captured = capsys.readouterr()
    assert json.loads(captured.out)["state"] == "stopped"
    assert "waiting up to 25 s" in captured.err
    assert "run 1 stopped in 13 s (stop)" in captured.err


def test_kill_is_passed_on(project: Project) -> None:
    owner = owned(project)
    assert run(["stop", "run:latest", "--kill"]) == 0
    owner.join()
    assert owner.asked == ["kill"]


def test_an_execution_stands_for_its_whole_run(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    owner = owned(project, "a", "b")
    assert run(["stop", "1"]) == 0
    owner.join()
    assert "belongs to run 1: the whole run is stopped" in capsys.readouterr().err


def test_the_latest_is_a_run_whose_nodes_may_all_be_reused(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.run()
    project.begin().end("succeeded")
    assert run(["stop", "latest"]) == 0
    assert "run 2 succeeded" in capsys.readouterr().err


def test_what_has_ended_needs_no_stop(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.run()
    for arguments in (["latest"], ["run:1"], ["1"]):
        assert run(["stop", *arguments]) == 0
        assert "run 1 succeeded in 13 s; there is nothing to stop" in capsys.readouterr().err


def test_without_a_run_under_way_nothing_is_stopped(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.run()
    assert run(["stop"]) == 0
    assert "nothing is running" in capsys.readouterr().err


def test_a_run_whose_runner_is_gone_is_interrupted(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    telling = project.begin()
    telling.start()
    telling.die()
    assert run(["stop", "latest", "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        "the runner of run 1 is gone: the run is interrupted, and nothing of it runs any more",
        "hint: `mlrun resume run:1` goes on with it",
    ]
    assert json.loads(captured.out)["state"] == "interrupted"
    assert read(telling.writer.folder.journal)[-1]["state"] == "interrupted"
    assert os.listdir(telling.writer.folder.inbox) == []
    # Who asks once more, or whom another command anticipated, is told how to go on, too.
    assert run(["stop", "latest"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "run 1 interrupted (runner-lost); there is nothing to stop",
        "hint: `mlrun resume run:1` goes on with it",
    ]


def test_a_run_whose_runner_is_gone_needs_no_name(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.run()
    telling = project.begin()
    telling.start()
    telling.die()
    assert run(["stop", "--json"]) == 0
    captured = capsys.readouterr()
    assert "the runner of run 2 is gone" in captured.err
    assert json.loads(captured.out)["state"] == "interrupted"
    assert read(telling.writer.folder.journal)[-1]["state"] == "interrupted"
    # It is closed now.
    assert run(["stop"]) == 0
    assert "nothing is running" in capsys.readouterr().err


def test_one_of_several_has_to_be_named_also_where_a_runner_is_gone(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = project.begin()
    lost.start()
    lost.die()
    project.begin()
    assert run(["stop"]) == 2
    assert "2 runs have not ended: `run:2`, `run:1` (its runner is gone)" in capsys.readouterr().err
    assert read(lost.writer.folder.journal)[-1]["type"] == "execution-started"


def test_a_runner_that_dies_before_it_answers_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    telling = project.begin()
    telling.start()
    ask = stop._ask

    def ask_and_die(*arguments: object, **more: object) -> bool:
        asked = ask(*arguments, **more)  # type: ignore[arg-type]
        telling.die()
        return asked

    monkeypatch.setattr(stop, "_ask", ask_and_die)
    assert run(["stop"]) == 0
    assert "the runner of run 1 is gone" in capsys.readouterr().err
    assert read(telling.writer.folder.journal)[-1]["state"] == "interrupted"


def test_the_wait_is_bounded(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stop, "_MARGIN", 0.2)
    telling = project.begin()
    id = telling.start()
    assert run(["stop", "--kill"]) == 1
    captured = capsys.readouterr()
    assert "has not ended yet" in captured.err
    assert "hint:" in captured.err
    telling.finish(id)
    telling.end()


def test_an_unknown_run_is_a_usage_error(project: Project) -> None:
    assert run(["stop", "run:3"]) == 2
    assert run(["stop", "nonsense"]) == 2
