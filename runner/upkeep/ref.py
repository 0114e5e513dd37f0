"""Files of names that do not say what `refs/log` says. Changes nothing."""

from collections.abc import Iterator
from itertools import takewhile

from runner.digest import hash_bytes
from runner.escape import printable
from runner.store.durable import NEW
from runner.store.head import READERS, Head, heads_of, key_of
from runner.store.layout import Layout
from runner.store.sealed import unseal
from runner.upkeep.anomaly import Anomaly, note
from runner.upkeep.chain import BACKUP, read_chain
from runner.upkeep.disk import content_of, names


def ref_files(layout: Layout) -> Iterator[Anomaly]:
    """Files of names that do not say what the log says. Beside a writer the log is ahead for a moment: what differs is
    looked at again."""
    doubtful = dict(_different(layout))
    if doubtful:
        again = dict(_different(layout))
        for place, anomaly in again.items():
            if place in doubtful:
                yield anomaly


def _different(layout: Layout) -> Iterator[tuple[str, Anomaly]]:
    """By place: a file of a name that is not what the log makes of it."""
    found = {}
    for folder in READERS:
        for name in names(layout.refs / folder):
            if not name.startswith(NEW):
                found[f"refs/{folder}/{name}"] = content_of(layout.refs / folder / name)
    entries, problem = read_chain(layout, layout.refs / "log")
    told = heads_of(entries)
    # A writer that was killed leaves its last turn for the next one to put into the files.
    before = heads_of(takewhile(lambda entry: entry["time"] != entries[-1]["time"], entries))
    last = {key_of(entry) for entry in entries if entry["time"] == entries[-1]["time"]}
    mend = "`mlrun store rebuild` makes it again from `refs/log`" if problem is None else BACKUP
    for (folder, name), head in told.items():
        place = f"refs/{folder}/{hash_bytes(name.encode('utf-8', 'surrogatepass'))}"
        data = found.pop(place, None)
        if problem is None and not _says(data, head):
            if (folder, name) in last and _says(data, before.get((folder, name))):
                yield place, note("ref-behind", place, "waits for the next command that sets a name")
                continue
            what = "is missing" if data is None else "does not say what `refs/log` says"
            yield place, Anomaly("ref-damaged", place, f"{what} about `{printable(name)}`", remedy=mend)
    for place in found if problem is None else ():
        yield place, Anomaly("ref-damaged", place, "is not in `refs/log`", remedy="restore `refs/log` from a backup")


def _says(data: bytes | None, head: Head | None) -> bool:
    if data is None or head is None:
        return data is None and head is None
    try:
        return bool(unseal(data) == head)
    except ValueError:
        return False
