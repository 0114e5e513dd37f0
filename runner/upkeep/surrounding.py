"""Looks at what lies around the records of a store: the two journals of the whole store, the files of names, strangers
among the objects, batches in the trash, the quarantine. Changes nothing."""

import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runner.digest import hash_bytes, is_digest
from runner.errors import MlrunError
from runner.escape import printable
from runner.process import is_held, start_time
from runner.store.durable import NEW
from runner.store.head import READERS, Head, Key, applied, key_of
from runner.store.history import recorded_run
from runner.store.identity import is_id
from runner.store.journal import DamagedJournal, Follower
from runner.store.layout import SHARDS, Layout, RunFolder
from runner.store.record import Entry, Run
from runner.store.removal import Removed, fold
from runner.store.sealed import unseal
from runner.upkeep.finding import Finding, note
from runner.upkeep.inventory import names
from runner.upkeep.progress import Progress
from runner.upkeep.release import PACK

_BACKUP = "restore this file from a backup"
_DIGITS = 16
_REST = 60.0
"""Seconds after which whatever was written is durable, or its writer was told that it is not."""


def read_removed(layout: Layout) -> tuple[Removed, Finding | None]:
    """What was removed on purpose, as far as its journal can be read, and what is wrong with that."""
    entries, finding = _entries(layout, layout.removed)
    return fold(entries), finding


def store_journals(layout: Layout, progress: Progress) -> Iterator[Finding]:
    """What is wrong with `removed` and `refs/log`; `progress` remembers how long they are."""
    for path in (layout.removed, layout.refs / "log"):
        name = str(path.relative_to(layout.root))
        _, finding = _entries(layout, path)
        if finding is None:
            finding = _shortened(path, name, progress)
        if finding is not None:
            yield finding


def ref_files(layout: Layout) -> Iterator[Finding]:
    """Files of names that do not say what the log says. Beside a writer the log is ahead for a moment: what differs is
    looked at again."""
    doubtful = dict(_different(layout))
    if doubtful:
        again = dict(_different(layout))
        for place, finding in again.items():
            if place in doubtful:
                yield finding


def strangers(layout: Layout) -> Iterator[Finding]:
    """Names among the objects that are none, and files with odd modes or owners."""
    owner = layout.root.stat().st_uid
    for top in (layout.objects, layout.packed):
        known = {*SHARDS, "new"} if top == layout.objects else {*SHARDS, "lock"}
        for name in names(top):
            if name not in known and not name.startswith(NEW):
                yield note("stranger", _shown(layout, top / name), "is not of the store", "look at it and move it away")
        for shard in SHARDS:
            yield from _in_shard(layout, top / shard, owner)
    mode = stat.S_IMODE(layout.root.stat().st_mode)
    if mode & 0o077:
        what = f"has mode {mode:04o}: others may look into it"
        yield note("mode", ".", what, f"`chmod 700 {printable(str(layout.root))}`")
    yield from _leftovers(layout)


def trash_batches(layout: Layout) -> Iterator[Finding]:
    """Batches that do not say what they are."""
    for name in names(layout.trash):
        path = layout.trash / name
        if name.startswith(NEW):
            continue
        if not is_id(name):
            yield note("stranger", _shown(layout, path), "is not of the store", "look at it and move it away")
            continue
        with suppress(FileNotFoundError):
            problem = _batch_problem(path, name)
            # A batch that was destroyed or brought back meanwhile is none.
            if problem is not None and path.exists():
                what = f"does not say what was removed by which command: {problem}"
                yield Finding("batch-unreadable", f"trash/{name}/batch", what, remedy="what lies in it is whole")
        for id in filter(is_id, names(path / "runs")):
            yield from _trashed_run(RunFolder(path / "runs" / id), f"trash/{name}/runs/{id}")


def _trashed_run(folder: RunFolder, place: str) -> Iterator[Finding]:
    try:
        run = recorded_run(folder)
    except MlrunError as error:
        what = f"is damaged: {printable(error.message)}"
        yield Finding("journal-damaged", f"{place}/journal", what, remedy=_BACKUP)
        return
    lease = content_of(folder.owner)
    if run is not None and lease is not None and lease != lease_of(run):
        what = "does not say what the journal says"
        yield Finding("owner-damaged", f"{place}/owner", what, remedy="bring the run back, then check again")


def lease_of(run: Run) -> bytes:
    """What the lease file of a run must hold."""
    return json.dumps(asdict(run.owner)).encode()


def content_of(path: Path) -> bytes | None:
    """What a small file holds: None where there is none, nothing where it cannot be read."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return b""


def quarantined(layout: Layout) -> Iterator[Finding]:
    """What earlier checks set aside, as notes."""
    for name in sorted(names(layout.quarantine)):
        if not name.startswith(NEW):
            yield note("quarantined", f"quarantine/{printable(name)}", "was set aside as damaged")


def _entries(layout: Layout, path: Path) -> tuple[list[Entry], Finding | None]:
    name = str(path.relative_to(layout.root))
    try:
        return Follower(path).poll(), None
    except (FileNotFoundError, NotADirectoryError):
        return [], None
    except DamagedJournal as error:
        what = printable(error.message).partition("is damaged: ")[2]
        return list(error.entries), Finding("log-damaged", name, f"is damaged: {what}", remedy=_BACKUP)
    except OSError as error:
        return [], Finding("log-damaged", name, f"cannot be read: {os.strerror(error.errno or 0)}", remedy=_BACKUP)


def _shortened(path: Path, name: str, progress: Progress) -> Finding | None:
    """A journal only grows: one that is shorter than before, or has another past, was robbed of turns."""
    data = path.read_bytes() if path.exists() else b""
    size, last = progress.chains.get(name, (0, ""))
    if _digits_before(data, size) != last:
        return Finding("log-shortened", name, "has lost turns that an earlier check saw", remedy=_BACKUP)
    end = data.rfind(b"\n") + 1
    if end and time.time() - path.stat().st_mtime < _REST:
        # The last turn may not be on the disk yet, and a power cut may take it.
        end = max(size, data.rfind(b"\n", 0, end - 1) + 1)
    progress.chains[name] = (end, _digits_before(data, end))
    return None


def _digits_before(data: bytes, end: int) -> str:
    """The digits of the line that ends there; empty at the start, and where no line ends."""
    if not 0 < end <= len(data) or data[end - 1 : end] != b"\n":
        return ""
    start = data.rfind(b"\n", 0, end - 1) + 1
    return data[start : start + _DIGITS].decode("ascii", "replace")


def _different(layout: Layout) -> Iterator[tuple[str, Finding]]:
    """By place: a file of a name that is not what the log makes of it."""
    found = {}
    for folder in READERS:
        for name in names(layout.refs / folder):
            if not name.startswith(NEW):
                found[f"refs/{folder}/{name}"] = content_of(layout.refs / folder / name)
    entries, problem = _entries(layout, layout.refs / "log")
    told: dict[Key, Head | None] = {}
    before: dict[Key, Head | None] = {}
    for entry in entries:
        key = key_of(entry)
        if entry["time"] == entries[-1]["time"]:
            # A writer that was killed leaves its last turn for the next one to put into the files.
            before.setdefault(key, told.get(key))
        told[key] = applied(told.get(key), entry)
    mend = "`mlrun store rebuild` makes it again from `refs/log`" if problem is None else _BACKUP
    for (folder, name), head in told.items():
        place = f"refs/{folder}/{hash_bytes(name.encode('utf-8', 'surrogatepass'))}"
        data = found.pop(place, None)
        if problem is None and not _says(data, head):
            if (folder, name) in before and _says(data, before[folder, name]):
                yield place, note("ref-behind", place, "waits for the next command that sets a name")
                continue
            what = "is missing" if data is None else "does not say what `refs/log` says"
            yield place, Finding("ref-damaged", place, f"{what} about `{printable(name)}`", remedy=mend)
    for place in found if problem is None else ():
        yield place, Finding("ref-damaged", place, "is not in `refs/log`", remedy="restore `refs/log` from a backup")


def _says(data: bytes | None, head: Head | None) -> bool:
    if data is None or head is None:
        return data is None and head is None
    try:
        return bool(unseal(data) == head)
    except ValueError:
        return False


def _in_shard(layout: Layout, folder: Path, owner: int) -> Iterator[Finding]:
    for name in names(folder):
        path = folder / name
        if name.startswith(NEW):
            continue
        if not is_digest(name) or name[:2] != folder.name:
            yield note("stranger", _shown(layout, path), "is no name of an object here", "look at it and move it away")
            continue
        with suppress(FileNotFoundError):
            status = path.lstat()
            mode = stat.S_IMODE(status.st_mode)
            if stat.S_ISREG(status.st_mode) and mode != 0o444:
                yield note("mode", _shown(layout, path), f"has mode {mode:04o} instead of 0444", f"`chmod 444 {path}`")
            if status.st_uid != owner:
                yield note("owner", _shown(layout, path), f"belongs to user {status.st_uid}, the store to {owner}")


def _leftovers(layout: Layout) -> Iterator[Finding]:
    """What writers that were killed left in the making."""
    count, size = 0, 0
    for folder in (layout.scratch, *(layout.objects / shard for shard in SHARDS)):
        for name in names(folder):
            if name.startswith(NEW) and not _lives(layout, name):
                with suppress(OSError):
                    count, size = count + 1, size + (folder / name).lstat().st_size
    if count:
        yield note("leftover", "objects", f"holds {count} files, {size:,} bytes, of writers that were killed")


def _lives(layout: Layout, name: str) -> bool:
    if name.startswith(PACK):
        with suppress(OSError), (layout.packed / "lock").open("rb") as lock:
            return is_held(lock.fileno())
        return False
    pid = name.removeprefix(NEW).partition("-")[0]
    return pid.isascii() and pid.isdecimal() and start_time(int(pid)) is not None


def _batch_problem(path: Path, id: str) -> str | None:
    try:
        told: Any = unseal((path / "batch").read_bytes())
    except FileNotFoundError:
        # The file is written first: a batch with nothing in it was never begun.
        return "the file is missing" if any(not name.startswith(NEW) for name in names(path)) else None
    except (OSError, ValueError) as error:
        return str(error)
    if not isinstance(told, dict) or set(told) != {"id", "time", "why", "by"}:
        return "it has other fields"
    return None if told["id"] == id else f"it says `{printable(str(told['id']))}`"


def _shown(layout: Layout, path: Path) -> str:
    return printable(str(path.relative_to(layout.root)))
