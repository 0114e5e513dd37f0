"""Numbers that are taken from the disk in growing lots: one for who asks once, few draws for who asks often."""

from collections.abc import Callable
from threading import Lock

_MOST = 256
"""Numbers that are drawn together, at most: what a crash may leave unused."""


class Numbers:
    """Gives numbers of a sequence, each once and in order. Usable from several threads.

    `draw` takes so many and gives the first of them; `give_back` gets the first of those at the end that nobody wanted,
    and how many they are. `source` says where they come from: what was drawn from another place is not given out.
    """

    def __init__(
        self, draw: Callable[[int], int], give_back: Callable[[int, int], None], source: Callable[[], object]
    ) -> None:
        self._draw = draw
        self._give_back = give_back
        self._source = source
        self._lock = Lock()
        self._left = range(0)
        self._given = 0
        self._drawn_from: object = None

    def next(self) -> int:
        """A number. Raises what `draw` does; who asks next then tries it again."""
        with self._lock:
            if not self._left or self._source() != self._drawn_from:
                # As many again as were asked for so far: at most half of them are too many.
                many = min(max(self._given, 1), _MOST)
                first = self._draw(many)
                self._left, self._drawn_from = range(first, first + many), self._source()
            number, self._left = self._left[0], self._left[1:]
            self._given += 1
            return number

    def close(self) -> None:
        """Give back what is left. Raises what `give_back` does."""
        with self._lock:
            left, self._left = self._left, range(0)
            if left and self._source() == self._drawn_from:
                self._give_back(left[0], len(left))
