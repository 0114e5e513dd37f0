"""What somebody at the terminal is asked about nodes that await approval, and what was typed so far. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.escape import printable

_ANSWERS = {"y": True, "yes": True, "n": False, "no": False}
_LATER = ("l", "later")
_LONGEST = 16
_ERASE = "\x7f\b"
_ERASE_ALL = "\x15"


@dataclass(slots=True)
class Dialogue:
    """One question after another. Enter alone decides nothing: a run that took hours does not hang on a stray key, and
    what was typed for one question never answers the next."""

    node: str | None = None
    point: str = ""
    typed: str = ""
    _past: set[tuple[str, str]] = field(default_factory=set)
    """What was answered or put off, as long as it is asked."""

    def look(self, asked: Mapping[str, str]) -> bool:
        """These nodes await approval, each at its point; whether that made for another question, or for none."""
        before = self.node, self.point
        self._past.intersection_update(asked.items())
        if self.node is None or (self.node, self.point) in self._past or asked.get(self.node) != self.point:
            found = (one for one in asked.items() if one not in self._past)
            self.node, self.point = next(found, (None, ""))
        changed = before != (self.node, self.point)
        if changed:
            self.typed = ""
        return changed

    def hear(self, text: str) -> tuple[str, bool] | None:
        """Take what was typed; the node and whether it is approved, once that is said. Then `look` again."""
        for character in text:
            if character in "\r\n":
                said, self.typed = self.typed.strip().lower(), ""
                if self.node is None:
                    return None
                if said in _ANSWERS or said in _LATER:
                    self._past.add((self.node, self.point))
                    return (self.node, _ANSWERS[said]) if said in _ANSWERS else None
            elif character in _ERASE:
                self.typed = self.typed[:-1]
            elif character == _ERASE_ALL:
                self.typed = ""
            elif character.isprintable() and len(self.typed) < _LONGEST:
                self.typed += character
        return None

    def question(self) -> str | None:
        """What is asked now."""
        return None if self.node is None else f"approve `{printable(self.node)}` ({self.point})? [y/n/later] "
