"""Which executions keep their files, and why."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.upkeep.retention import DEFAULT, Fact, Ground, Policy, Use, Verdict, decide

MINUTE = "2026-01-01T00:{:02}:00.000000Z"


def fact(number: int, **facts: Any) -> Fact:
    """An execution that ended `number` minutes after midnight and made the datum of this number."""
    empty = {"outputs": b"", "inputs": b"", "logs": b"", "got": b""}
    known = {
        "id": f"{number:04}",
        "run": f"run {number}",
        "project": "p1",
        "project_name": "iris",
        "step": "train",
        "counter": number,
        "ended": MINUTE.format(number),
        "succeeded": True,
        "open": False,
        "made": bytes([number]) * 16,
    }
    return Fact(**empty | known | facts)


def got(*numbers: int) -> bytes:
    return b"".join(bytes([number]) * 16 for number in numbers)


def kept(verdicts: dict[str, Verdict]) -> set[int]:
    return {int(id) for id, verdict in verdicts.items() if verdict.is_kept}


def judge(facts: list[Fact], policy: Policy, since: str = MINUTE.format(30), **how: Any) -> dict[str, Verdict]:
    return decide(facts, how.pop("named", {}), policy, since, **how)


def test_the_newest_of_each_step_and_project_stay() -> None:
    facts = [fact(1), fact(2), fact(3), fact(4, step="clean"), fact(5, project="p2")]
    assert kept(judge(facts, Policy(1, None))) == {3, 4, 5}


def test_failures_do_not_drive_out_the_last_that_succeeded() -> None:
    facts = [fact(1), fact(2), *(fact(number, succeeded=False) for number in (3, 4, 5))]
    assert kept(judge(facts, Policy(2, None))) == {1, 2, 4, 5}


def test_the_young_stay_though_they_are_many() -> None:
    verdicts = judge([fact(29), fact(30), fact(31)], Policy(0, 60.0))
    assert kept(verdicts) == {30, 31} and verdicts["0030"].ground is Ground.YOUNG


def test_a_rule_that_is_not_set_keeps_nothing() -> None:
    assert kept(judge([fact(40)], Policy(0, None))) == set()
    assert kept(judge([fact(1)], Policy(None, 60.0))) == set()


def test_a_name_keeps_and_is_the_reason() -> None:
    verdicts = judge([fact(1), fact(2)], Policy(0, None), named={"0001": "aliased as `prod`"})
    assert verdicts["0001"] == (Ground.NAMED, "aliased as `prod`") and kept(verdicts) == {1}


def test_the_maker_of_an_input_stays_one_step_back_and_no_further() -> None:
    facts = [fact(1), fact(2, got=got(1)), fact(3, got=got(2))]
    verdicts = judge(facts, Policy(1, None))
    assert kept(verdicts) == {2, 3}
    assert verdicts["0002"] == (Ground.INPUT, "execution 3, which is kept, got a file of it")


def test_a_run_under_way_keeps_its_executions_and_the_makers_of_their_inputs() -> None:
    facts = [fact(1), fact(2, got=got(1), open=True), fact(3)]
    assert kept(judge(facts, Policy(0, None))) == {1, 2}


def test_other_projects_are_left_alone_and_hold_on_to_nothing_here() -> None:
    facts = [fact(1), fact(2, project="p2", got=got(1))]
    assert kept(judge(facts, Policy(0, None), project="p1")) == {2}


def test_what_lost_its_files_is_young_or_new_in_vain() -> None:
    facts = [fact(1), fact(59)]
    verdicts = judge(facts, Policy(5, 600.0), removed=["0059"])
    assert kept(verdicts) == {1} and verdicts["0059"].ground is Ground.REMOVED


def test_a_name_keeps_what_is_left_of_one_that_lost_its_files() -> None:
    assert kept(judge([fact(1)], Policy(0, None), removed=["0001"], named={"0001": "pinned"})) == {1}


def reused_at(minute: int, run: int = 7) -> Use:
    """A use in a run that ended so many minutes after midnight."""
    return Use(f"{minute:04}", run, MINUTE.format(minute))


def test_one_that_was_reused_lately_is_as_young_as_that_run() -> None:
    verdicts = judge([fact(1, use=reused_at(31)), fact(2, use=reused_at(29)), fact(3)], Policy(0, 60.0))
    assert kept(verdicts) == {1}
    assert verdicts["0001"] == (Ground.REUSED, "run 7 reused it, and is younger than 1 min")


def test_one_that_was_reused_lately_is_among_the_newest_of_its_step() -> None:
    facts = [fact(1, use=reused_at(9)), fact(2), fact(3), fact(4)]
    assert kept(judge(facts, Policy(2, None))) == {1, 4}


def test_a_run_that_is_pinned_or_under_way_keeps_what_stands_for_its_nodes() -> None:
    why = "it stands for a node of run 7, which is pinned"
    verdicts = judge([fact(1), fact(2), fact(3, got=got(2))], Policy(0, None), held={"0001": why, "0003": why})
    assert verdicts["0001"] == (Ground.REUSED, why)
    # It is kept, and so is the maker of its input.
    assert kept(verdicts) == {1, 2, 3}


def test_a_reused_one_that_lost_its_files_before_is_young_in_vain() -> None:
    verdicts = judge([fact(1, use=reused_at(50))], Policy(0, 60.0), removed=["0001"])
    assert verdicts["0001"].ground is Ground.REMOVED


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (DEFAULT, "the newest 10 executions of each step and everything younger than 30 days"),
        (Policy(None, 5400.0), "everything younger than 90 min"),
        (Policy(3, None), "the newest 3 executions of each step"),
        (Policy(None, None), "nothing for its age or number"),
    ],
)
def test_a_policy_says_what_it_keeps(policy: Policy, text: str) -> None:
    assert str(policy) == text


FACTS = st.lists(
    st.builds(
        lambda number, step, succeeded, going, inputs, used: fact(
            number,
            step=step,
            succeeded=succeeded,
            open=going,
            got=got(*inputs),
            use=None if used is None else reused_at(used),
        ),
        st.integers(0, 59),
        st.sampled_from(["train", "clean"]),
        st.booleans(),
        st.booleans(),
        st.lists(st.integers(0, 59), max_size=2),
        st.none() | st.integers(0, 59),
    ),
    max_size=20,
    unique_by=lambda one: one.id,
)


@given(FACTS, st.integers(0, 5), st.sets(st.integers(0, 59)), st.integers(0, 59))
def test_every_execution_gets_a_verdict_and_a_larger_number_never_removes_more(
    facts: list[Fact], last: int, named: set[int], since: int
) -> None:
    names = {f"{number:04}": "pinned" for number in named}
    few, many = (decide(facts, names, Policy(number, 60.0), MINUTE.format(since)) for number in (last, last + 1))
    assert few.keys() == {one.id for one in facts}
    assert kept(few) <= kept(many)
    must = {one.counter for one in facts if one.open or one.counter in named or one.counter >= since}
    assert must <= kept(few)
