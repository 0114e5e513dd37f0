"""Removing whole objects that can be read without them, beside whoever may just begin to use them."""

from collections.abc import Iterable
from contextlib import suppress

from runner.digest import Digest
from runner.store.claim import claimed
from runner.store.durable import NEW, temporary_name
from runner.upkeep.turn import Turn

PACK = f"{NEW}pack-"
"""Begins the names of files that belong to a pack; one that was killed leaves them."""


def scratch_name() -> str:
    """A name for a file of a pack in the scratch folder."""
    return f"{PACK}{temporary_name()}"


def release(turn: Turn, digests: Iterable[Digest]) -> list[Digest]:
    """Remove whole objects; gives those that are gone. Raises OSError.

    They are moved away first, and what a living process has claimed until then is put back.
    """
    layout, aside = turn.layout, {}
    for digest in digests:
        path = layout.objects / digest[:2] / digest
        place = layout.scratch / f"{PACK}{digest}"
        with suppress(FileNotFoundError):
            path.rename(place)
            aside[digest] = place, path
    wanted = claimed(layout.claims)
    for digest, (place, path) in aside.items():
        if digest in wanted:
            place.rename(path)
        else:
            place.unlink()
    return [digest for digest in aside if digest not in wanted]


def clear_scratch(turn: Turn) -> None:
    """Remove what a pack that was killed has left in the scratch folder: nobody needs it. Raises OSError."""
    for path in turn.layout.scratch.glob(f"{PACK}*"):
        path.unlink()
