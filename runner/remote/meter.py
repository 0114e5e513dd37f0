"""How far a push or a pull is, told from any thread. Knows no terminal."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

from runner.remote.lane import Lanes


@dataclass(slots=True)
class Meter:
    """Objects and bytes that are to go over the wire, and how many have. `show` is called with the meter after each
    piece, one call at a time; `lanes` ends the work after an interrupt."""

    lanes: Lanes
    show: Callable[["Meter"], None] = lambda meter: None
    objects: int = 0
    size: int = 0
    objects_done: int = 0
    bytes_done: int = 0
    _lock: Lock = field(default_factory=Lock, repr=False)

    def expect(self, objects: int, size: int) -> None:
        """There is more to do."""
        with self._lock:
            self.objects += objects
            self.size += size

    def told(self, count: int) -> None:
        """Bytes went over the wire. Raises Halted when nobody waits for more."""
        self.lanes.check()
        with self._lock:
            self.bytes_done += count
            self.show(self)

    def done(self) -> None:
        """An object is whole."""
        with self._lock:
            self.objects_done += 1
            self.show(self)
