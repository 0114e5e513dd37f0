"""What it costs to see that nothing changed, or what did: for a node of a long pipeline as much as of a short one."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from runner.app.forecast import Depends, Runs, Stands, forecast
from runner.app.reuse import Reuser
from runner.app.why import Past
from runner.app.wish import Wish
from runner.digest import Digest
from runner.engine.entry import job_to_json
from runner.job import Identity, Job, Script
from runner.plan.bind import Left
from runner.plan.compile import compile_pipeline
from runner.plan.model import Arguments, Plan, PlannedNode
from runner.spec.project import parse_project
from runner.store.database import Database
from runner.store.identity import new_id
from runner.store.record import Code, Execution, OutputFile, ProjectRef, Reading, Run
from runner.store.store import Store
from runner.store.tree import encode_tree
from runner.store.writer import RunWriter
from tests.cost import steps

ID = Identity("sha256:1", {})
SIZES = (30, 60, 120)
"""Nodes, each time twice as many; more than are looked at to find the one that is most like another."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store", create=True) as store:
        yield store


def chain(count: int) -> Plan:
    """A pipeline of nodes of one step, each after the one before."""
    text = "- step: {name: s, image: i, command: 'true'}\n- pipeline:\n    name: p\n    nodes:\n"
    text += "".join(f"      - {{name: n{one}, type: execution, step: s}}\n" for one in range(count))
    text += "    edges:\n"
    text += "".join(f"      - [n{one - 1}.dependency.a, n{one}.dependency.b]\n" for one in range(1, count))
    project = parse_project(text.encode(), "valohai.yaml")
    return compile_pipeline(project, project.pipelines["p"], Arguments("/"), "/")


def job_of(tree: str, node: str) -> Job:
    """The work of a node, which no other does."""
    return Job("", "s", "i", Script(("true",)), tree, {"node": node}, (), {})


def begin(store: Store, tree: Digest, plan: Plan) -> RunWriter:
    nodes = [{"name": name, "step": "s"} for name in plan.nodes]
    header: dict[str, Any] = dict.fromkeys(("kind", "name"), "pipeline") | {"title": None, "tags": (), "argv": ()}
    header |= {"project": ProjectRef("p", "p", "/p", "valohai.yaml"), "code": Code(tree), "executor": "docker"}
    header |= {"spec": store.objects.put_bytes(b"[]"), "plan": {"nodes": nodes}, "host": {}, "version": "1"}
    return store.begin_run(header)


def execute(store: Store, writer: RunWriter, tree: Digest, node: str) -> None:
    job, id = job_of(tree, node), new_id()
    output = OutputFile("x", store.objects.put_bytes(node.encode()), len(node))
    key = reuser(store, tree).key(node, job)
    created: dict[str, Any] = {"type": "execution-created", "id": id, "node": node, "job": job_to_json(job), "key": key}
    created["counter"] = writer.new_execution_counter()
    started = {"type": "execution-started", "id": id, "executor": "docker", "identity": {"id": ID.id}}
    finished: dict[str, Any] = {
        "type": "execution-finished",
        "id": id,
        "state": "succeeded",
        "outputs": [asdict(output)],
    }
    finished |= {"read": asdict(Reading(()))}
    writer.append([created, started, finished])


def run(store: Store, tree: Digest, plan: Plan) -> None:
    """Record a run of the whole plan."""
    with begin(store, tree, plan) as writer:
        for node in plan.nodes:
            execute(store, writer, tree, node)
        writer.append([{"type": "run-finished", "state": "succeeded"}])


def reuser(store: Store, tree: Digest) -> Reuser:
    return Reuser(store, "p", {"i": ID}, "docker", Wish())


@pytest.fixture
def tree(store: Store) -> Digest:
    return store.objects.put_bytes(encode_tree([]))


def is_linear(costs: list[int]) -> bool:
    """Whether twice as much costs no more than twice as much again, where what is counted is never quite the same."""
    first, second, third = costs
    return third - second <= 2.2 * (second - first)


@pytest.mark.parametrize("changed", [False, True])
def test_a_pipeline_is_forecast_in_linear_time_with_a_few_queries_a_node(
    store: Store, tree: Digest, changed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    select = Database.select

    def counted(self: Database, *given: Any) -> Any:
        nonlocal asked
        asked += 1
        return select(self, *given)

    def draft(node: PlannedNode, upstream: Mapping[str, Left]) -> Job:
        job = job_of(tree, node.name)
        return replace(job, script=Script(("false",))) if changed else job

    monkeypatch.setattr(Database, "select", counted)
    executed, queries = [], []
    for size in SIZES:
        plan = chain(size)
        run(store, tree, plan)
        asked, looking = 0, reuser(store, tree)
        fates: dict[str, Any] = {}
        executed.append(steps(lambda: fates.update(forecast(plan, draft, looking, lambda node: ()))))  # noqa: B023
        queries.append(asked)
        kinds = {Runs, Depends} if changed else {Stands}
        assert {type(fate) for fate in fates.values()} == kinds
    assert is_linear(executed), executed
    assert max(count / size for count, size in zip(queries, SIZES, strict=True)) <= (4 if changed else 1), queries


def test_each_node_of_a_run_that_goes_on_is_looked_up_in_the_same_time(store: Store, tree: Digest) -> None:
    costs = []
    for size in SIZES:
        plan = chain(size)
        with begin(store, tree, plan) as writer:
            looking, total = reuser(store, tree), 0
            for node in plan.nodes:
                job = replace(job_of(tree, node), environment={"SIZE": str(size)})
                total += steps(lambda: looking.stand(node, job))  # noqa: B023
                execute(store, writer, tree, node)
        costs.append(total)
    assert is_linear(costs), costs


def test_a_run_is_looked_back_at_with_every_other_run_read_once(
    store: Store, tree: Digest, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = chain(5)
    run(store, tree, plan)
    (first,) = store.runs()
    earlier = store.run(first["id"])
    with begin(store, tree, plan) as writer:
        for node, execution in zip(plan.nodes, earlier.executions, strict=True):
            reused = {"execution": execution, "counter": 1, "run": earlier.id}
            writer.append([{"type": "node-moved", "node": node, "state": "reused", "reused": reused}])
        writer.append([{"type": "run-finished", "state": "succeeded"}])
    read: list[str] = []

    def counted(run_id: str) -> Run:
        read.append(run_id)
        return Store.run(store, run_id)

    monkeypatch.setattr(store, "run", counted)
    later = store.run(writer.id)
    past = Past(store, later)
    standing = [past.standing(node) for node in later.nodes.values()]
    assert [one.execution.node for one in standing if one is not None] == list(plan.nodes)
    past = Past(store, earlier)
    told = [past.why(execution) for execution in earlier.executions.values()]
    assert [_nearest(one.decision) for one in told] == [None, "n0", "n1", "n2", "n3"]
    assert read == [writer.id, earlier.id, earlier.id]


def _nearest(decision: Any) -> str | None:
    nearest: Execution | None = decision.nearest
    return nearest.node if nearest is not None else None


def test_of_many_nodes_of_one_step_the_same_one_is_compared(store: Store, tree: Digest) -> None:
    plan = chain(SIZES[0])
    run(store, tree, plan)
    for node in ("n0", f"n{SIZES[0] - 1}"):
        decision = reuser(store, tree).seek(node, replace(job_of(tree, node), script=Script(("false",))))
        assert _nearest(decision) == node
