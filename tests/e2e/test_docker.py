"""The same command with a real container engine, where one answers."""

import json
import os
import signal
import uuid

import pytest

pytestmark = pytest.mark.docker

YAML = """\
- step:
    name: hello
    image: mlrun-test/busybox:1
    command:
      - cat /valohai/inputs/data/* /inputs/data/*
      - echo "{\\"loss\\":" 0.5}
      - echo kept > /outputs/kept.txt
      - pwd
    inputs:
      - {name: data, default: words.txt}
- step:
    name: broken
    image: mlrun-test/busybox:1
    command: [echo before, exit 3]
- step:
    name: long
    image: mlrun-test/busybox:1
    command: [echo saved > /valohai/outputs/so-far.txt, echo ready, "sleep {parameter-value:marker}"]
    parameters:
      - {name: marker, type: string}
- pipeline:
    name: p
    nodes:
      - {name: one, type: execution, step: hello}
      - {name: two, type: execution, step: hello}
    edges:
      - [one.output.kept.txt, two.input.data]
"""


ALONE = ("--network", "none")
"""The private engine of the tests may have no bridge."""


@pytest.fixture
def project(make, docker):
    docker("mlrun-test/busybox:1")
    return make(YAML, {"words.txt": "some words\n"}).with_variables(MLRUN_EXECUTOR="docker")


@pytest.fixture
def engine(docker):
    client = pytest.importorskip("docker").from_env()
    yield client
    client.close()


def test_a_step_runs_in_its_image(project, tmp_path):
    done = project.succeeds("exec", *ALONE, "hello")

    assert done.out.splitlines() == ["some words", "some words", '{"loss": 0.5}', "/valohai/repository"]
    execution = project.show("latest")
    assert execution["executor"] == "docker"
    assert execution["identity"]["id"].startswith("sha256:")
    assert execution["metrics"] == {"loss": 0.5}
    assert project.outputs("latest", tmp_path / "results") == {"kept.txt": b"kept\n"}


def test_auto_takes_docker_and_says_why(project):
    done = project.with_variables(MLRUN_EXECUTOR=None).succeeds("exec", *ALONE, "hello")

    assert done.err.startswith("executor docker: ")
    assert project.show()["executor"] == "docker"


def test_a_pipeline_hands_files_on(project):
    project.succeeds("pipeline", *ALONE, "p")

    assert project.log().splitlines()[:2] == ["kept", "kept"]


def test_a_failing_step_ends_with_1_and_keeps_its_folder(project):
    done = project.fails("exec", *ALONE, "broken")

    assert "exit 3" in done.err
    assert "rerun.sh" in done.err
    assert project.show("latest")["exit_code"] == 3


def test_ctrl_c_stops_the_container_and_removes_it(project, engine, tmp_path):
    marker = f"4321.{uuid.uuid4().int % 10**12}"
    running = project.start("exec", *ALONE, "long", "--marker", marker)
    running.until("ready")
    id = project.show("latest")["id"]

    os.killpg(running.pid, signal.SIGINT)

    assert running.end().code == 130
    assert project.show("latest")["state"] == "stopped"
    assert project.outputs("latest", tmp_path / "results") == {"so-far.txt": b"saved\n"}
    assert not [one for one in engine.containers.list(all=True) if id in json.dumps(one.attrs)]


def test_nothing_is_left_after_a_run(project, engine):
    before = {container.id for container in engine.containers.list(all=True)}

    project.succeeds("exec", *ALONE, "hello")

    assert {container.id for container in engine.containers.list(all=True)} <= before


def test_the_example_project_trains_in_containers(iris, docker):
    image = docker("mlrun-test/sklearn:1")

    done = iris.mlrun("pipeline", "--executor=docker", "--image", image, *ALONE, "Training Pipeline")

    assert done.code == 0, str(done)
    rows = iris.succeeds("list", "--where", 'node == "evaluate"', "--limit", "1", "--json").json()
    assert rows[0]["executor"] == "docker"
    assert 0.85 <= rows[0]["metrics"]["accuracy"] <= 1


def test_a_repetition_takes_the_recorded_image_by_its_id(project, docker, tmp_path):
    client = pytest.importorskip("docker").from_env()
    name = f"mlrun-test/moved-{uuid.uuid4().hex[:12]}"
    image = client.images.get("mlrun-test/busybox:1")
    container = client.containers.create("mlrun-test/busybox:1", ["true"])
    made = container.commit(name, "1", conf={"Env": ["TZ=Asia/Tokyo", "OF_IMAGE=yes"]})
    container.remove()
    try:
        command = "env | grep -v -e HOSTNAME -e HOME > /outputs/env.txt"
        project.write("valohai.yaml", f"- step:\n    name: look\n    image: {name}:1\n    command: ['{command}']\n")
        project.succeeds("exec", *ALONE, "look")
        record = project.show("latest")["job"]
        assert "TZ" not in record["defaults"]
        assert record["defaults"]["LC_ALL"] == "C.UTF-8"
        assert b"TZ=Asia/Tokyo\n" in project.outputs("latest", tmp_path / "out")["env.txt"]
        image.tag(name, "1")

        again = project.succeeds("reproduce", "latest", *ALONE, "--json")
        assert again.json()["verdict"] == "identical"

        client.images.remove(made.id, force=True)
        gone = project.mlrun("reproduce", "latest", *ALONE)
        assert gone.code == 51, str(gone)
        assert f"missing image `{made.id}`: the engine does not have it; it was `{name}:1`" in gone.out
        assert "hint: it was never in a registry" in gone.out
    finally:
        client.images.remove(f"{name}:1", force=True)
        client.close()
