"""A container engine that goes away in the middle of a pipeline: with its containers, or without them."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Make, Project
from tests.mortal import MortalEngine, mortal_engine
from tests.patience import wait_for

pytestmark = pytest.mark.docker

YAML = """\
- step:
    name: make
    image: mlrun-test/busybox:1
    command: echo made > "$VH_OUTPUTS_DIR/made.txt"
- step:
    name: count
    image: mlrun-test/busybox:1
    command:
      - echo ready
      - i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo $i; sleep 0.2; done
      - echo counted > "$VH_OUTPUTS_DIR/counted.txt"
    inputs:
      - {name: above}
- pipeline:
    name: p
    nodes:
      - {name: first, type: execution, step: make}
      - {name: middle, type: execution, step: count, on-error: TOLD}
      - {name: last, type: execution, step: make}
    edges:
      - [first.output.*, middle.input.above]
      - [middle.output.*, last.dependency.x]
""".replace("middle.output.*, last.d", "middle.dependency.x, last.d")


@pytest.fixture
def engine() -> Iterator[MortalEngine]:
    """An engine of the test's own, which it may kill."""
    if reason := os.environ.get("MLRUN_TEST_NO_ENGINE"):
        pytest.skip(reason)
    with mortal_engine() as engine:
        yield engine


def on(make: Make, tmp_path: Path, engine: MortalEngine, told: str) -> Project:
    project = make(YAML.replace("TOLD", told))
    own = {"MLRUN_STORE": str(tmp_path / "store"), "DOCKER_HOST": engine.host}
    return project.with_variables(MLRUN_EXECUTOR="docker", **own)


def ends(project: Project) -> dict[str, list[tuple[str, str | None]]]:
    """By node, how each of its executions ended and why."""
    run = project.show("run:1")
    return {
        name: [(run["executions"][id]["state"], run["executions"][id]["reason"]) for id in node["executions"]]
        for name, node in run["nodes"].items()
    }


LOST = ("failed", "runtime-restarted")
DONE = ("succeeded", "exit")
COMMAND = ("pipeline", "--network", "none", "p", "--no-reuse")


def away(engine: MortalEngine, how: str) -> None:
    """The engine goes away and comes back, its containers die."""
    if how == "orderly":
        engine.restart()
        return
    engine.crash()
    time.sleep(0.5)
    engine.revive(spare=False)


@pytest.mark.parametrize("how", ["orderly", "killed"])
def test_a_node_that_died_with_the_engine_is_tried_again(
    make: Make, docker: object, tmp_path: Path, engine: MortalEngine, how: str
) -> None:
    project = on(make, tmp_path, engine, "retry")
    running = project.start(*COMMAND)
    running.until("ready")
    away(engine, how)
    done = running.end()
    assert done.code == 0, str(done)
    assert ends(project) == {"first": [DONE], "middle": [LOST, DONE], "last": [DONE]}, str(done)


@pytest.mark.parametrize("how", ["orderly", "killed"])
def test_a_run_that_failed_with_the_engine_goes_on_when_it_is_back(
    make: Make, docker: object, tmp_path: Path, engine: MortalEngine, how: str
) -> None:
    project = on(make, tmp_path, engine, "stop-next")
    running = project.start(*COMMAND)
    running.until("ready")
    away(engine, how)
    done = running.end()
    assert done.code == 1, str(done)
    assert "container engine" in project.show("run:1")["nodes"]["middle"]["detail"]
    assert ends(project) == {"first": [DONE], "middle": [LOST], "last": []}, str(done)
    project.succeeds("resume", "run:1")
    assert ends(project) == {"first": [DONE], "middle": [LOST, DONE], "last": [DONE]}


@pytest.mark.parametrize("how", ["orderly", "killed"])
def test_a_node_that_died_with_the_engine_while_nobody_drove_its_run_is_tried_again(
    make: Make, docker: object, tmp_path: Path, engine: MortalEngine, how: str
) -> None:
    project = on(make, tmp_path, engine, "retry")
    running = project.start(*COMMAND)
    running.until("ready")
    running.process.kill()
    running.end()
    away(engine, how)
    wait_for(engine.answers, "answer of the engine")
    project.succeeds("resume", "run:1")
    assert ends(project) == {"first": [DONE], "middle": [LOST, DONE], "last": [DONE]}


def test_a_container_that_outlives_the_engine_is_waited_for(
    make: Make, docker: object, tmp_path: Path, engine: MortalEngine
) -> None:
    project = on(make, tmp_path, engine, "stop-all")
    running = project.start(*COMMAND)
    running.until("ready")
    engine.crash()
    time.sleep(0.5)
    engine.revive(spare=True)
    done = running.end()
    assert done.code == 0, str(done)
    assert ends(project) == {"first": [DONE], "middle": [DONE], "last": [DONE]}
    (middle,) = project.show("run:1")["nodes"]["middle"]["executions"]
    assert project.log(middle).split() == ["ready", *map(str, range(1, 41))]


def test_an_engine_that_is_gone_ends_the_run_and_it_goes_on_with_another_start(
    make: Make, docker: object, tmp_path: Path, engine: MortalEngine
) -> None:
    project = on(make, tmp_path, engine, "stop-next")
    running = project.start(*COMMAND)
    running.until("ready")
    engine.crash()
    assert project.refused("resume", "run:1", code=31)
    running.process.kill()
    running.end()
    assert "docker" in project.mlrun("resume", "run:1").err
    engine.revive(spare=False)
    wait_for(engine.answers, "answer of the engine")
    assert project.mlrun("resume", "run:1").code == 1
    project.succeeds("resume", "run:1")
    assert ends(project) == {"first": [DONE], "middle": [LOST, DONE], "last": [DONE]}
