"""Nodes by how much they ask for attention, each found and moved in constant time, however many there are. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Generic, TypeVar

from runner.state import Reason, State


class Attention(IntEnum):
    """What is shown first where not everything fits."""

    ASKED = 0
    """Somebody has to approve it."""
    ACTIVE = 1
    """It is at work, or about to be tried again."""
    FAILED = 2
    NEXT = 3
    """It has not begun."""
    OVER = 4


_OF_STATE: Mapping[State, Attention] = {
    State.AWAITING_APPROVAL: Attention.ASKED,
    State.STARTING: Attention.ACTIVE,
    State.RUNNING: Attention.ACTIVE,
    State.STOPPING: Attention.ACTIVE,
    State.FAILED: Attention.FAILED,
    State.INTERRUPTED: Attention.FAILED,
    State.WAITING: Attention.NEXT,
    State.READY: Attention.NEXT,
    State.QUEUED: Attention.NEXT,
    State.SUCCEEDED: Attention.OVER,
    State.REUSED: Attention.OVER,
    State.STOPPED: Attention.OVER,
    State.SKIPPED: Attention.OVER,
}


def attention(state: State, reason: Reason | None = None) -> Attention:
    """How much a node in this state asks for."""
    return Attention.ACTIVE if reason is Reason.RETRY else _OF_STATE[state]


Key = TypeVar("Key", str, int)


@dataclass(slots=True)
class Tally(Generic[Key]):
    """What is shown by attention, in the order in which it came there, and how much there is of each word."""

    words: Counter[str] = field(default_factory=Counter)
    _found: dict[Key, tuple[Attention, str]] = field(default_factory=dict)
    _ranks: dict[Attention, dict[Key, None]] = field(default_factory=lambda: {rank: {} for rank in Attention})

    def __len__(self) -> int:
        return len(self._found)

    def put(self, key: Key, rank: Attention, word: str) -> None:
        """Let it be there, wherever it was before; within a rank it keeps its place."""
        before, counted = self._found.get(key, (None, None))
        if counted is not None:
            self.words[counted] -= 1
        self._found[key] = rank, word
        self.words[word] += 1
        if before is not rank:
            if before is not None:
                del self._ranks[before][key]
            self._ranks[rank][key] = None

    def word(self, key: Key) -> str:
        """What it is counted as."""
        return self._found[key][1]

    def count(self, *ranks: Attention) -> int:
        """How many are there."""
        return sum(len(self._ranks[rank]) for rank in ranks)

    def first(self, *ranks: Attention) -> Iterator[Key]:
        """Those that came first to each of the ranks; of what is over the latest first."""
        for rank in ranks:
            yield from reversed(self._ranks[rank]) if rank is Attention.OVER else self._ranks[rank]
