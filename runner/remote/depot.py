"""The layout of a remote store: where manifests, objects and tombstones are. Knows no local store.

A manifest is written when everything that it names is there and settled, so a remote never shows a run in part.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from io import BytesIO
from typing import Any, BinaryIO

from runner.digest import Digest, canonical_json, hash_bytes, is_digest
from runner.errors import ExitCode, MlrunError
from runner.remote.lane import Lanes
from runner.remote.manifest import MOST_BYTES, Manifest, ManifestName, decode_manifest, join
from runner.remote.remote import NotThere, Remote, Told, read_whole
from runner.remote.shape import TIME, Shape, is_count, misfit
from runner.store.identity import is_id
from runner.store.journal import timestamp
from runner.store.removal import Purged

FORMAT = b"mlrun remote, format 1\n"
MOST_RUNS = 1_000_000
MOST_PROJECTS = 100_000
MOST_TOMBSTONES = 1_000_000
NOTHING = hash_bytes(b"")
"""The content of every empty file: it cannot be destroyed, and no tombstone of it is believed."""

_TOMBSTONE: Shape = {
    "digest": str, "time": TIME, "by": str, "reason": str, "names": [str], "size": is_count
}  # fmt: skip
_OURS = frozenset({"format", "objects", "runs", "tombstones", "new"})
_MOST_TOMBSTONE = 1 << 20
_ATTEMPTS = 5


class Depot:
    """A remote store. Methods raise MlrunError: INPUT when the remote cannot be reached, STORE for what it should not
    say, DISK when it is full."""

    def __init__(self, remote: Remote) -> None:
        self.remote = remote
        self._is_known = False

    def prepare(self) -> None:
        """Make it a remote store if there is nothing yet, and clean up after pushes that were killed."""
        if self._is_one():
            self.remote.sweep()
            return
        names = {item.name for item in self.remote.items("", 1000)} | set(self.remote.folders("", 1000))
        foreign = {name for name in names - _OURS if not name.startswith(".")}
        if foreign:
            raise MlrunError(
                f"`{self.remote.shown}` is no remote store: it holds `{min(foreign)}`",
                code=ExitCode.USAGE,
                hint="name an empty folder, or one that does not exist yet",
            )
        self.remote.upload("format", BytesIO(FORMAT), len(FORMAT), _unheard)
        self.remote.settle()

    def check(self) -> None:
        """Raises MlrunError (INPUT) when there is no remote store."""
        if not self._is_one():
            raise MlrunError(
                f"there is no remote store at `{self.remote.shown}`",
                code=ExitCode.INPUT,
                hint="`mlrun push --to` makes one; is the address right?",
            )

    def _is_one(self) -> bool:
        """Asked once: a remote that was one stays one."""
        if self._is_known:
            return True
        try:
            found = read_whole(self.remote, "format", 200)
        except NotThere:
            return False
        if found == FORMAT:
            self._is_known = True
            return True
        raise MlrunError(
            f"`format` of `{self.remote.shown}` does not name a format of a remote store that this program knows",
            code=ExitCode.STORE,
            hint="a newer `mlrun` may have made it, or it is something else: a store itself is no remote",
        )

    def projects(self) -> list[str]:
        """The ids of all projects that have runs here."""
        return sorted(filter(is_id, self.remote.folders("runs", MOST_PROJECTS)))

    def names(self, project: str) -> dict[str, list[ManifestName]]:
        """The manifests of a project by run."""
        found: dict[str, list[ManifestName]] = {}
        for item in self.remote.items(f"runs/{project}", MOST_RUNS):
            name = ManifestName.parse(project, item.name, item.size)
            if name is not None:
                found.setdefault(name.run, []).append(name)
        return found

    def read(self, names: Collection[ManifestName], lanes: Lanes) -> dict[str, Manifest | MlrunError]:
        """What the manifests say, joined by run, or why one cannot be believed. NotThere for one that is gone: another
        push has put a fuller one in its place."""
        found: dict[ManifestName, Manifest | MlrunError] = {}

        def read(name: ManifestName) -> None:
            found[name] = self._read(name)

        lanes.carry(read, names)
        return dict(self._joined(names, found))

    def find(
        self, project: str, runs: Collection[str], listed: Mapping[str, list[ManifestName]], lanes: Lanes
    ) -> dict[str, Manifest | MlrunError]:
        """The manifests of some runs of a project, of which `listed` is what `names` gave not long ago."""
        for attempt in range(_ATTEMPTS):
            if attempt:
                listed = self.names(project)
            found = self.read([name for run in runs for name in listed.get(run, ())], lanes)
            if attempt == _ATTEMPTS - 1 or not any(isinstance(one, NotThere) for one in found.values()):
                return found
        raise AssertionError("unreachable")

    def _joined(
        self, names: Iterable[ManifestName], found: Mapping[ManifestName, Manifest | MlrunError]
    ) -> Iterator[tuple[str, Manifest | MlrunError]]:
        runs: dict[str, list[ManifestName]] = {}
        for name in names:
            runs.setdefault(name.run, []).append(name)
        for run, its in runs.items():
            read = [found[name] for name in its]
            wrong = [one for one in read if isinstance(one, MlrunError)]
            if wrong:
                yield run, wrong[0]
                continue
            try:
                yield run, join(self._of_newest([one for one in read if isinstance(one, Manifest)]))
            except ValueError as error:
                yield run, self.untrue(run, str(error))

    def _of_newest(self, manifests: Sequence[Manifest]) -> list[Manifest]:
        """Several manifests of one run as such of its newest record: a push that shows a run which went on leaves the
        older ones there until it is shown. Raises ValueError where a record is none that the newest began with."""
        newest = max(manifests, key=lambda one: one.journal_size)
        if all(one.journal == newest.journal for one in manifests):
            return list(manifests)
        journal = self.journal(newest, _unheard)
        if not all(one.is_of_start(journal) for one in manifests):
            raise ValueError("there are two different records of it")
        return [one.with_record(newest.journal, newest.journal_size) for one in manifests]

    def journal(self, manifest: Manifest, told: Told) -> bytes:
        """The journal of a run. Raises ValueError for one that is not there, or is not what its name says."""
        try:
            data = read_whole(self.remote, object_path(manifest.journal), manifest.journal_size, told)
        except NotThere as error:
            raise ValueError(error.message) from error
        if hash_bytes(data) != manifest.journal:
            raise ValueError(f"its journal, the object `{manifest.journal}`, has other content than its name says")
        return data

    def _read(self, name: ManifestName) -> Manifest | MlrunError:
        if name.size > MOST_BYTES:
            return self.untrue(name.run, f"its manifest has {name.size:,} bytes")
        try:
            return decode_manifest(name, read_whole(self.remote, name.path, name.size))
        except NotThere as error:
            return error
        except (ValueError, RecursionError) as error:
            return self.untrue(name.run, f"its manifest cannot be believed: {error}")

    def write(self, manifest: Manifest) -> ManifestName:
        """Show a run. Everything that it names must be settled; not itself durable before the next `settle`."""
        name, data = manifest.encode()
        self.remote.upload(name.path, BytesIO(data), len(data), _unheard)
        return name

    def upload(self, digest: Digest, source: BinaryIO, size: int, told: Told) -> None:
        """Put an object there."""
        with closing(source):
            self.remote.upload(object_path(digest), source, size, told)

    def sizes(self, digests: Iterable[Digest]) -> dict[Digest, int]:
        """Which objects are there, and their sizes in bytes."""
        found = self.remote.sizes([object_path(digest) for digest in digests])
        return {Digest(path[-64:]): size for path, size in found.items()}

    def tombstones(self) -> frozenset[Digest]:
        """The contents that were destroyed for good and must never come back."""
        items = self.remote.items("tombstones", MOST_TOMBSTONES)
        return frozenset(Digest(item.name) for item in items if is_digest(item.name)) - {NOTHING}

    def bury(self, purged: Purged) -> bool:
        """Destroy a content here for good: its tombstone first, so that no push brings it back; whether it was here."""
        if purged.digest == NOTHING:
            raise MlrunError("an empty file holds nothing that could be destroyed", code=ExitCode.INPUT)
        about = {
            "time": purged.time,
            "by": purged.by,
            "reason": purged.reason,
            "names": list(purged.names),
            "size": purged.size,
        }
        data = canonical_json({"digest": purged.digest, **about})
        self.remote.upload(f"tombstones/{purged.digest}", BytesIO(data), len(data), _unheard)
        self.remote.settle()
        return self.remote.remove(object_path(purged.digest))

    def tombstone(self, digest: Digest) -> Purged:
        """What is said of a content that was destroyed; a tombstone that cannot be read says nothing but that."""
        said: Any = None
        with suppress(NotThere, ValueError, RecursionError):
            said = json.loads(read_whole(self.remote, f"tombstones/{digest}", _MOST_TOMBSTONE))
        if misfit(said, _TOMBSTONE, "") is not None:
            return Purged(digest, timestamp(), "", "", ())
        return Purged(digest, said["time"], said["by"], said["reason"], tuple(said["names"]), said["size"])

    def untrue(self, run: str, what: str) -> MlrunError:
        """Something that the remote says of a run cannot be believed; nothing of the run is taken."""
        return MlrunError(
            f"run `{run}` of the remote `{self.remote.shown}` is refused: {what}",
            code=ExitCode.STORE,
            hint="nothing of this run was taken; whoever has it can push it again with `--again`",
        )

    def close(self) -> None:
        """Let the remote go; idempotent."""
        self.remote.close()


def object_path(digest: Digest) -> str:
    """The name of an object at a remote."""
    return f"objects/{digest[:2]}/{digest}"


def _unheard(count: int) -> None:
    pass
