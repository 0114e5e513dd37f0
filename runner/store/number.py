"""Numbers that are drawn one by one and taken from the disk together: who asks while others wait shares their draw."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock


@dataclass(slots=True)
class _Asked:
    number: int = 0
    """0 until it is drawn."""


class Numbers:
    """Gives numbers of a sequence, each once. `draw` takes so many and gives the first of them; none is wasted. Usable
    from several threads."""

    def __init__(self, draw: Callable[[int], int]) -> None:
        self._draw = draw
        self._drawing = Lock()
        self._asking = Lock()
        self._waiting: list[_Asked] = []

    def next(self) -> int:
        """A number. Raises what `draw` does; then those that waited for the same draw try it themselves."""
        mine = _Asked()
        with self._asking:
            self._waiting.append(mine)
        with self._drawing:
            # Whoever was here before has drawn for all that waited by then.
            if not mine.number:
                with self._asking:
                    asked, self._waiting = self._waiting, []
                try:
                    first = self._draw(len(asked))
                except BaseException:
                    with self._asking:
                        self._waiting += (one for one in asked if one is not mine)
                    raise
                for number, one in enumerate(asked, first):
                    one.number = number
            return mine.number
