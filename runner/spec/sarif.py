"""Problems as a log of SARIF 2.1.0 (OASIS), in the subset that GitHub code scanning reads. Pure."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from runner.digest import hash_json
from runner.errors import Problem
from runner.escape import printable

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

ROOT = "%SRCROOT%"
"""The name that GitHub gives to the root of the repository."""

_FINGERPRINT = "mlrunLine/v1"

Line = Callable[[Problem], str]
"""The text of the line at which a problem stands, empty if there is none."""


def sarif_log(
    problems: Sequence[Problem],
    *,
    version: str,
    meanings: Mapping[str, str],
    path: Callable[[str], str],
    line: Line,
    end_column: Callable[[Problem], int],
) -> dict[str, Any]:
    """A log with one run, as JSON values.

    `meanings` has a sentence for every code, `path` gives the path of a file as it was named: relative to the root of
    the repository, or absolute outside it.
    """
    codes = {code: index for index, code in enumerate(sorted({problem.code for problem in problems}))}
    results = [
        _result(
            problem, codes[problem.code], _location(problem, path(problem.location.file), end_column(problem)), mark
        )
        for problem, mark in zip(problems, _fingerprints(problems, path, line), strict=True)
    ]
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "mlrun",
                        "semanticVersion": version,
                        "rules": [_rule(code, meanings.get(code, code)) for code in codes],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": results,
            }
        ],
    }


def _rule(code: str, meaning: str) -> dict[str, Any]:
    return {
        "id": code,
        "shortDescription": {"text": meaning},
        "fullDescription": {"text": meaning},
        "help": {"text": meaning, "markdown": f"`{code}`: {meaning}"},
    }


def _result(problem: Problem, rule: int, location: Mapping[str, Any], fingerprint: str) -> dict[str, Any]:
    return {
        "ruleId": problem.code,
        "ruleIndex": rule,
        "level": str(problem.severity),
        "message": {"text": _message(problem)},
        "locations": [location],
        "partialFingerprints": {_FINGERPRINT: fingerprint},
    }


def _message(problem: Problem) -> str:
    text = printable(problem.message)
    return _literal(f"{text}\nhint: {printable(problem.hint)}" if problem.hint else text)


def _literal(text: str) -> str:
    """Text that holds neither a placeholder such as `{0}` nor a link (SARIF 2.1.0, 3.11.5 and 3.11.6).

    Other braces and brackets stay as they are: no reader takes them for anything, and most show an escape as it is.
    """
    text = re.sub(r"\{(\d+)\}", r"{{\1}}", text)
    return text.replace("[", r"\[").replace("]", r"\]") if "](" in text else text


def _location(problem: Problem, path: str, end_column: int) -> dict[str, Any]:
    place = problem.location
    if PurePath(path).is_absolute():
        artifact = {"uri": f"file://{quote(path, errors='surrogateescape')}"}
    else:
        artifact = {"uri": quote(path, errors="surrogateescape"), "uriBaseId": ROOT}
    region = {"startLine": place.line, "startColumn": place.column, "endLine": place.line, "endColumn": end_column}
    return {"physicalLocation": {"artifactLocation": artifact, "region": region}}


def _fingerprints(problems: Sequence[Problem], path: Callable[[str], str], line: Line) -> list[str]:
    """A name for each problem that stays when other lines come and go: its code, file, line's text, and how many of
    the same stand above it."""
    seen: Counter[str] = Counter()
    found = []
    for problem in problems:
        what = hash_json([problem.code, path(problem.location.file), line(problem).strip()])[:32]
        seen[what] += 1
        found.append(f"{what}:{seen[what]}")
    return found
