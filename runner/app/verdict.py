"""Whether what was asked for is sound: the schema's verdict on a file, remembered by the file's digest.

Importing the schema library costs more than a whole step; a file that has not changed is not checked again.
"""

import importlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from runner import __version__
from runner.digest import hash_bytes
from runner.errors import ExitCode, Location, MlrunError, Problem, Severity
from runner.spec.model import Pipeline, Project, Step


def refuse_broken(project: Project, asked: Iterable[Step | Pipeline], cache: Path) -> None:
    """Raise MlrunError (code SPEC) with all errors of the items that were asked for; others may have errors."""
    problems = [problem for problem in _problems(project, cache) if problem.severity is Severity.ERROR]
    if not problems:
        return
    lint = importlib.import_module("runner.spec.lint")
    found = [problem for item in asked for problem in lint.problems_within(project, problems, item)]
    if found:
        first, *others = sorted(set(found), key=lambda problem: problem.location)
        raise MlrunError(first.message, code=ExitCode.SPEC, location=first.location, hint=first.hint, problems=others)


def _problems(project: Project, cache: Path) -> list[Problem]:
    file = cache / f"verdict-{hash_bytes(__version__.encode() + b'/' + project.data)}.json"
    try:
        rows = json.loads(file.read_bytes())
        return [
            Problem(Severity(row[0]), row[1], row[2], Location(project.file, row[3], row[4]), row[5]) for row in rows
        ]
    except (OSError, ValueError, TypeError, IndexError):
        pass
    problems: list[Problem] = importlib.import_module("runner.spec.schema").validate(project.tree, project.file)
    rows = [[p.severity, p.code, p.message, p.location.line, p.location.column, p.hint] for p in problems]
    _remember(file, json.dumps(rows))
    return problems


def _remember(file: Path, text: str) -> None:
    """A verdict that cannot be kept is found again; a store that does not exist yet is not begun here."""
    try:
        temporary = file.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(file)
    except OSError:
        return
