"""Problems as SARIF, against that part of the standard's schema which the log uses, and the rules beside it."""

import re
from collections.abc import Sequence
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from runner.errors import Location, Problem, Severity
from runner.spec.sarif import sarif_log

TEXT = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string", "minLength": 1}, "markdown": {"type": "string"}},
    "additionalProperties": False,
}
POSITION = {"type": "integer", "minimum": 1}


def closed(required: str, **properties: Any) -> dict[str, Any]:
    """An object with these properties and no others."""
    names = {name.replace("dollar_", "$"): schema for name, schema in properties.items()}
    return {"type": "object", "required": required.split(), "properties": names, "additionalProperties": False}


RULE = closed("id shortDescription", id={"type": "string"}, shortDescription=TEXT, fullDescription=TEXT, help=TEXT)
ARTIFACT = closed("uri", uri={"type": "string", "pattern": "^[!-~]+$"}, uriBaseId={"const": "%SRCROOT%"})
REGION = closed("startLine", startLine=POSITION, startColumn=POSITION, endLine=POSITION, endColumn=POSITION)
PHYSICAL = closed("artifactLocation region", artifactLocation=ARTIFACT, region=REGION)
RESULT = closed(
    "ruleId message locations",
    ruleId={"type": "string"},
    ruleIndex={"type": "integer", "minimum": 0},
    level={"enum": ["error", "warning"]},
    message=TEXT,
    locations={"type": "array", "minItems": 1, "items": closed("physicalLocation", physicalLocation=PHYSICAL)},
    partialFingerprints={"type": "object", "additionalProperties": {"type": "string"}},
)
DRIVER = closed(
    "name rules",
    name={"type": "string"},
    semanticVersion={"type": "string", "pattern": r"^\d+\.\d+\.\d+"},
    rules={"type": "array", "items": RULE, "uniqueItems": True},
)
RUN = closed(
    "tool results",
    tool=closed("driver", driver=DRIVER),
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    results={"type": "array", "items": RESULT},
)
LOG = closed(
    "version runs",
    dollar_schema={"type": "string"},
    version={"const": "2.1.0"},
    runs={"type": "array", "minItems": 1, "items": RUN},
)


def problem(code: str = "some-code", line: int = 1, message: str = "message", file: str = "f.yaml") -> Problem:
    return Problem(Severity.WARNING, code, message, Location(file, line, 3), "do this")


def log(problems: Sequence[Problem], lines: Sequence[str] = ("a: b",) * 9) -> dict[str, Any]:
    """The one run of a log, which keeps the standard."""
    document = sarif_log(
        problems,
        version="1.2.3",
        meanings={"some-code": "Something is wrong."},
        path=lambda name: name,
        line=lambda one: lines[one.location.line - 1],
        end_column=lambda one: 5,
    )
    Draft202012Validator(LOG).validate(document)
    run: dict[str, Any] = document["runs"][0]
    return run


def uri(path: str) -> dict[str, str]:
    location = log([problem(file=path)])["results"][0]["locations"][0]
    artifact: dict[str, str] = location["physicalLocation"]["artifactLocation"]
    return artifact


def test_a_log_without_problems_keeps_the_standard() -> None:
    assert log([])["results"] == []


def test_a_result_points_to_its_rule_and_its_place() -> None:
    run = log([problem("b", 2), problem("a", 3), problem("some-code", 4)])
    rules = run["tool"]["driver"]["rules"]
    assert [rules[one["ruleIndex"]]["id"] for one in run["results"]] == ["b", "a", "some-code"]
    assert rules[2]["shortDescription"] == {"text": "Something is wrong."}
    region = run["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 2, "startColumn": 3, "endLine": 2, "endColumn": 5}
    assert run["results"][0]["message"] == {"text": "message\nhint: do this"}
    assert run["results"][0]["level"] == "warning"


def test_a_path_is_an_address_below_the_root_of_the_repository() -> None:
    assert uri("a/b.yaml") == {"uri": "a/b.yaml", "uriBaseId": "%SRCROOT%"}
    assert uri("a b/ü%:#?.yaml")["uri"] == "a%20b/%C3%BC%25%3A%23%3F.yaml"
    assert uri("bad\udcff.yaml")["uri"] == "bad%FF.yaml"
    assert uri("/tmp/a b.yaml") == {"uri": "file:///tmp/a%20b.yaml"}


def test_a_fingerprint_stays_when_other_lines_come() -> None:
    before = log([problem(line=1), problem(line=3)], ["x: 1", "", "y: 2"])
    after = log([problem(line=2), problem(line=4)], ["", "  x: 1", "", "y: 2"])
    prints = [[one["partialFingerprints"] for one in run["results"]] for run in (before, after)]
    assert prints[0] == prints[1]


def test_fingerprints_of_like_lines_differ() -> None:
    results = log([problem(line=1), problem(line=2), problem("b", 1), problem(line=1, file="g.yaml")])["results"]
    assert len({str(one["partialFingerprints"]) for one in results}) == 4


@pytest.mark.parametrize("message", ["[click](http://example.org)", "\x1b[31m[a](1)"])
def test_a_message_of_a_foreign_file_holds_no_link(message: str) -> None:
    text = log([problem(message=message)])["results"][0]["message"]["text"]
    assert not re.search(r"(?<!\\)\[[^\]]*(?<!\\)\]\(", text)
    assert "\x1b" not in text


def test_a_message_holds_no_placeholder() -> None:
    text = log([problem(message="{0} and {parameter:a}")])["results"][0]["message"]["text"]
    assert text.startswith("{{0}} and {parameter:a}")
