"""`mlrun lint`: check YAML files, say what is wrong where, and mend what needs no judgement."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from runner.app.place import locate
from runner.app.verdict import find_mendable, find_problems
from runner.cli.finding import REPORTS, Format, Linted, text_report
from runner.cli.patch import show_patch
from runner.cli.stdin import STDIN, read_stdin
from runner.cli.table import choose
from runner.cli.terminal import put, say, show_error
from runner.errors import ExitCode, MlrunError, Problem, Severity, usage_error
from runner.escape import printable
from runner.settings import cache_folder
from runner.spec.check.code import OLD_FORMS
from runner.spec.phrase import counted
from runner.spec.project import read_bytes

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun lint

  mlrun lint --strict valohai.yaml other.yaml

  mlrun lint --fix --dry-run

  mlrun lint --format sarif > lint.sarif

  git show HEAD:valohai.yaml | mlrun lint --format json -"""

MOST_TRIED = 128 << 10
"""Of a longer file it is not said how much `--fix` would mend: to know that is to mend it."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to do with each file: `cache` is where verdicts are remembered, if anywhere."""

    form: Format
    strict: bool
    fix: bool
    dry_run: bool
    cache: Path | None


@app.command(epilog=EXAMPLES)
def check(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE…]", help="YAML files; `-` is standard input. Default: the project's file."),
    ] = None,
    form: Annotated[
        str, typer.Option("--format", metavar="F", help="text (the default), json, github or sarif.")
    ] = "text",
    json: Annotated[bool, typer.Option("--json", help="The same as `--format json`.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Call old forms errors; exit with 11 when there are warnings.")
    ] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="First mend what needs no judgement; with `-`, print the mended text.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --fix: change nothing, print the changes as a diff.")
    ] = False,
) -> int:
    """Say everything that is wrong with YAML files, each problem with its place.

    Exit code: 10 with errors, 11 with nothing worse than warnings under --strict, else 0.
    """
    kind = Format.JSON if json else choose(Format, form, "format")
    if dry_run and not fix:
        raise usage_error("`--dry-run` goes with `--fix`", hint="without `--fix` nothing is changed anyway")
    names = list(dict.fromkeys(files or [_default_file()]))
    if fix and kind is not Format.TEXT and (dry_run or "-" in names):
        raise usage_error(f"`--format {kind}` and what `--fix` prints would stand in one output", hint="leave out one")
    request = Request(kind, strict, fix, dry_run, cache_folder())
    linted, refused = _lint_all(names, request)
    _tell(linted, refused, request)
    if refused or any(one.count(Severity.ERROR) for one in linted):
        return ExitCode.SPEC
    return ExitCode.STRICT if strict and any(one.problems for one in linted) else ExitCode.OK


def _default_file() -> str:
    return locate(Path.cwd()).shown


def _lint_all(names: Sequence[str], request: Request) -> tuple[list[Linted], int]:
    """What was found in the files that can be read, by name, and how many cannot be, which is told."""
    linted, refused = [], 0
    for name in names:
        try:
            linted.append(_lint(name, request))
        except MlrunError as error:
            show_error(error)
            refused += 1
    return sorted(linted, key=lambda one: one.name), refused


def _lint(name: str, request: Request) -> Linted:
    shown = STDIN if name == "-" else name
    data = read_stdin() if name == "-" else read_bytes(Path(name), name)
    if request.fix:
        data = _mend(name, shown, data, request)
    return Linted(shown, data, find_problems(data, shown, request.cache))


def _mend(name: str, shown: str, data: bytes, request: Request) -> bytes:
    """The bytes after mending, which are written to where they came from, or shown as a diff."""
    # Loaded for the one option that needs them.
    from runner.cli.rewrite import rewrite_file
    from runner.spec.fix import repair

    mended = repair(data, shown)
    if request.dry_run:
        show_patch(data, mended.data, shown, f"{shown} (mended)")
        return data
    if name == "-":
        sys.stdout.buffer.write(mended.data)
    elif mended.data != data:
        rewrite_file(Path(name), data, mended.data)
    if mended.repaired:
        say(f"{printable(shown)}: mended {counted(len(mended.repaired), 'problem')}")
    return mended.data


def _tell(linted: Sequence[Linted], refused: int, request: Request) -> None:
    """The report, which makes way where standard output has mended text or a diff, and the last line of talk."""
    shown = [replace(one, problems=_strictly(one.problems)) for one in linted] if request.strict else linted
    if request.fix and (request.dry_run or any(one.name == STDIN for one in linted)):
        if report := text_report(shown, sys.stderr):
            put(report, sys.stderr)
    elif report := REPORTS[request.form](shown):
        print(report)
    if linted or not refused:
        say(_summary(shown, refused, request))


def _strictly(problems: Sequence[Problem]) -> list[Problem]:
    return [replace(one, severity=Severity.ERROR) if one.code in OLD_FORMS else one for one in problems]


def _summary(linted: Sequence[Linted], refused: int, request: Request) -> str:
    errors, warnings = (sum(one.count(severity) for one in linted) for severity in (Severity.ERROR, Severity.WARNING))
    said = [f"{counted(len(linted), 'file')}: {counted(errors, 'error')}", counted(warnings, "warning")]
    if refused:
        said.append(counted(refused, "unreadable file"))
    mendable = 0
    if not request.fix or request.dry_run:
        small = [one for one in linted if one.problems and len(one.data) <= MOST_TRIED]
        mendable = sum(len(find_mendable(one.data, one.name, request.cache)) for one in small)
    return ", ".join(said) + (f"; `--fix` mends {mendable} of them" if mendable else "")
