"""What a deployment node leaves."""

from dataclasses import replace

from runner.app.deployment import deploy
from runner.errors import Location
from runner.job import InputFile
from runner.plan.bind import Left
from runner.plan.document import RunContext
from runner.plan.model import PlannedNode, Service
from runner.spec.model import Edge, Socket, SocketType, Step

AT = Location("valohai.yaml", 1, 1)
CONTEXT = RunContext("run-1", 1, "project-1", "p", "c", "fake", "me", {}, None, (), "p")
EDGE = Edge(Socket("train", SocketType.OUTPUT, "m.bin"), Socket("shop", SocketType.FILE, "predict.model"), AT)
NODE = PlannedNode(
    "shop",
    Step("Shop", AT, "", ()),
    {},
    {},
    {},
    (EDGE,),
    ("train",),
    kind="deployment",
    service=Service("Shop", ("predict", "empty"), ("staging",), (("predict", "model"),)),
)
ABOVE = {"train": Left(outputs=(InputFile("m.bin", "a" * 64, 3, "datum://x", {"rows": 1}),))}


def test_what_would_be_deployed_is_gathered_by_endpoint_and_nothing_is_deployed() -> None:
    found = deploy(NODE, ABOVE, CONTEXT)
    gathered = found.gathered
    assert (gathered.deployment, gathered.aliases, gathered.deployed) == ("Shop", ("staging",), False)
    assert gathered.endpoints["empty"] == {}
    file = gathered.endpoints["predict"]["model"]
    assert (file.name, file.digest, file.size, file.metadata) == ("m.bin", "a" * 64, 3, {"rows": 1})
    assert found.detail == "not deployed: 1 file of 2 endpoints gathered"


def test_its_ids_are_what_it_leaves() -> None:
    found = deploy(NODE, ABOVE, CONTEXT)
    assert found.left.parameters == {"id": found.gathered.id, "version_id": found.gathered.version_id}


def test_a_deployment_is_the_same_in_all_runs_of_a_project_and_a_version_is_of_one_run() -> None:
    first, again = (deploy(NODE, ABOVE, replace(CONTEXT, run_id=run)).gathered for run in ("run-1", "run-2"))
    assert first.id == again.id
    assert first.version_id != again.version_id
    assert deploy(NODE, ABOVE, CONTEXT).gathered == first
    assert deploy(NODE, ABOVE, replace(CONTEXT, project_id="other")).gathered.id != first.id
