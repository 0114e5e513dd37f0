"""The page of promises: every test that it names exists, and every promise has one."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
PROOFS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


def names_in(file: Path) -> set[str]:
    """The names of the tests of a file."""
    tree = ast.parse(file.read_bytes())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("file", "name"), PROOFS)
def test_every_proof_is_a_test(file: str, name: str) -> None:
    assert name.startswith("test_")
    assert (ROOT / file).is_file(), f"there is no {file}"
    assert name in names_in(ROOT / file), f"{file} has no {name}"


def test_every_promise_has_a_proof() -> None:
    promises = PAGE.split("## Figures")[0]
    heads = ("| what happens |", "| what is promised |")
    rows = [line for line in promises.splitlines() if line.startswith("| ") and not line.startswith(heads)]
    assert len(rows) > 25
    assert [row for row in rows if "::test_" not in row] == []


def test_what_is_not_promised_is_said() -> None:
    assert len(re.findall(r"^- \*\*", PAGE.split("## What is not promised")[1], flags=re.MULTILINE)) >= 8
