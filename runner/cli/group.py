"""Rows of a display: a node, a task with its trials, or nodes side by side that do the same. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from runner.cli.tally import Attention, Tally
from runner.escape import printable
from runner.events import NodeShown
from runner.goal import Goal
from runner.plan.model import trial_number
from runner.quantity import value_text
from runner.sign import PRUNED, RETRYING
from runner.state import State

WIDE = 12
"""More nodes than this that do the same side by side are one row."""

_SAID = ("running", "awaiting-approval", RETRYING, "failed", "interrupted", PRUNED, "stopped", "skipped")
"""What is counted in the sentence of a group, in this order."""


@dataclass(frozen=True, slots=True)
class Best:
    """The best trial so far: how bad it is (the smaller, the better), the value of the metric as it was printed, and
    its name."""

    cost: float
    value: object
    name: str


@dataclass(slots=True)
class Group:
    """The trials of a task, or nodes side by side. `size` is how many there will be, None while nobody knows."""

    size: int | None
    goal: Goal | None = None
    members: Tally[str] = field(default_factory=Tally)
    best: Best | None = None

    def put(self, name: str, rank: Attention, word: str) -> None:
        """A member is there, or changed."""
        self.members.put(name, rank, word)

    def score(self, name: str, metrics: Mapping[str, object]) -> None:
        """A member is done, with these last values."""
        cost = self.goal.score(metrics) if self.goal else None
        if self.goal is not None and cost is not None and (self.best is None or cost < self.best.cost):
            self.best = Best(cost, metrics[self.goal.metric], name)

    @property
    def over(self) -> int:
        """How many came to their end."""
        return self.members.count(Attention.FAILED, Attention.OVER)

    @property
    def word(self) -> str:
        """The state of nodes side by side, in a word."""
        words = self.members.words
        for word in ("awaiting-approval", "running", "starting", "stopping", RETRYING):
            if words[word]:
                return word
        if self.members.count(Attention.NEXT):
            return "running" if self.over else "waiting"
        for word in ("failed", "interrupted", "stopped", "skipped"):
            if words[word]:
                return word
        return "succeeded" if words["succeeded"] else "reused"

    @property
    def rank(self) -> Attention:
        """How much nodes side by side ask for together."""
        rank = next((rank for rank in Attention if self.members.count(rank)), Attention.NEXT)
        # Those that have begun stand in the middle of their work.
        return Attention.ACTIVE if self.word == "running" and rank is not Attention.ASKED else rank

    def sentence(self, parameters: Mapping[str, object]) -> str:
        """`38/50 done (12 reused) · 2 running · 6 pruned · best accuracy 0.93 (trial 17: lr=0.1)`; `parameters` are
        those of the best trial."""
        words = self.members.words
        done = words[State.SUCCEEDED] + words[State.REUSED]
        reused = f" ({words[State.REUSED]} reused)" if words[State.REUSED] else ""
        parts = [f"{done}/{self.size} done{reused}" if self.size is not None else f"{done} done{reused}"]
        active = words["running"] + words["starting"] + words["stopping"]
        told = {**words, "running": active}
        parts += [f"{told[word]} {_PLAIN.get(word, word)}" for word in _SAID if told.get(word)]
        if self.best is not None and self.goal is not None:
            chosen = parameters_text(parameters)
            trial = f"trial {trial_number(self.best.name)}" + (f": {chosen}" if chosen else "")
            parts.append(f"best {printable(self.goal.metric)} {value_text(self.best.value)} ({printable(trial)})")
        return " · ".join(parts)


_PLAIN = {"awaiting-approval": "awaiting approval"}


def parameters_text(parameters: Mapping[str, object]) -> str:
    """`lr=0.1, depth=4`."""
    return ", ".join(f"{printable(name)}={value_text(value)}" for name, value in parameters.items())


def together(nodes: Sequence[NodeShown]) -> Iterator[tuple[NodeShown, ...]]:
    """The nodes in their order, those together that run the same step after the same nodes where they are many."""
    alike: dict[tuple[str, str, tuple[str, ...]], list[NodeShown]] = {}
    for node in nodes:
        alike.setdefault((node.kind, node.step, node.upstream), []).append(node)
    for node in nodes:
        same = alike[node.kind, node.step, node.upstream]
        if len(same) <= WIDE or node.kind != "execution":
            yield (node,)
        elif same[0] is node:
            yield tuple(same)
