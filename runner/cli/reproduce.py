"""`mlrun reproduce`: run something recorded again from the store alone, and compare everything that it leaves."""

import math
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from runner.app.drift import Drift
from runner.app.overlay import Overlay
from runner.app.reproduce import TakeOutputs, Wanted, reproduce
from runner.app.reproduction import Lack, Repeated, Reproduction, Verdict, to_json
from runner.app.result import Kind, Part
from runner.app.secret import Secrets
from runner.cli import launch
from runner.cli.cell import padded
from runner.cli.delivery import deliver
from runner.cli.display import PlainDisplay
from runner.cli.launch import Options
from runner.cli.salvage import Force, check_folder
from runner.cli.shell import place_of
from runner.cli.subject import SUBJECT_HELP, Found, find
from runner.cli.terminal import paint, print_json, say
from runner.comparison.finding import Likeness
from runner.comparison.tolerance import DEFAULT, Tolerance
from runner.errors import usage_error
from runner.escape import display_width, printable
from runner.quantity import size_text
from runner.settings import executor_name
from runner.store.imported import read_import
from runner.store.record import OutputFile

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun reproduce run:3

  mlrun reproduce 12 --tolerance 1e-4

  mlrun reproduce 0190a1b2 --strict --json > report.json

  mlrun reproduce 12 -d again"""

_COLOURS = {
    Verdict.IDENTICAL: "32",
    Verdict.EQUAL: "32",
    Verdict.DIFFERENT: "31;1",
    Verdict.CANNOT_RUN: "33",
    Verdict.NEVER_RAN: "2",
}
_MOST_IDENTICAL = 50
"""Files that are named one by one though nothing is to be said of them; `--json` names all."""
_WIDEST = 48
"""Columns that names of files get, at most, before their verdicts."""


@app.command(epilog=EXAMPLES)
def repeat(
    context: typer.Context,
    subject: Annotated[str, typer.Argument(metavar="RUN|EXECUTION", help=SUBJECT_HELP)],
    tolerance: Annotated[
        float,
        typer.Option(
            "--tolerance", metavar="R", help="How far floating-point numbers may lie apart, relative to the larger."
        ),
    ] = DEFAULT,
    strict: Annotated[
        bool, typer.Option("--strict", help="Run nothing for which the machine or its programs have changed.")
    ] = False,
    once: Annotated[
        bool, typer.Option("--once", help="Do not repeat what differs a second time to learn why it does.")
    ] = False,
    jobs: launch.Jobs = None,
    executor: Annotated[
        str | None, typer.Option("--executor", metavar="E", help="Another executor than the recorded one.")
    ] = None,
    env_file: launch.EnvFile = None,
    network: launch.NetworkOption = None,
    allow_mount: launch.AllowMount = None,
    allow_devices: launch.AllowDevices = False,
    folder: Annotated[
        str | None,
        typer.Option("--dir", "-d", metavar="DIR", help="Copy what the repetitions leave here, by execution."),
    ] = None,
    force: Force = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> int:
    """Run a recorded run or execution again, and say of everything it leaves how like the record it is.

    Code, inputs and values come from the store, programs from the recorded image or interpreter; nothing is fetched,
    and nothing is recorded. What differs is repeated twice, which tells chance from a changed environment.

    Exit code: 0 if all is identical or equal within the tolerance, 50 if something differs, 51 if something cannot be
    repeated.
    """
    if not 0 <= tolerance < 1 or math.isnan(tolerance):
        raise usage_error(f"`--tolerance {tolerance}` is no part of 1", hint="such as `1e-6`, or 0 for none")
    check_folder(folder, force=force)
    options = Options.of(context)
    found = find(subject)
    wanted = Wanted(
        settings=options.settings(),
        tolerance=Tolerance(tolerance),
        strict=strict,
        once=once,
        jobs=jobs or 1,
        executor=executor_name(executor) if executor else None,
        secrets=_secrets(found, options).values,
        take=None if folder is None else _take(Path(folder), force=force),
    )
    if wanted.executor == "auto":
        raise usage_error("`--executor auto` is the recorded one here", hint="leave it out, or name one")
    report = reproduce(found.run, found.chosen, wanted, PlainDisplay(sys.stderr))
    if json:
        print_json(to_json(report))
    else:
        print("\n".join(report_lines(report)))
    if report.signal is not None:
        say("stopped before its end")
    return report.exit


def _secrets(found: Found, options: Options) -> Secrets:
    """The user's secrets; those of a run that came from elsewhere have to be given by name. Raises MlrunError."""
    came = read_import(found.store.layout.run(found.run.id).imported)
    return launch.secrets(place_of(found.run), options) if came is None or options.env_file else Secrets()


def _take(folder: Path, *, force: bool) -> TakeOutputs:
    def take(node: Repeated, objects: Overlay, outputs: tuple[OutputFile, ...]) -> None:
        if outputs:
            place = folder / f"execution-{node.execution}"
            deliver(objects, outputs, place, force=force)
            say(f"what the repetition of execution {node.execution} left is in {printable(str(place))}")

    return take


def report_lines(report: Reproduction) -> Iterator[str]:
    """The report for people: what has changed if that matters, each node with its parts, the verdict."""
    if report.verdict is Verdict.DIFFERENT and report.drift:
        yield "changed since the record:"
        yield from (f"  {_drift_text(one)}" for one in report.drift)
    for node in report.nodes:
        yield from _node_lines(node)
    counts = Counter(node.verdict for node in report.nodes)
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])
    of = f" ({told})" if len(report.nodes) > 1 else ""
    yield f"verdict: {_painted(report.verdict)}{of}"


def _painted(verdict: Verdict) -> str:
    return paint(verdict, _COLOURS[verdict], sys.stdout)


def _drift_text(one: Drift) -> str:
    return printable(f"{one.what}: {one.before or 'none'} → {one.after or 'none'}")


def _node_lines(node: Repeated) -> Iterator[str]:
    which = "" if node.execution is None else f" (execution {node.execution})"
    why = "".join(f", {cause}" for cause in node.why)
    note = f": {printable(node.note)}" if node.note else ""
    yield f"{printable(node.node)}{which}: {_painted(node.verdict)}{why}{note}"
    for lack in node.lacks:
        yield from _lack_lines(lack)
    shown = [part for part in node.parts if part.kind is not Kind.END or part.likeness is not Likeness.IDENTICAL]
    same = [part for part in shown if part.kind is Kind.FILE and part.likeness is Likeness.IDENTICAL]
    if len(same) > _MOST_IDENTICAL:
        shown = [part for part in shown if part.kind is not Kind.FILE or part.likeness is not Likeness.IDENTICAL]
        yield f"  {len(same):,} files are identical"
    names = [printable(_part_name(part)) for part in shown]
    room = min(max(map(display_width, names), default=0), _WIDEST)
    for name, part in zip(names, shown, strict=True):
        yield f"  {padded(name, room)}  {_part_text(node, part)}"


def _lack_lines(lack: Lack) -> Iterator[str]:
    what = " ".join(filter(None, [str(lack.need), f"`{printable(lack.name)}`" if lack.name else ""]))
    facts = [f"{lack.size:,} bytes"] if lack.size is not None else []
    facts += [lack.digest] if lack.digest is not None else []
    facts += [f"from {printable(lack.origin)}"] if lack.origin is not None else []
    known = f" ({', '.join(facts)})" if facts else ""
    yield f"  missing {what}{known}: {printable(lack.message)}"
    if lack.hint:
        yield f"    hint: {printable(lack.hint)}"


def _part_name(part: Part) -> str:
    match part.kind:
        case Kind.FILE:
            return part.name
        case Kind.PROPERTIES:
            return f"properties of {part.name}"
        case Kind.LOG:
            return f"log {part.name}"
        case _:
            return str(part.kind)


def _part_text(node: Repeated, part: Part) -> str:
    found = part.finding
    words = [str(found.likeness)]
    if found.likeness is Likeness.EQUAL and part.kind is not Kind.LOG:
        words.append(f"deviation {found.deviation:.1e}" if found.deviation else "the same values in another form")
    if found.likeness is Likeness.EQUAL and part.kind is Kind.LOG:
        words.append("only times differ")
    if found.difference is not None:
        place = found.difference
        values = f": {place.before or 'nothing'} → {place.after or 'nothing'}" if place.before or place.after else ""
        words.append(printable(f"{place.where}{values}"))
        if part.before and part.after:
            words.append(f"{size_text(part.before.size)} → {size_text(part.after.size)}")
        words.append(str(node.cause(part) or ""))
        words.append("does not count" if part.kind is Kind.LOG else "")
    return ", ".join(filter(None, words))
