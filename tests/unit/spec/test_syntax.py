"""What is said of a slip of YAML's syntax: where it is, and what to type."""

import pytest

from runner.spec.source import read_source

HEAD = "- step:\n    name: x\n"


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("- step\n    name: x\n", (2, 9), "put a `:` behind `step` on line 1"),
        ("- step:\n    name:x\n\n    image: y\n", (4, 10), "put a blank behind the `:` of `name:x` on line 2"),
        (HEAD + "    image:python:3.12\n    inputs: []\n    command: y\n", (3, 5), "of `image:python:3.12` on line 3"),
        (HEAD + "    command\n      - echo\n    image: y\n", (3, 5), "put a `:` behind `command` on line 3"),
        (HEAD + "    inputs:\n      - name:x\n        optional: true\n", (5, 17), "of `name:x` on line 4"),
        (HEAD + "    inputs:\n      - http://x\n        optional: true\n", (5, 17), "check the indentation"),
        (HEAD + "    command: echo\n      image: y\n", (4, 12), "check the indentation"),
        (HEAD + "    command: echo a: b\n", (3, 20), "quotes around text that contains `: `"),
        (HEAD + "    command: [echo {parameters}]\n", (3, 20), "put quotes around text with `{` in it"),
        (HEAD + "    command: [a[1], b]\n", (3, 16), "put quotes around text with `[` in it"),
        (HEAD + "    command: ['a' {}, b]\n", (3, 19), "the `[` on line 3 is never closed"),
        (HEAD + "    command: [echo\n    image: y\n", (4, 10), "the `[` on line 3 is never closed"),
        (HEAD + "    command: |\n    python a.py\n", (4, 5), "the text below `|` begins further right"),
        (HEAD + "    command:\n      - a\n     - b\n", (5, 6), "items of one list begin in the same column"),
        (HEAD + '    command: "C:\\Users"\n', (3, 19), "write the backslash twice"),
        (HEAD + "    command: - echo\n", (3, 14), "stands on a line of its own, below its key"),
        (HEAD + "    command: {a:{b}}\n", (3, 16), "put quotes around text with a `:` in it"),
    ],
)
def test_a_slip_is_told_with_what_to_type(text: str, place: tuple[int, int], hint: str) -> None:
    [problem] = read_source(text.encode(), "f").problems
    assert problem.code == "yaml-syntax"
    assert problem.location.place == place
    assert hint in str(problem.hint)
