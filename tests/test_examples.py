"""Drop a file into `examples/valid`, `warning` or `invalid`, and it is linted.

A file of the last two has a `.txt` beside it with every line that the linter prints about it; `make snapshots` writes
them anew. The first comment of each file says what real-world form it stands for.
"""

import os
from collections import Counter
from pathlib import Path

import pytest

from runner.errors import Problem, Severity
from runner.spec.check.code import CODES
from runner.spec.lint import lint
from runner.spec.project import load_project
from runner.spec.report import render_problem
from runner.spec.source import source_lines

EXAMPLES = Path(__file__).parent / "examples"
FEWEST = 100
WRITE = "WRITE_SNAPSHOTS" in os.environ


def files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (EXAMPLES / folder).glob("*.yaml"))


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def problems_of(path: Path) -> list[Problem]:
    return lint(load_project(path, path.name))


@pytest.mark.parametrize("path", files("valid"), ids=name_of)
def test_a_valid_example_has_no_problem(path: Path) -> None:
    assert [str(problem) for problem in problems_of(path)] == []


@pytest.mark.parametrize("path", files("warning"), ids=name_of)
def test_a_warning_example_has_warnings_only(path: Path) -> None:
    assert {problem.severity for problem in problems_of(path)} == {Severity.WARNING}


@pytest.mark.parametrize("path", files("invalid"), ids=name_of)
def test_an_invalid_example_has_an_error(path: Path) -> None:
    assert Severity.ERROR in {problem.severity for problem in problems_of(path)}


@pytest.mark.parametrize("path", files("warning", "invalid"), ids=name_of)
def test_the_problems_of_an_example_are_printed_as_recorded(path: Path) -> None:
    lines = source_lines(path.read_bytes())
    printed = "".join(render_problem(problem, lines) + "\n" for problem in problems_of(path))
    if WRITE:
        path.with_suffix(".txt").write_text(printed, "utf-8")
    assert printed == path.with_suffix(".txt").read_text("utf-8"), "if this is meant: make snapshots"


@pytest.mark.parametrize("path", files("valid", "warning", "invalid"), ids=name_of)
def test_an_example_says_first_what_it_stands_for(path: Path) -> None:
    data = path.read_bytes()
    text = data.decode("utf-16" if data.startswith(b"\xff\xfe") else "utf-8-sig", "replace")
    comment = next(line for line in text.splitlines() if line.startswith("#"))
    assert len(comment.split()) > 3


def test_there_are_many_examples_and_each_is_another() -> None:
    every = files("valid", "warning", "invalid")
    assert len(every) >= FEWEST
    assert max(Counter(path.stem for path in every).values()) == 1


def test_every_snapshot_belongs_to_an_example() -> None:
    assert {path.with_suffix(".yaml") for path in EXAMPLES.rglob("*.txt")} == set(files("warning", "invalid"))


def test_every_problem_code_has_an_example() -> None:
    seen = {problem.code for path in files("warning", "invalid") for problem in problems_of(path)}
    assert seen == set(CODES)
