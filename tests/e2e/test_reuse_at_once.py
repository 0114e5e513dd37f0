"""The same work that is asked for at the same time is done once, whatever becomes of who does it."""

import json
import os
import signal
from pathlib import Path

import pytest

SLOW = """\
- step:
    name: slow
    image: busybox:1
    command: |
      touch {0}/started-$$
      until test -e {0}/go; do sleep 0.05; done
      echo done > $VH_OUTPUTS_DIR/x
- pipeline:
    name: p
    nodes: [{{name: slow, type: execution, step: slow}}]
    edges: []
- pipeline:
    name: twins
    nodes: [{{name: a, type: execution, step: slow}}, {{name: b, type: execution, step: slow}}]
    edges: []
"""


@pytest.fixture
def slow(made, tmp_path):
    """A step that tells that it started and goes on when it may."""
    signs = tmp_path / "signs"
    signs.mkdir()
    project = made(SLOW.format(signs), MLRUN_EXECUTOR="process")
    return project, signs


def started(signs: Path) -> list[str]:
    return [name for name in os.listdir(signs) if name.startswith("started")]


def two_at_once(slow, until, *options):
    """A process that does the work, and a second one that waits for it."""
    project, signs = slow
    first = project.start("pipeline", "p")
    until(lambda: started(signs), "start")
    second = project.start("pipeline", "p", *options)
    second.until("the same work is under way elsewhere")
    return first, second


def test_the_same_work_asked_for_twice_at_once_is_done_once(slow, until):
    _, signs = slow
    first, second = two_at_once(slow, until, "--json")
    (signs / "go").touch()
    assert first.end().code == 0
    done = second.end()
    assert done.code == 0, str(done)
    assert json.loads(done.out)["nodes"]["slow"]["state"] == "reused"
    assert len(started(signs)) == 1


def test_who_waits_for_work_does_it_when_the_other_is_killed(slow, until):
    _, signs = slow
    first, second = two_at_once(slow, until, "--json")
    first.signal(signal.SIGKILL)
    until(lambda: len(started(signs)) == 2, "second start")
    (signs / "go").touch()
    done = second.end()
    assert done.code == 0, str(done)
    assert json.loads(done.out)["nodes"]["slow"]["state"] == "succeeded"


def test_who_waits_for_work_that_fails_does_it_too(slow, until):
    _, signs = slow
    first, second = two_at_once(slow, until, "--json")
    first.signal(signal.SIGINT)
    until(lambda: len(started(signs)) == 2, "second start")
    (signs / "go").touch()
    assert second.end().code == 0
    assert first.end().code == 130


def test_who_waits_for_work_can_be_stopped(slow, until):
    _, signs = slow
    first, second = two_at_once(slow, until)
    second.signal(signal.SIGINT)
    assert second.end().code == 130
    (signs / "go").touch()
    assert first.end().code == 0


def test_two_nodes_of_one_pipeline_that_do_the_same_run_once(slow):
    project, signs = slow
    (signs / "go").touch()
    done = project.succeeds("pipeline", "twins", "-j", "2", "--json").json()
    assert sorted(node["state"] for node in done["nodes"].values()) == ["reused", "succeeded"]
    assert len(started(signs)) == 1


def test_a_node_that_waits_for_another_of_its_run_says_for_which(slow):
    project, signs = slow
    running = project.start("pipeline", "twins", "-j", "2")
    running.until("and is waited for")
    said = running.text()
    (signs / "go").touch()
    assert running.end().code == 0
    assert "elsewhere" not in said
    assert any(f"{one}: the same work is under way in node `{other}`" in said for one, other in ("ab", "ba")), said
