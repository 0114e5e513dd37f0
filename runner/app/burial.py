"""Destroys files in a remote store. Joins the user's settings, the tombstones of the own store and `runner.remote`."""

from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass

from runner.digest import Digest
from runner.provenance.host import user_name
from runner.remote.depot import Depot
from runner.remote.kind import choose_remote, open_remote
from runner.settings import Settings
from runner.store.journal import timestamp
from runner.store.layout import Layout
from runner.store.removal import Purged, Removals


@dataclass(frozen=True, slots=True)
class Buried:
    """A content that is destroyed in a remote store, or would be; `size` is what there was of it, in bytes, None if it
    was not there: then it is only refused from now on."""

    digest: Digest
    size: int | None


def bury(settings: Settings, url: str, digests: Collection[Digest], reason: str, *, dry: bool) -> Iterator[Buried]:
    """Destroy contents in the remote store at `url`, one after the other; gives each when that is done.

    What the own store knows of them goes into their tombstones. With `dry` nothing is changed. Raises MlrunError: INPUT
    where there is no remote store or it cannot be reached, STORE, DISK.
    """
    layout = Layout.open_existing(settings.store) or Layout(settings.store)
    known = Removals(layout).read().purged
    with closing(Depot(open_remote(choose_remote(url, settings.remotes, "--remote")))) as depot:
        depot.check()
        there = depot.sizes(digests)
        for digest in digests:
            size = there.get(digest)
            if not dry:
                depot.bury(known.get(digest) or Purged(digest, timestamp(), user_name(), reason, (), size or 0))
            yield Buried(digest, size)
