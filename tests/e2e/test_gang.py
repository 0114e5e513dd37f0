"""Distributed tasks: members that start together, reach one another and end together."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import BUSYBOX, SKLEARN, Project
from tests.patience import wait_for

YAML = """\
- step:
    name: sum
    image: {image}
    command: python member.py
- task:
    name: three
    step: sum
    type: distributed
    execution-count: 3
    parameters: []
- pipeline:
    name: p
    nodes:
      - {{name: gang, type: task, task: three}}
    edges: []
"""

FAILING = """\
- step:
    name: wait
    image: {image}
    command: if [ "$VH_DIST_MEMBER_INDEX" = 1 ]; then exit 3; else echo waiting; sleep 3600; fi
- task:
    name: three
    step: wait
    type: distributed
    execution-count: 3
    parameters: []
- pipeline:
    name: p
    nodes:
      - {{name: gang, type: task, task: three}}
    edges: []
"""

MEMBER = """\
import json, os, socket, time
from pathlib import Path

config = Path(os.environ["VH_CONFIG_DIR"])
document = json.loads((config / "distributed.json").read_text())
addresses = [member["network"]["local_ips"][0] for member in document["members"]]
index = int(os.environ["VH_DIST_MEMBER_INDEX"])
# All listen on the same port, each at its own address.
with socket.create_server((addresses[index], 29500)) as server:
    server.settimeout(60)
    if index == 0:
        total = 0
        for _ in addresses[1:]:
            peer, _ = server.accept()
            with peer, peer.makefile() as lines:
                total += int(lines.readline())
        print(json.dumps({"sum": total}))
    else:
        for _ in range(600):
            try:
                peer = socket.create_connection((addresses[0], 29500), 60)
                break
            except ConnectionRefusedError:
                time.sleep(0.1)
        with peer:
            peer.sendall(b"%d\\n" % index)
told = {name: value for name, value in os.environ.items() if name.startswith("VH_")}
execution = json.loads((config / "execution.json").read_text())
Path(os.environ["VH_OUTPUTS_DIR"], "told.json").write_text(json.dumps([document, told, execution]))
"""

Make = Callable[..., Project]


@pytest.fixture(params=[pytest.param("docker", marks=pytest.mark.docker), "sandbox", "process"])
def place(request: pytest.FixtureRequest) -> str:
    """An executor that works here."""
    name = str(request.param)
    if name == "docker":
        request.getfixturevalue("docker")(SKLEARN)
    elif name == "sandbox":
        request.getfixturevalue("sandbox")
    return name


@pytest.fixture
def project(make: Make, place: str) -> Project:
    found = make(YAML.format(image=SKLEARN), {"member.py": MEMBER})
    return found.with_variables(MLRUN_EXECUTOR=place)


def trials(project: Project) -> list[dict[str, Any]]:
    """The executions of the latest run, in the order of the members."""
    nodes = project.show()["nodes"]
    return [project.show(nodes[f"gang.{number}"]["executions"][-1]) for number in (1, 2, 3)]


def told(project: Project, folder: Path) -> list[Any]:
    """What each member found."""
    return [
        json.loads(project.outputs(trial["id"], folder / str(number))["told.json"])
        for number, trial in enumerate(trials(project))
    ]


@pytest.mark.parametrize("network", ["default", "host"])
def test_members_reach_one_another(project: Project, tmp_path: Path, network: str) -> None:
    project.succeeds("pipeline", "p", "--network", network)
    first, *others = told(project, tmp_path)

    assert trials(project)[0]["metrics"]["sum"] == 3
    assert [other[0]["members"] for other in others] == [first[0]["members"]] * 2
    for index, (document, variables, execution) in enumerate((first, *others)):
        own = document["members"][index]
        assert document["self"] == own
        assert (own["job_id"], own["network"]["local_ips"]) == (variables["VH_JOB_ID"], [variables["VH_LOCAL_IP"]])
        assert variables["VH_DIST_MEMBER_ID"] == own["member_id"] == document["config"]["member_id"] == str(index)
        assert variables["VH_DIST_MEMBER_COUNT"] == "3"
        assert execution["valohai.task-id"] == variables["VH_TASK_ID"] == first[1]["VH_TASK_ID"]
        assert document["config"]["group_name"] == f"task-{variables['VH_TASK_ID']}"


def test_members_run_again_though_nothing_has_changed(project: Project) -> None:
    project.succeeds("pipeline", "p")
    project.succeeds("pipeline", "p")

    assert {trial["state"] for trial in trials(project)} == {"succeeded"}


def test_a_member_that_fails_ends_the_others(make: Make, place: str) -> None:
    project = make(FAILING.format(image=SKLEARN), {}).with_variables(MLRUN_EXECUTOR=place)
    project.fails("pipeline", "p")

    found = [trial["state"] for trial in trials(project)]
    assert found[1] == "failed"
    assert set(found) == {"failed", "stopped"}
    assert project.show()["state"] == "failed"


def test_members_without_a_network_are_refused(project: Project) -> None:
    said = project.refused("pipeline", "p", "--network", "none", code=20)

    assert "node `gang` is a distributed task, whose members cannot reach one another without a network" in said
    assert "--network default" in said


def test_a_member_is_not_repeated_alone(project: Project) -> None:
    project.succeeds("pipeline", "p")
    done = project.mlrun("reproduce", trials(project)[0]["id"])

    assert done.code == 51, str(done)
    assert "one of 3 members of a distributed task" in done.out + done.err


@pytest.mark.docker
def test_the_network_of_members_goes_with_them_or_with_the_next_run(make: Make, docker: Callable[[str], str]) -> None:
    docker(BUSYBOX)
    client = pytest.importorskip("docker").from_env()
    try:
        project = make(FAILING.format(image=BUSYBOX).replace("= 1 ]", "= 9 ]"), {})
        project = project.with_variables(MLRUN_EXECUTOR="docker")
        own = {"filters": {"label": f"mlrun.store={project.command.store}"}}
        running = project.start("pipeline", "p")
        wait_for(lambda: running.text().count("waiting") >= 3, "three members")
        assert len(client.networks.list(**own)) == 1
        running.signal(signal.SIGKILL)
        running.end()
        assert len(client.networks.list(**own)) == 1

        for container in client.containers.list(all=True, **own):
            container.remove(force=True)
        project.write("valohai.yaml", FAILING.format(image=BUSYBOX))
        project.fails("pipeline", "p")
        assert client.networks.list(**own) == []
    finally:
        client.close()
