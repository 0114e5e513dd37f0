"""What the journal and the listeners get to know of what is decided: actions in, entries and events out."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from runner.engine import entry
from runner.engine.action import Action, Add, AskApproval, Conclude, Decide, EndRun, Move, Park
from runner.engine.callback import Stand
from runner.engine.course import Course
from runner.engine.roster import Roster
from runner.events import (
    ApprovalAsked,
    ApprovalDecided,
    Event,
    MetricsArrived,
    NodeChanged,
    NodeShown,
    Noticed,
    TrialsAdded,
)
from runner.job import Identity
from runner.plan.model import PlannedNode, goal_of
from runner.state import State

_TOLD_APART = frozenset({State.REUSED, State.AWAITING_APPROVAL})
"""States of a node whose entry says which execution stands for it."""


@dataclass(slots=True)
class Account:
    """That of one turn: `entries` for the journal and `events` for the listeners, in order. `attended` tells whether
    people are asked for approvals, `began` when the run did, in seconds of the monotonic clock, `exit` what its command
    ends with if this turn ends it."""

    roster: Roster
    identities: Mapping[str, Identity]
    executor: str
    attended: bool
    began: float
    exit: int
    entries: list[Mapping[str, Any]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def tell(self, action: Action) -> None:
        """Tell of an action; of some there is nothing to tell."""
        match action:
            case Move():
                self._tell_move(action, self.roster[action.node])
            case Conclude(name):
                course = self.roster[name]
                if course.job is not None and course.finished is not None:
                    self.entries.append(entry.execution_finished(course.job, action, course.finished))
                    self.events += [Noticed(warning, name) for warning in course.finished.warnings]
            case Add(name, trials):
                sweep = self.roster[name].sweep
                self._tell_trials(name, [self.roster[trial] for trial in trials], sweep.sampler.size if sweep else None)
            case AskApproval(name, point) if self.attended:
                self.events.append(ApprovalAsked(name, point))
            case Decide(name, point, approved, by):
                self.entries.append(entry.approval_decided(action))
                self.events.append(ApprovalDecided(name, point, approved, by))
            case Park():
                self.entries.append(entry.run_parked())
            case EndRun():
                self.entries.append(entry.run_finished(action, time.monotonic() - self.began, self.exit))
                self.events += [Noticed(action.detail)] if action.detail else []
            case _:
                pass

    def _tell_move(self, move: Move, course: Course) -> None:
        name = move.node
        if course.deployed is not None and move.state is not State.SKIPPED:
            self.entries.append(entry.deployment_gathered(name, course.deployed.gathered))
        stand = course.stand if move.state in _TOLD_APART else None
        if stand is not None and move.state is State.REUSED:
            self._tell_standing_trials(course.node, stand)
        self.entries.append(entry.node_moved(move, stand.reused if stand else None))
        if course.bound is not None and move.state is State.STARTING:
            self.entries.append(entry.execution_created(name, course.bound.counter, course.bound.job, course.bound.key))
        elif course.job is not None and move.state is State.RUNNING:
            identity = self.identities[course.job.image]
            self.entries.append(entry.execution_started(course.job, self.executor, identity))
        elif stand is not None and stand.left.metrics:
            self.events.append(MetricsArrived(name, stand.left.metrics))
        self.events.append(self._changed(move, course))

    def _tell_standing_trials(self, task: PlannedNode, stand: Stand) -> None:
        """The trials of a task node that stands; none of another."""
        if not stand.trials:
            return
        courses = [
            Course(replace(task, name=name, kind="execution", trial_of=task.name), chosen, stand=stands)
            for name, (chosen, stands) in stand.trials.items()
        ]
        self._tell_trials(task.name, courses, len(courses))
        for course, (_, stands) in zip(courses, stand.trials.values(), strict=True):
            self._tell_move(Move(course.node.name, State.REUSED, detail=stands.detail), course)

    def _tell_trials(self, task: str, courses: Sequence[Course], size: int | None) -> None:
        """The task node has these trials from now on, of `size` in all."""
        self.entries.append(entry.trials_added(task, {course.node.name: course.chosen for course in courses}, size))
        shown = tuple(show_node(course.node, course.chosen) for course in courses)
        self.events.append(TrialsAdded(task, shown, size))

    def _changed(self, move: Move, course: Course) -> NodeChanged:
        stand = course.stand if move.state in _TOLD_APART else None
        finished = course.finished
        counter = course.bound.counter if course.bound else None
        return NodeChanged(
            move.node,
            move.state,
            move.reason,
            move.detail,
            execution=stand.reused.counter if stand and stand.reused else counter,
            exit_code=finished.outcome.exit_code if finished else None,
            duration=finished.duration if finished else None,
            work=str(finished.work) if finished and finished.work else None,
            age=stand.age if stand else None,
        )


def show_node(node: PlannedNode, chosen: Mapping[str, object] | None = None) -> NodeShown:
    """A node as listeners need it; `chosen` are the values of a trial."""
    return NodeShown(
        node.name,
        node.step.name,
        node.step.image,
        node.upstream,
        kind=node.kind,
        trial_of=node.trial_of,
        parameters=chosen or {},
        goal=goal_of(node),
    )
