"""The engine's framing of two streams in one: an 8-byte header (stream, three zeros, length) before each piece.

Knows bytes only. Described under "Attach to a container" in the Docker Engine API.
"""

from collections.abc import Iterable, Iterator

from runner.job import LogChunk, Stream

_HEADER = 8
_STREAMS: dict[int, Stream] = {0: "stdout", 1: "stdout", 2: "stderr"}


def split(pieces: Iterable[bytes]) -> Iterator[LogChunk]:
    """Yield what `pieces` hold, however their borders lie; a piece is passed on as soon as it is there.

    What comes together of one stream is one chunk: an engine frames every 16 KB, and each chunk has its cost.
    """
    header, stream, left = b"", _STREAMS[1], 0
    for data in pieces:
        view, parts, of = memoryview(data), list[memoryview](), stream
        while view:
            if left == 0:
                taken = _HEADER - len(header)
                header, view = header + bytes(view[:taken]), view[taken:]
                if len(header) == _HEADER:
                    stream, left = _STREAMS.get(header[0], "stderr"), int.from_bytes(header[4:], "big")
                    header = b""
            else:
                if stream != of and parts:
                    yield LogChunk(of, b"".join(parts))
                    parts = []
                part, view, of = view[:left], view[left:], stream
                left -= len(part)
                parts.append(part)
        if parts:
            yield LogChunk(of, b"".join(parts))


def take_whole(buffer: bytearray) -> Iterator[LogChunk]:
    """Take the pieces that are whole off the front of `buffer`."""
    while len(buffer) >= _HEADER:
        end = _HEADER + int.from_bytes(buffer[4:_HEADER], "big")
        if len(buffer) < end:
            return
        chunk = LogChunk(_STREAMS.get(buffer[0], "stderr"), bytes(buffer[_HEADER:end]))
        del buffer[:end]
        yield chunk


def skip(chunks: Iterable[LogChunk], seen: dict[Stream, int]) -> Iterator[LogChunk]:
    """Leave out the first `seen` bytes of each stream, which the caller has had already."""
    left = dict(seen)
    for chunk in chunks:
        dropped = min(left.get(chunk.stream, 0), len(chunk.data))
        left[chunk.stream] = left.get(chunk.stream, 0) - dropped
        if dropped < len(chunk.data):
            yield LogChunk(chunk.stream, chunk.data[dropped:])
