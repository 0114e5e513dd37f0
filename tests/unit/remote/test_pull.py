"""Pulling from a folder: whole runs or records, and what is here already."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from runner.digest import hash_bytes
from runner.errors import MlrunError
from runner.remote.intake import Intake
from runner.store.identity import new_id
from runner.store.imported import read_import
from runner.store.reach import FILES, Kind
from runner.store.record import Code, Run, to_json
from runner.store.removal import Removals
from runner.store.trash import Trash
from tests.unit.remote.scene import RECORDS, forge, removed


def told(run: Run) -> dict[str, Any]:
    """A record without what is another in each store."""
    document = to_json(run)
    for execution in document["executions"].values():
        del execution["counter"], execution["work"]
    del document["counter"]
    return json.loads(json.dumps(document))


def test_a_pulled_run_is_the_same_with_numbers_of_this_store(mine: Any, yours: Any, remote: Path) -> None:
    mine.run(), yours.run(), yours.run()
    runs = [mine.run("model", "deep/other") for _ in range(3)]
    mine.push(remote, *runs)
    pulled = yours.pull(remote)
    assert (pulled.new, pulled.refused, pulled.absent) == ([run.id for run in runs], {}, 0)
    for number, run in enumerate(runs, 3):
        here = yours.store.run(run.id)
        assert told(here) == told(run)
        assert (here.counter, [one.counter for one in here.executions.values()]) == (number, [number])
        assert all(yours.store.objects.verify(digest) for digest in mine.named(run))
        assert yours.store.layout.run(run.id).journal.read_bytes() == mine.store.layout.run(run.id).journal.read_bytes()
        found = read_import(yours.store.layout.run(run.id).imported)
        assert found is not None and found.source == str(remote)
    assert [row["counter"] for row in yours.store.runs()] == [5, 4, 3, 2, 1]
    assert yours.store.find_execution(runs[0].project.id, "4")[0].id == runs[1].id
    assert not removed(yours).dropped
    yours.store.rebuild({"user": "me"})
    assert [row["counter"] for row in yours.store.runs()] == [5, 4, 3, 2, 1]
    assert yours.run().counter == 6


def test_kept_folders_of_elsewhere_are_not_believed(mine: Any, yours: Any, remote: Path) -> None:
    run = mine.run()
    assert [one.work for one in run.executions.values()] == ["/tmp/kept"]
    mine.push(remote, run)
    yours.pull(remote)
    assert [one.work for one in yours.store.run(run.id).executions.values()] == [None]


def test_a_run_that_is_here_is_left_as_it_is(mine: Any, yours: Any, remote: Path) -> None:
    run = mine.run()
    mine.push(remote, run)
    assert mine.pull(remote).new == [] and mine.pull(remote, run.id).known == [run.id]
    assert read_import(mine.store.layout.run(run.id).imported) is None
    yours.pull(remote)
    assert (yours.pull(remote).new, yours.pull(remote, run.id).known) == ([], [run.id])


def with_deployment(place: Any) -> Run:
    """A run that names content which no execution of it does: code of another commit, a file that its deployment
    gathered, and one that the command line gave to a node that never ran."""
    objects = place.store.objects
    body = objects.put_bytes(b"print(2)\n")
    code = Code(objects.put_tree([("old.py", "100644", body, 9)]))
    model = {"name": "model.pkl", "digest": objects.put_bytes(b"a model"), "size": 7}
    given = {"name": "x", "digest": objects.put_bytes(b"given here"), "size": 10, "origin": "/x", "metadata": {}}
    ids = {"deployment": "shop", "id": new_id(), "version_id": new_id()}
    gathered = {"type": "deployment-gathered", "node": "serve", "gathered": ids | {"endpoints": {"a": {"m": model}}}}
    nodes = [{"name": "train", "step": "train", "edges": []}, {"name": "serve", "step": "", "kind": "deployment"}]
    skipped = {"type": "node-moved", "node": "serve", "state": "skipped"}
    arguments = {"nodes": {"serve": {"files": {"data": [given]}}}}
    return place.run(
        told=[gathered, skipped], plan={"nodes": nodes}, codes={"serve": asdict(code)}, arguments=arguments
    )


def test_what_no_execution_names_goes_with_the_record(mine: Any, yours: Any, remote: Path) -> None:
    run = with_deployment(mine)
    own = {digest: kind for digest, kind in mine.named(run).items() if kind not in FILES}
    assert list(own.values()).count(Kind.CODE) == 4 and {Kind.DEPLOYMENT, Kind.GIVEN} < set(own.values())
    assert mine.push(remote, run).refused == {}
    assert yours.pull(remote, files=RECORDS).new == [run.id]
    assert all(yours.store.objects.verify(digest) for digest in own)
    assert told(yours.store.run(run.id)) == told(run)


def test_a_run_without_what_its_deployment_gathered_is_refused(mine: Any, yours: Any, remote: Path) -> None:
    run = with_deployment(mine)
    (model,) = (digest for digest, kind in mine.named(run).items() if kind is Kind.DEPLOYMENT)
    mine.push(remote, run)
    forge(remote, run, lambda document: document["objects"].remove([model, 7]))
    assert model in str(yours.pull(remote).refused[run.id])


def test_fetch_brings_what_belongs_to_the_record_and_pull_the_rest(mine: Any, yours: Any, remote: Path) -> None:
    run = mine.run("a", "b")
    mine.push(remote, run)
    assert yours.pull(remote, files=RECORDS).new == [run.id]
    for digest, kind in mine.named(run).items():
        assert yours.store.objects.has(digest) == (kind not in FILES)
    assert set(removed(yours).dropped) == set(run.executions)
    assert yours.pull(remote, files=RECORDS).new == []
    assert yours.pull(remote).restored == [run.id]
    assert all(yours.store.objects.verify(digest) for digest in mine.named(run))
    assert not removed(yours).dropped


def test_outputs_alone_leave_the_execution_without_its_inputs(mine: Any, yours: Any, remote: Path) -> None:
    run = mine.run()
    mine.push(remote, run)
    yours.pull(remote, files=FILES - {Kind.INPUT})
    assert not yours.store.objects.has(hash_bytes(b"given"))
    assert set(removed(yours).dropped) == set(run.executions)
    assert yours.pull(remote).restored == [run.id]


def test_pull_brings_back_what_was_given_up_here(mine: Any, remote: Path) -> None:
    run = mine.run()
    mine.push(remote, run)
    (execution,) = run.executions.values()
    Removals(mine.store.layout).append([{"type": "files-dropped", "executions": [execution.id]}])
    mine.store.objects.path(execution.outputs[0].digest).unlink()
    pulled = mine.pull(remote)
    assert (pulled.restored, pulled.received) == ([run.id], 1)
    assert mine.store.objects.verify(execution.outputs[0].digest)
    assert not removed(mine).dropped


def test_pull_completes_a_run_that_lost_a_file(mine: Any, remote: Path) -> None:
    run = mine.run()
    mine.push(remote, run)
    for digest in mine.named(run):
        mine.store.objects.path(digest).unlink()
    assert mine.pull(remote, run.id).received == len(mine_named := mine_digests(run, remote))
    assert all(mine.store.objects.verify(digest) for digest in mine_named)


def mine_digests(run: Run, remote: Path) -> list[str]:
    (manifest,) = (path for path in (remote / "runs").rglob(f"{run.id}.*"))
    document = json.loads(manifest.read_bytes())
    return [digest for digest, _ in document["objects"]]


def test_what_nobody_has_any_more_is_told_as_given_up(mine: Any, yours: Any, remote: Path) -> None:
    run = mine.run("a", "b")
    (execution,) = run.executions.values()
    Removals(mine.store.layout).append([{"type": "files-dropped", "executions": [execution.id]}])
    mine.store.objects.path(execution.outputs[1].digest).unlink()
    mine.push(remote, run)
    pulled = yours.pull(remote)
    assert (pulled.new, pulled.absent) == ([run.id], 1)
    assert set(removed(yours).dropped) == {execution.id}
    assert yours.store.objects.verify(execution.outputs[0].digest)


def test_a_run_that_was_removed_here_comes_back_only_by_name(mine: Any, yours: Any, remote: Path) -> None:
    run = mine.run()
    mine.push(remote, run)
    yours.pull(remote)
    batch = Trash(yours.store.layout).begin("rm", "me")
    yours.store.remove_run(run.id, batch)
    assert yours.pull(remote).new == []
    assert yours.pull(remote, run.id).new == [run.id]
    assert run.id not in removed(yours).runs
    assert [row["id"] for row in yours.store.runs()] == [run.id]


def test_there_has_to_be_a_remote(yours: Any, remote: Path) -> None:
    with pytest.raises(MlrunError, match="there is no remote store"):
        yours.pull(remote)
    assert not remote.exists()


def test_what_does_not_fit_beside_the_runs_before_it_is_left_there(
    mine: Any, yours: Any, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [mine.run(size=50_000) for _ in range(3)]
    mine.push(remote, *runs)
    monkeypatch.setattr(Intake, "room", lambda _: 120_000)
    pulled = yours.pull(remote)
    assert pulled.new == [run.id for run in runs[:2]]
    assert list(pulled.refused) == [runs[2].id]
    assert yours.pull(remote).new == [runs[2].id]
