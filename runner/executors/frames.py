"""The engine's framing of two streams in one: an 8-byte header (stream, three zeros, length) before each piece.

Knows bytes only. Described under "Attach to a container" in the Docker Engine API.
"""

from collections.abc import Iterable, Iterator

from runner.job import LogChunk, Stream

_HEADER = 8
_STREAMS: dict[int, Stream] = {0: "stdout", 1: "stdout", 2: "stderr"}


def split(pieces: Iterable[bytes]) -> Iterator[LogChunk]:
    """Yield what `pieces` hold, however their borders lie; a piece is passed on as soon as it is there."""
    header, stream, left = b"", _STREAMS[1], 0
    for data in pieces:
        view = memoryview(data)
        while view:
            if left == 0:
                taken = _HEADER - len(header)
                header, view = header + bytes(view[:taken]), view[taken:]
                if len(header) == _HEADER:
                    stream, left = _STREAMS.get(header[0], "stderr"), int.from_bytes(header[4:], "big")
                    header = b""
            else:
                part, view = bytes(view[:left]), view[left:]
                left -= len(part)
                yield LogChunk(stream, part)


def skip(chunks: Iterable[LogChunk], seen: dict[Stream, int]) -> Iterator[LogChunk]:
    """Leave out the first `seen` bytes of each stream, which the caller has had already."""
    left = dict(seen)
    for chunk in chunks:
        dropped = min(left.get(chunk.stream, 0), len(chunk.data))
        left[chunk.stream] = left.get(chunk.stream, 0) - dropped
        if dropped < len(chunk.data):
            yield LogChunk(chunk.stream, chunk.data[dropped:])
