"""What the trials of a task choose among: every parameter's values, and how many trials there will be. Pure.

Everything that is wrong with a task is refused here, before a trial starts; no combination is made yet.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod

from runner.errors import MlrunError, did_you_mean, spec_error
from runner.job import Value
from runner.plan.model import PlannedNode, goal_of
from runner.plan.variation import Axis, Choices, axis_of, forget, own_seed, values
from runner.spec.model import Parameter, SocketType, Step, Style, Task, TaskType, Variation
from runner.spec.rule import MOST_VALUES
from runner.spec.tree import shorten
from runner.spec.value import coerce

BATCH = 5
"""How many trials of a Bayesian search are chosen at once where the file does not say."""


@dataclass(frozen=True, slots=True)
class Space:
    """The choice of a task's trials, `size` of them at most. Of manual search the `sets` are its trials, else one value
    of each of the `axes` makes one. What is random is made from `seed`, and from the `seeds` that parameters have. A
    Bayesian search chooses `batch` trials at once."""

    type: TaskType
    size: int
    axes: Mapping[str, Axis] = field(default_factory=dict)
    sets: tuple[Mapping[str, Value], ...] = ()
    seed: str = ""
    seeds: Mapping[str, str] = field(default_factory=dict)
    batch: int = BATCH


def compile_space(task: Task, step: Step) -> Space:
    """What the trials of a task choose among, the values as `step` wants them. The same task has the same seed, so that
    a second run chooses the same. Raises MlrunError (code SPEC)."""
    varied = dict(_varied(task, step))
    seed = task.name
    match task.type:
        case TaskType.GRID_SEARCH:
            lists = {name: _values(task, one, parameter) for name, (one, parameter) in varied.items()}
            size = _bounded(task, prod(map(len, lists.values())))
            return Space(task.type, size, {name: Choices(items) for name, items in lists.items()})
        case TaskType.MANUAL_SEARCH:
            sets = tuple(_sets(task, step, varied))
            return Space(task.type, _bounded(task, len(sets)), sets=sets)
        case TaskType.DISTRIBUTED:
            members = {name: _only(task, one, parameter) for name, (one, parameter) in varied.items()}
            return Space(task.type, _bounded(task, task.members), members)
    axes = {name: axis_of(one, parameter) for name, (one, parameter) in varied.items()}
    seeds = {name: own_seed(one, seed) for name, (one, _) in varied.items()}
    size = _bounded(task, _count(task))
    return Space(task.type, size, axes, seed=seed, seeds=seeds, batch=task.execution_batch_size or BATCH)


def _varied(task: Task, step: Step) -> Iterator[tuple[str, tuple[Variation, Parameter]]]:
    for one in task.variations:
        yield one.name, (one, _parameter(task, step, one.name, one))


def _parameter(task: Task, step: Step, name: str, place: Variation | Task) -> Parameter:
    parameter = step.parameter(name)
    if parameter is None:
        message = f"task `{shorten(task.name)}` varies `{shorten(name)}`, which step `{shorten(step.name)}` lacks"
        raise spec_error(message, place.location, did_you_mean(name, [item.name for item in step.parameters]))
    return parameter


def _values(task: Task, variation: Variation, parameter: Parameter) -> tuple[Value, ...]:
    return values(variation, parameter, task.name, task.execution_count)


def _only(task: Task, variation: Variation, parameter: Parameter) -> Choices:
    """The one value that all members of a distributed task have."""
    found = Choices(_values(task, variation, parameter))
    if len(found.values) > 1:
        said = f"the members of the distributed task `{shorten(task.name)}` have the same values"
        message = f"{said}, but its parameter `{shorten(variation.name)}` has {len(found.values):,}"
        raise spec_error(message, variation.location, "write `style: single`")
    return found


def _sets(task: Task, step: Step, varied: Mapping[str, tuple[Variation, Parameter]]) -> Iterator[Mapping[str, Value]]:
    """The sets of a manual search: as they are written, or else the first values of all parameters, then the second
    ones, and so on. A parameter with one value has it in every set."""
    lists = {name: _values(task, one, parameter) for name, (one, parameter) in varied.items()}
    lengths = {len(items) for items in lists.values() if len(items) > 1}
    if task.parameter_sets and lengths:
        message = f"task `{shorten(task.name)}` has `parameter-sets`, and parameters that go through several values"
        raise spec_error(message, task.location, "write every combination that is to be tried into `parameter-sets`")
    if len(lengths) > 1:
        message = f"the parameters of task `{shorten(task.name)}` do not have the same number of values"
        raise spec_error(message, task.location, "write its `parameter-sets`, or `type: grid_search`")
    if not task.parameter_sets and not lists:
        raise spec_error(f"task `{shorten(task.name)}` has no `parameter-sets`", task.location, "write at least one")
    constant = {name: items[0] for name, items in lists.items() if len(items) == 1}
    for row in task.parameter_sets:
        given = {**constant, **_defaults(task, step), **row}
        yield {name: _typed(task, step, name, raw) for name, raw in given.items()}
    for index in range(max(lengths, default=1) if not task.parameter_sets else 0):
        yield {name: items[index if len(items) > 1 else 0] for name, items in lists.items()}


def _defaults(task: Task, step: Step) -> dict[str, Value]:
    """What the step has for parameters that some sets name and others leave out."""
    named = {name for row in task.parameter_sets for name in row}
    return {one.name: one.default for one in step.parameters if one.name in named and one.default is not None}


def _typed(task: Task, step: Step, name: str, raw: Value) -> Value:
    parameter = _parameter(task, step, name, task)
    try:
        return coerce(parameter, raw, f"parameter `{shorten(name)}` of task `{shorten(task.name)}`")
    except MlrunError as error:
        raise spec_error(error.message, task.location, error.hint) from None


def _count(task: Task) -> int:
    """How many trials a search has that could go on for ever."""
    counts = [one.rules.get("count") for one in task.variations if one.style is Style.RANDOM]
    told = [count for count in counts if isinstance(count, int) and count > 0]
    if task.execution_count is None and (task.type is TaskType.BAYESIAN_TPE or not told):
        message = f"task `{shorten(task.name)}` does not say how many trials it has"
        raise spec_error(message, task.location, "add `execution-count: 20` to it")
    return task.execution_count or max(told)


def _bounded(task: Task, size: int) -> int:
    if size > MOST_VALUES:
        message = f"task `{shorten(task.name)}` has {size:,} trials, more than {MOST_VALUES:,}"
        raise spec_error(message, task.location, "take fewer values, or `type: random_search` with `execution-count`")
    return size


def check_trials(node: PlannedNode) -> None:
    """Refuse what is wrong with a task node, as far as it is known before its upstreams ran. Raises MlrunError."""
    if node.task is None:
        return
    task = node.task
    for edge in node.edges:
        if edge.target.type is SocketType.PARAMETER:
            task = forget(task, edge.target.key)
    if task.type is not TaskType.MANUAL_SEARCH or task.variations or any(task.parameter_sets):
        compile_space(task, node.step)
    goal, pruning = goal_of(node), node.pruning
    if task.type is TaskType.BAYESIAN_TPE and goal is None:
        message = f"task `{shorten(task.name)}` does not say what its search is for"
        hint = "add `optimization-target-metric` and `optimization-target-value` to it"
        raise spec_error(message, task.location, hint)
    if goal is not None and pruning is not None and goal.metric != pruning.metric:
        said = f"task `{shorten(task.name)}` is for `{shorten(goal.metric)}`, its trials are pruned by another metric"
        raise spec_error(f"{said}, `{shorten(pruning.metric)}`", pruning.location, "name one metric in both")
