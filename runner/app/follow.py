"""A run that another process drives, told to a listener as if it were driven here: from its journal and its logs."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from runner.app.retelling import changed, shown_nodes, shown_trial, so_far
from runner.app.run import Ended
from runner.errors import ExitCode
from runner.events import (
    ApprovalAsked,
    ApprovalDecided,
    Event,
    Listener,
    LogArrived,
    MetricsArrived,
    NodeChanged,
    RunEnded,
    RunParked,
    RunStarted,
    TrialsAdded,
)
from runner.job import Outcome
from runner.state import FINAL, Reason, State
from runner.store.history import is_abandoned
from runner.store.journal import Follower
from runner.store.layout import RunFolder
from runner.store.record import Entry, Run, trials
from runner.store.story import Story, interrupted, is_driven
from runner.worker.conclusion import exit_code
from runner.worker.log import LogTail

_POLL = 0.1
"""Seconds between two looks."""


def follow_run(folder: RunFolder, emit: Listener) -> Ended:
    """Tell what becomes of a run until it ends, is parked, or has lost its runner. Raises FileNotFoundError for one
    without a journal, DamagedJournal and BrokenJournal."""
    following = _Following(folder, emit)
    while True:
        # Asked before the journal is read: an owner that ends in between has told the end by then.
        gone = is_abandoned(folder)
        following.look()
        run = following.run()
        if not is_driven(run) or gone:
            return Ended(following.finish(run), exit_of(interrupted(run)))
        time.sleep(_POLL)


def exit_of(run: Run) -> int:
    """What the command ended with that drove the run; where the record does not say it, what follows from it."""
    if run.exit_code is not None:
        return run.exit_code
    if run.state is State.SUCCEEDED:
        return ExitCode.OK
    if run.state is State.WAITING:
        return ExitCode.APPROVAL
    if run.state is State.FAILED:
        for execution in run.executions.values():
            if execution.state is State.FAILED and execution.reason is not None:
                return exit_code(Outcome(execution.reason, execution.exit_code))
        for node in run.nodes.values():
            if node.state is State.FAILED and node.reason is not None and not node.executions:
                return exit_code(Outcome(node.reason, None))
    return ExitCode.STEP_FAILED


@dataclass(slots=True)
class _Following:
    folder: RunFolder
    emit: Listener
    _follower: Follower = field(init=False)
    _story: Story = field(default_factory=Story)
    _tails: dict[str, LogTail] = field(default_factory=dict)
    _open: dict[str, str] = field(default_factory=dict)
    """The executions under way, each with its node."""
    _begun: bool = False

    def __post_init__(self) -> None:
        self._follower = Follower(self.folder.journal)

    def run(self) -> Run:
        """The run so far."""
        return self._story.run()

    def look(self) -> None:
        """Tell what was added since the last look."""
        entries = self._follower.poll()
        for entry in entries:
            self._story.add(entry)
        if not self._begun:
            self._begin()
        elif entries:
            run = self.run()
            for entry in entries:
                for event in self._told(run, entry):
                    self.emit(event)
        self._read_logs()

    def finish(self, run: Run) -> Run:
        """The run has come to rest: tell the rest, and how."""
        for id in list(self._tails):
            self._close(id)
        last = interrupted(run)
        for name, node in last.nodes.items():
            if node.state is not run.nodes[name].state:
                self.emit(changed(last, node))
        if last.state is State.WAITING:
            waiting = (name for name, node in last.nodes.items() if node.state is State.AWAITING_APPROVAL)
            self.emit(RunParked(last.id, last.counter, tuple(waiting)))
        else:
            self.emit(RunEnded(last.id, last.counter, last.state, last.reason, last.duration))
        return last

    def _begin(self) -> None:
        run = self.run()
        self._begun = True
        self.emit(RunStarted(run.id, run.counter, run.kind, run.name, run.executor, tuple(shown_nodes(run))))
        for event in so_far(run):
            self.emit(event)
        self._open = {id: one.node for id, one in run.executions.items() if one.state not in FINAL}

    def _told(self, run: Run, entry: Entry) -> Iterator[Event]:
        match entry["type"]:
            case "node-moved":
                yield self._changed(run, entry)
                if entry["state"] == State.AWAITING_APPROVAL:
                    yield ApprovalAsked(entry["node"], str(entry.get("point")))
            case "trials-added":
                names = {trial["name"] for trial in entry["trials"]}
                added = (trial for trial in trials(run, entry["node"]) if trial.name in names)
                yield TrialsAdded(entry["node"], tuple(map(shown_trial, added)), entry.get("size"))
            case "approval-decided":
                yield ApprovalDecided(entry["node"], entry["point"], entry["approved"], entry["by"])
            case "execution-created":
                self._open[entry["id"]] = entry["node"]
            case "execution-finished":
                self._read_log(entry["id"])
                self._close(entry["id"])
                self._open.pop(entry["id"], None)
            case "run-resumed":
                for name in entry["again"]:
                    yield NodeChanged(name, State.WAITING)
            case _:
                pass

    def _changed(self, run: Run, entry: Entry) -> NodeChanged:
        """By the entry, for the node may have moved on since."""
        reason = entry.get("reason")
        now = changed(run, run.nodes[entry["node"]])
        state = State(entry["state"])
        ended = state in FINAL
        return NodeChanged(
            now.node,
            state,
            None if reason is None else Reason(reason),
            entry.get("detail"),
            execution=now.execution,
            exit_code=now.exit_code if ended else None,
            duration=now.duration if ended else None,
            work=now.work if ended else None,
        )

    def _read_logs(self) -> None:
        for id in list(self._open):
            self._read_log(id)

    def _read_log(self, id: str) -> None:
        if id not in self._tails:
            with suppress(OSError):
                self._tails[id] = LogTail(self.folder.logs / id)
        if id in self._tails:
            self._pour(id, self._tails[id].poll)

    def _close(self, id: str) -> None:
        tail = self._tails.pop(id, None)
        if tail is not None:
            self._tails[id] = tail
            self._pour(id, tail.rest)
            del self._tails[id]
            tail.close()

    def _pour(self, id: str, read: Callable[[], "LogTail.Batch"]) -> None:
        pieces, events = read()
        node = self._story.execution(id).node
        for piece in pieces:
            self.emit(LogArrived(node, piece.stream, piece.data))
        for line in events:
            with suppress(ValueError, KeyError):
                self.emit(MetricsArrived(node, json.loads(line)["values"]))
