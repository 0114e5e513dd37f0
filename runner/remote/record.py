"""The record of a run that is pulled: the one that is here, or the one of the remote, which is believed after a check.

Of two journals of which one begins with the other the longer is the newer record of the run.
"""

from dataclasses import dataclass
from pathlib import Path

from runner.errors import ExitCode, MlrunError
from runner.remote.depot import Depot, object_path
from runner.remote.foreign import believe
from runner.remote.manifest import Manifest
from runner.remote.remote import Told
from runner.store.journal import Follower, whole_turns
from runner.store.record import Run
from runner.store.store import Store


@dataclass(frozen=True, slots=True)
class Record:
    """The newer record of a run: its `journal` where that comes from the remote, empty where it is here; then
    `is_behind` tells whether the remote has an older one."""

    run: Run
    journal: bytes = b""
    is_behind: bool = False


def read_record(store: Store, depot: Depot, manifest: Manifest, told: Told) -> Record:
    """The newer record of a run. Raises ValueError for one at the remote that cannot be believed, or that is another
    than the one here; MlrunError (STORE), which may be a DamagedJournal, and INPUT when the remote goes away."""
    folder = store.layout.run(manifest.run)
    here = whole_turns(folder.journal) if folder.journal.exists() else b""
    if here and manifest.is_of_start(here):
        return Record(store.run(manifest.run), is_behind=manifest.journal_size < len(here))
    data = depot.journal(manifest, told) if manifest.journal_size > len(here) else b""
    if not data or not data.startswith(here):
        raise ValueError("its record there is not the one here")
    if here and not folder.imported.exists():
        raise _own(store.run(manifest.run), depot)
    return Record(_believed(manifest, data), data)


def _believed(manifest: Manifest, data: bytes) -> Run:
    follower = Follower(Path(object_path(manifest.journal)))
    try:
        entries = follower.take(data)
    except TypeError as error:
        raise ValueError("a line of its journal is no list") from error
    if follower.offset != len(data):
        raise ValueError("its journal does not end with a whole line")
    return believe(entries, manifest.project, manifest.run)


def _own(run: Run, depot: Depot) -> MlrunError:
    """That somebody else tells more of a run of this store than it does itself: believed, it would count as work of the
    user's own."""
    return MlrunError(
        f"run {run.counter} began here, and the remote `{depot.remote.shown}` tells how it went on",
        code=ExitCode.STORE,
        hint=f"if this store was put back from a backup: `mlrun rm run:{run.counter}`, then pull `{run.id}`",
    )
