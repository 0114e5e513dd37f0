"""Content that was destroyed for good is not taken in again. Reads the journal of removals, when it has changed."""

import os
from collections.abc import Iterable, Mapping

from runner.digest import Digest
from runner.errors import ExitCode, MlrunError
from runner.escape import printable
from runner.store.layout import Layout
from runner.store.removal import Purged, Removals

_DIGITS = 16


class Tombstones:
    """What was purged, by the journal of removals. Usable from several threads; raises MlrunError."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._seen: tuple[int, int, int, int] | None = None
        self._purged: Mapping[Digest, Purged] = {}

    def find(self, digest: Digest) -> Purged | None:
        """What is known of content that was purged; None for any other. Raises MlrunError (STORE)."""
        return self._current().get(digest)

    def check(self, digests: Iterable[Digest]) -> None:
        """Raise MlrunError (POLICY) if any of these was purged, STORE when the journal cannot be read."""
        current = self._current()
        if current:
            for digest in digests:
                if digest in current:
                    raise purged_error(current[digest])

    def _current(self) -> Mapping[Digest, Purged]:
        try:
            status = os.stat(self._layout.removed)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        seen = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if seen != self._seen:
            self._purged = Removals(self._layout).read().purged
            self._seen = seen
        return self._purged


def purged_error(purged: Purged) -> MlrunError:
    """What to say of content that was destroyed for good."""
    return MlrunError(
        f"`{_name(purged)}` was purged on {purged.time[:10]} by {printable(purged.by)}: {printable(purged.reason)}",
        code=ExitCode.POLICY,
        hint=f"the store takes in nothing with the digest `{purged.digest}` again",
    )


def _name(purged: Purged) -> str:
    """What people called it, else the start of its digest."""
    return printable(purged.names[0]) if purged.names else purged.digest[:_DIGITS]
