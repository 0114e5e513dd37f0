"""How far a journal that only grows had come, so that one that was deleted or robbed of turns is noticed."""

from dataclasses import asdict, dataclass
from pathlib import Path

from runner.store.durable import disk_errors, sync_file
from runner.store.journal import Journal, digits_before
from runner.store.memo import keep, recall


@dataclass(frozen=True, slots=True)
class Extent:
    """`size` bytes of whole turns, and the digits of the last of them (`last`, empty without any)."""

    size: int = 0
    last: str = ""

    @classmethod
    def of(cls, journal: bytes) -> "Extent":
        """That of a journal of these bytes."""
        end = journal.rfind(b"\n") + 1
        return cls(end, digits_before(journal, end))

    def is_in(self, journal: bytes) -> bool:
        """Whether a journal of these bytes still begins with what it had then."""
        return digits_before(journal, self.size) == self.last


def load(path: Path) -> Extent | None:
    """What `save` has kept at `path`; None where that is nothing."""
    try:
        told = recall(path)
        return Extent(int(told["size"]), str(told["last"]))
    except (ValueError, KeyError, TypeError):
        return None


def save(path: Path, extent: Extent) -> None:
    """Keep it at `path`; where that cannot be, what was kept before stays."""
    keep(path, asdict(extent))


def bytes_of(journal: Path) -> bytes:
    """Those of a journal; none of one that is not there. Raises MlrunError (STORE)."""
    with disk_errors(journal):
        try:
            return journal.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return b""


def is_cut(journal: Path, kept: Path) -> bool:
    """Whether a journal lacks what it once told, by what is kept of it at `kept`. Raises MlrunError (STORE)."""
    # In this order: a journal only grows.
    seen = load(kept)
    return seen is not None and not seen.is_in(bytes_of(journal))


def follow(journal: Journal, before: Extent, path: Path, kept: Path) -> None:
    """Keep how long the journal at `path` is by now, after it was `before`. One that has lost turns stays known as
    such, whatever is added to it. Raises MlrunError (STORE)."""
    if load(kept) == before or not is_cut(path, kept):
        save(kept, Extent(*journal.extent))


def settle(journal: Journal, path: Path, kept: Path) -> None:
    """Keep how long the journal at `path` is by now, whatever it was: what is left of it counts from here on. Raises
    MlrunError (STORE, DISK)."""
    whole = Extent(*journal.extent)
    if load(kept) != whole:
        with disk_errors(path):
            # Its last turn may be that of a writer that was killed before it was durable.
            sync_file(path)
        save(kept, whole)
