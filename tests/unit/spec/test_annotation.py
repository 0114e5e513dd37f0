"""Problems as workflow commands, read back by the rules of GitHub's runner."""

import json
import re

import pytest

from runner.errors import Location, Problem, Severity
from runner.spec.annotation import annotation, inert

HOSTILE = "x\r\n::set-output name=a::b%0A::add-mask::c,line=9::d\n##[add-mask]e\x1b[31m"
COMMANDS = {"error", "warning", "notice", "debug", "add-mask", "set-output", "save-state", "stop-commands", "echo"}


def problem(message: str = "message", hint: str | None = None, file: str = "f.yaml") -> Problem:
    return Problem(Severity.ERROR, "some-code", message, Location(file, 3, 5), hint)


def unescape(text: str) -> str:
    for escape, character in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(escape, character)
    return text


def read(line: str) -> tuple[str, dict[str, str], str] | None:
    """The command that the runner finds in a line of output: its name, properties and message."""
    if line.lstrip().startswith("::"):
        head, found, data = line.lstrip()[2:].partition("::")
        name, _, rest = head.partition(" ")
        if found and name in COMMANDS:
            pairs = [pair.partition("=") for pair in rest.split(",") if pair]
            return name, {key: unescape(value) for key, _, value in pairs}, unescape(data)
    old = re.search(r"##\[([^\] ]*)[^\]]*\](.*)", line)
    return (old[1], {}, old[2]) if old and old[1] in COMMANDS else None


def test_a_problem_is_one_command_with_its_place() -> None:
    assert annotation(problem("no `image`", "add one"), "sub/f.yaml", 9) == (
        "::error file=sub/f.yaml,line=3,col=5,endColumn=9,title=some-code::no `image`%0Ahint: add one"
    )


def test_what_is_escaped_reads_back() -> None:
    line = annotation(problem("50% of a:b,c"), "100%,a:b.yaml", 9)
    assert read(line) == (
        "error",
        {"file": "100%,a:b.yaml", "line": "3", "col": "5", "endColumn": "9", "title": "some-code"},
        "50% of a:b,c",
    )


def test_a_hostile_text_or_name_stays_within_its_command() -> None:
    line = annotation(problem(HOSTILE, HOSTILE), HOSTILE, 9)
    assert len(line.splitlines()) == 1
    assert line.isprintable()
    found = read(line)
    assert found is not None
    assert found[0] == "error"
    assert set(found[1]) == {"file", "line", "col", "endColumn", "title"}
    assert (found[1]["line"], found[1]["title"]) == ("3", "some-code")


def test_standard_input_has_no_file_to_stand_in() -> None:
    line = annotation(problem(file="<stdin>"), None, 9)
    assert line == "::error title=some-code::<stdin>:3:5: message"


@pytest.mark.parametrize("text", [HOSTILE, "::error::x", "  \t::error::x", "a ##[error]x", "\n\n::debug::x"])
def test_other_output_gives_no_command(text: str) -> None:
    assert any(read(line) for line in text.splitlines())
    assert not any(read(line) for line in inert(text).splitlines())


def test_json_that_gives_no_command_says_the_same() -> None:
    document = {"a": HOSTILE, "::b": ["::error::x", "##[error]"]}
    assert json.loads(inert(json.dumps(document, indent=2))) == document


def test_other_text_stays_as_it_is() -> None:
    text = "f.yaml:1:1: error: a::b ## [c]\n  | - step:\n  |   ^"
    assert inert(text) == text
