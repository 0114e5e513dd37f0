import pytest

from runner.change.likeness import renamed
from runner.change.value import WIDTH, edits, frozen, pair


def test_values_of_different_types_differ() -> None:
    assert len({frozen(value) for value in (1, 1.0, "1", True, None, [1], {"a": 1})}) == 7
    assert frozen({"a": 1, "b": [2]}) == frozen({"b": [2], "a": 1})
    assert frozen(float("nan")) == frozen(float("nan"))


@pytest.mark.parametrize(("before", "after"), [("x" * 500 + "a" + "y" * 500, "x" * 500 + "b" + "y" * 500), (1, "1")])
def test_the_difference_of_two_values_is_seen(before: object, after: object) -> None:
    one, other = pair(before, after)
    assert one is not None
    assert other is not None
    assert one != other
    assert max(len(one), len(other)) <= WIDTH


def test_lines_that_stay_are_no_edits() -> None:
    assert edits(["a", "b", "c"], ["a", "x", "c", "d"]) == [("b", "x"), (None, "d")]
    assert edits(list(range(2000)), list(range(1, 2001))) == [(0, None), (None, 2000)]


def test_what_is_equal_is_renamed_before_what_is_alike() -> None:
    gone = {"a": frozenset("pqrs"), "b": frozenset("pqrx")}
    assert renamed(gone, {"new": frozenset("pqrx")}) == {"new": "b"}
    assert renamed(gone, {"new": frozenset("pqrst"), "other": frozenset("xyz")}) == {"new": "a"}
    assert renamed({"a": frozenset()}, {"b": frozenset()}) == {}


@pytest.mark.parametrize("before", ["", "a", "ab", "aab", "abcabc", "xyz"])
@pytest.mark.parametrize("after", ["", "a", "ba", "aabb", "abxcabc", "zyx"])
def test_edits_lead_from_one_list_to_the_other(before: str, after: str) -> None:
    left = [item for item, _ in edits(list(before), list(after)) if item is not None]
    come = [item for _, item in edits(list(before), list(after)) if item is not None]
    assert sorted([*before, *come]) == sorted([*after, *left])
    assert len(left) <= len(before)
    assert len(come) <= len(after)
