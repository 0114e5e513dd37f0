"""From a task node whose upstreams are done to its trials: what they choose among, and how they are compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from runner.engine.callback import Sweep
from runner.engine.pruner import make_pruner
from runner.engine.score import make_score
from runner.engine.search import make_sampler
from runner.events import Listener, Noticed
from runner.job import Value
from runner.plan.bind import Left, settle
from runner.plan.model import PlannedNode, goal_of
from runner.plan.space import check_trials, compile_space
from runner.spec.model import Engine, SocketType, TaskType


def make_sweep(node: PlannedNode, upstream: Mapping[str, Left], emit: Listener) -> Sweep:
    """The trials of a task node. Edges have brought its parameters their values: a list is gone through.

    Raises MlrunError for values that do not fit, a task that cannot be run, or a library that is missing.
    """
    settled, notices = settle(node, upstream)
    for notice in notices:
        emit(Noticed(notice, node.name))
    task = settled.task
    if task is None:
        raise AssertionError(f"the task node `{node.name}` has no task")
    check_trials(settled)
    if task.type is TaskType.BAYESIAN_TPE and task.engine is not Engine.OPTUNA:
        emit(Noticed(f"the search is made by Optuna; there is no `engine: {task.engine}` here", node.name))
    space = compile_space(task, settled.step)
    chosen = {*space.axes, *(name for row in space.sets for name in row)}
    common = {name: value for name, value in settled.parameters.items() if name not in chosen}
    return Sweep(
        replace(settled, parameters=common),
        make_sampler(space),
        make_score(goal_of(settled)),
        make_pruner(settled.pruning) if settled.pruning else None,
    )


def trials_of(node: PlannedNode) -> int | None:
    """How many trials a task node will have at most; None where an edge is to bring values that they go through. Raises
    MlrunError."""
    if node.task is None or any(edge.target.type is SocketType.PARAMETER for edge in node.edges):
        return None
    return compile_space(node.task, node.step).size


@dataclass(frozen=True, slots=True)
class Preview:
    """How many trials a task will have, and the values of those that are known before any has ended."""

    size: int
    trials: Sequence[Mapping[str, Value]]


def preview(node: PlannedNode) -> Preview:
    """The trials of a task node into which no edge leads. Raises MlrunError."""
    if node.task is None:
        raise AssertionError(f"the task node `{node.name}` has no task")
    sampler = make_sampler(compile_space(node.task, node.step))
    size = sampler.size or 0
    return Preview(size, sampler.ask(size))
