"""Runs of whose nodes executions of other runs stand: those go and come along with them."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest

from runner.remote.foreign import believe
from runner.store import history
from runner.store.identity import new_id
from runner.store.imported import Import, read_import
from runner.store.journal import read
from runner.store.record import Reused, Run
from runner.store.trash import Trash

ANOTHER = str(uuid5(UUID(int=0), "another project"))


def leaning(place: Any, *stands: Run, project: str | None = None, end: bool = True, runs_too: bool = False) -> Run:
    """A run of nodes for each of which the execution of an earlier run stands, and of one more that runs."""
    first = stands[0]
    header = {
        "kind": "pipeline",
        "name": "p",
        "project": first.project if project is None else type(first.project)(project, "x", "/x", "valohai.yaml"),
        "title": None,
        "tags": (),
        "argv": (),
        "code": first.code,
        "spec": first.spec,
        "plan": {"nodes": [{"name": f"n{number}", "step": "train"} for number in range(len(stands) + 1)]},
        "executor": "process",
        "host": {},
        "version": "1.0",
    }
    with place.store.begin_run(header) as writer:
        moves = []
        for number, run in enumerate(stands):
            (execution,) = run.executions.values()
            reused = asdict(Reused(execution.id, execution.counter, run.id))
            clause = f"execution {execution.counter} of run {run.counter}"
            moves.append({"type": "node-moved", "node": f"n{number}", "state": "reused", "detail": clause,
                          "reused": reused})  # fmt: skip
        writer.append(moves)
        if runs_too:
            (job,) = (one.job for one in first.executions.values())
            created = {
                "type": "execution-created",
                "id": new_id(),
                "node": f"n{len(stands)}",
                "counter": 90,
                "job": job,
            }
            writer.append([created, {"type": "execution-finished", "id": created["id"], "state": "succeeded"}])
        writer.append([{"type": "node-moved", "node": f"n{len(stands)}", "state": "skipped"}])
        if end:
            writer.append([{"type": "run-finished", "state": "succeeded"}])
    return place.store.run(writer.id)


def numbers(run: Run) -> list[tuple[int, str | None]]:
    return [(node.reused.counter, node.detail) for node in run.nodes.values() if node.reused]


def remove(place: Any, run: Run) -> None:
    place.store.remove_run(run.id, Trash(place.store.layout).begin("rm", "me"))


def test_a_push_takes_along_what_its_runs_lean_on_and_a_pull_brings_it(mine: Any, yours: Any, remote: Path) -> None:
    yours.run(), yours.run()
    earlier, unrelated = mine.run(), mine.run()
    run = leaning(mine, earlier)
    pushed = mine.push(remote, run)
    assert (pushed.runs, pushed.along, pushed.left_behind) == ([earlier.id, run.id], [earlier.id], [])
    assert unrelated.id not in pushed.runs

    pulled = yours.pull(remote, run.id)
    assert (sorted(pulled.new), pulled.along, pulled.left_behind) == ([earlier.id, run.id], [earlier.id], [])
    here = yours.store.run(run.id)
    assert all(yours.store.objects.verify(digest) for digest in mine.named(earlier))
    # Its number here is another.
    standing = here.nodes["n0"].reused
    assert standing is not None
    found, execution = yours.store.find_execution(None, standing.execution)
    assert (found.id, execution.counter) == (earlier.id, standing.counter)
    assert numbers(here) == [(execution.counter, f"execution {execution.counter} of run {found.counter}")]
    assert numbers(here) != numbers(run)


def test_the_numbers_of_a_run_are_read_once_however_many_nodes_it_stands_for(
    mine: Any, yours: Any, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = mine.run()
    run = leaning(mine, earlier, earlier, earlier)
    mine.push(remote, run)
    yours.pull(remote, run.id)
    asked: list[Path] = []

    def ask(path: Path) -> Import | None:
        asked.append(path)
        return read_import(path)

    monkeypatch.setattr(history, "read_import", ask)
    assert len(set(numbers(yours.store.run(run.id)))) == 1
    assert asked.count(yours.store.layout.run(earlier.id).imported) == 1


def test_a_run_goes_along_also_when_it_is_leaned_on_through_another(mine: Any, yours: Any, remote: Path) -> None:
    first, second = mine.run(), mine.run()
    middle = leaning(mine, first, runs_too=True)
    pushed = mine.push(remote, leaning(mine, second, middle))
    assert sorted(pushed.along) == sorted([first.id, second.id, middle.id])
    assert len(yours.pull(remote, pushed.runs[-1]).new) == 4


def test_a_run_of_another_project_goes_and_comes_along(mine: Any, yours: Any, remote: Path) -> None:
    earlier = mine.run()
    run = leaning(mine, earlier, project=ANOTHER)
    mine.push(remote, run)
    pulled = yours.pull(remote, run.id, project=ANOTHER)
    assert sorted(pulled.new) == sorted([earlier.id, run.id])
    assert {row["project"] for row in yours.store.runs()} == {earlier.project.id, ANOTHER}


def test_what_is_there_or_here_is_not_taken_along_again(mine: Any, yours: Any, remote: Path) -> None:
    earlier = mine.run()
    mine.push(remote, earlier)
    yours.pull(remote)
    run = leaning(mine, earlier)
    pushed = mine.push(remote, run, earlier)
    assert (pushed.along, pushed.known) == ([], [earlier.id])
    pulled = yours.pull(remote, run.id)
    assert (pulled.new, pulled.along) == ([run.id], [])


def test_a_run_goes_also_without_one_that_was_removed(mine: Any, yours: Any, remote: Path) -> None:
    earlier = mine.run()
    run = leaning(mine, earlier)
    remove(mine, earlier)
    pushed = mine.push(remote, run)
    assert (pushed.runs, pushed.left_behind, pushed.refused) == ([run.id], [earlier.id], {})
    pulled = yours.pull(remote, run.id)
    assert (pulled.new, pulled.left_behind, pulled.refused) == ([run.id], [earlier.id], {})
    # An unknown number is none, rather than that of something else here.
    assert numbers(yours.store.run(run.id)) == [(0, f"an execution of the run `{earlier.id}`")]


def test_a_run_that_was_removed_here_is_not_brought_along(mine: Any, yours: Any, remote: Path) -> None:
    earlier = mine.run()
    run = leaning(mine, earlier)
    mine.push(remote, run)
    yours.pull(remote, earlier.id)
    remove(yours, earlier)
    pulled = yours.pull(remote, run.id)
    assert (pulled.new, pulled.along) == ([run.id], [])


def test_one_that_is_leaned_on_and_goes_on_stays_here(mine: Any, remote: Path) -> None:
    going = mine.run(end=False)
    run = leaning(mine, going)
    pushed = mine.push(remote, run)
    assert (pushed.runs, pushed.left_behind) == ([run.id], [going.id])


def test_a_pulled_run_that_leans_on_one_of_this_store_has_its_numbers(mine: Any, yours: Any, remote: Path) -> None:
    yours.run(), yours.run()
    earlier = mine.run()
    mine.push(remote, earlier)
    yours.pull(remote)
    theirs = leaning(yours, yours.store.run(earlier.id))
    yours.push(remote, theirs)
    mine.pull(remote)
    assert numbers(yours.store.run(theirs.id)) == [(3, "execution 3 of run 3")]
    assert numbers(mine.store.run(theirs.id)) == [(1, "execution 1 of run 1")]


@pytest.mark.parametrize(
    "change",
    [
        lambda reused: reused.update(run="../../etc"),
        lambda reused: reused.update(execution="x"),
        lambda reused: reused.update(counter="1"),
        lambda reused: reused.update(counter=-1),
        lambda reused: reused.update(accepted="yes"),
        lambda reused: reused.update(more=1),
        lambda reused: reused.pop("run"),
    ],
)
def test_what_stands_for_a_node_is_believed_only_in_its_form(mine: Any, change: Any) -> None:
    run = leaning(mine, mine.run())
    entries = json.loads(json.dumps([dict(entry) for entry in read(mine.store.layout.run(run.id).journal)]))
    believe(entries, run.project.id, run.id)
    (moved,) = [entry for entry in entries if "reused" in entry]
    change(moved["reused"])
    with pytest.raises(ValueError):
        believe(entries, run.project.id, run.id)
