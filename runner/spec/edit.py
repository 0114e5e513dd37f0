"""Changes of a text in a few places, and where everything stands afterwards. Pure; knows nothing of YAML."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """The characters from `start` to `end` (offsets) become `text`; with `start == end` it is inserted there."""

    start: int
    end: int
    text: str


def clash(one: Edit, other: Edit) -> bool:
    """Whether it matters which of two edits is made first: they overlap, or insert at one place."""
    if one.start == one.end and other.start == other.end:
        return one.start == other.start
    return one.start < other.end and other.start < one.end


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """The text with all edits made. Raises ValueError when two of them clash."""
    parts = []
    done = 0
    before: Edit | None = None
    for edit in sorted(edits):
        if before is not None and clash(before, edit):
            raise ValueError(f"edits at {before.start} and {edit.start} overlap")
        parts += [text[done : edit.start], edit.text]
        done, before = edit.end, edit
    return "".join([*parts, text[done:]])


class Moves:
    """Where the characters of a text stand before and after edits that do not clash."""

    def __init__(self, edits: Iterable[Edit]) -> None:
        self._edits = sorted(edits)
        self._starts = [edit.start for edit in self._edits]
        self._shifts = [0]
        for edit in self._edits:
            self._shifts.append(self._shifts[-1] + len(edit.text) - (edit.end - edit.start))
        self._new_starts = [edit.start + shift for edit, shift in zip(self._edits, self._shifts, strict=False)]

    def forward(self, offset: int) -> int:
        """The place of an old character in the new text, or of what replaced it; behind what is inserted before it."""
        before = bisect_right(self._starts, offset)
        if before and offset < self._edits[before - 1].end:
            return self._new_starts[before - 1]
        return offset + self._shifts[before]

    def back(self, offset: int) -> int:
        """The place of a new character in the old text, or of what it replaced."""
        before = bisect_right(self._new_starts, offset)
        if before and offset < self._new_starts[before - 1] + len(self._edits[before - 1].text):
            return self._edits[before - 1].start
        return offset - self._shifts[before]
