"""What was found in files, in each of the formats of `mlrun lint`. Prints nothing."""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import TextIO

from runner import __version__
from runner.cli.stdin import STDIN
from runner.cli.terminal import harmless, paint
from runner.errors import Problem, Severity
from runner.provenance.git import find_repository
from runner.spec.annotation import annotation
from runner.spec.report import end_column, problem_to_json, render_problem
from runner.spec.source import source_lines

_COLOURS = {Severity.ERROR: "31;1", Severity.WARNING: "33"}


@dataclass(frozen=True)
class Linted:
    """A file that was read: its name in messages, its bytes, and what is wrong with them, by place."""

    name: str
    data: bytes
    problems: Sequence[Problem]

    @cached_property
    def lines(self) -> Sequence[str]:
        """The lines of the file, for showing."""
        return source_lines(self.data)

    def line(self, problem: Problem) -> str:
        """The line of a problem, empty if there is none."""
        number = problem.location.line
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    def end_column(self, problem: Problem) -> int:
        """The column behind what a problem is about."""
        return end_column(self.line(problem), problem.location.column)

    def count(self, severity: Severity) -> int:
        """How many problems are of a severity."""
        return sum(problem.severity is severity for problem in self.problems)


def text_report(linted: Sequence[Linted], stream: TextIO) -> str:
    """For people: each problem with its place, its line, a caret and a hint; in colours if `stream` shows them."""
    shown = []
    for one in linted:
        for problem in one.problems:
            mark = paint(f"{problem.severity} {problem.code}:", _COLOURS[problem.severity], stream)
            shown.append(harmless(render_problem(problem, one.lines, mark)))
    return "\n".join(shown)


def json_report(linted: Sequence[Linted]) -> str:
    """For programs: all problems and their numbers."""
    document = {
        "files": len(linted),
        "errors": sum(one.count(Severity.ERROR) for one in linted),
        "warnings": sum(one.count(Severity.WARNING) for one in linted),
        "problems": [problem_to_json(problem) for one in linted for problem in one.problems],
    }
    return harmless(json.dumps(document, indent=2, allow_nan=False))


def github_report(linted: Sequence[Linted]) -> str:
    """For GitHub Actions: an annotation for each problem."""
    return "\n".join(
        annotation(problem, None if one.name == STDIN else repository_path(one.name), one.end_column(problem))
        for one in linted
        for problem in one.problems
    )


def sarif_report(linted: Sequence[Linted]) -> str:
    """For code scanning: a log of SARIF 2.1.0."""
    # Loaded for the one format that needs them.
    from runner.spec.check.code import CODES
    from runner.spec.sarif import sarif_log

    by_name = {one.name: one for one in linted}
    log = sarif_log(
        [problem for one in linted for problem in one.problems],
        version=__version__,
        meanings=CODES,
        path=repository_path,
        line=lambda problem: by_name[problem.location.file].line(problem),
        end_column=lambda problem: by_name[problem.location.file].end_column(problem),
    )
    return harmless(json.dumps(log, indent=2, allow_nan=False))


class Format(StrEnum):
    """What findings are told as."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"
    SARIF = "sarif"


REPORTS: Mapping[Format, Callable[[Sequence[Linted]], str]] = {
    Format.TEXT: lambda linted: text_report(linted, sys.stdout),
    Format.JSON: json_report,
    Format.GITHUB: github_report,
    Format.SARIF: sarif_report,
}


def repository_path(name: str) -> str:
    """The path of a file from the root of the repository, with slashes; absolute if it lies outside."""
    folder = os.path.realpath(os.path.dirname(name) or ".")
    file = os.path.join(folder, os.path.basename(name))
    root = _root(folder)
    if not Path(file).is_relative_to(root):
        return file
    return os.path.relpath(file, root)


@cache
def _root(folder: str) -> str:
    """Where GitHub's paths begin: in the workspace of its runner if that is a checkout, else in the repository.

    A checkout in a subfolder of the workspace is a repository of its own; a submodule is part of the one around it.
    """
    workspace = os.environ.get("GITHUB_WORKSPACE")
    if workspace:
        workspace = os.path.realpath(workspace)
        if os.path.lexists(os.path.join(workspace, ".git")) and Path(folder).is_relative_to(workspace):
            return workspace
    repository = find_repository(Path(folder))
    if repository:
        return str(repository.root)
    return workspace if workspace and Path(folder).is_relative_to(workspace) else os.getcwd()
