"""The task that the command line asks for: one of the file with other terms, or a sweep over a step. Pure."""

import re
from collections.abc import Iterator
from dataclasses import replace

from runner.errors import MlrunError, did_you_mean, spec_error, usage_error
from runner.goal import Goal
from runner.plan.model import PlannedNode, Tuning, goal_of
from runner.plan.space import compile_space
from runner.plan.variation import axis_of
from runner.spec.extension import Pruning, PruningRule
from runner.spec.model import OnChildError, Parameter, ParameterType, Project, Step, Style, Task, TaskType, Variation
from runner.spec.tree import shorten

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?:\.\.({_NUMBER}))?")


def swept(step: Step, tuning: Tuning) -> Task:
    """The sweep over the parameters of a step that `--sweep` names: their grid, or random ones of it. Raises MlrunError
    (USAGE)."""
    task = Task(
        name=step.name,
        location=step.location,
        step=step.name,
        type=TaskType.GRID_SEARCH if tuning.trials is None else TaskType.RANDOM_SEARCH,
        variations=tuple(_variations(step, tuning)),
        execution_count=tuning.trials,
    )
    try:
        compile_space(task, step)
    except MlrunError as error:
        fewer = "take fewer values, or `--trials 20` for so many random ones"
        raise usage_error(error.message, fewer if tuning.trials is None else "ask for fewer `--trials`") from None
    return task


def _variations(step: Step, tuning: Tuning) -> Iterator[Variation]:
    for name, text in tuning.sweep.items():
        parameter = step.parameter(name)
        if parameter is None:
            hint = did_you_mean(name, [item.name for item in step.parameters]) or "it has none"
            raise usage_error(f"`--sweep {name}`: step `{step.name}` has no parameter `{name}`", hint)
        variation = _variation(parameter, text, random=tuning.trials is not None)
        try:
            axis_of(variation, parameter)
        except MlrunError as error:
            hint = error.hint or f"write `--sweep {name}=1,2` or `--sweep {name}=2..8`"
            raise usage_error(f"`--sweep {name}={shorten(text)}`: {error.message}", hint) from None
        yield variation


def _variation(parameter: Parameter, text: str, *, random: bool) -> Variation:
    """What the values of a parameter mean: `1,2,3`, `2..8` or `2..8..0.5`. Without a step random numbers may be any
    between the two."""
    found = _RANGE.fullmatch(text.strip())
    if found is None:
        items = [item.strip() for item in text.split(",")]
        if not all(items):
            hint = f"write `--sweep {parameter.name}=1,2` or `--sweep {parameter.name}=2..8`"
            raise usage_error(f"`--sweep {parameter.name}={shorten(text)}` has an empty value", hint)
        return Variation(parameter.name, parameter.location, Style.MULTIPLE, {"items": items})
    first, last, step = (None if end is None else _number(end) for end in found.groups())
    if step is None and random:
        return Variation(parameter.name, parameter.location, Style.RANDOM, {"min": first, "max": last})
    if (
        step is None
        and parameter.type is not ParameterType.INTEGER
        and not (isinstance(first, int) and isinstance(last, int))
    ):
        hint = f"write `--sweep {parameter.name}=START..END..STEP`, or `--trials N` for random values between the two"
        raise usage_error(f"`--sweep {parameter.name}={shorten(text)}` has no step", hint)
    rules = {"start": first, "end": last, "step": 1 if step is None else step}
    return Variation(parameter.name, parameter.location, Style.LINEAR, rules)


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def known_step(project: Project, task: Task) -> Step:
    """The step that a task runs. Raises MlrunError (SPEC)."""
    step = project.steps.get(task.step)
    if step is None:
        message = f"task `{shorten(task.name)}` runs step `{shorten(task.step)}`, which does not exist"
        raise spec_error(message, task.location, did_you_mean(task.step, project.steps))
    return step


def tuned(node: PlannedNode, tuning: Tuning) -> PlannedNode:
    """A task node by what the command line wants of its trials. Raises MlrunError (USAGE)."""
    task = node.task
    if task is None:
        return node
    if tuning.trials is not None:
        if task.type in (TaskType.GRID_SEARCH, TaskType.MANUAL_SEARCH):
            hint = "leave it out, or write `type: random_search` into the file"
            raise usage_error(f"`--trials` does not go with a {task.type.replace('_', ' ')}, which tries all", hint)
        task = replace(task, execution_count=tuning.trials)
    child_error = task.on_child_error if tuning.on_child_error is None else OnChildError(tuning.on_child_error)
    queued = task.maximum_queued_executions if tuning.queued is None else tuning.queued
    task = replace(task, maximum_queued_executions=queued, on_child_error=child_error)
    node = replace(node, task=task)
    node = replace(node, goal=_goal(node, tuning))
    return replace(node, pruning=_pruning(node, tuning))


def _goal(node: PlannedNode, tuning: Tuning) -> Goal | None:
    """What the user wants the trials to be compared by; None leaves it to the file."""
    if tuning.metric is None and tuning.goal is None:
        return None
    known = goal_of(node)
    if tuning.metric is None:
        if known is None or tuning.goal is None:
            raise usage_error("`--goal` says nothing without a metric", "add `--metric NAME`")
        return Goal(known.metric, tuning.goal)
    if tuning.goal is not None:
        return Goal(tuning.metric, tuning.goal)
    return known if known is not None and known.metric == tuning.metric else Goal(tuning.metric, "maximize")


def _pruning(node: PlannedNode, tuning: Tuning) -> Pruning | None:
    """The rule by which trials are given up: the user's, else the policy's, and in either case by the user's goal."""
    if tuning.prune == "none":
        return None
    goal = goal_of(node)
    if tuning.prune is None:
        return node.pruning if node.pruning is None or node.goal is None else _aimed(node.pruning, node.goal)
    if goal is None:
        raise usage_error(
            f"`--prune {tuning.prune}` needs a metric", "add `--metric NAME`, and `--goal minimize` of a loss"
        )
    rule = PruningRule(tuning.prune)
    before = node.pruning or Pruning(goal.metric, node.step.location)
    return replace(_aimed(before, goal), rule=rule)


def _aimed(pruning: Pruning, goal: Goal) -> Pruning:
    return replace(pruning, metric=goal.metric, goal=goal.aim)
