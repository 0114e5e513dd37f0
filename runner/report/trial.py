"""The trials of a task: what each was given and how it did, the best first, and all of them side by side. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from runner.export.telling import flat
from runner.goal import Goal
from runner.quantity import exact_text, number, value_text
from runner.report.chart import Scale, label, place, scale_of
from runner.report.curve import CLOCKS
from runner.report.element import Child, Markup, element, join
from runner.report.node import link
from runner.report.subject import Subject
from runner.report.wording import folded, lasted, note, state_badge, table, why
from runner.sign import tone_of, word_of
from runner.spec.phrase import counted
from runner.state import DONE
from runner.store.record import Execution, NodeRecord, Run, trials

OPEN = 50
"""Trials that are shown at once."""
MOST = 2_000
_SCORES = 8
"""Columns of metrics."""
_LINES, _AXES = 200, 8
_DECADES = 30
"""Where the greatest value of a parameter is so many times the least, its axis is logarithmic."""
_WIDTH, _HEIGHT = 900, 250
_TOP, _BOTTOM, _SIDE = 34, 22, 70


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial with its last execution, the last value of each of its metrics, and of those that are numbers."""

    node: NodeRecord
    run: Run
    execution: Execution | None
    metrics: Mapping[str, Any]
    scores: Mapping[str, float]


def trials_of(subject: Subject, task: str) -> list[Trial]:
    """In the order in which they were chosen."""
    last = subject.last()
    found = []
    for record in trials(subject.run, task):
        part = last.get(record.name)
        execution = part.execution if part else None
        metrics = dict(flat(execution.metrics)) if execution else {}
        found.append(Trial(record, part.run if part else subject.run, execution, metrics, dict(_scores(metrics))))
    return found


def ranked(trials: Sequence[Trial], goal: Goal | None) -> list[Trial]:
    """The best first; as they are without a goal."""
    if goal is None:
        return list(trials)
    return sorted(trials, key=lambda trial: goal.rank(trial.metrics, done=trial.node.state in DONE))


def task_parts(subject: Subject, carded: frozenset[str]) -> Iterator[Markup]:
    """One block for each task node."""
    for record in subject.run.nodes.values():
        if record.kind == "task":
            yield _task(subject, record, carded)


def _task(subject: Subject, record: NodeRecord, carded: frozenset[str]) -> Markup:
    goal = subject.goals.get(record.name)
    found = ranked(trials_of(subject, record.name), goal)
    heading = element("h3", f"{record.name} ", state_badge(record))
    if not found:
        return join(heading, note("No trial was made."))
    order = f"the best first: {goal.words()}" if goal else "in the order in which they were chosen"
    names = varied(found)
    columns = _columns(found, goal)
    heads = ("trial", "state", "execution", *names, *columns, "duration", "reason")
    rows = [list(_row(subject, trial, names, columns, carded)) for trial in found[:MOST]]
    right = range(3, 4 + len(names) + len(columns))
    shown = table(heads, rows[:OPEN], f"Trials of {record.name}, {order}", right)
    rest = None
    if len(rows) > OPEN:
        rest = folded(
            f"{counted(len(rows) - OPEN, 'further trial')}", table(heads, rows[OPEN:], "Further trials", right)
        )
    cut = note(f"{MOST:,} of {len(found):,} trials are shown.") if len(found) > MOST else None
    return join(heading, parallel(found, names, goal), shown, rest, cut)


def varied(trials: Iterable[Trial]) -> list[str]:
    """The parameters that were chosen, in their order."""
    return list(dict.fromkeys(name for trial in trials for name in trial.node.parameters))


def _columns(trials: Sequence[Trial], goal: Goal | None) -> list[str]:
    """The metrics that are shown: the goal's first, then those that most trials have."""
    counts: dict[str, int] = {}
    for trial in trials:
        for name in trial.scores.keys() - CLOCKS:
            counts[name] = counts.get(name, 0) + 1
    first = [goal.metric] if goal else []
    others = sorted((name for name in counts if name not in first), key=lambda name: (-counts[name], name))
    return [*first, *others][:_SCORES]


def _row(
    subject: Subject, trial: Trial, names: Sequence[str], columns: Sequence[str], carded: frozenset[str]
) -> Iterator[Child]:
    execution = trial.execution
    yield trial.node.name
    yield state_badge(trial.node)
    yield link(execution.counter, execution.id, carded) if execution else None
    yield from (exact_text(trial.node.parameters.get(name)) for name in names)
    yield from (value_text(trial.scores.get(name)) for name in columns)
    yield lasted(execution, subject.written) if execution else None
    yield why(trial.node)


def _scores(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in metrics.items():
        if (found := number(value)) is not None:
            yield name, found


@dataclass(frozen=True, slots=True)
class _Axis:
    """A parameter or the score, at `x`: where each trial's value lies, and what stands at the ends."""

    name: str
    x: float
    places: Mapping[str, float]
    low: str
    high: str


def parallel(trials: Sequence[Trial], names: Sequence[str], goal: Goal | None) -> Markup | None:
    """A line for each trial through an axis for each parameter, to its score. Nothing where there is little to see."""
    metric = goal.metric if goal else None
    drawn = [trial for trial in trials if metric is None or metric in trial.scores][:_LINES]
    differing = [name for name in names if len({exact_text(one.node.parameters.get(name)) for one in drawn}) > 1]
    titles = [*differing[: _AXES - 1], *([metric] if metric else [])]
    if len(drawn) < 3 or len(titles) < 2:
        return None
    gap = (_WIDTH - 2 * _SIDE) / (len(titles) - 1)
    axes = [
        _axis(title, _SIDE + gap * index, drawn, is_score=metric is not None and index == len(titles) - 1)
        for index, title in enumerate(titles)
    ]
    # The best is drawn last, over the others.
    lines = [_line(trial, axes, best=index == 0 and goal is not None) for index, trial in enumerate(drawn)][::-1]
    picture = element(
        "svg",
        element("title", f"{counted(len(drawn), 'trial')}: a line each, through {', '.join(titles)}"),
        lines,
        [_draw(axis, gap) for axis in axes],
        class_="parallel",
        role="img",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
    )
    more = f", the best {len(drawn)} of {len(trials)}" if len(trials) > len(drawn) else ""
    best = "; the strong line is the best" if goal else ""
    caption = element("figcaption", f"A line for each trial{more}{best}")
    return element("div", element("figure", caption, picture), class_="wide", tabindex=0, role="region",
                   aria_label="trials side by side")  # fmt: skip


def _axis(name: str, x: float, trials: Sequence[Trial], *, is_score: bool) -> _Axis:
    values = {trial.node.name: trial.scores.get(name) if is_score else trial.node.parameters.get(name)
              for trial in trials}  # fmt: skip
    numbers = {node: number(value) for node, value in values.items()}
    known = {node: value for node, value in numbers.items() if value is not None and isfinite(value)}
    if known and len(known) == len([value for value in values.values() if value is not None]):
        scale = scale_of(list(known.values()), _HEIGHT - _BOTTOM, _TOP, log_from=_DECADES)
        places = {node: scale.place(value) for node, value in known.items()}
        return _Axis(name, x, places, value_text(scale.low), value_text(scale.high))
    words = list(dict.fromkeys(exact_text(value) for value in values.values() if value is not None))
    rungs = Scale(0, max(1, len(words) - 1), _HEIGHT - _BOTTOM, _TOP)
    rung = {word: rungs.place(index) for index, word in enumerate(words)}
    places = {node: rung[exact_text(value)] for node, value in values.items() if value is not None}
    return _Axis(name, x, places, words[0] if words else "", words[-1] if words else "")


def _line(trial: Trial, axes: Sequence[_Axis], *, best: bool) -> Markup:
    name = trial.node.name
    points = " ".join(place(axis.x, axis.places[name]) for axis in axes if name in axis.places)
    words = ", ".join(f"{key} {exact_text(value)}" for key, value in trial.node.parameters.items())
    style = "best" if best else tone_of(word_of(trial.node))
    return element(
        "g", element("title", f"{name}: {words}"), element("polyline", points=points), class_=f"trial {style}"
    )


def _draw(axis: _Axis, room: float) -> Markup:
    return join(
        element("line", class_="axis", x1=f"{axis.x:.1f}", x2=f"{axis.x:.1f}", y1=_TOP, y2=_HEIGHT - _BOTTOM),
        label(axis.name, axis.x, 12, min(room, 2 * _SIDE) - 6, "mid strong"),
        label(axis.high, axis.x, _TOP - 6, min(room, 2 * _SIDE) - 6, "mid"),
        label(axis.low, axis.x, _HEIGHT - 8, min(room, 2 * _SIDE) - 6, "mid"),
    )
