"""What a remote store has to offer, whatever it is made of: names with content, and no meaning of either.

A name is a relative path with `/` between its parts, made by `runner.remote.depot`; none comes from a record unchecked.
"""

from collections.abc import Callable, Collection, Iterator
from typing import BinaryIO, NamedTuple, Protocol

from runner.errors import ExitCode, MlrunError

Told = Callable[[int], None]
"""Is told bytes that went over the wire, from any thread; raises `Halted` where nobody waits for more."""


class Halted(Exception):
    """The work was given up between two pieces, because somebody interrupted it or another part of it failed."""


class Item(NamedTuple):
    """Something at a remote: the last part of its name, and its size in bytes."""

    name: str
    size: int


class NotThere(MlrunError):
    """A remote has no content of this name, or what has it is no regular file."""

    def __init__(self, shown: str, name: str, what: str = "is not there") -> None:
        super().__init__(f"`{name}` of the remote `{shown}` {what}", code=ExitCode.STORE)


class Remote(Protocol):
    """A place far away. Made by `runner.remote.kind.open_remote`, closed once by whoever opened it; every method in
    between may be called from several threads at the same time.

    Methods raise MlrunError: INPUT when the place cannot be reached or refuses us, DISK when it is full.
    """

    shown: str
    """What people call it, without passwords."""
    lanes: int
    """How many calls side by side do it good."""

    def items(self, folder: str, most: int) -> list[Item]:
        """The files right in `folder`, in any order; nothing for one that is not there. What cannot be a finished file
        (links, folders, devices) is left out. Raises MlrunError (STORE) when there are more than `most`."""
        ...

    def folders(self, folder: str, most: int) -> list[str]:
        """The names of the folders right in `folder`, in any order. Raises MlrunError (STORE) for more than `most`."""
        ...

    def sizes(self, names: Collection[str]) -> dict[str, int]:
        """The sizes of those that are there: asked for together, so that thousands cost few round trips."""
        ...

    def upload(self, name: str, source: BinaryIO, size: int, told: Told) -> None:
        """Put `size` bytes of `source`, which can be read again from its start, under `name`. Others see the whole
        content or none. Durable after the next `settle`, and perhaps not to be seen before. Replaces what is there."""
        ...

    def settle(self) -> None:
        """Make durable, as far as the place can, what was uploaded, and what `sizes` found. Called by one thread while
        no upload goes on."""
        ...

    def download(self, name: str, offset: int, size: int, told: Told) -> Iterator[bytes]:
        """The bytes from `offset` to `size`, never more, in pieces. A shorter content ends early. Raises NotThere."""
        ...

    def remove(self, name: str) -> bool:
        """Let the name be gone; whether it was there. Durable where the place can do that. Idempotent."""
        ...

    def sweep(self) -> None:
        """Remove what uploads left that were killed more than a day ago. Cheap; called before many uploads."""
        ...

    def close(self) -> None:
        """Let connections and descriptors go; idempotent."""
        ...


def unreachable(shown: str, why: str, hint: str | None = None) -> MlrunError:
    """The remote cannot be used from here."""
    return MlrunError(
        f"the remote `{shown}` cannot be used: {why}",
        code=ExitCode.INPUT,
        hint=hint or "look at its address and at who you are there; what was done so far is kept",
    )


def vanished(shown: str) -> MlrunError:
    """Folders of the remote that were there a moment ago are gone."""
    return unreachable(
        shown,
        "it was removed, or a part of it, while it was written",
        "the same command makes it anew and sends all of it",
    )


def full(shown: str, needs: int = 0) -> MlrunError:
    """The remote has no room; `needs` in bytes, 0 where nobody knows."""
    return MlrunError(
        f"the remote `{shown}` is full" + (f": {needs:,} bytes do not fit" if needs else ""),
        code=ExitCode.DISK,
        hint="make room there and push again; what is there already is not sent twice",
    )


def too_many(shown: str, folder: str, most: int) -> MlrunError:
    """A listing that does not end is no listing."""
    return MlrunError(
        f"`{folder}` of the remote `{shown}` has more than {most:,} entries",
        code=ExitCode.STORE,
        hint="name the runs that are wanted, or look at what is wrong with the remote",
    )


def read_whole(remote: Remote, name: str, size: int, told: Told = lambda count: None) -> bytes:
    """A small content of `size` bytes, or less if there is less."""
    return b"".join(remote.download(name, 0, size, told))
