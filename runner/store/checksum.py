"""Checksums of objects besides their BLAKE3: computed when asked for, once, and kept in the store's cache.

They are for comparing with what others publish; the store itself trusts only BLAKE3.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from runner.digest import Digest, Hasher
from runner.settings import CHECKSUM_NAMES
from runner.store.memo import keep, recall
from runner.store.objects import Objects
from runner.store.shelf import damaged

ALGORITHMS = CHECKSUM_NAMES
"""What can be asked for, in the order in which it is shown; Valohai's `inputs.json` has these names."""

_PIECE = 4 << 20


class Checksums:
    """The checksums of the objects of one store, kept below `folder`, one small file per object.

    Any number of processes and threads may use the same folder; what cannot be kept is computed again.
    """

    def __init__(self, folder: Path, objects: Objects) -> None:
        self._folder = folder
        self._objects = objects

    def known(self, digest: Digest) -> dict[str, str]:
        """Every checksum that is known by name, in hexadecimal: `blake3` always. Reads one small file."""
        return {"blake3": digest, **self._kept(digest)}

    def compute(self, digest: Digest, names: Collection[str] = ALGORITHMS) -> dict[str, str]:
        """As `known`, with all of `names`: those that are missing are computed in one pass over the object and kept.

        Raises MlrunError (STORE) for an object that is missing or has other content than its name says.
        """
        kept = self._kept(digest)
        missing = [name for name in ALGORITHMS if name in names and name not in kept]
        if missing:
            kept = {**kept, **self._read(digest, missing)}
            with suppress(OSError):
                self._path(digest).parent.mkdir(parents=True, exist_ok=True)
            keep(self._path(digest), kept)
        return {"blake3": digest, **{name: kept[name] for name in ALGORITHMS if name in kept}}

    def _read(self, digest: Digest, names: Collection[str]) -> dict[str, str]:
        # Not at the top: every command opens a store, and OpenSSL takes long to load.
        import hashlib

        own = Hasher()
        others = {name: hashlib.new(name, usedforsecurity=False) for name in names}
        with self._objects.open(digest) as file:
            while piece := file.read(_PIECE):
                own.update(piece)
                for other in others.values():
                    other.update(piece)
        if own.hexdigest() != digest:
            raise damaged(digest, "has other content than its name says")
        return {name: other.hexdigest() for name, other in others.items()}

    def _path(self, digest: Digest) -> Path:
        return self._folder / digest[:2] / f"{digest}.json"

    def _kept(self, digest: Digest) -> Mapping[str, str]:
        kept = recall(self._path(digest))
        if not isinstance(kept, dict):
            return {}
        return {name: kept[name] for name in ALGORITHMS if isinstance(kept.get(name), str)}
