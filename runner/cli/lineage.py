"""`mlrun lineage`: what made a file, and what was made from it."""

import os
import stat
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from runner.app.lineage import data_subject, execution_subject, find_lineage, run_subject
from runner.cli.ancestry import render
from runner.cli.reference import find_data
from runner.cli.subject import Found, find, open_store
from runner.cli.table import choose, terminal_width
from runner.cli.terminal import paint, print_json, say
from runner.digest import hash_file
from runner.errors import ExitCode, MlrunError, usage_error
from runner.escape import printable
from runner.lineage.document import to_json
from runner.lineage.model import Graph, Subject
from runner.lineage.trace import Bounds
from runner.spec.phrase import counted
from runner.store.identity import is_id
from runner.store.ref import LATEST
from runner.store.store import RUN_PREFIX, Store

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun lineage model.pkl

  mlrun lineage 12/model.pkl --up

  mlrun lineage dataset://iris/v3 --down

  mlrun lineage run:5 --format svg > lineage.svg"""

SUBJECT_HELP = (
    "A file, wherever it lies now; an execution, `run:N`, `latest`; EXECUTION/FILE, the id of a datum, an alias, a "
    "digest, or the start of one; `dataset://NAME/VERSION`."
)


class Format(StrEnum):
    """How a lineage is told."""

    TEXT = "text"
    SVG = "svg"
    JSON = "json"


@app.command(epilog=EXAMPLES)
def show(
    subject: Annotated[str, typer.Argument(metavar="FILE|DATUM|EXECUTION|RUN", help=SUBJECT_HELP)],
    up: Annotated[bool, typer.Option("--up", help="Only what made it.")] = False,
    down: Annotated[bool, typer.Option("--down", help="Only what was made from it.")] = False,
    depth: Annotated[
        int | None,
        typer.Option("--depth", metavar="N", help="Executions one after another; default: what a page holds."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Look at all there is, however much that may be.")] = False,
    form: Annotated[str, typer.Option("--format", metavar="F", help="text, svg or json.")] = "text",
    json: Annotated[bool, typer.Option("--json", help="The same as `--format json`.")] = False,
) -> int:
    """Say which executions, code, data and parameters made something, and everything that was made from it.

    A file is known by its content (BLAKE3), so a copy outside the store will do.
    """
    kind = Format.JSON if json else choose(Format, form, "format")
    if depth is not None and depth < 1:
        raise usage_error("`--depth` counts executions from 1")
    store = open_store()
    named = find_subject(store, subject)
    bounds = Bounds(None, None) if every else Bounds()
    graph = find_lineage(store, named, bounds, up=up or not down, down=down or not up)
    _check_known(graph)
    match kind:
        case Format.JSON:
            print_json(to_json(graph))
        case Format.SVG:
            # Loaded only for a picture.
            from runner.lineage.picture import draw

            print(draw(graph, depth))
        case _:
            _print(graph, depth, up=up or not down, down=down or not up)
    if graph.not_followed:
        say(f"{counted(len(graph.not_followed), 'more execution')} not looked at: `--all` does")
    return ExitCode.OK


def find_subject(store: Store, text: str) -> Subject:
    """What a word means: a file that is there, else a run, an execution, or data. Raises MlrunError: USAGE or INPUT."""
    mode = _mode_of(text) if "://" not in text else None
    if mode is not None and stat.S_ISREG(mode):
        return _file_subject(Path(text))
    if mode is not None and "/" in text:
        raise _no_regular_file(text, mode)
    if text.startswith(RUN_PREFIX):
        return _found_subject(find(text))
    if store.refs.alias(text) is not None or "://" in text:
        return data_subject(text, find_data(text))
    if "/" in text:
        return _output_subject(text)
    try:
        return _found_subject(find(text))
    except MlrunError as refusal:
        # A number or `latest` can mean nothing else.
        if refusal.code is not ExitCode.USAGE or text.isdecimal() or text == LATEST:
            raise
        return _data_instead(text, refusal, mode)


def _mode_of(path: str) -> int | None:
    """What lies at a path, links followed; None where nothing does. Raises MlrunError (INPUT) where nobody may look."""
    try:
        return os.stat(path).st_mode
    except PermissionError as error:
        raise _unreadable(path, error) from None
    except (OSError, ValueError):
        return None


def _no_regular_file(text: str, mode: int) -> MlrunError:
    if stat.S_ISDIR(mode):
        return usage_error(f"`{printable(text)}` is a folder, and this needs a file", hint="name a file in it")
    return usage_error(f"`{printable(text)}` is no regular file", hint="copy what it gives into a file first")


def _output_subject(text: str) -> Subject:
    """`EXECUTION/FILE`, where no file has this path."""
    if text.startswith(("/", "./", "../", "~")):
        hint = _dangling(text) or "a copy of it will do, wherever that lies"
        raise usage_error(f"there is no file `{printable(text)}`", hint=hint)
    try:
        return data_subject(text, find_data(text))
    except MlrunError as error:
        if error.code is not ExitCode.USAGE:
            raise
        raise usage_error(f"there is no file `{printable(text)}`, and {error.message}", error.hint) from None


def _dangling(text: str) -> str | None:
    return "it is a link to what is not there" if os.path.islink(text) else None


def _data_instead(text: str, refusal: MlrunError, mode: int | None) -> Subject:
    """Data by an id, a digest, or the start of one; what names nothing is told as what lies there, or as a file that is
    not there."""
    try:
        return data_subject(text, find_data(text))
    except MlrunError as error:
        if error.code is not ExitCode.INPUT:
            raise
        if mode is not None:
            raise _no_regular_file(text, mode) from None
        if is_id(text):
            raise refusal from None
        raise MlrunError(
            f"there is no file, execution, run or datum `{printable(text)}`",
            code=ExitCode.USAGE,
            hint=_dangling(text) or error.hint,
        ) from None


def _found_subject(found: Found) -> Subject:
    if found.chosen is None:
        subject = run_subject(found.run)
        if not subject.executions:
            raise usage_error(f"run {found.run.counter} has no execution: nothing of it ran")
        return subject
    return execution_subject(found.run, found.chosen)


def _file_subject(file: Path) -> Subject:
    try:
        digest = hash_file(file)
    except OSError as error:
        raise _unreadable(str(file), error) from None
    return Subject("file", str(file), ((file.name, digest),))


def _unreadable(path: str, error: OSError) -> MlrunError:
    reason = os.strerror(error.errno or 0)
    return MlrunError(f"`{printable(path)}` cannot be read: {reason}", code=ExitCode.INPUT)


def _check_known(graph: Graph) -> None:
    """Raise MlrunError (INPUT) for a content with which no execution ever had to do."""
    subject = graph.subject
    if subject.kind != "file" or any(graph.makers.values()) or any(graph.users.values()):
        return
    ((name, digest),) = subject.data
    data = graph.data[digest]
    if data.names:
        return
    raise MlrunError(
        f"no execution left or got the content of `{printable(name)}` (BLAKE3 {digest})",
        code=ExitCode.INPUT,
        hint="it may have been changed since; `mlrun outputs` and `mlrun inputs` list the digests of files",
    )


def _print(graph: Graph, depth: int | None, *, up: bool, down: bool) -> None:
    def painted(text: str, colour: str) -> str:
        return paint(text, colour, sys.stdout)

    page = render(graph, depth, up=up, down=down, width=terminal_width(sys.stdout), paint=painted)
    print("\n".join(page.lines))
    if page.hidden:
        more = "`--depth N` tells more, " if page.is_cut else ""
        say(f"{counted(page.hidden, 'execution')} not told here: {more}`--format json` has all")
