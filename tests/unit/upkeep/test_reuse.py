"""What later runs reuse is kept for as long as they would keep it themselves."""

from dataclasses import asdict
from typing import Any

import pytest

from runner.store.record import Execution, Reused, Run
from runner.store.trash import Trash
from runner.upkeep.plan import Planner
from runner.upkeep.retention import Ground

from .conftest import BY, Scene, begin


def reuse(scene: Scene, execution: Execution, *, end: bool = True, project: str = "p1") -> Run:
    """A run of one node for which an earlier execution stands."""
    reused = Reused(execution.id, execution.counter, scene.run_of(execution).id)
    with scene.writing() as store:
        writer = begin(store, "train", project)
        writer.append([{"type": "node-moved", "node": "train", "state": "reused", "reused": asdict(reused)}])
        if end:
            writer.append([{"type": "run-finished", "state": "succeeded"}])
        writer.close()
        return store.run(writer.id)


def digests(execution: Execution) -> list[str]:
    return [output.digest for output in execution.outputs]


def test_an_execution_that_the_newest_run_reused_is_among_the_newest(scene: Scene) -> None:
    old, other, newest = (scene.execute(outputs={"m": bytes([number]) * 10}) for number in range(3))
    reuse(scene, old)
    scene.collect(last=2)
    assert scene.has(*digests(old), *digests(newest)) and not scene.has(*digests(other))
    assert scene.lost() == []


def test_an_execution_that_was_reused_lately_is_young(scene: Scene) -> None:
    old = scene.execute(outputs={"m": b"old"})
    run = reuse(scene, old)
    plan = scene.plan(within=1e6)
    (fact,) = plan.census.facts
    assert fact.use == (run.id, run.counter, run.finished)
    assert plan.kept == {Ground.YOUNG: 1} and plan.is_empty
    assert scene.plan().losers == [old.id]


def test_a_pinned_run_keeps_what_stands_for_its_nodes(scene: Scene) -> None:
    old = scene.execute(outputs={"m": b"old"})
    run = reuse(scene, old)
    with scene.writing() as store, store.refs.changing(BY) as change:
        change.pin("run", run.id, "")
    plan = scene.plan()
    assert plan.kept == {Ground.REUSED: 1} and plan.losers == []
    assert plan.census.held == {old.id: f"it stands for a node of run {run.counter}, which is pinned"}
    scene.collect(now=True)
    assert scene.has(*digests(old))


def test_a_run_under_way_keeps_what_stands_for_its_nodes(scene: Scene) -> None:
    old = scene.execute(outputs={"m": b"old"})
    run = reuse(scene, old, end=False)
    plan = scene.plan()
    assert plan.kept == {Ground.REUSED: 1}
    assert plan.census.held == {old.id: f"it stands for a node of run {run.counter}, which is under way"}


def test_a_run_of_another_project_keeps_what_it_reused(scene: Scene) -> None:
    old = scene.execute(outputs={"m": b"old"})
    scene.execute(outputs={"m": b"new"})
    reuse(scene, old, project="p2")
    scene.collect(last=1)
    assert scene.has(*digests(old))


def test_what_is_reused_while_it_is_being_removed_is_put_back(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    old = scene.execute(outputs={"m": b"old"})
    plan = Planner.plan

    def plan_and_reuse(self: Planner, *arguments: Any, **more: Any) -> Any:
        found = plan(self, *arguments, **more)
        reuse(scene, old)
        return found

    monkeypatch.setattr(Planner, "plan", plan_and_reuse)
    scene.collect()
    assert scene.has(*digests(old))


def test_a_run_that_was_removed_holds_on_to_nothing(scene: Scene) -> None:
    old = scene.execute(outputs={"m": b"old"})
    run = reuse(scene, old)
    with scene.writing() as store:
        store.remove_run(run.id, Trash(store.layout).begin("rm", "me"))
    (fact,) = scene.plan().census.facts
    assert fact.use is None
