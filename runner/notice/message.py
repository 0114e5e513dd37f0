"""What is told. Values only."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


class NotTold(Exception):
    """A notifier could not be reached; the text says why, without what could be a key."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A node that failed, or waits for a person, and why."""

    node: str
    state: str
    reason: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What happened to a run. `event` is the most particular occasion, `occasions` are all of them; `duration` is in
    seconds; `title` and `text` are for people, clean, one line each."""

    event: str
    occasions: tuple[str, ...]
    title: str
    text: str
    run: str
    number: int
    kind: str
    name: str
    project: str
    host: str
    state: str
    reason: str | None
    duration: float
    nodes: tuple[Trouble, ...] = ()

    def json(self) -> bytes:
        """As one JSON object, ASCII only."""
        return json.dumps(_plain(asdict(self)), allow_nan=False).encode()

    def variables(self) -> dict[str, str]:
        """As variables of an environment."""
        told: Mapping[str, Any] = {
            "EVENT": self.event,
            "TITLE": self.title,
            "TEXT": self.text,
            "RUN": self.run,
            "NUMBER": self.number,
            "KIND": self.kind,
            "NAME": self.name,
            "PROJECT": self.project,
            "STATE": self.state,
            "REASON": self.reason or "",
            "DURATION": f"{self.duration:.1f}",
        }
        return {f"MLRUN_{name}": _plain(str(value)) for name, value in told.items()}


def _plain(value: Any) -> Any:
    """With texts as a variable and every reader of JSON can hold them: no NUL, and nothing that is no Unicode."""
    match value:
        case str():
            return value.replace("\0", "").encode("utf-8", "replace").decode()
        case dict():
            return {key: _plain(one) for key, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
    return value
