"""Journals from elsewhere: real ones are believed, and whatever could do harm is not."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.digest import canonical_json
from runner.engine.entry import job_to_json
from runner.job import Allowance, Gang, HostMount, InputFile, Job, JobInput, Network, Script
from runner.remote.foreign import believe, is_path
from runner.store.identity import new_id
from runner.store.journal import Follower
from runner.store.reach import named_by
from runner.store.tree import decode_tree
from tests.unit.remote.scene import replace_journal

Entries = list[dict[str, Any]]
CREATED, EXECUTION, STARTED, FINISHED, MOVED, END = range(6)


def entries_of(place: Any, run: Any) -> Entries:
    found = Follower(place.store.layout.run(run.id).journal).poll()
    return copy.deepcopy([dict(entry) for entry in found])


def test_a_run_of_another_store_is_believed(mine: Any) -> None:
    run = mine.run("model", "deep/other", "odd \udcff\n")
    # Not compared as they are: a metric is not a number, which equals nothing.
    assert repr(believe(entries_of(mine, run), run.project.id, run.id)) == repr(run)


def test_a_job_with_everything_is_believed(mine: Any) -> None:
    run = mine.run()
    entries = entries_of(mine, run)
    file = InputFile("deep/d.csv", "a" * 64, 5, "s3://b/d.csv", {"x": {"y": [1, None]}})
    job = Job(
        id=entries[EXECUTION]["id"],
        step="train",
        image="busybox",
        script=Script(("a\nb", "c"), False),
        snapshot="b" * 64,
        parameters={"a": 1, "b": 0.5, "c": True, "d": "x", "e": [1, "y", 0.25, False]},
        inputs=(JobInput("data", (file,)), JobInput("none", ())),
        environment={"A": "b\n"},
        network=Network.NONE,
        time_limit=5.0,
        no_output_timeout=7,
        stop_condition="acc > 1",
        allowance=Allowance(1.5, (0, 2), 1 << 40, 5, {"nvidia.com/gpu": -1}),
        mounts=(HostMount("/data", "/data", True),),
        secrets=("TOKEN",),
        gang=Gang("g", 1, ("127.0.0.2", "127.0.0.3")),
    )
    entries[EXECUTION]["job"] = json.loads(json.dumps(job_to_json(job)))
    found = believe(entries, run.project.id, run.id)
    assert next(iter(found.executions.values())).job["allowance"]["cpu_set"] == [0, 2]


GIVEN = {"name": "x", "digest": "a" * 64, "size": 5, "origin": "file:x", "metadata": {}}
GATHERED = {
    "deployment": "shop", "id": new_id(), "version_id": new_id(), "aliases": ["live"], "deployed": False,
    "endpoints": {"predict": {"model": {"name": "model.pkl", "digest": "a" * 64, "size": 5}}},
}  # fmt: skip


def with_all(entries: Entries) -> None:
    """What only pipelines have: trials, a deployment, an approval, code of other commits, a stop and a resume."""
    entries[CREATED]["run"] |= {
        "kind": "task",
        "arguments": {"folder": "/", "nodes": {"train": {"parameters": {"C": [1]}, "files": {"data": [dict(GIVEN)]}}}},
        "codes": {"train": {"snapshot": "b" * 64, "commit": "c0ffee" + "0" * 34}},
    }
    entries[CREATED]["run"]["plan"]["nodes"][0] |= {
        "kind": "task", "task": "sweep", "commit": "main", "goal": {"metric": "loss", "aim": 0.5}
    }  # fmt: skip
    time = entries[CREATED]["time"]
    trial = {"name": "train.1", "parameters": {"C": 0.5, "words": ["a", 1]}}
    done = {"type": "node-moved", "node": "train.1", "state": "succeeded"}
    waits = {"type": "node-moved", "node": "train", "state": "awaiting-approval", "point": "node-starting"}
    decided = {"point": "node-starting", "approved": True, "by": "me"}
    added: Entries = [
        waits,
        {"type": "run-parked"},
        {"type": "run-resumed", "owner": entries[CREATED]["run"]["owner"], "again": []},
        {"type": "approval-decided", "node": "train", **decided},
        {"type": "trials-added", "node": "train", "trials": [trial]},
        done,
        {"type": "deployment-gathered", "node": "train", "gathered": copy.deepcopy(GATHERED)},
    ]
    entries[MOVED:MOVED] = [one | {"time": time} for one in added]


def test_whatever_a_pipeline_can_tell_is_believed(mine: Any) -> None:
    run = mine.run()
    entries = entries_of(mine, run)
    with_all(entries)
    found = believe(entries, run.project.id, run.id)
    assert found.nodes["train.1"].parameters == {"C": 0.5, "words": ["a", 1]}
    assert (gathered := found.nodes["train"].gathered) and gathered.endpoints["predict"]["model"].size == 5
    assert {one.digest for one in named_by(found, lambda _: iter(()))} >= {"a" * 64, "b" * 64}


MORE: dict[str, Callable[[Entries], object]] = {
    "code of a node that is none": lambda e: e[CREATED]["run"]["codes"]["train"].update(snapshot="x"),
    "a goal that seeks nothing": lambda e: e[CREATED]["run"]["plan"]["nodes"][0]["goal"].update(aim="most"),
    "a goal without a metric": lambda e: e[CREATED]["run"]["plan"]["nodes"][0]["goal"].pop("metric"),
    "arguments that are none": lambda e: e[CREATED]["run"].update(arguments=[1]),
    "a given file above": lambda e: _of(e, "train")["files"]["data"][0].update(name="../x"),
    "a given file without a digest": lambda e: _of(e, "train")["files"]["data"][0].update(digest="x"),
    "given files of no input": lambda e: _of(e, "train").update(files=[GIVEN]),
    "a trial without a name": lambda e: _told(e, "trials-added")["trials"][0].pop("name"),
    "a trial of a node that nobody planned": lambda e: _told(e, "trials-added").update(node="other"),
    "a trial that was there": lambda e: _told(e, "trials-added")["trials"][0].update(name="train"),
    "a trial that goes on": lambda e: e.remove(next(one for one in e if one.get("node") == "train.1")),
    "a gathered file that is none": lambda e: _gathered(e)["endpoints"]["predict"]["model"].update(digest="../x"),
    "a deployment whose id is a path": lambda e: _gathered(e).update(id="../x"),
    "an owner that is none": lambda e: _told(e, "run-resumed").update(owner={"pid": "x"}),
    "a parked run": lambda e: e.append({"type": "run-parked", "time": e[CREATED]["time"]}),
}


def _of(entries: Entries, node: str) -> Any:
    return entries[CREATED]["run"]["arguments"]["nodes"][node]


def _told(entries: Entries, kind: str) -> Any:
    return next(one for one in entries if one["type"] == kind)


def _gathered(entries: Entries) -> Any:
    return _told(entries, "deployment-gathered")["gathered"]


@pytest.mark.parametrize("what", MORE)
def test_a_pipeline_that_could_do_harm_is_not_believed(mine: Any, what: str) -> None:
    run = mine.run()
    entries = entries_of(mine, run)
    with_all(entries)
    believe(copy.deepcopy(entries), run.project.id, run.id)
    MORE[what](entries)
    with pytest.raises(ValueError):
        believe(entries, run.project.id, run.id)


CHANGES: dict[str, Callable[[Entries], object]] = {
    "another run": lambda e: e[CREATED]["run"].update(id=new_id()),
    "a path as the id": lambda e: e[CREATED]["run"].update(id="../../../../etc/passwd"),
    "another project": lambda e: e[CREATED]["run"]["project"].update(id=new_id()),
    "a path as the project": lambda e: e[CREATED]["run"]["project"].update(id="../x"),
    "a file outside the project": lambda e: e[CREATED]["run"]["project"].update(file="../../x"),
    "a path as the execution": lambda e: [one.update(id="../../x") for one in e[EXECUTION : FINISHED + 1]],
    "a counter that is text": lambda e: e[CREATED]["run"].update(counter="1"),
    "a counter that is true": lambda e: e[CREATED]["run"].update(counter=True),
    "a counter below zero": lambda e: e[EXECUTION].update(counter=-1),
    "a counter beyond SQLite": lambda e: e[EXECUTION].update(counter=1 << 63),
    "a digest that is a path": lambda e: e[CREATED]["run"].update(spec="../" * 21 + "x"),
    "a snapshot that is none": lambda e: e[CREATED]["run"]["code"].update(snapshot="A" * 64),
    "another snapshot that is none": lambda e: e[EXECUTION]["job"].update(snapshot=""),
    "a commit that is an option": lambda e: e[CREATED]["run"]["code"].update(commit="--upload-pack=x"),
    "a title that is no text": lambda e: e[CREATED]["run"].update(title={"a": 1}),
    "tags that are no list": lambda e: e[CREATED]["run"].update(tags="best"),
    "a kind of its own": lambda e: e[CREATED]["run"].update(kind="party"),
    "a field of its own": lambda e: e[CREATED]["run"].update(more=1),
    "a plan without nodes": lambda e: e[CREATED]["run"]["plan"].pop("nodes"),
    "nodes that are no objects": lambda e: e[CREATED]["run"]["plan"].update(nodes=["train"]),
    "a host that is none": lambda e: e[CREATED]["run"].update(host=None),
    "a time that is none": lambda e: e[CREATED].update(time="yesterday"),
    "a time beyond the calendar": lambda e: e[END].update(time="2026-13-45T99:99:99Z"),
    "an output above": lambda e: e[FINISHED]["outputs"][0].update(name="../x"),
    "an output in the middle above": lambda e: e[FINISHED]["outputs"][0].update(name="a/../../x"),
    "an absolute output": lambda e: e[FINISHED]["outputs"][0].update(name="/etc/x"),
    "an output with NUL": lambda e: e[FINISHED]["outputs"][0].update(name="a\0b"),
    "an output without a name": lambda e: e[FINISHED]["outputs"][0].update(name=""),
    "an output that is a folder": lambda e: e[FINISHED]["outputs"][0].update(name="a/"),
    "an output that cannot be written": lambda e: e[FINISHED]["outputs"][0].update(name="\ud800"),
    "an output twice": lambda e: e[FINISHED]["outputs"].append(e[FINISHED]["outputs"][0]),
    "an output of no size": lambda e: e[FINISHED]["outputs"][0].update(size=None),
    "an output of a huge size": lambda e: e[FINISHED]["outputs"][0].update(size=1 << 61),
    "an output with a digest of its own": lambda e: e[FINISHED]["outputs"][0].update(digest="x"),
    "an input above": lambda e: e[EXECUTION]["job"]["inputs"][0]["files"][0].update(name="../../x"),
    "an input that is a path": lambda e: e[EXECUTION]["job"]["inputs"][0].update(name="a/b"),
    "an input that is above": lambda e: e[EXECUTION]["job"]["inputs"][0].update(name=".."),
    "an input twice": lambda e: e[EXECUTION]["job"]["inputs"].append(e[EXECUTION]["job"]["inputs"][0]),
    "an input file with more": lambda e: e[EXECUTION]["job"]["inputs"][0]["files"][0].update(path="/etc/passwd"),
    "a variable with NUL": lambda e: e[EXECUTION]["job"]["environment"].update(A="\0"),
    "a variable with NUL in its name": lambda e: e[EXECUTION]["job"]["environment"].update({"A\0": ""}),
    "a variable with = in its name": lambda e: e[EXECUTION]["job"]["environment"].update({"A=B": ""}),
    "a variable without a name": lambda e: e[EXECUTION]["job"]["defaults"].update({"": ""}),
    "a value of all steps that is none": lambda e: e[EXECUTION]["job"]["defaults"].update(TZ=1),
    "a parameter that is an object": lambda e: e[EXECUTION]["job"]["parameters"].update(C={}),
    "a limit without end": lambda e: e[EXECUTION]["job"].update(time_limit=float("inf")),
    "a duration below zero": lambda e: e[END].update(duration=-1.0),
    "an exit code that no process ends with": lambda e: e[END].update(exit_code=256),
    "a log that is no digest": lambda e: e[FINISHED]["log"].update(stdout="../../x"),
    "a log without an index": lambda e: e[FINISHED]["log"].pop("index"),
    "memory below zero": lambda e: e[FINISHED].update(peak_memory=-1),
    "memory that no number of a machine holds": lambda e: e[FINISHED].update(peak_memory=10**400),
    "an exit code that is text": lambda e: e[FINISHED].update(exit_code="0"),
    "warnings that are none": lambda e: e[FINISHED].update(warnings=[1]),
    "an identity that is none": lambda e: e[STARTED].update(identity={"id": "x", "platform": 1}),
    "a state of its own": lambda e: e[END].update(state="divine"),
    "a reason of its own": lambda e: e[MOVED].update(reason="luck"),
    "no end": lambda e: e.pop(END),
    "a node that goes on": lambda e: e[MOVED].update(state="running"),
    "an execution that goes on": lambda e: e.pop(FINISHED),
    "a node that nobody planned": lambda e: e[EXECUTION].update(node="other"),
    "two beginnings": lambda e: e.append(e[CREATED]),
    "an entry of no type": lambda e: e.append({"time": "2026-01-01T00:00:00Z"}),
    "an entry of an odd type": lambda e: e.append({"type": ["run-finished"]}),
    "an entry that is none": lambda e: e.append(5),  # type: ignore[arg-type]
    "nothing": lambda e: e.clear(),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_journal_that_could_do_harm_is_not_believed(mine: Any, what: str) -> None:
    run = mine.run()
    entries = entries_of(mine, run)
    assert [entry["type"] for entry in entries] == [
        "run-created", "execution-created", "execution-started", "execution-finished", "node-moved", "run-finished",
    ]  # fmt: skip
    believe(entries, run.project.id, run.id)
    CHANGES[what](entries)
    with pytest.raises(ValueError):
        believe(entries, run.project.id, run.id)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_stands_anywhere_it_is_believed_or_refused(mine: Any, data: st.DataObject) -> None:
    run = mine.run() if not hasattr(mine, "sample") else mine.sample
    mine.sample = run
    entries: Any = entries_of(mine, run)
    place = entries
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            place[key] = data.draw(JSON)
            break
        place = inner
    try:
        found = believe(entries, run.project.id, run.id)
    except ValueError:
        return
    assert (found.id, found.project.id) == (run.id, run.project.id)


@given(st.text(max_size=20) | st.lists(st.sampled_from(["a", "..", ".", "", "\0", "b c"]), max_size=4).map("/".join))
def test_a_path_that_is_let_through_stays_below_its_folder(text: str) -> None:
    if is_path(text):
        folder = Path("/top/folder")
        joined = Path(f"{folder}/{text}")
        assert "\0" not in text
        assert folder in Path(*[part for part in joined.parts if part != "."]).parents
        assert ".." not in joined.parts


@pytest.mark.parametrize(
    "entry",
    [
        ["a", "100644", "../../../../../etc/passwd", 5],
        ["a", "100644", "", 5],
        ["a", "100644", "a" * 64, -1],
        ["../a", "100644", "a" * 64, 5],
        ["/a", "100644", "a" * 64, 5],
        ["a", "120000", "x\0y", 3],
        ["a", "120000", "", 0],
        ["a", "104755", "a" * 64, 5],
    ],
)
def test_a_tree_of_elsewhere_names_objects_and_paths_below(entry: list[Any]) -> None:
    with pytest.raises(ValueError):
        decode_tree(canonical_json({"entries": [entry], "format": 1}))


def chained(body: bytes) -> bytes:
    """A line of a journal, the first."""
    return blake3(body).hexdigest()[:16].encode() + b" " + body + b"\n"


@pytest.mark.parametrize("what", ["an output above", "a path as the execution", "no end", "a title that is no text"])
def test_nothing_of_a_forged_run_is_admitted(mine: Any, yours: Any, remote: Path, what: str) -> None:
    good, bad = mine.run(), mine.run()
    mine.push(remote, good, bad)
    entries = entries_of(mine, bad)
    CHANGES[what](entries)
    replace_journal(remote, bad, chained(json.dumps(entries).encode()))
    pulled = yours.pull(remote)
    assert pulled.new == [good.id]
    assert bad.id in pulled.refused
    assert [row["id"] for row in yours.store.runs()] == [good.id]


@pytest.mark.parametrize("body", [b"5", b'"x"', b"{}", b"[5]", b"[" * 100_000, b"\xff", b"[{}"])
def test_lines_that_are_no_turns_are_refused(mine: Any, yours: Any, remote: Path, body: bytes) -> None:
    run = mine.run()
    mine.push(remote, run)
    replace_journal(remote, run, chained(body))
    assert run.id in yours.pull(remote).refused
