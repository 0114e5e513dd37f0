"""All nodes of a run on their way, and what follows from them together: what they left for others, their trials, the
points at which they have actions. Used by the thread of the loop."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from runner.engine.callback import Past, Sweep
from runner.engine.course import Course, Measured
from runner.engine.sampler import Told
from runner.engine.stimulus import Checked, Hopeless, Proposed, Stimulus, TaskSatisfied
from runner.errors import MlrunError
from runner.job import Job
from runner.plan.action import wanted
from runner.plan.bind import Left, resolve
from runner.plan.model import Plan, PlannedNode, Point, trial_name
from runner.state import DONE, State
from runner.worker.report import Finished
from runner.worker.watchdog import StopCondition


class Roster:
    """The courses of all nodes by name, those of trials as soon as they are chosen."""

    def __init__(
        self, plan: Plan, past: Past, leave: Callable[[Job, Finished], Left], state: Callable[[str], State]
    ) -> None:
        """`past` is what the run has behind it; `leave` says what a finished job leaves, `state` where a node is."""
        self._plan = plan
        self._past = past
        self._leave = leave
        self._state = state
        self._courses = {name: Course(node, left=past.left.get(name)) for name, node in plan.nodes.items()}
        for task, trials in past.trials.items():
            for name, told in trials.items():
                self._add_trial(task, name, told.parameters)
        for name, bound in past.adopted.items():
            self._courses[name].bound = bound

    def __getitem__(self, name: str) -> Course:
        """The course of a node. Raises KeyError."""
        return self._courses[name]

    def __iter__(self) -> Iterator[Course]:
        return iter(self._courses.values())

    def check(self, name: str, point: Point) -> Checked:
        """What the actions of a node want at a point of its life."""
        course = self._courses[name]
        then, detail = wanted(course.node, point, self._parameters(course, point), self._metrics(course))
        return Checked(name, point, then, detail)

    def _parameters(self, course: Course, point: Point) -> Mapping[str, Any]:
        """The values that a node has by now."""
        if point is not Point.STARTING and course.job is not None:
            return course.job.parameters
        try:
            return resolve(course.node, self.upstream(course.node)).parameters
        except MlrunError:
            # It will be told when the node is bound.
            return course.node.parameters

    def _metrics(self, course: Course) -> Mapping[str, object]:
        """The last value per key; of a task node, those of its trials together."""
        if course.sweep is None:
            return course.last_metrics
        together: dict[str, list[object]] = {}
        for name in course.trials:
            for key, value in self._courses[name].last_metrics.items():
                together.setdefault(key, []).append(value)
        return together

    def upstream(self, node: PlannedNode) -> dict[str, Left]:
        """What the nodes above it left."""
        return {above: self._left(above) for above in node.upstream}

    def _left(self, name: str) -> Left:
        course = self._courses[name]
        if course.left is None:
            course.left = self._find_left(course)
        return course.left

    def _find_left(self, course: Course) -> Left:
        if course.stand is not None:
            return course.stand.left
        if course.deployed is not None:
            return course.deployed.left
        if course.sweep is not None:
            done = [
                (number, self._left(trial))
                for number, trial in enumerate(course.trials, 1)
                if self._state(trial) in DONE
            ]
            return Left(course.sweep.template.parameters, course.sweep.template.environment, trials=tuple(done))
        return self._leave(course.job, course.finished) if course.job and course.finished else Left()

    def begin_sweep(self, name: str) -> None:
        """The values of a task node are known: those trials that it had before go on."""
        course = self._courses[name]
        if course.sweep is not None and (told := self._past.trials.get(name)):
            course.sweep.sampler.restore(list(told.values()))
        for trial in course.trials:
            self._dress(self._courses[trial], course.sweep, trial)

    def propose(self, name: str, number: int) -> Proposed:
        """Have up to so many further trials of a task node chosen."""
        course = self._courses[name]
        if course.sweep is None:
            return Proposed(name, (), exhausted=True)
        chosen = course.sweep.sampler.ask(number)
        names = tuple(trial_name(name, len(course.trials) + place) for place in range(1, len(chosen) + 1))
        for trial, parameters in zip(names, chosen, strict=True):
            self._add_trial(name, trial, parameters)
        return Proposed(name, names, course.sweep.sampler.exhausted)

    def _add_trial(self, task: str, name: str, parameters: Mapping[str, Any]) -> None:
        course = self._courses[task]
        course.trials[name] = len(course.trials)
        self._courses[name] = Course(course.node, parameters, left=self._past.left.get(name))
        self._dress(self._courses[name], course.sweep, name)

    def _dress(self, course: Course, sweep: Sweep | None, name: str) -> None:
        """Make the node of a trial, once its task knows what all of them have in common."""
        if sweep is None:
            course.node = replace(course.node, name=name, kind="execution", trial_of=course.node.name)
            return
        course.node = sweep.trial(name, course.chosen)
        task = sweep.template.task
        if task is not None and task.stop_condition is not None:
            course.condition = StopCondition(task.stop_condition.text, course.node.parameters)

    def weigh(self, measured: Measured) -> list[Stimulus]:
        """What a metadata event of a trial means for its task."""
        course = self._courses[measured.node]
        task = course.node.trial_of
        sweep = self._courses[task].sweep if task else None
        weighed: list[Stimulus] = []
        if course.condition is not None and course.condition.take(measured.values):
            weighed.append(TaskSatisfied(measured.node, f"{course.condition.met} in `{measured.node}`"))
        if sweep is not None and sweep.pruner is not None:
            score = sweep.score(measured.values)
            if score is not None and sweep.pruner.report(measured.node, score):
                weighed.append(Hopeless(measured.node))
        return weighed

    def tell_sampler(self, name: str, trial: str, state: State) -> None:
        """A trial of task node `name` came to its end: who chooses the next may learn from it."""
        course, of_trial = self._courses[name], self._courses[trial]
        if course.sweep is not None:
            score = course.sweep.score(of_trial.last_metrics)
            course.sweep.sampler.tell(course.trials[trial], Told(of_trial.chosen, state, score))

    def is_watched(self, task: str | None) -> bool:
        """Whether the task draws conclusions from what its trials print."""
        node = self._plan.nodes[task] if task else None
        return node is not None and (node.pruning or (node.task and node.task.stop_condition)) is not None
