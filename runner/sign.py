"""How people are told of a state: its word, its sign and its tone, the same in a terminal, a picture and a page. Pure.

Records and JSON have the state itself, and the reason apart from it.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

from runner.state import Reason, State

PRUNED = "pruned"
RETRYING = "retrying"

_OF_REASONS: Mapping[tuple[State, Reason | None], str] = {
    (State.STOPPED, Reason.PRUNED): PRUNED,
    (State.WAITING, Reason.RETRY): RETRYING,
}
"""Where the reason says more than the state: of a trial that was given up, and of a node that is tried again."""

WORDS: tuple[str, ...] = (*map(str, State), *_OF_REASONS.values())
"""All words that people meet."""


class Standing(Protocol):
    """What has a state: a run, a node, an execution, or the news of one of them."""

    @property
    def state(self) -> State: ...

    @property
    def reason(self) -> Reason | None: ...


class Tone(StrEnum):
    """States that mean much the same to a reader have one tone, and it one colour wherever there are colours."""

    GOOD = "good"
    SAME = "same"
    """As good, by what was there before."""
    BAD = "bad"
    ODD = "odd"
    ASKING = "asking"
    BUSY = "busy"
    QUIET = "quiet"


_SHOWN: Mapping[str, tuple[str, Tone]] = {
    State.AWAITING_APPROVAL: ("?", Tone.ASKING),
    State.STARTING: ("▸", Tone.BUSY),
    State.RUNNING: ("▸", Tone.BUSY),
    State.STOPPING: ("■", Tone.ODD),
    RETRYING: ("↻", Tone.ODD),
    State.SUCCEEDED: ("✓", Tone.GOOD),
    State.REUSED: ("=", Tone.SAME),
    State.FAILED: ("✗", Tone.BAD),
    State.STOPPED: ("■", Tone.ODD),
    State.INTERRUPTED: ("!", Tone.ODD),
    PRUNED: ("–", Tone.QUIET),
    State.SKIPPED: ("–", Tone.QUIET),
}
_OTHER = "·", Tone.QUIET
"""Of what has not begun."""


def word_of(what: Standing) -> str:
    """Its state in a word, as people are told it."""
    return _OF_REASONS.get((what.state, what.reason), str(what.state))


def sign_of(word: str) -> str:
    """One character that stands for the word, or beside it where there is no colour."""
    return _SHOWN.get(word, _OTHER)[0]


def tone_of(word: str) -> Tone:
    """What the word means to a reader."""
    return _SHOWN.get(word, _OTHER)[1]
