"""What is shown of files that were destroyed on purpose, wherever their names still stand."""

from contextlib import suppress
from functools import lru_cache

from runner.digest import Digest
from runner.errors import MlrunError
from runner.escape import printable
from runner.quantity import local_time
from runner.store.layout import Layout
from runner.store.removal import Purged
from runner.store.store import Store
from runner.store.tombstone import Tombstones


def purged_text(purged: Purged) -> str:
    """When, by whom and why content was destroyed."""
    return f"on {local_time(purged.time)} by {printable(purged.by)}: {printable(purged.reason)}"


def tombstone_text(store: Store, digest: str) -> str:
    """The same of some content; empty if it was not purged."""
    purged = _find(store, digest)
    return "" if purged is None else purged_text(purged)


def marked(store: Store, name: str, digest: str) -> str:
    """The name of a file, clean, with the word `purged` behind it if it was."""
    return printable(name) + (" (purged)" if _find(store, digest) else "")


def _find(store: Store, digest: str) -> Purged | None:
    """A record can be shown though the journal of removals is damaged, which the check tells."""
    with suppress(MlrunError):
        return _tombstones(store.layout).find(Digest(digest))
    return None


@lru_cache(maxsize=1)
def _tombstones(layout: Layout) -> Tombstones:
    return Tombstones(layout)
