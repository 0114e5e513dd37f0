"""The two journals of the whole store, `removed` and `refs/log`: what can be read of them, and what is wrong with them.

Changes nothing.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from runner.errors import MlrunError
from runner.escape import printable
from runner.store.journal import DamagedJournal, Follower
from runner.store.layout import Layout
from runner.store.naming import Refs
from runner.store.record import Entry
from runner.store.removal import Removals, Removed, fold
from runner.upkeep.anomaly import Anomaly

BACKUP = "restore this file from a backup"


def read_removed(layout: Layout) -> Removed:
    """What was removed on purpose, as far as its journal can be read."""
    return fold(read_chain(layout, layout.removed)[0])


def store_journals(layout: Layout, *, writable: bool = False) -> Iterator[Anomaly]:
    """What is wrong with `removed` and with `refs/log`. A writable store remembers how long the former is."""
    removals, refs = Removals(layout), Refs(layout.refs, layout.seen_names)
    chains: list[tuple[Path, Callable[[], bool], str]] = [
        (layout.removed, removals.has_lost_turns, "what is left"),
        (layout.refs / "log", refs.has_lost_turns, "the names that are left"),
    ]
    for path, has_lost_turns, left in chains:
        _, anomaly = read_chain(layout, path)
        if anomaly is None and has_lost_turns():
            name = str(path.relative_to(layout.root))
            remedy = f"{BACKUP}, or let `mlrun store rebuild` go on with {left}"
            anomaly = Anomaly("log-shortened", name, "has lost turns that were there before", remedy=remedy)
        if anomaly is not None:
            yield anomaly
    if writable:
        with suppress(MlrunError):
            removals.remember()


def read_chain(layout: Layout, path: Path) -> tuple[list[Entry], Anomaly | None]:
    """The entries of a journal before the first damage, and what that is."""
    name = str(path.relative_to(layout.root))
    try:
        return Follower(path).poll(), None
    except (FileNotFoundError, NotADirectoryError):
        return [], None
    except DamagedJournal as error:
        what = printable(error.message).partition("is damaged: ")[2]
        return list(error.entries), Anomaly("log-damaged", name, f"is damaged: {what}", remedy=BACKUP)
    except OSError as error:
        return [], Anomaly("log-damaged", name, f"cannot be read: {os.strerror(error.errno or 0)}", remedy=BACKUP)
