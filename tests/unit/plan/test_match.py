"""Which files the key of an edge means, and under which names the step behind it sees them."""

from dataclasses import replace

import pytest

from runner.errors import Location
from runner.job import InputFile
from runner.plan.match import match_names, place_files, rename_single, tell_apart
from runner.spec.model import Input, KeepDirectories


def file(name: str) -> InputFile:
    return InputFile(name, "0" * 64, 1, f"datum://{name}")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("a.csv", ("a.csv",)),
        ("*.csv", ("a.csv", "deep/b.csv")),
        ("d*", ("deep/b.csv", "deep/c.txt")),
        ("deep/*.csv", ("deep/b.csv",)),
        ("b.csv", ("deep/b.csv",)),
        ("*", ("a.csv", "deep/b.csv", "deep/c.txt")),
        ("*.pkl", ()),
        ("nothing", ()),
    ],
)
def test_an_edge_key_matches_paths_and_base_names_and_crosses_folders(key: str, expected: tuple[str, ...]) -> None:
    assert match_names(key, ("a.csv", "deep/b.csv", "deep/c.txt")) == (expected, None)


def test_an_exact_name_wins_over_its_reading_as_a_pattern() -> None:
    assert match_names("a[1].csv", ("a1.csv", "a[1].csv")) == (("a[1].csv",), None)


def test_a_key_without_a_file_is_taken_as_a_prefix_then_as_a_folder() -> None:
    assert match_names("train", ("train-images.gz", "test.gz")) == (("train-images.gz",), "train*")
    assert match_names("sets/x", ("sets/x1/a", "sets/y")) == (("sets/x1/a",), "sets/x*")
    assert match_names("images", ("images/a.png",)) == (("images/a.png",), "images*")


def declared(keep: KeepDirectories = KeepDirectories.NONE, filename: str | None = None) -> Input:
    return Input("data", Location("valohai.yaml", 1, 1), filename=filename, keep_directories=keep)


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (KeepDirectories.NONE, ["x.png", "y.png"]),
        (KeepDirectories.SUFFIX, ["cat/x.png", "dog/y.png"]),
        (KeepDirectories.FULL, ["set/cat/x.png", "set/dog/y.png"]),
    ],
)
def test_files_keep_as_much_of_their_path_as_the_input_asks_for(keep: KeepDirectories, expected: list[str]) -> None:
    files = (file("set/cat/x.png"), file("set/dog/y.png"))
    assert [placed.name for placed in place_files(declared(keep), files, "set/*.png")] == expected


def test_filename_renames_a_single_file_only() -> None:
    wish = declared(filename="one.csv")
    assert [given.name for given in rename_single(wish, (file("d/a.csv"),))] == ["one.csv"]
    assert [given.name for given in rename_single(wish, (file("a"), file("b")))] == ["a", "b"]
    assert rename_single(declared(), (file("a"),)) == (file("a"),)


def test_a_file_that_is_moved_or_renamed_keeps_its_properties() -> None:
    rich = replace(file("d/a.csv"), metadata={"rows": 3})
    assert place_files(declared(), (rich,), "*")[0].metadata == {"rows": 3}
    assert rename_single(declared(filename="x"), (rich,))[0].metadata == {"rows": 3}


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (KeepDirectories.NONE, ["1-x.png", "2-x.png"]),
        (KeepDirectories.SUFFIX, ["1/cat/x.png", "2/cat/x.png"]),
        (KeepDirectories.FULL, ["1/set/cat/x.png", "2/set/cat/x.png"]),
    ],
)
def test_the_files_of_trials_have_the_trials_number_before_them_or_as_a_folder(
    keep: KeepDirectories, expected: list[str]
) -> None:
    wish = declared(keep)
    placed = place_files(wish, (file("set/cat/x.png"),), "set/*.png")
    assert [one.name for trial in (1, 2) for one in tell_apart(wish, placed, trial)] == expected
