"""Asks whoever is at the terminal about nodes that await approval: what is asked, and the keys that answer it."""

import sys
from collections.abc import Callable, Mapping
from threading import Lock

from runner.cli.dialogue import Dialogue
from runner.cli.keyboard import Keyboard

Decide = Callable[[str, bool], None]
"""Lets the node of this name go on, or not; from any thread."""


class Desk:
    """One question at a time. `changed` is called, on a thread of its own, when something was typed; with `keys` that
    is part of the question, else the terminal shows it. Any thread may call."""

    def __init__(self, decide: Decide, changed: Callable[[], None], *, keys: bool) -> None:
        self._decide = decide
        self._changed = changed
        self._keys = keys
        self._lock = Lock()
        self._dialogue = Dialogue()
        self._asked: Mapping[str, str] = {}
        self._keyboard = Keyboard(sys.stdin.fileno(), self._hear, keys=keys)

    def look(self, asked: Mapping[str, str]) -> bool:
        """These nodes await approval now, each at its point; whether another question is asked than before."""
        with self._lock:
            self._asked = dict(asked)
            return self._look()

    @property
    def node(self) -> str | None:
        """What is asked about."""
        return self._dialogue.node

    def question(self) -> str | None:
        """The question as it stands, None where nothing is asked."""
        with self._lock:
            question = self._dialogue.question()
            return question + self._dialogue.typed if question and self._keys else question

    def close(self) -> None:
        """Ask no more."""
        self._keyboard.close()

    def _look(self) -> bool:
        changed = self._dialogue.look(self._asked)
        if changed:
            self._keyboard.listen(wanted=self._dialogue.node is not None)
        return changed

    def _hear(self, text: str) -> None:
        with self._lock:
            answer = self._dialogue.hear(text)
            self._look()
        if answer is not None:
            self._decide(*answer)
        self._changed()
