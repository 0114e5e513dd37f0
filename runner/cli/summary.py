"""The end of a run in a table: what became of each node, when it was at work, and what it measured."""

import sys
from collections.abc import Mapping
from datetime import datetime

from runner.cli.board import metrics_text
from runner.cli.cell import COLOURS, shorten
from runner.cli.group import Group
from runner.cli.row import flattened
from runner.cli.table import Column, natural_widths, terminal_width, text_table, total_width
from runner.cli.tally import attention
from runner.cli.terminal import can_draw
from runner.cli.timeline import Track, bar, critical_path, length, tracks
from runner.escape import printable
from runner.plan.model import recorded_goal
from runner.quantity import duration_text
from runner.sign import word_of
from runner.spec.phrase import counted_of
from runner.state import DONE
from runner.store.record import UNNUMBERED, Execution, NodeRecord, Run, begun

_PIPED_COLUMNS = 140
"""The width of a table that nobody's terminal bounds."""
_BARS = 24
_LEAST_BARS = 8
_LEAST_WORDS = 20
_LONGEST_PATH = 5
"""Nodes of a critical path that are named."""

_COLUMNS = (
    Column("node"),
    Column("state", colours=COLOURS),
    Column("execution"),
    Column("duration"),
    Column("timeline"),
    Column("metrics"),
)

Metrics = Mapping[str, Mapping[str, object]]
"""Of nodes for which earlier executions stand, the last values of those, by the node's name."""


def final_table(run: Run, now: datetime, reused: Metrics | None = None) -> str:
    """One line per node of the plan, a task with all its trials: state, executions, duration, when it was at work, and
    as many metrics as the terminal is wide."""
    found = tracks(run, now)
    whole = length(run, found, now)
    words = [_words(run, track, reused or {}) for track in found]
    rows = [_cells(run, track) for track in found]
    sizes = natural_widths(_COLUMNS[:4], rows)
    room = (terminal_width(sys.stdout) or _PIPED_COLUMNS) - total_width([*sizes, 0])
    width = min(_BARS, max(_LEAST_BARS, (room - _LEAST_WORDS) // 2))
    plain = not can_draw(sys.stdout)
    bars = [bar(track.spans, whole, width, ascii=plain) for track in found]
    left = max(_LEAST_WORDS, room - width - 2)
    table = [
        (*row, drawn, text if track.trials else shorten(text, left))
        for row, drawn, track, text in zip(rows, bars, found, words, strict=True)
    ]
    return text_table(_COLUMNS, table)


def timeline_rows(run: Run, now: datetime) -> list[tuple[str, str, str, str]]:
    """Of each node that was at work: its name, when that was, when it began and how long it took, as clean cells."""
    found = tracks(run, now)
    whole = length(run, found, now)
    plain = not can_draw(sys.stdout)
    return [
        (
            printable(track.node.name),
            f"|{bar(track.spans, whole, _BARS, ascii=plain)}|",
            f"+{duration_text(track.began)}" if track.began is not None else "",
            duration_text(track.took) or word_of(track.node),
        )
        for track in found
    ]


def path_text(run: Run, now: datetime) -> str | None:
    """The critical path, `a → b → c; b took 3 min 05 s of 4 min 10 s`; None where no two nodes were at work."""
    found = tracks(run, now)
    path = critical_path(run, found)
    longest = max(path, key=lambda track: track.took or 0.0, default=None)
    if longest is None or longest.took is None or sum(bool(track.spans) for track in found) < 2:
        return None
    names = [printable(track.node.name) for track in path]
    if len(names) > _LONGEST_PATH:
        names = [*names[:2], "…", *names[-2:]]
    whole = duration_text(length(run, found, now))
    said = f"{printable(longest.node.name)} took {duration_text(longest.took)} of {whole}"
    arrow = " → " if can_draw(sys.stdout) else " > "
    return f"{arrow.join(names)}; {said}"


def _cells(run: Run, track: Track) -> tuple[str, str, str, str]:
    """Name, state, executions and duration of a node."""
    node = track.node
    if node.kind == "task":
        numbers = counted_of(begun(node, track.trials), node.size, "trial")
    elif node.reused is not None:
        numbers = f"#{node.reused.counter}" if node.reused.counter != UNNUMBERED else ""
    else:
        numbers = ", ".join(f"#{run.executions[id].counter}" for id in node.executions)
    return printable(node.name), word_of(node), numbers, duration_text(track.took)


def _words(run: Run, track: Track, reused: Metrics) -> str:
    if track.node.kind == "task":
        return trials_sentence(run, track, reused) if track.trials else ""
    return metrics_text(_metrics(run, track.node, reused), _PIPED_COLUMNS)


def _metrics(run: Run, node: NodeRecord, reused: Metrics) -> Mapping[str, object]:
    last = _last(run, node)
    return flattened(last.metrics) if last is not None else reused.get(node.name, {})


def _last(run: Run, node: NodeRecord) -> Execution | None:
    return run.executions[node.executions[-1]] if node.executions else None


def trials_sentence(run: Run, track: Track, reused: Metrics | None = None) -> str:
    """`38/50 done · 6 pruned · best accuracy 0.93 (trial 17: lr=0.1)` of a task node."""
    group = Group(track.node.size or len(track.trials), recorded_goal(run.plan, track.node.name))
    for trial in track.trials:
        group.put(trial.name, attention(trial.state, trial.reason), word_of(trial))
        if trial.state in DONE:
            group.score(trial.name, _metrics(run, trial, reused or {}))
    best = next((trial for trial in track.trials if group.best and trial.name == group.best.name), None)
    return group.sentence(best.parameters if best else {})
