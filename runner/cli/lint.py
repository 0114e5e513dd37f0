"""`mlrun lint`: check YAML files and say what is wrong where."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from runner.app.place import locate
from runner.cli.cell import counted
from runner.cli.terminal import paint, print_json, say, show_error
from runner.errors import ExitCode, MlrunError, Problem, Severity, did_you_mean, usage_error
from runner.spec.lint import lint
from runner.spec.model import Project
from runner.spec.project import load_project, parse_project
from runner.spec.report import problem_to_json, render_problem
from runner.spec.source import MAX_BYTES, source_lines

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun lint

  mlrun lint --strict valohai.yaml other.yaml

  git show HEAD:valohai.yaml | mlrun lint --format json -"""

FORMATS = ("text", "json")

_COLOURS = {Severity.ERROR: "31;1", Severity.WARNING: "33"}


@app.command(epilog=EXAMPLES)
def check(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE…]", help="YAML files; `-` is standard input. Default: the project's file."),
    ] = None,
    form: Annotated[str, typer.Option("--format", metavar="F", help="text (the default) or json.")] = "text",
    json: Annotated[bool, typer.Option("--json", help="The same as `--format json`.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 11 when there are warnings.")] = False,
) -> int:
    """Say everything that is wrong with YAML files, each problem with its place.

    Exit code: 10 with errors, 11 with warnings under --strict, else 0.
    """
    if form not in FORMATS:
        raise usage_error(f"there is no format `{form}`", hint=did_you_mean(form, FORMATS))
    projects, refused = _load_all(files or [_default_file()])
    found = [(project, lint(project)) for project in projects]
    problems = [problem for _, of_project in found for problem in of_project]
    if json or form == "json":
        print_json(_document(problems, len(projects)))
    else:
        for project, of_project in found:
            _print(project, of_project)
    return _conclude(problems, len(projects), refused, strict)


def _print(project: Project, problems: Sequence[Problem]) -> None:
    lines = source_lines(project.data) if problems else ()
    for problem in problems:
        place, mark, rest = render_problem(problem, lines).partition(f"{problem.severity} {problem.code}:")
        print(place + paint(mark, _COLOURS[problem.severity], sys.stdout) + rest)


def _default_file() -> str:
    return locate(Path.cwd()).shown


def _load_all(names: list[str]) -> tuple[list[Project], int]:
    """The files that can be read, and how many cannot, which is told."""
    projects = []
    refused = 0
    for name in dict.fromkeys(names):
        try:
            projects.append(_load(name))
        except MlrunError as error:
            show_error(error)
            refused += 1
    return projects, refused


def _load(name: str) -> Project:
    if name != "-":
        return load_project(Path(name), name)
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise MlrunError(f"standard input has more than {MAX_BYTES >> 20} MiB", code=ExitCode.SPEC)
    return parse_project(data, "<stdin>")


def _count(problems: list[Problem], severity: Severity) -> int:
    return sum(problem.severity is severity for problem in problems)


def _document(problems: list[Problem], files: int) -> dict[str, object]:
    return {
        "files": files,
        "errors": _count(problems, Severity.ERROR),
        "warnings": _count(problems, Severity.WARNING),
        "problems": [problem_to_json(problem) for problem in problems],
    }


def _conclude(problems: list[Problem], files: int, refused: int, strict: bool) -> int:
    """The last line of talk, and the exit code."""
    errors = _count(problems, Severity.ERROR)
    warnings = _count(problems, Severity.WARNING)
    unread = f", {counted(refused, 'unreadable file')}" if refused else ""
    if files or not refused:
        say(f"{counted(files, 'file')}: {counted(errors, 'error')}, {counted(warnings, 'warning')}{unread}")
    if errors or refused:
        return ExitCode.SPEC
    return ExitCode.STRICT if warnings and strict else ExitCode.OK
