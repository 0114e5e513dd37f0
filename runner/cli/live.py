"""How a run looks on a terminal while it lasts: a scene that is drawn again and again. The only home of `rich`."""

from contextlib import suppress
from threading import Lock
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType
from rich.text import Text

from runner.cli.board import Board
from runner.cli.desk import Decide, Desk
from runner.cli.display import asks, decided_sentence, notice_sentence, parked_sentence
from runner.cli.scene import Scene
from runner.events import ApprovalDecided, Event, ImagePulled, InputFetched, NodeChanged, Noticed, RunParked, RunStarted


class LiveDisplay:
    """The nodes of a run with state, time and metrics, and below them the last lines of what runs."""

    def __init__(self) -> None:
        self.board = Board()
        self._lock = Lock()
        self._scene = Scene(self.board)
        self._desk: Desk | None = None
        self._shown: tuple[int, tuple[int, ...]] = (0, ())
        """The width of the terminal when it was drawn last, and those of the lines."""
        self._console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._live = Live(
            console=self._console, get_renderable=self._draw, refresh_per_second=8, transient=True, screen=False
        )

    def attend(self, decide: Decide) -> None:
        """From now on ask whoever is at the terminal about nodes that await approval."""
        self._desk = Desk(decide, self._refresh, keys=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._desk is not None:
            self._desk.close()
        with suppress(OSError):
            self._live.stop()

    def __call__(self, event: Event) -> None:
        """Note it; what must not scroll away unseen is printed above the scene."""
        with self._lock:
            self.board.take(event)
            if isinstance(event, ImagePulled):
                self._scene.pulls[event.image] = event
            elif isinstance(event, InputFetched):
                self._scene.fetches[event.node, event.address] = event
            elif isinstance(event, NodeChanged | RunStarted):
                self._scene.pulls.clear()
                self._scene.forget(event.node if isinstance(event, NodeChanged) else None)
        if asks(event, self._desk) and self._desk is not None and self._desk.look(self.board.asked):
            self._refresh()
        match event:
            case Noticed():
                self._print(notice_sentence(event))
            case ApprovalDecided():
                self._print(decided_sentence(event))
            case RunParked():
                self._print(parked_sentence(event))
            case _:
                pass

    def _print(self, text: str) -> None:
        # A terminal that went away is told by a signal, which stops the run; no line to it may end one.
        with suppress(OSError):
            self._live.console.print(text, style="yellow")

    def _refresh(self) -> None:
        with suppress(OSError):
            self._live.refresh()

    def _draw(self) -> Group:
        width, height = self._console.size
        self._take_back(width)
        with self._lock:
            # The last column and the last line stay free: no terminal wraps or scrolls then.
            question = self._desk.question() if self._desk else None
            lines = self._scene.lines(max(1, width - 1), max(1, height - 1), question)
        texts = [Text.assemble(*line, no_wrap=True, overflow="crop") for line in lines]
        self._shown = width, tuple(text.cell_len for text in texts)
        return Group(*texts)

    def _take_back(self, width: int) -> None:
        """On a terminal that became narrower the lines were wrapped: take back those that `rich` does not know of."""
        before, lines = self._shown
        if 0 < width < before:
            for _ in range(sum(max(0, size - 1) // width for size in lines)):
                self._console.control(Control((ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1)))
            self._shown = width, ()
