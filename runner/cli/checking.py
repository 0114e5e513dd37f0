"""`mlrun store check`: whether everything in the store is what it was when it was put there."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

import typer

from runner.cli.page import Page
from runner.cli.terminal import colourful, print_json, say, show_hint, show_warning
from runner.cli.touch import touch_text
from runner.errors import ExitCode, MlrunError, usage_error
from runner.escape import printable
from runner.quantity import local_time, size_text
from runner.settings import load_settings, parse_age
from runner.spec.phrase import counted
from runner.store.layout import Layout
from runner.store.store import Store
from runner.upkeep.anomaly import Anomaly, Report
from runner.upkeep.check import Wish, check

EXAMPLES = """Examples:

  mlrun store check

  mlrun store check --read-data

  mlrun store check --read-data --time-limit 10m"""

_MOST_TOUCHED = 10
"""Records that are shown of those that a damaged object concerns; `--json` has all."""
_MOST_NOTES = 20
_BETWEEN_WORDS = 5.0


def check_store(
    read_data: Annotated[
        bool, typer.Option("--read-data", help="Read every byte and compare it with its name, not sizes only.")
    ] = False,
    time_limit: Annotated[
        str | None,
        typer.Option("--time-limit", metavar="T", help="Stop after this time (`10m`); the next check goes on there."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON, with nothing shortened.")] = False,
) -> int:
    """Check that everything the store has recorded is there and unchanged: journals, names, index, objects.

    A damaged object is moved to `quarantine/` in the store, never deleted, and restored where good bytes of it are
    found; executions that it concerns are named. Safe beside runs. Exit code: 0 if nothing is damaged, 30 if
    something is.
    """
    seconds = _seconds(time_limit)
    root = load_settings().store
    layout = Layout.open_existing(root)
    if layout is None:
        if json:
            print_json(None)
        say(f"there is no store in {root} yet, so nothing is damaged")
        return ExitCode.OK
    # Folders that are gone are made again.
    writable = os.access(layout.objects if layout.objects.exists() else root, os.W_OK | os.X_OK)
    if not writable:
        show_warning(f"the store `{root}` cannot be written: damaged objects stay where they are")
    with Store.open(root, create=writable) as store:
        wish = Wish(read_data=read_data, seconds=seconds, writable=writable, tell=_teller())
        report, interrupted = check(store, wish)
    if json:
        print_json(_document(report))
    else:
        print(_page(report))
    if interrupted or (report.reading is not None and not report.reading.is_full) or not report.whole:
        show_hint("not everything was looked at: the next `mlrun store check` goes on where this one stopped")
    if interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.STORE if report.damages else ExitCode.OK


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parse_age(text, minute="m")
    except MlrunError:
        raise usage_error(f"`--time-limit {printable(text)}` is no duration", hint="write it like `10m`") from None


def _teller() -> Callable[[int, int], None]:
    """Says on a terminal how far the reading is, every few seconds."""
    last = [time.monotonic()]

    def tell(objects: int, size: int) -> None:
        if time.monotonic() - last[0] > _BETWEEN_WORDS and colourful(sys.stderr):
            last[0] = time.monotonic()
            say(f"read {objects:,} objects, {size_text(size)} so far")

    return tell


def _document(report: Report) -> dict[str, Any]:
    reading = report.reading
    return {
        "damage": [asdict(anomaly) for anomaly in report.damages],
        "notes": [asdict(anomaly) for anomaly in report.notes],
        "runs": report.runs,
        "executions": report.executions,
        "names": report.names,
        "objects": report.objects,
        "removed": report.dropped,
        "purged": report.purged,
        "complete": report.whole,
        "reading": None if reading is None else asdict(reading) | {"full": reading.is_full},
    }


def _page(report: Report) -> Page:
    page = Page()
    page.head(_headline(report))
    page.facts(
        None,
        [
            (
                "records",
                f"{counted(report.runs, 'run')}, {counted(report.executions, 'execution')}, "
                f"{counted(report.names, 'name')} of data{'' if report.whole else ', not all'}",
            ),
            ("objects", f"{report.objects:,} looked for where records name them"),
            (
                "removed",
                f"{counted(report.dropped, 'file')} that executions gave up (`mlrun gc`)" if report.dropped else "",
            ),
            ("purged", f"{counted(report.purged, 'file')}, destroyed on purpose" if report.purged else ""),
            ("read", _reading_text(report)),
        ],
    )
    for anomaly in report.damages:
        page.table(f"{anomaly.place} {anomaly.what}", list(_rows(anomaly)))
    notes = report.notes
    rows = [(note.place, note.what, note.remedy) for note in notes[:_MOST_NOTES]]
    if len(notes) > _MOST_NOTES:
        rows.append((f"and {len(notes) - _MOST_NOTES} more", "", ""))
    page.table("notes", rows)
    return page


def _headline(report: Report) -> str:
    """No more than what was found out."""
    if report.damages:
        return f"damaged: {counted(len(report.damages), 'thing')}"
    if not report.whole:
        return "no damage so far"
    if report.reading is None:
        return "nothing is missing and everything fits together; no content was read"
    return "the store is whole" if report.reading.is_full else "no damage so far"


def _rows(anomaly: Anomaly) -> list[tuple[str, str]]:
    rows = [("concerns", touch_text(touch)) for touch in anomaly.touched[:_MOST_TOUCHED]]
    if len(anomaly.touched) > _MOST_TOUCHED:
        rows.append(("", f"and {len(anomaly.touched) - _MOST_TOUCHED} more: `--json` has all"))
    if not anomaly.touched and anomaly.digest is not None:
        rows.append(("concerns", "no record"))
    rows += [("done", anomaly.done)] if anomaly.done else []
    rows += [("hint", anomaly.remedy)] if anomaly.remedy else []
    return rows


def _reading_text(report: Report) -> str:
    reading = report.reading
    if reading is None:
        return "sizes only; `--read-data` reads every byte"
    text = f"{counted(reading.objects, 'object')}, {size_text(reading.size)}"
    if reading.is_full:
        return f"{text}: with that every object was read since {local_time(reading.begun)}"
    last = f"; the last full round ended {local_time(reading.last_full)}" if reading.last_full else ""
    return f"{text}, up to {reading.position[:8]}…, in a round that began {local_time(reading.begun)}{last}"
