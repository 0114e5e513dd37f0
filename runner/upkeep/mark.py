"""Large collections of digests in little memory: 36 bytes for each, with a number beside it. Pure."""

import re
from collections.abc import Iterable, Iterator

from runner.digest import Digest

WIDTH = 32
"""Bytes of a digest."""
BINS = 256
_NUMBER = 4
_ENTRY = WIDTH + _NUMBER
_LEAST = 1 << 15
"""Bytes of a shard that are not worth to be sorted out."""
_QUOTED = re.compile(rb'"([0-9a-f]{64})"')


class Mentions:
    """Digests, each with the number (31 bits) of what mentions it, in shards by their first byte."""

    def __init__(self) -> None:
        self._shards = [bytearray() for _ in range(BINS)]

    def add(self, digests: bytes, number: int = 0) -> None:
        """Put in digests, 32 bytes each and nothing between them."""
        tail = number.to_bytes(_NUMBER, "little", signed=True)
        for at in range(0, len(digests), WIDTH):
            shard = self._shards[digests[at]]
            shard += digests[at : at + WIDTH]
            shard += tail

    def shard(self, index: int) -> Iterator[tuple[bytes, int]]:
        """What has the first byte `index`: digest and number, in the order in which they came."""
        data = self._shards[index]
        for at in range(0, len(data), _ENTRY):
            number = int.from_bytes(data[at + WIDTH : at + _ENTRY], "little", signed=True)
            yield bytes(data[at : at + WIDTH]), number


class Marks(Mentions):
    """The same where only one thing counts about a digest: `SHARED` if different numbers mention it."""

    SHARED = -1

    def __init__(self) -> None:
        super().__init__()
        self._limits = [_LEAST] * BINS

    def add(self, digests: bytes, number: int = 0) -> None:
        super().add(digests, number)
        for index in set(digests[::WIDTH]):
            if len(self._shards[index]) > self._limits[index]:
                self._tidy(index)

    def by_digest(self, index: int) -> dict[bytes, int]:
        """The digests with the first byte `index`, with their numbers."""
        found: dict[bytes, int] = {}
        for digest, number in self.shard(index):
            found[digest] = number if found.get(digest, number) == number else self.SHARED
        return found

    def _tidy(self, index: int) -> None:
        """Let each digest be there once."""
        numbers = self.by_digest(index).items()
        packed = (digest + number.to_bytes(_NUMBER, "little", signed=True) for digest, number in numbers)
        self._shards[index] = bytearray(b"".join(packed))
        self._limits[index] = max(_LEAST, 2 * len(self._shards[index]))


def raw(digests: Iterable[str]) -> bytes:
    """Digests in the form that is put in."""
    return bytes.fromhex("".join(digests))


def split(data: bytes) -> Iterator[bytes]:
    """The single digests of many."""
    return (data[at : at + WIDTH] for at in range(0, len(data), WIDTH))


def spelled(digest: bytes) -> Digest:
    """A digest in its usual form."""
    return Digest(digest.hex())


def mentioned(document: bytes) -> bytes:
    """Every digest that a manifest could name: whatever looks like one in its JSON. Rather too much than too little."""
    return bytes.fromhex(b"".join(_QUOTED.findall(document)).decode("ascii"))
