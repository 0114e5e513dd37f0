"""Decisions at the wrong moment: about nothing, twice, by two persons at once, while the owner of the run dies."""

import os
import shlex
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import Make, Project

YAML = """\
- step:
    name: quick
    image: busybox
    command: echo made > "$VH_OUTPUTS_DIR/made.txt"
- step:
    name: slow
    image: busybox
    command:
      - echo ready
      - sleep 1000
- pipeline:
    name: gates
    nodes:
      - {name: one, type: execution, step: quick, actions: [{when: node-starting, then: require-approval}]}
      - {name: two, type: execution, step: quick, actions: [{when: node-complete, then: require-approval}]}
      - {name: last, type: execution, step: quick}
    edges:
      - [one.output.*, last.dependency.x]
      - [two.output.*, last.dependency.x]
- step:
    name: bad
    image: busybox
    command:
      - "echo '{\\"drift\\": 1}'"
      - exit 4
- pipeline:
    name: hurt
    nodes:
      - name: bad
        type: execution
        step: bad
        actions: [{when: node-error, if: metadata.drift == 1, then: require-approval}]
    edges: []
- pipeline:
    name: busy
    nodes:
      - {name: one, type: execution, step: quick, actions: [{when: node-starting, then: require-approval}]}
      - {name: slow, type: execution, step: slow}
    edges: []
"""


@pytest.fixture
def project(make: Make, tmp_path: Path) -> Project:
    yaml = YAML.replace("output.*, last", "dependency.x, last")
    return make(yaml).with_variables(MLRUN_STORE=str(tmp_path / "store"))


def decisions(project: Project, node: str) -> list[bool]:
    return [told["approved"] for told in project.show("run:1")["nodes"][node]["decisions"]]


def attempts(project: Project) -> dict[str, int]:
    return {name: len(node["executions"]) for name, node in project.show("run:1")["nodes"].items()}


def parked(project: Project) -> None:
    project.fails("pipeline", "gates", "--no-reuse", code=60)


def test_what_awaits_no_decision_cannot_be_decided(project: Project) -> None:
    parked(project)
    for words, said in (
        (("run:1", "nobody"), "has no node `nobody`"),
        (("run:1", "last"), "`last` of run 1"),
        (("run:7", "one"), "7"),
        (("nothing",), "nothing"),
        (("run:1", ""), "hint"),
        (("run:1", "one", "nobody"), "nobody"),
        (("run:1", "one\n"), "one"),
    ):
        for verb in ("approve", "reject"):
            assert said in project.refused(verb, *words, code=2), (verb, *words)
    assert project.show("run:1")["state"] == "waiting"
    assert decisions(project, "one") == []


def test_before_there_is_a_run_nothing_can_be_decided(project: Project) -> None:
    project.refused("approve", code=2)
    project.refused("reject", "latest", code=2)


def test_a_decision_counts_once(project: Project) -> None:
    parked(project)
    project.fails("approve", "run:1", "one", code=60)
    project.refused("approve", "run:1", "one", code=2)
    project.refused("reject", "run:1", "one", code=2)
    assert project.show("run:1")["state"] == "waiting"
    project.succeeds("approve", "run:1", "two")
    assert project.show("run:1")["state"] == "succeeded"
    assert decisions(project, "one") == decisions(project, "two") == [True]
    assert attempts(project) == {"one": 1, "two": 1, "last": 1}
    project.refused("reject", "run:1", code=2)


def test_what_was_rejected_cannot_be_approved_any_more(project: Project) -> None:
    parked(project)
    project.succeeds("reject", "run:1", "one")
    assert project.show("run:1")["state"] == "stopped"
    project.refused("approve", "run:1", "one", code=2)
    assert decisions(project, "one") == [False]


def test_a_failure_that_was_approved_later_is_told_as_it_was(project: Project) -> None:
    project.fails("pipeline", "hurt", code=60)
    project.succeeds("approve", "run:1")
    node = project.show("run:1")["nodes"]["bad"]
    assert (node["state"], node["reason"]) == ("failed", "exit")
    assert "exit 4" in node["detail"]


def test_where_nothing_is_to_be_approved_the_hint_finds_what_is(project: Project) -> None:
    parked(project)
    project.succeeds("exec", "quick")
    refused = project.refused("approve", "latest", code=2)
    words = shlex.split(refused.split("`mlrun ")[1].split("` names")[0])
    assert "gates" in project.succeeds(*words).out


@pytest.mark.parametrize("verbs", [("approve", "approve"), ("approve", "reject"), ("reject", "reject")])
def test_two_terminals_that_decide_at_the_same_moment_decide_once(project: Project, verbs: tuple[str, str]) -> None:
    parked(project)
    ends = [running.end() for running in [project.start(verb, "run:1") for verb in verbs]]
    shown = "\n".join(map(str, ends))
    assert "Traceback" not in shown
    assert all(end.code in {0, 1, 2, 31} for end in ends), shown
    assert any(end.code == 0 for end in ends), shown
    run = project.show("run:1")
    assert run["state"] in {"succeeded", "stopped"}, shown
    for node in ("one", "two"):
        assert len(decisions(project, node)) <= 1, shown
    assert all(count <= 1 for count in attempts(project).values()), shown


def test_two_terminals_that_decide_about_a_run_under_way_decide_once(project: Project) -> None:
    running = project.start("pipeline", "busy", "--no-reuse")
    running.until("awaiting approval")
    running.until("ready")
    for other in [project.start(verb, "run:1", "one") for verb in ("approve", "reject", "approve")]:
        done = other.end()
        assert done.code in {0, 1, 2}, str(done)
        assert "Traceback" not in done.err
    assert len(decisions(project, "one")) == 1
    running.signal(signal.SIGINT)
    running.end()


def test_an_approval_while_the_owner_dies_is_not_lost(project: Project) -> None:
    running = project.start("pipeline", "busy", "--no-reuse")
    running.until("awaiting approval")
    running.until("ready")
    running.signal(signal.SIGSTOP)
    asked = project.start("approve", "run:1", "one")
    asked.until("has not answered yet")
    os.killpg(running.pid, signal.SIGKILL)
    running.process.wait()
    done = asked.end()
    assert "Traceback" not in done.err
    assert done.code in {0, 1, 31, 60}, str(done)
    told = decisions(project, "one")
    assert told in ([], [True]), "either it was heard, or it is asked for anew"
    again = project.start("resume", "run:1", "--auto-approve")
    again.until("one: succeeded")
    again.signal(signal.SIGINT)
    again.end()
    assert attempts(project)["one"] == 1
