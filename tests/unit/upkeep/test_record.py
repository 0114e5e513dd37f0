"""What a run names beside its executions stays as long as its record, also where they lose their files."""

from dataclasses import asdict
from typing import Any

import pytest

from runner.store.lease import current_owner
from runner.store.record import Code, Run
from runner.store.writer import RunWriter
from runner.upkeep.ledger import By, keep_ledger
from runner.upkeep.plan import Planner

from .conftest import Scene, begin, finish, start

MODEL, GIVEN, OLD = b"a model that is served", b"given to a node", b"print('before')"


def pipeline(scene: Scene) -> tuple[Run, dict[bytes, str]]:
    """A run whose step left a model, which a deployment node gathered; with a node that never ran, of another commit,
    to which the command line gave a file. With it the digests of these."""
    with scene.writing() as store:
        digests = {data: store.objects.put_bytes(data) for data in (MODEL, GIVEN, OLD)}
        code = Code(store.objects.put_tree([("old.py", "100644", digests[OLD], len(OLD))]))
        given = {"name": "x", "digest": digests[GIVEN], "size": len(GIVEN), "origin": "/x", "metadata": {}}
        nodes = [{"name": name, "step": name} for name in ("train", "serve", "later")]
        header = {"plan": {"nodes": nodes}, "codes": {"later": asdict(code)}}
        header["arguments"] = {"nodes": {"later": {"files": {"data": [given]}}}}
        writer = begin(store, "train", more=header)
        id = start(writer, "train", code=writer.run().code.snapshot)
        file = {"name": "model", "digest": digests[MODEL], "size": len(MODEL)}
        gathered = {"deployment": "shop", "id": "i", "version_id": "v", "endpoints": {"predict": {"model": file}}}
        writer.append([{"type": "deployment-gathered", "node": "serve", "gathered": gathered}])
        finish(store, writer, id, "train", {"model": MODEL, "notes": b"not served"}, "succeeded", b"")
        return store.run(writer.id), digests


def test_what_no_execution_can_lose_stays_when_they_lose_their_files(scene: Scene) -> None:
    run, digests = pipeline(scene)
    notes = next(one.digest for execution in run.executions.values() for one in execution.outputs if one.size == 10)
    done = scene.collect(now=True)
    assert not scene.has(notes) and done.plan.losers == list(run.executions)
    assert scene.has(*digests.values(), *run.codes["later"].snapshot.split())
    assert scene.lost() == []


def test_it_is_counted_as_the_records(scene: Scene) -> None:
    pipeline(scene)
    with scene.reading() as view:
        by_kind = {account.holder.name: account.named for account in keep_ledger(view, By.KIND).accounts}
        assert (by_kind["deployment"].size, by_kind["given"].size) == (len(MODEL), len(GIVEN))
        assert keep_ledger(view, By.EXECUTION).unnamed.size == 0


def test_a_run_that_goes_on_while_files_are_removed_keeps_what_it_has_and_gets(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution = scene.execute(outputs={"m": b"made before"}, state="failed")
    plan, id = Planner.plan, scene.run_of(execution).id

    def plan_and_resume(self: Planner, *arguments: Any, **more: Any) -> Any:
        found = plan(self, *arguments, **more)
        assert found.losers == [execution.id]
        with scene.writing() as store, RunWriter.take_over(store.layout, store._index, id) as writer:
            writer.resume([{"type": "run-resumed", "owner": asdict(current_owner()), "again": ["train"]}])
            again = start(writer, "train", code=writer.run().code.snapshot)
            finish(store, writer, again, "train", {"m": b"made anew"}, "succeeded", b"")
        return found

    monkeypatch.setattr(Planner, "plan", plan_and_resume)
    scene.collect(now=True)
    assert scene.lost() == []
    assert scene.has(
        *(one.digest for run in [scene.run_of(execution)] for e in run.executions.values() for one in e.outputs)
    )
