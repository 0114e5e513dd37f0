"""The page on compatibility speaks of every key of the schema, once, and of no other."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.spec import parse, pipeline
from runner.spec.schema import load_schema

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
STATUSES = {"honoured", "ignored with a warning", "refused", "for people only"}
DIFFERENCES = "Deliberate differences"

Row = tuple[str, ...]


def sections() -> dict[str, str]:
    """The text below each heading of the second level."""
    parts = re.split(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(text: str) -> Iterator[Row]:
    """The cells of every row of a text's tables, without their heads."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        head = number + 1 < len(lines) and lines[number + 1].startswith("|---")
        if line.startswith("|") and not line.startswith("|---") and not head:
            yield tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1])


def keys() -> list[tuple[str, Row]]:
    return [(name, row) for name, text in sections().items() if name != DIFFERENCES for row in rows(text)]


def statuses(section: str) -> dict[str, str]:
    return {row[0].strip("`"): row[1] for row in rows(sections()[section])}


def test_the_rows_are_the_keys_of_the_schema() -> None:
    known = [
        (name, f"`{key}`")
        for name, definition in load_schema()["$defs"].items()
        for key in definition.get("properties", {})
    ]
    assert sorted((name, row[0]) for name, row in keys()) == sorted(known)


def test_no_cell_is_empty_and_every_status_is_one_of_four() -> None:
    for name, row in keys():
        assert len(row) == 3, (name, row)
        assert all(row), (name, row)
        assert row[1] in STATUSES, (name, row)


def test_every_difference_has_both_readings_and_a_reason() -> None:
    found = list(rows(sections()[DIFFERENCES]))
    assert len(found) > 30
    for row in found:
        assert len(row) == 4, row
        assert all(row), row


@pytest.mark.parametrize(
    ("section", "ignored"),
    [
        ("step", parse.IGNORED),
        ("pipeline", ()),
        ("override", pipeline.IGNORED_OVERRIDES),
        ("edge", pipeline.IGNORED_OF_EDGES),
        ("policy", ()),
    ],
)
def test_the_keys_that_a_run_warns_of_are_those_that_the_page_calls_ignored(
    section: str, ignored: tuple[str, ...]
) -> None:
    said = {key for key, status in statuses(section).items() if status == "ignored with a warning"}
    assert said == set(ignored)


def test_every_key_that_is_only_for_people_is_for_people_in_every_object() -> None:
    people = {"description", "icon", "category", "widget", "outputs", "settings"}
    for name, row in keys():
        if row[0].strip("`") in people:
            assert row[1] == "for people only", (name, row)
