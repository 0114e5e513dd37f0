"""The past tense: what a journal tells."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from runner.digest import hash_bytes
from runner.state import Reason, State
from runner.store.record import (
    UNWATCHED,
    Code,
    LogRef,
    OutputFile,
    Reading,
    Reused,
    ReuseOptions,
    standing,
    to_json,
)
from runner.store.recovery import last_entries
from runner.store.story import BrokenJournal, Story, fold, interrupted
from tests.cost import allocated, steps

Entries = list[dict[str, Any]]
OWNER = {"host": "h", "boot_id": "b", "pid": 1, "start_time": 2}


def created(*nodes: str) -> dict[str, Any]:
    return {
        "type": "run-created",
        "time": "t0",
        "run": {
            "id": "r",
            "counter": 3,
            "kind": "pipeline",
            "name": "Train",
            "project": {"id": "p", "name": "iris", "root": "/x", "file": "valohai.yaml"},
            "title": None,
            "tags": ["a"],
            "argv": ["mlrun"],
            "code": {"snapshot": hash_bytes(b""), "not_captured": ["x: a pipe"]},
            "spec": hash_bytes(b"spec"),
            "plan": {"nodes": [{"name": name, "step": f"step {name}"} for name in nodes]},
            "executor": "sandbox",
            "host": {},
            "version": "1",
            "owner": OWNER,
        },
    }


def moved(node: str, state: str, **more: Any) -> dict[str, Any]:
    return {"type": "node-moved", "time": "t", "node": node, "state": state, **more}


def execution(node: str, id: str, counter: int = 1) -> dict[str, Any]:
    return {
        "type": "execution-created",
        "time": "t1",
        "id": id,
        "node": node,
        "counter": counter,
        "job": {"image": "busybox", "parameters": {"C": 0.5}},
    }


def started(id: str) -> dict[str, Any]:
    return {"type": "execution-started", "time": "t2", "id": id, "executor": "sandbox", "identity": {"id": "sha"}}


def finished(id: str, state: str = "succeeded", **more: Any) -> dict[str, Any]:
    return {"type": "execution-finished", "time": "t3", "id": id, "state": state, "reason": "exit", **more}


def test_a_whole_story_is_told() -> None:
    digest = hash_bytes(b"out")
    run = fold(
        [
            created("a"),
            moved("a", "ready"),
            execution("a", "e1", 7),
            started("e1"),
            finished("e1", "failed", exit_code=2, warnings=["w"], duration=1.5),
            execution("a", "e2", 8),
            finished(
                "e2",
                exit_code=0,
                outputs=[{"name": "m", "digest": digest, "size": 3}],
                log={"stdout": digest, "stderr": digest, "index": digest},
                metrics={"loss": 0.1},
            ),
            moved("a", "succeeded"),
            {"type": "run-finished", "time": "t9", "state": "succeeded", "duration": 2.0},
        ]
    )
    assert (run.state, run.counter, run.created, run.finished, run.duration) == ("succeeded", 3, "t0", "t9", 2.0)
    assert (run.tags, run.code.not_captured, run.owner.pid) == (("a",), ("x: a pipe",), 1)
    assert (run.nodes["a"].state, run.nodes["a"].executions) == (State.SUCCEEDED, ("e1", "e2"))
    first, second = run.executions.values()
    assert (first.counter, first.state, first.reason, first.exit_code) == (7, State.FAILED, Reason.EXIT, 2)
    assert (first.started, first.finished, first.identity, first.warnings) == ("t2", "t3", {"id": "sha"}, ("w",))
    assert second.outputs == (OutputFile("m", digest, 3),)
    assert second.log == LogRef(digest, digest, digest)
    assert to_json(run)["executions"]["e2"]["metrics"] == {"loss": 0.1}


def test_the_exit_code_of_the_command_is_that_of_the_last_end() -> None:
    ended = {"type": "run-finished", "time": "t9", "state": "failed", "exit_code": 41}
    entries = [created("a"), moved("a", "failed"), ended]
    assert fold(entries).exit_code == 41
    entries += [{"type": "run-resumed", "time": "t10", "owner": OWNER, "again": ["a"]}]
    assert fold(entries).exit_code is None
    assert fold([*entries, {"type": "run-finished", "time": "t11", "state": "interrupted"}]).exit_code is None


REUSED = {"execution": "e0", "counter": 3, "run": "r0"}


def test_a_node_for_which_an_earlier_execution_stands_tells_which() -> None:
    run = fold(
        [
            created("a", "b"),
            moved("a", "reused", detail="execution 3 of run 1", reused=REUSED),
            moved("b", "ready"),
            {"type": "run-finished", "time": "t", "state": "succeeded"},
        ]
    )
    node = run.nodes["a"]
    assert (node.state, node.reused, node.detail) == (State.REUSED, Reused("e0", 3, "r0"), "execution 3 of run 1")
    assert (node.executions, run.nodes["b"].reused, run.executions) == ((), None, {})
    assert list(standing(run)) == [node.reused]
    assert to_json(run)["nodes"]["a"]["reused"] == {**REUSED, "accepted": False, "taken": False}
    said = fold([created("a"), moved("a", "reused", reused={**REUSED, "accepted": True})]).nodes["a"].reused
    assert said is not None
    assert said.accepted


def test_an_execution_tells_its_key_and_what_it_opened() -> None:
    read = {"code": ["a.py", "b.py"], "inputs": ["data/x"]}
    entries = [created("a"), execution("a", "e") | {"key": hash_bytes(b"k")}, finished("e", read=read)]
    one = fold(entries).executions["e"]
    assert (one.key, one.read) == (hash_bytes(b"k"), Reading(("a.py", "b.py"), None, ("data/x",)))
    doubtful = fold([*entries[:-1], finished("e", read={"code": None, "doubt": "too many"})]).executions["e"]
    assert doubtful.read == Reading(None, "too many", None)


def test_a_journal_from_before_there_was_reuse_is_told_as_one_of_which_nothing_is_known() -> None:
    run = fold([created("a"), moved("a", "ready"), execution("a", "e"), finished("e"), moved("a", "succeeded")])
    one = run.executions["e"]
    assert (one.key, one.read, run.nodes["a"].reused, list(standing(run))) == (None, UNWATCHED, None, [])
    assert UNWATCHED.code is None


def test_a_run_tells_what_it_was_told_about_reuse() -> None:
    entry = created("a")
    entry["run"]["reuse"] = {"on": True, "refresh": ["a"], "code_key": "bytes", "sources": ["/remote"]}
    assert fold([entry]).reuse == ReuseOptions(on=True, refresh=("a",), code_key="bytes", sources=("/remote",))
    del entry["run"]["reuse"]["sources"]
    told = fold([entry]).reuse
    assert told is not None
    assert told.sources is None
    assert fold([created("a")]).reuse is None


def test_an_interrupted_run_keeps_what_was_reused_before() -> None:
    run = interrupted(fold([created("a", "b"), moved("a", "reused", reused=REUSED), moved("b", "ready")]))
    assert (run.state, run.nodes["a"].state, run.nodes["b"].state) == ("interrupted", "reused", "skipped")
    assert run.nodes["a"].reused == Reused("e0", 3, "r0")


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [moved("a", "ready")],
        [created("a"), created("a")],
        [created("a"), moved("b", "ready")],
        [created("a"), moved("a", "asleep")],
        [created("a"), execution("b", "e")],
        [created("a"), moved("a", "reused", reused={"execution": "e0"})],
        [created("a"), moved("a", "reused", reused=None)],
        [created("a"), execution("a", "e"), finished("e", read=["a.py"])],
        [created("a"), execution("a", "e"), execution("a", "e")],
        [created("a"), started("e")],
        [created("a"), finished("e")],
        [created("a"), execution("a", "e"), finished("e", outputs=[{"name": "x"}])],
        [created("a"), {"type": "what"}],
        [created("a"), {}],
        [created("a"), None],
        [{"type": "run-created", "time": "t", "run": {}}],
    ],
)
def test_entries_that_do_not_follow_are_a_broken_journal(entries: Entries) -> None:
    with pytest.raises(BrokenJournal):
        fold(entries)


def test_a_story_gives_the_same_run_at_every_step_as_a_fold() -> None:
    entries = [created("a", "b"), moved("a", "ready"), execution("a", "e"), started("e"), finished("e")]
    story = Story()
    for count, entry in enumerate(entries, 1):
        story.add(entry)
        assert story.run() == fold(entries[:count])
    assert story.execution("e") == story.run().executions["e"]


def test_a_run_taken_from_a_story_does_not_change_any_more() -> None:
    story = Story()
    story.add(created("a"))
    before = story.run()
    story.add(execution("a", "e"))
    assert before.executions == {}
    assert before.nodes["a"].executions == ()


def taken(id: str, name: str) -> dict[str, Any]:
    return {"type": "output-taken", "time": "t", "id": id, "output": {"name": name, "digest": "d", "size": 1}}


def test_what_a_running_execution_left_is_there_at_once_and_its_end_has_the_last_word() -> None:
    story = Story()
    for entry in (created("a"), execution("a", "e1"), taken("e1", "m"), taken("e1", "m~2")):
        story.add(entry)
    assert [file.name for file in story.run().executions["e1"].outputs] == ["m", "m~2"]
    assert story.execution("e1") == story.run().executions["e1"]
    story.add(finished("e1", outputs=[{"name": "m", "digest": "d", "size": 1}]))
    assert [file.name for file in story.run().executions["e1"].outputs] == ["m"]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (Code(hash_bytes(b""), commit="c0ffee"), "c0ffee"),
        (Code(hash_bytes(b""), commit="c0ffee", dirty=True), f"~{hash_bytes(b'')}"),
        (Code(hash_bytes(b"")), f"~{hash_bytes(b'')}"),
    ],
)
def test_code_is_known_by_its_commit_only_where_that_has_exactly_this_code(code: Code, told: str) -> None:
    assert code.identifier == told


def test_an_end_that_names_no_outputs_leaves_those_that_were_taken_before() -> None:
    run = fold([created("a"), execution("a", "e1"), taken("e1", "m"), finished("e1", "interrupted")])
    assert [file.name for file in run.executions["e1"].outputs] == ["m"]


class Name(str):
    """Counts how often a name was compared with another: a list that is searched compares with each of its items."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other: object) -> bool:
        Name.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def nodes_that_run_once(count: int) -> Entries:
    ids = [Name(f"e{number}") for number in range(count)]
    names = [Name(f"n{number}") for number in range(count)]
    entries = [created(*names)]
    for name, id in zip(names, ids, strict=True):
        entries += [moved(name, "running"), execution(name, id), started(id), taken(id, "m"), finished(id)]
    return entries


def a_node_that_runs_often(count: int) -> Entries:
    return [created("a"), *(execution("a", Name(f"e{number}")) for number in range(count))]


def an_execution_that_leaves_much(count: int) -> Entries:
    return [created("a"), execution("a", "e"), *(taken("e", f"output {number}") for number in range(count))]


@pytest.mark.parametrize("journal", [nodes_that_run_once, a_node_that_runs_often, an_execution_that_leaves_much])
def test_a_journal_is_folded_in_linear_time_and_space(journal: Callable[[int], Entries]) -> None:
    def costs(count: int) -> tuple[int, int, int]:
        """Instructions, comparisons and allocated bytes."""
        entries, story = journal(count), Story()
        Name.compared = 0
        executed, compared = steps(lambda: fold(entries)), Name.compared
        return executed, compared, allocated([*(partial(story.add, entry) for entry in entries), story.run])

    for small, large in zip(costs(50), costs(500), strict=True):
        assert large < 20 * small + 100, "ten times the entries may cost some ten times as much"


def test_an_interrupted_run_names_what_was_under_way_and_skips_the_rest() -> None:
    run = fold(
        [
            created("done", "runs", "starts", "waits"),
            execution("done", "e1"),
            finished("e1"),
            moved("done", "succeeded"),
            execution("runs", "e2"),
            started("e2"),
            moved("runs", "running"),
            moved("starts", "starting"),
        ]
    )
    after = interrupted(run)
    assert after.state is State.INTERRUPTED
    assert {name: node.state for name, node in after.nodes.items()} == {
        "done": "succeeded",
        "runs": "interrupted",
        "starts": "interrupted",
        "waits": "skipped",
    }
    assert [one.state for one in after.executions.values()] == ["succeeded", "interrupted"]
    assert interrupted(after) == after


def test_the_entries_that_end_an_interrupted_run_tell_what_readers_computed() -> None:
    entries = [created("a", "b", "c"), execution("a", "e"), started("e"), moved("a", "running"), moved("b", "queued")]
    run = fold(entries)
    told = fold([*entries, *({**entry, "time": None} for entry in last_entries(run))])
    assert told == interrupted(run)
