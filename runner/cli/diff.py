"""`mlrun diff`: what a change means, in words, in nodes that run again, in graphs."""

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from runner.app.difference import Compared, compare
from runner.change import document, markdown
from runner.change.model import Change, Fate, Foreign, ItemChange, Kind, Phrase, PipelineChange, Verdict
from runner.change.wording import detail_phrase, headline, item_phrase, notable, remarks_phrase, verdict_phrase
from runner.cli.cell import padded
from runner.cli.table import choose
from runner.cli.terminal import paint, print_json
from runner.drawing import text as drawn
from runner.errors import ExitCode, usage_error
from runner.escape import display_width, printable, printable_lines

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun diff

  mlrun diff HEAD~3

  mlrun diff v1.0..v2.0 --format markdown

  mlrun diff origin/main HEAD --exit-code"""


class Format(StrEnum):
    """How a change is told."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


@app.command(epilog=EXAMPLES)
def show(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[BASE [HEAD]]",
            help="Revisions, or A..B or A...B. Default: from where HEAD left the default branch to the working tree.",
        ),
    ] = None,
    form: Annotated[str, typer.Option("--format", metavar="F", help="text, markdown or json.")] = "text",
    yaml: Annotated[str | None, typer.Option("--yaml", metavar="FILE", help="Another file than valohai.yaml.")] = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 when something changed.")] = False,
) -> int:
    """Say what a change of the YAML file and of the code means: for steps and pipelines, for what runs again.

    Nothing of either side is executed.
    """
    kind = choose(Format, form, "format")
    if len(words or ()) > 2:
        raise usage_error("`mlrun diff` compares two revisions", "`mlrun diff BASE HEAD`")
    found = compare(Path.cwd(), list(words or ()), yaml)
    match kind:
        case Format.JSON:
            print_json(_document(found))
        case Format.MARKDOWN:
            names = (found.base.shown, found.head.shown)
            print(markdown.render(found.change, file=found.file, base=names[0], head=names[1]), end="")
        case _:
            _print(found)
    return ExitCode.STEP_FAILED if exit_code and not found.change.empty else ExitCode.OK


def _document(found: Compared) -> object:
    sides = [
        {"revision": side.shown, "commit": side.commit, "missing": word in found.change.absent}
        for word, side in (("base", found.base), ("head", found.head))
    ]
    return document.change_to_json(found.change, file=found.file, base=sides[0], head=sides[1])


_KIND_SIGNS = {
    Kind.ADDED: ("+", "32"),
    Kind.REMOVED: ("-", "31"),
    Kind.CHANGED: ("~", "33"),
    Kind.RENAMED: (">", "36"),
    Kind.MOVED: ("~", "33"),
}
_FATE_COLOURS = {
    Fate.RUNS_AGAIN: "33;1",
    Fate.DEPENDS: "33",
    Fate.MAY_RUN_AGAIN: "36",
    Fate.STAYS_VALID: "32",
    Fate.UNKNOWN: "31",
}


def _words(phrase: Phrase) -> str:
    """A phrase for the terminal: what comes from a file stands in backticks and moves no cursor."""
    return "".join(f"`{printable(piece)}`" if isinstance(piece, Foreign) else piece for piece in phrase)


def _title(text: str) -> None:
    print()
    print(paint(text, "1", sys.stdout))


def _print(found: Compared) -> None:
    change = found.change
    print(printable(f"{found.file}: {found.base.shown} → {found.head.shown}"))
    print(paint(_words(headline(change)), "1", sys.stdout))
    for side in change.absent:
        print(f"the {side} side has no such file")
    _print_problems(change)
    if change.items:
        _title("What changed")
        for item in change.items:
            _print_item(item)
    if change.files:
        _title(f"Other files of the repository ({len(change.files)})")
        for file in change.files:
            print(f"  {_sign(file.kind)} {printable(file.path)}")
    if not change.empty:
        _print_verdicts(change)


def _sign(kind: Kind) -> str:
    return paint(*_KIND_SIGNS[kind], sys.stdout)


def _print_problems(change: Change) -> None:
    if change.problems:
        _title("New errors")
        for problem in change.problems:
            print(f"  {printable(f'{problem.location}: {problem.code}: {problem.message}')}")


def _print_item(item: ItemChange) -> None:
    print(f"  {_sign(item.kind)} {_words(item_phrase(item))}")
    for detail in item.details:
        print(f"      {_sign(detail.kind)} {_words(detail_phrase(detail))}")
    if item.remarks:
        print(f"        {_words(remarks_phrase(item))}")


def _print_verdicts(change: Change) -> None:
    for pipeline in change.pipelines:
        if pipeline.verdicts:
            _title(f"Pipeline `{printable(pipeline.name)}`")
            _print_fates(pipeline.verdicts)
        _print_graphs(pipeline)
    if change.steps:
        _title("Steps that no pipeline runs")
        _print_fates(change.steps)


def _print_fates(verdicts: Sequence[Verdict]) -> None:
    shown, others = notable(verdicts)
    room = min(max((display_width(printable(verdict.name)) for verdict in shown), default=0), 40)
    for verdict in shown:
        words = paint(_words(verdict_phrase(verdict)), _FATE_COLOURS[verdict.fate], sys.stdout)
        print(f"  {padded(printable(verdict.name), room)}  {words}")
    if others:
        print(f"  {others} more stay valid")


def _print_graphs(pipeline: PipelineChange) -> None:
    for word, drawing in (("before", pipeline.before), ("after", pipeline.after)):
        if drawing is not None:
            _title(f"Graph of `{printable(pipeline.name)}`, {word}")
            print(printable_lines(drawn.render(drawing)).rstrip())
