"""Whether an earlier execution stands for another, and what is in the way."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from runner.digest import Digest, hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.reuse.code import Code
from runner.reuse.content import CodeKey, Contents
from runner.reuse.decide import (
    Accepted,
    CodeDiffers,
    Hit,
    OutputsGone,
    Rule,
    TooOld,
    Unreusable,
    decide,
    reading_key,
)
from runner.state import Reason, State
from runner.store.record import Execution, Reading
from runner.store.tree import FILE, TreeEntry


def code(**files: str) -> Code:
    return Code(TreeEntry(path, FILE, hash_bytes(text.encode()), len(text)) for path, text in sorted(files.items()))


def gone(digest: Digest) -> bytes:
    raise MlrunError("it is gone", code=ExitCode.STORE)


THEN, NOW = Digest("then"), Digest("now")


@dataclass
class Seen:
    """A store of two snapshots."""

    codes: Mapping[Digest, Code]
    lost: str | None = None
    old: float = 10.0
    came: str | None = None
    contents: Contents = field(default_factory=lambda: Contents(gone, CodeKey.BYTES))

    def code(self, snapshot: Digest) -> Code | None:
        return self.codes.get(snapshot)

    def lost_output(self, execution: Execution) -> str | None:
        return self.lost

    def age(self, execution: Execution) -> float:
        return self.old

    def source(self, execution: Execution) -> str | None:
        return self.came


def execution(counter: int = 1, **changes: Any) -> Execution:
    made = Execution(f"e{counter}", counter, "n", "s", {"snapshot": THEN}, State.SUCCEEDED, "t", read=Reading(("a",)))
    return replace(made, **changes)


SAME = {THEN: code(a="1", b="1"), NOW: code(a="1", b="2")}
OTHER = {THEN: code(a="1", b="1"), NOW: code(a="2", b="2")}


def test_the_newest_that_fits_stands() -> None:
    assert decide(NOW, [execution(3), execution(2)], Seen(SAME), Rule()) == Hit(execution(3))
    failed = execution(3, state=State.FAILED)
    assert decide(NOW, [failed, execution(2)], Seen(SAME), Rule()) == Hit(execution(2))
    assert decide(NOW, [], Seen(SAME), Rule()) is None


@pytest.mark.parametrize(
    ("one", "seen", "rule", "cause"),
    [
        (execution(), Seen(OTHER), Rule(), CodeDiffers(("a",), None)),
        (execution(read=Reading(None, "why")), Seen(SAME), Rule(), CodeDiffers(("b",), "why")),
        (execution(), Seen(SAME, lost="model"), Rule(), OutputsGone("model")),
        (execution(), Seen(SAME), Rule(most=9.0), TooOld(10.0, 9.0)),
        (execution(), Seen(SAME, old=-1.0), Rule(most=9.0), None),
        (execution(state=State.FAILED), Seen(SAME), Rule(), Unreusable("execution 1 did not succeed")),
        (execution(), Seen({NOW: SAME[NOW]}), Rule(), None),
        (execution(), Seen({THEN: SAME[THEN]}), Rule(), None),
    ],
    ids=[
        "code",
        "all code",
        "outputs",
        "age",
        "an age below 0",
        "failure",
        "its code is gone",
        "the code of now is gone",
    ],
)
def test_what_is_in_the_way_is_told(one: Execution, seen: Seen, rule: Rule, cause: object) -> None:
    found = decide(NOW, [one], seen, rule)
    assert isinstance(found, tuple)
    assert found[0] == one
    assert found[1] == cause if cause is not None else isinstance(found[1], Unreusable)


def test_a_trial_that_the_condition_of_its_task_ended_stands_for_nothing() -> None:
    early = execution(reason=Reason.STOP_CONDITION)
    found = decide(NOW, [early], Seen(SAME), Rule())
    assert isinstance(found, tuple) and isinstance(found[1], Unreusable) and "of its task" in found[1].why
    own = execution(reason=Reason.STOP_CONDITION, job={"snapshot": THEN, "stop_condition": "loss < 1"})
    assert decide(NOW, [own], Seen(SAME), Rule()) == Hit(own)


def test_what_a_policy_leaves_out_is_not_in_the_way() -> None:
    found = decide(NOW, [execution()], Seen(OTHER), Rule(counts=lambda path: path != "a"))
    assert found == Hit(execution())


@pytest.mark.parametrize(
    ("source", "sources", "stands"),
    [
        (None, frozenset(), True),
        ("/lab", frozenset(), False),
        ("/lab", frozenset({"/other"}), False),
        ("/lab", frozenset({"/lab"}), True),
        ("/lab", None, True),
    ],
)
def test_what_came_from_another_store_stands_only_where_that_is_believed(
    source: str | None, sources: frozenset[str] | None, stands: bool
) -> None:
    seen = Seen(SAME, came=source)
    found = decide(NOW, [execution(2), execution(1)], seen, Rule(sources=sources))
    assert isinstance(found, Hit) is stands
    if not stands:
        assert isinstance(found, tuple) and isinstance(found[1], Unreusable) and "`/lab`" in found[1].why
        said = accepted(replace(seen, codes=OTHER), execution())
        assert decide(NOW, [], replace(seen, codes=OTHER), Rule(sources=sources), [said]) is None


def test_a_clock_that_was_set_back_spoils_nothing_where_no_age_is_asked_for() -> None:
    assert decide(NOW, [execution()], Seen(SAME, old=-1.0), Rule()) == Hit(execution())


def accepted(seen: Seen, one: Execution) -> Accepted:
    key = reading_key(one, seen.codes[NOW], seen, Rule())
    assert key is not None
    return Accepted(one, key)


def test_what_was_accepted_stands_while_what_it_read_is_as_it_was_then() -> None:
    said = accepted(Seen(OTHER), execution())
    assert decide(NOW, [], Seen(OTHER), Rule(), [said]) == Hit(execution(), accepted=True)
    assert decide(NOW, [], Seen({**OTHER, NOW: code(a="2", b="9")}), Rule(), [said]) == Hit(execution(), accepted=True)
    for other in (code(a="3", b="2"), code(b="2")):
        assert decide(NOW, [], Seen({**OTHER, NOW: other}), Rule(), [said]) is None


@pytest.mark.parametrize(
    ("one", "seen", "rule"),
    [
        (execution(state=State.FAILED), Seen(OTHER), Rule()),
        (execution(), Seen(OTHER, lost="model"), Rule()),
        (execution(), Seen(OTHER), Rule(most=9.0)),
    ],
    ids=["failure", "outputs", "age"],
)
def test_to_accept_a_change_is_not_to_accept_what_cannot_stand_for_anything(
    one: Execution, seen: Seen, rule: Rule
) -> None:
    assert decide(NOW, [], seen, rule, [accepted(seen, one)]) is None


def test_who_is_really_the_same_wins_over_who_was_accepted() -> None:
    said = Accepted(execution(1), Digest("x"))
    assert decide(NOW, [execution(2)], Seen(SAME), Rule(), [said]) == Hit(execution(2))


def test_what_an_execution_read_is_unknown_where_its_code_is_gone() -> None:
    assert reading_key(execution(), SAME[NOW], Seen({NOW: SAME[NOW]}), Rule()) is None
    assert reading_key(execution(), None, Seen(SAME), Rule()) is None
