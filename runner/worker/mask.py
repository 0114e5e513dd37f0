"""Secrets blotted out of what a step prints, however programs spell them. Pure: no clock, no disk.

A value is found as it is, line by line, and as it looks in base64 (wherever in the encoded text it lies, also wrapped),
in a URL, in JSON, in Python's `repr`, in HTML and quoted for a shell. Bytes of a stream are held back only while they
are the beginning of such a spelling, so a progress line appears at once. The time is linear in what is printed: one
compiled pattern looks for a few rare bytes of each spelling, and only where it finds them the spellings are compared.
"""

import html
import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from shlex import quote as shell_quote
from urllib.parse import quote, quote_plus

from runner.job import LogChunk, Stream
from runner.metrics import MetricEvent

MASK = b"***"

MIN_BYTES = 6
"""Shorter values stand in too much that is no secret."""
_MIN_DIGITS = 10
_MIN_DISTINCT = 4
_MIN_LEAF = 16
"""Bytes from which on a text inside a JSON value counts as a secret of its own."""
_MAX_DEPTH = 32

_WRAPPED = (64, 76)
"""Columns at which base64 is wrapped in PEM (RFC 7468) and in MIME (RFC 2045)."""

_ANCHOR = MIN_BYTES
"""Bytes of a spelling that are looked for first."""
_HEAD = 3
"""Bytes by which the beginning of a spelling is looked for."""
_COMMON = b"etaoinsrhldcumpfg 0123456789ywbv.,=:-_/\"'[]{}()\\k%ETAOINSRHLDCUMPFGxj+qzWYBVKXJQZ"
"""Bytes as logs have them, the commonest first; any other is rarer."""
_RANKS = {byte: len(_COMMON) - place for place, byte in enumerate(_COMMON)}


class Mask:
    """Blots out the values of some secrets, given by name, in two streams and in single texts.

    `unmasked` names those that cannot be hidden because they are too short or too plain, `structured` those that are
    JSON, whose parts a program may well print apart. Belongs to one thread.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        plain: dict[bytes, None] = {}
        unmasked, structured = [], []
        for name, value in secrets.items():
            parts = _parts(value)
            if not parts:
                unmasked.append(name)
            elif len(parts) > 1:
                structured.append(name)
            plain |= dict.fromkeys(parts)
        self.unmasked = tuple(unmasked)
        self.structured = tuple(structured)
        spellings = {spelling for value in plain for spelling in _spellings(value) if _is_distinctive(spelling)}
        self._pattern = _Pattern(spellings) if spellings else None
        self._streams: dict[Stream, _Masking] = {}

    def __bool__(self) -> bool:
        return self._pattern is not None

    def warnings(self) -> list[str]:
        """What the user should know about secrets that are not hidden, or not in all their parts."""
        found = []
        if self.unmasked:
            found.append(f"too short or too plain to be hidden in the log: {_listed(self.unmasked)}")
        if self.structured:
            found.append(
                f"{_listed(self.structured)} is JSON: hidden as a whole and in its texts of {_MIN_LEAF} bytes or more"
            )
        return found

    def chunk(self, chunk: LogChunk) -> LogChunk:
        """What may be shown of a stream after these further bytes; possibly nothing yet."""
        if self._pattern is None:
            return chunk
        masking = self._streams.get(chunk.stream)
        if masking is None:
            masking = self._streams[chunk.stream] = _Masking(self._pattern)
        data = masking.feed(chunk.data)
        return chunk if data is chunk.data else LogChunk(chunk.stream, data)

    def rest(self) -> list[LogChunk]:
        """What was held back; called once, after the last chunk."""
        rest = [LogChunk(stream, masking.finish()) for stream, masking in self._streams.items()]
        return [chunk for chunk in rest if chunk.data]

    def text(self, text: str) -> str:
        """A text without the secrets."""
        if self._pattern is None:
            return text
        masking = _Masking(self._pattern)
        data = text.encode("utf-8", "surrogatepass")
        return (masking.feed(data) + masking.finish()).decode("utf-8", "surrogatepass")

    def event(self, event: MetricEvent) -> MetricEvent:
        """A metadata event without the secrets: JSON can spell any letter in a way that no pattern of bytes finds."""
        if self._pattern is None:
            return event
        return MetricEvent(event.offset, {self.text(key): self._value(value) for key, value in event.values.items()})

    def _value(self, value: object) -> object:
        match value:
            case str():
                return self.text(value)
            case dict():
                return {self.text(key): self._value(item) for key, item in value.items()}
            case list():
                return [self._value(item) for item in value]
            case _:
                return value


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


class _Pattern:
    """All spellings, found by their anchors: a few bytes of each, so chosen that ordinary text seldom has them."""

    def __init__(self, spellings: set[bytes]) -> None:
        self._longest = max(map(len, spellings))
        self._anchored: dict[bytes, list[tuple[int, bytes]]] = {}
        for spelling, place in _anchors(spellings).items():
            self._anchored.setdefault(spelling[place : place + _ANCHOR], []).append((place, spelling))
        # One pattern for each first byte: to look for one byte is many times faster than to look for one of several.
        first = sorted({anchor[:1] for anchor in self._anchored})
        groups = [[anchor for anchor in self._anchored if anchor.startswith(byte)] for byte in first]
        self._searches = [
            (byte, re.compile(_alternatives(group)).search) for byte, group in zip(first, groups, strict=True)
        ]
        self._begun: dict[bytes, list[bytes]] = {}
        for spelling in spellings:
            self._begun.setdefault(spelling[:_HEAD], []).append(spelling)
        self._find_head = re.compile(_alternatives(self._begun)).search
        self._short_heads = {head[:size] for head in self._begun for size in range(1, _HEAD)}
        self._inner = frozenset(byte for spelling in spellings for byte in spelling[:-1])
        """Bytes with which an unfinished spelling may end."""

    def may_hold(self, data: bytes) -> bool:
        """Whether some anchor is in `data`."""
        return any(byte in data and search(data) for byte, search in self._searches)

    def begun_at(self, data: bytes) -> int:
        """Where the longest end of `data` begins that a spelling may go on from; its length when there is none."""
        size = len(data)
        if not data or data[-1] not in self._inner:
            return size
        head = self._find_head(data, max(0, size - self._longest + 1))
        while head is not None:
            begun = data[head.start() :]
            if any(len(begun) < len(whole) and whole.startswith(begun) for whole in self._begun[head[0]]):
                return head.start()
            head = self._find_head(data, head.start() + 1)
        for short in range(_HEAD - 1, 0, -1):
            if data[-short:] in self._short_heads:
                return max(0, size - short)
        return size

    def places(self, data: bytes) -> list[tuple[int, int]]:
        """Where spellings are, in order; they may overlap."""
        found = []
        for byte, search in self._searches:
            anchor = search(data) if byte in data else None
            while anchor is not None:
                for place, spelling in self._anchored[anchor[0]]:
                    start = anchor.start() - place
                    if start >= 0 and data.startswith(spelling, start):
                        found.append((start, start + len(spelling)))
                anchor = search(data, anchor.start() + 1)
        return sorted(found)


class _Masking:
    """One stream on its way."""

    __slots__ = ("_covered", "_held", "_pattern")

    def __init__(self, pattern: _Pattern) -> None:
        self._pattern = pattern
        self._held = b""
        self._covered = 0
        """How many bytes of `_held` belong to a secret for which the mask was given out already."""

    def feed(self, data: bytes) -> bytes:
        """What can be given out after `data`."""
        pattern = self._pattern
        if not self._held and not pattern.may_hold(data) and pattern.begun_at(data) == len(data):
            return data
        whole = self._held + data
        return self._give(whole, pattern.begun_at(whole))

    def finish(self) -> bytes:
        """What was held back, as nothing follows it."""
        return self._give(self._held, len(self._held))

    def _give(self, whole: bytes, end: int) -> bytes:
        """The part of `whole` before `end`, masked; the rest is held."""
        parts: list[bytes] = []
        done = self._covered
        for start, stop in self._pattern.places(whole):
            if start >= max(done, end):
                break
            if start >= done:
                parts += (whole[done:start], MASK)
            done = max(done, stop)
        if done < end:
            parts.append(whole[done:end])
        self._held, self._covered = whole[end:], max(0, done - end)
        return b"".join(parts)


def _parts(value: str) -> list[bytes]:
    """What is to be found of a value: the value itself and its lines, and of JSON the texts in it; empty if nothing."""
    whole = value.encode("utf-8", "surrogateescape")
    if not _is_hideable(whole):
        return []
    return [part for part in dict.fromkeys([whole, *_leaves(value)]) if _is_hideable(part)]


def _leaves(value: str) -> Iterator[bytes]:
    if value.strip()[:1] not in ("{", "["):
        return
    try:
        level = [json.loads(value)]
    except (ValueError, RecursionError):
        return
    for _ in range(_MAX_DEPTH):
        for item in level:
            if isinstance(item, str) and len(data := item.encode("utf-8", "surrogatepass")) >= _MIN_LEAF:
                yield data
        level = [child for item in level for child in _children(item)]


def _children(item: object) -> Iterable[object]:
    if isinstance(item, dict):
        return item.values()
    return item if isinstance(item, list) else ()


def _is_hideable(value: bytes) -> bool:
    """Whether a value is so particular that nothing else is likely to look like it."""
    return _is_distinctive(value) and not (value.isdigit() and len(value) < _MIN_DIGITS)


def _is_distinctive(spelling: bytes) -> bool:
    return len(spelling) >= MIN_BYTES and len(set(spelling)) >= _MIN_DISTINCT


def _spellings(value: bytes) -> Iterator[bytes]:
    """All that is looked for, of the value and of each of its lines; some are too short for it."""
    yield from _base64(value)
    yield from _written(value)
    for line in {line.strip() for line in re.split(rb"[\r\n]+", value)} - {value}:
        if _is_hideable(line):
            yield from _written(line)


def _written(value: bytes) -> Iterator[bytes]:
    """The value as it is, and as text in which it stands escaped or quoted."""
    yield value
    text = value.decode("utf-8", "surrogateescape")
    for kept in ("", "/", "!'()*"):
        escaped = quote(text, safe=kept, errors="surrogateescape")
        yield escaped.encode()
        yield re.sub(r"%..", lambda match: match[0].lower(), escaped).encode()
    yield quote_plus(text, errors="surrogateescape").encode()
    for written in (
        *_in_json(json.dumps(text)[1:-1]),
        *_in_json(json.dumps(text, ensure_ascii=False)[1:-1]),
        repr(text)[1:-1],
        ascii(text)[1:-1],
        repr(value)[2:-1],
        html.escape(text),
        shell_quote(text),
        text.replace("'", "'\\''"),
        text.replace("'", "'\"'\"'"),
        re.sub(r"([^\w@%+=:,./-])", r"\\\1", text),
        re.sub(r'(["$`\\])', r"\\\1", text),
    ):
        yield written.encode("utf-8", "surrogateescape")


def _in_json(text: str) -> Iterator[str]:
    """JSON text as Python, PHP and Go write it: with a slash as it is or escaped, and with HTML's signs as numbers."""
    yield text
    yield text.replace("/", "\\/")
    yield re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _base64(value: bytes) -> Iterator[bytes]:
    """The letters of base64 (RFC 4648) that depend on the value alone, at each of the three places it can have, and
    those up to the end where the value is the last of what is encoded."""
    for alphabet in (b64encode, urlsafe_b64encode):
        for before in range(3):
            start = -(-8 * before // 6)
            for last in (b"", b"\n"):
                yield alphabet(b"\0" * before + value + last)[start:]
            own = alphabet(b"\0" * before + value)[start : 8 * (before + len(value)) // 6]
            yield own
            if before == 0:
                for width in _WRAPPED:
                    if len(own) > width:
                        yield from (own[at : at + width] for at in range(0, len(own), width))


def _anchors(spellings: set[bytes]) -> dict[bytes, int]:
    """Where the anchor of each spelling lies: all anchors together begin with as few and as rare bytes as possible."""
    starts: set[int] = set()
    left = set(spellings)
    while left:
        cover: dict[int, int] = {}
        for spelling in left:
            for byte in set(_anchor_starts(spelling)):
                cover[byte] = cover.get(byte, 0) + 1
        best = min(cover, key=lambda byte: ((1 + _RANKS.get(byte, 0)) ** 2 / cover[byte], byte))
        starts.add(best)
        left = {spelling for spelling in left if best not in _anchor_starts(spelling)}
    return {
        spelling: min(
            (place for place, byte in enumerate(_anchor_starts(spelling)) if byte in starts),
            key=lambda place: _RANKS.get(spelling[place], 0),
        )
        for spelling in spellings
    }


def _anchor_starts(spelling: bytes) -> bytes:
    return spelling[: len(spelling) - _ANCHOR + 1]


def _alternatives(words: Iterable[bytes]) -> bytes:
    """A pattern that finds words of one length as a tree, so that few of them are looked at in each place."""
    branches: dict[bytes, set[bytes]] = {}
    for word in words:
        branches.setdefault(word[:1], set()).add(word[1:])
    written = []
    for first, rests in sorted(branches.items()):
        rest = re.escape(next(iter(rests))) if len(rests) == 1 else b"(?:" + _alternatives(rests) + b")"
        written.append(re.escape(first) + rest)
    return b"|".join(written)
