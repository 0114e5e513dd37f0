"""What readers ask of the trials of a task node."""

from dataclasses import asdict, replace

from runner.app.lineage import Records, activity_of
from runner.digest import hash_bytes
from runner.store.record import Code, Run, begun, code_of, in_order, planned_of, standing, trials
from runner.store.row import run_row
from runner.store.store import Store

from .conftest import Header, finish, tell

OLD = Code(hash_bytes(b"old tree"), commit="0ld")


def sweep(store: Store, header: Header) -> Run:
    """Node `a` is a task with two trials at another commit; `b` gets a metric of each of them."""
    edges = [["a.metadata.acc", "b.parameter.scores"]]
    nodes = [
        {"name": "a", "step": "train", "kind": "task", "edges": [], "parameters": {"depth": 3}},
        {"name": "b", "step": "judge", "edges": edges, "parameters": {}},
    ]
    with store.begin_run(header(plan={"nodes": nodes}, codes={"a": asdict(OLD)})) as writer:
        chosen = [{"name": f"a.{number}", "parameters": {"lr": number}} for number in (1, 2)]
        writer.append([{"type": "trials-added", "node": "a", "trials": chosen}])
        for node in ("a.1", "a.2"):
            tell(writer, node, lr=0.1)
        writer.append([{"type": "node-moved", "node": "a", "state": "succeeded"}])
        tell(writer, "b")
        finish(writer)
    return store.run(writer.id)


def test_a_trial_has_the_plan_and_the_code_of_its_task_node(store: Store, header: Header) -> None:
    run = sweep(store, header)
    assert planned_of(run, "a.2") is planned_of(run, "a")
    assert (code_of(run, "a.2"), code_of(run, "a"), code_of(run, "b")) == (OLD, OLD, run.code)
    assert [node.name for node in trials(run, "a")] == ["a.1", "a.2"]
    assert [node.name for node in in_order(run)] == ["a", "a.1", "a.2", "b"]


def test_a_list_of_runs_counts_the_nodes_of_the_plan(store: Store, header: Header) -> None:
    assert run_row(sweep(store, header))["nodes"] == {"succeeded": 2}


def test_every_trial_gave_its_value_to_who_has_the_list_of_them(store: Store, header: Header) -> None:
    run = sweep(store, header)
    by_node = {one.node: one for one in run.executions.values()}
    records = Records(store)
    judge = records.activity((by_node["b"].id, run.id))
    assert judge is not None
    assert {value.maker[0] for value in judge.values} == {by_node["a.1"].id, by_node["a.2"].id}
    first = records.activity((by_node["a.1"].id, run.id))
    assert first is not None and list(records.informed_by(first)) == [(judge.id, run.id)]


def test_the_lineage_of_a_trial_tells_its_own_commit(store: Store, header: Header) -> None:
    run = sweep(store, header)
    codes = {one.node: activity_of(run, one).code.commit for one in run.executions.values()}
    assert codes == {"a.1": "0ld", "a.2": "0ld", "b": run.code.commit}


def test_of_how_many_trials_a_task_is_stays_known(store: Store, header: Header) -> None:
    with store.begin_run(header()) as writer:
        for number, size in ((1, {"size": 50}), (2, {})):
            trial = {"name": f"a.{number}", "parameters": {}}
            writer.append([{"type": "trials-added", "node": "a", "trials": [trial], **size}])
        tell(writer, "a.1")
        run = writer.run()
    assert (run.nodes["a"].size, run.nodes["a.1"].size) == (50, None)
    assert begun(run.nodes["a"], trials(run, "a")) == 1
    assert begun(replace(run.nodes["a"], size=None), trials(run, "a")) == 2


def test_what_stands_for_trials_stands_for_nodes_of_the_run(store: Store, header: Header) -> None:
    reused = {"execution": "e", "counter": 3, "run": "r", "taken": True}
    with store.begin_run(header()) as writer:
        writer.append([{"type": "trials-added", "node": "a", "trials": [{"name": "a.1", "parameters": {}}]}])
        writer.append([{"type": "node-moved", "node": "a.1", "state": "reused", "reused": reused}])
        (one,) = standing(writer.run())
    assert (one.execution, one.taken, one.accepted) == ("e", True, False)
