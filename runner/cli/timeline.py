"""When the nodes of a recorded run were at work, and on which of them its length hung. Pure.

Times are seconds since the run was created.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from runner.quantity import moment, seconds_between
from runner.state import FINAL, Reason
from runner.store.record import Execution, NodeRecord, Run

_BAR = "━"
_BAR_ASCII = "="
_BLANK = " "


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which a node was at work: one attempt of it."""

    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Track:
    """A node of the plan with the times in which it was at work; of a task node, those of its `trials`."""

    node: NodeRecord
    spans: tuple[Span, ...]
    trials: tuple[NodeRecord, ...] = ()

    @property
    def began(self) -> float | None:
        """When it was at work first, None if it never was."""
        return min((span.began for span in self.spans), default=None)

    @property
    def ended(self) -> float:
        """When it was at work last, 0 if it never was."""
        return max((span.ended for span in self.spans), default=0.0)

    @property
    def took(self) -> float | None:
        """How long it was at work: of a task, from its first trial to its last; of another node, all attempts whose end
        was recorded. None where nobody knows."""
        if self.began is None:
            return None
        took = self.ended - self.began if self.trials else sum(span.ended - span.began for span in self.spans)
        return took or None


def tracks(run: Run, now: datetime) -> list[Track]:
    """Every node of the plan, in its order; what still runs has done so until `now`."""
    trials: dict[str, list[NodeRecord]] = {}
    for node in run.nodes.values():
        if node.trial_of is not None:
            trials.setdefault(node.trial_of, []).append(node)
    return [
        Track(node, tuple(_spans(run, (node, *trials.get(node.name, ())), now)), tuple(trials.get(node.name, ())))
        for node in run.nodes.values()
        if node.trial_of is None
    ]


def length(run: Run, found: Sequence[Track], now: datetime) -> float:
    """How long the run took, or has taken so far: with the times when nobody drove it."""
    ended = run.finished if run.finished is not None else now.isoformat() if run.state not in FINAL else None
    whole = seconds_between(run.created, moment(ended)) if ended else 0.0
    return max([whole, *(track.ended for track in found)])


def critical_path(run: Run, found: Sequence[Track]) -> list[Track]:
    """The nodes on which the length of the run hung: the one that ended last, before it the one that ended last of
    those that it waited for, and so on."""
    by_name = {track.node.name: track for track in found}
    above: Mapping[str, Iterable[str]] = {node["name"]: node.get("upstream", ()) for node in run.plan["nodes"]}
    path: list[Track] = []
    reached = [track for track in found if track.spans]
    while reached:
        path.append(max(reached, key=lambda track: track.ended))
        names = above.get(path[-1].node.name, ())
        reached = [by_name[name] for name in names if name in by_name and by_name[name].spans]
    return path[::-1]


def bar(spans: Iterable[Span], whole: float, width: int, *, ascii: bool = False) -> str:
    """The spans within the `whole` time as `width` columns; each is seen, however short."""
    cells = [_BLANK] * width
    for span in spans:
        first = min(width - 1, int(span.began / whole * width)) if whole > 0 else 0
        last = min(width, max(first + 1, round(span.ended / whole * width))) if whole > 0 else width
        cells[first:last] = [_BAR_ASCII if ascii else _BAR] * (last - first)
    return "".join(cells)


def _spans(run: Run, nodes: Iterable[NodeRecord], now: datetime) -> Iterator[Span]:
    for node in nodes:
        for id in node.executions:
            span = _span(run, run.executions[id], now)
            if span is not None:
                yield span


def _span(run: Run, execution: Execution, now: datetime) -> Span | None:
    if execution.started is None:
        return None
    began = seconds_between(run.created, moment(execution.started))
    if execution.finished is not None and execution.reason is not Reason.RUNNER_LOST:
        return Span(began, max(began, seconds_between(run.created, moment(execution.finished))))
    if execution.state in FINAL:
        # Its end was never recorded: of one that lost its runner, only when that was found.
        return Span(began, began + (execution.duration or 0.0))
    return Span(began, max(began, seconds_between(run.created, now)))
