"""Names for files that come again."""

from runner.worker.name import Names


def test_a_path_that_comes_again_gets_a_version() -> None:
    names = Names()
    assert [names.give(path) for path in ("m", "m", "n", "m")] == [("m", 1), ("m~2", 2), ("n", 1), ("m~3", 3)]


def test_a_name_that_looks_like_a_version_is_a_path_like_any_other() -> None:
    names = Names(["m", "m~2"])
    given = [names.give(path) for path in ("m~2", "m", "m~2", "m~3")]
    assert given == [("m~2~2", 2), ("m~3", 3), ("m~2~3", 3), ("m~3~2", 2)]


def test_a_hundred_thousand_versions_of_one_path_are_named_one_by_one() -> None:
    names = Names()
    given = [names.give("m")[0] for _ in range(100_000)]
    assert (given[1], given[-1]) == ("m~2", "m~100000")
