"""The planned tense: a `Plan` of `PlannedNode`s, and what the user gave on the command line. Pure.

A single step is a plan with one node; there is no second path for it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal

from runner.errors import usage_error
from runner.goal import DIRECTIONS, Aim, Goal
from runner.job import InputFile, Value
from runner.plan.address import public
from runner.plan.graph import invert
from runner.spec.extension import Pruning
from runner.spec.model import Action, Edge, NodeType, OnError, Project, Step, Task

PlanKind = Literal["exec", "pipeline", "task"]


def trial_name(task: str, number: int) -> str:
    """The name of the trial with that number, from 1, of a task node. No node of a file has a dot in its name."""
    return f"{task}.{number}"


def trial_number(trial: str) -> int:
    """The number of the trial that `trial_name` named so."""
    return int(trial.rpartition(".")[2])


class Point(StrEnum):
    """The points of a node's life at which its actions are asked for (`docs/pipelines.md`)."""

    STARTING = "node-starting"
    """Everything above it is done."""
    COMPLETE = "node-complete"
    """It succeeded, or an earlier execution stands for it; nothing below it knows yet."""
    ERROR = "node-error"
    """It failed, and will not be tried again."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where files of an input come from: a path, glob or URI, and the folder that relative paths start at.

    `trusted` tells whether the user named it (command line) or only the repository did (YAML file).
    """

    uri: str
    folder: str
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line gives to one node; parameter values are still text or lists of text.

    `files` come from an earlier run that the command line names, and are in the store; `inputs` win over them.
    """

    parameters: Mapping[str, object] = field(default_factory=dict)
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    files: Mapping[str, tuple[InputFile, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tuning:
    """What the command line wants of the trials of a task; None leaves it to the file.

    `sweep` has the values of the parameters of a step that has no task, as they were written. `trials` is how many
    there are, chosen at random; by `metric` and `goal` they are compared, and with `prune` given up (`none`: never).
    `queued` bounds how many are under way, `on_child_error` says what a failed one does to the task.
    """

    sweep: Mapping[str, str] = field(default_factory=dict)
    trials: int | None = None
    metric: str | None = None
    goal: Aim | None = None
    prune: Literal["median", "halving", "none"] | None = None
    queued: int | None = None
    on_child_error: str | None = None


@dataclass(frozen=True, slots=True)
class Arguments:
    """The command line of a run: values for nodes by name, for pipeline parameters, and for every node alike.

    `folder` is where relative paths of the command line start; with `keep_going` a failing command of a step does not
    stop the step, its last command decides. `granted` names the secrets for steps that declare the variable, `secret`
    those for every step. `tuning` is for a task alone. `taken` are nodes for which the user lets stand what they came
    to in an earlier run, with the id of that.
    """

    folder: str
    nodes: Mapping[str, Given] = field(default_factory=dict)
    parameters: Mapping[str, object] = field(default_factory=dict)
    image: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    keep_going: bool = False
    granted: frozenset[str] = frozenset()
    secret: frozenset[str] = frozenset()
    tuning: Tuning | None = None
    taken: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit at which nodes of a pipeline are: its full id, and the file that it has."""

    id: str
    project: Project


@dataclass(frozen=True, slots=True)
class Service:
    """What a deployment node would deploy: the `endpoints` of `deployment`, under the names `aliases`. `files` are
    those that the endpoints expect, as (endpoint, file)."""

    deployment: str
    endpoints: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """One node with everything that can be known before its upstreams ran.

    `step` has the node's override applied; `parameters` hold the effective values but for those that an edge will
    bring; `inputs` the sources per input, where edges will be added or take their place (`append_edges`); `edges` are
    the edges into this node, `upstream` the nodes they come from. `secrets` are the names of variables whose values no
    plan or record has. `files` are those of inputs that an earlier run gives; such an input has no sources.

    A task node has the `task` whose trials run `step`, and perhaps a rule for `pruning` them and a `goal` of the
    user's; the values that vary are not among its `parameters`. A deployment node has a `service` and a step that does
    nothing. `commit` is the full id of the commit whose file and code the node has, None for those of the run.
    `retries` is how many times more a failed execution is tried, `pool` the pool of the user's settings in which it
    needs a place, `priority` puts it before others (the higher, the earlier). `trial_of` is the task node of which this
    is a trial. With `taken_from`, the id of an earlier run, what the node came to there stands for it.
    """

    name: str
    step: Step
    parameters: Mapping[str, Value]
    inputs: Mapping[str, tuple[Source, ...]]
    environment: Mapping[str, str]
    edges: tuple[Edge, ...] = ()
    upstream: tuple[str, ...] = ()
    on_error: OnError = OnError.STOP_ALL
    append_edges: bool = False
    keep_going: bool = False
    secrets: tuple[str, ...] = ()
    files: Mapping[str, tuple[InputFile, ...]] = field(default_factory=dict)
    kind: NodeType = "execution"
    task: Task | None = None
    pruning: Pruning | None = None
    goal: Goal | None = None
    service: Service | None = None
    actions: tuple[Action, ...] = ()
    commit: str | None = None
    retries: int = 0
    pool: str | None = None
    priority: int = 0
    trial_of: str | None = None
    taken_from: str | None = None


def goal_of(node: PlannedNode) -> Goal | None:
    """What the trials of a task node are compared by: the user's word, what its own search aims at, else what its
    pruning looks at; None where nobody said what is sought. A search with a target metric and no target value wants the
    greatest."""
    if node.goal is not None:
        return node.goal
    if node.task is not None and node.task.target_metric is not None:
        value = node.task.target_value
        return Goal(node.task.target_metric, "maximize" if value is None else value)
    return Goal(node.pruning.metric, node.pruning.goal) if node.pruning is not None else None


@dataclass(frozen=True, slots=True)
class Origin:
    """The node of an earlier run that a plan took values and files from. `execution` is None if it never ran; then they
    were computed from what its upstreams left."""

    run: str
    counter: int
    node: str
    execution: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A graph of nodes in an order in which every node comes after its upstreams. `arguments` are what it was compiled
    with besides the file; None where it cannot be compiled again."""

    kind: PlanKind
    name: str
    nodes: Mapping[str, PlannedNode]
    origin: Origin | None = None
    arguments: Arguments | None = field(default=None, compare=False)

    def downstream(self) -> dict[str, tuple[str, ...]]:
        """The nodes directly downstream of each node."""
        return invert({name: node.upstream for name, node in self.nodes.items()})


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """The plan as JSON data for the record."""
    origin = {"inputs-from": asdict(plan.origin)} if plan.origin else {}
    return origin | {
        "kind": plan.kind,
        "name": plan.name,
        "nodes": [
            {
                "name": node.name,
                "step": node.step.name,
                "image": node.step.image,
                "definition": node.step.source,
                "parameters": dict(node.parameters),
                "inputs": {name: list(_addresses(node, name)) for name in node.inputs},
                "environment": sorted(node.environment),
                "edges": [[str(edge.source), str(edge.target)] for edge in node.edges],
                "upstream": list(node.upstream),
                "on-error": str(node.on_error),
                "kind": node.kind,
                **({"task": node.task.name} if node.task else {}),
                **({"goal": asdict(goal)} if (goal := goal_of(node)) else {}),
                **({"commit": node.commit} if node.commit else {}),
            }
            for node in plan.nodes.values()
        ],
    }


def recorded_goal(plan: Mapping[str, Any], node: str) -> Goal | None:
    """What the trials of a task node are compared by, by the data of `plan_to_json`; None where it does not tell."""
    told = next((one.get("goal") for one in plan["nodes"] if one["name"] == node), None)
    return Goal(told["metric"], told["aim"]) if told else None


def chosen_goal(plan: Mapping[str, Any], node: str, metric: str | None, aim: Aim | None) -> Goal | None:
    """What tells the best trial of a task node: the user's `metric` and `aim`, and of what they leave open what the run
    itself compared them by (`recorded_goal`), else the greatest value. None where nothing names a metric. Raises
    MlrunError (USAGE) for an aim of no metric."""
    known = recorded_goal(plan, node)
    if metric is None and known is None:
        if aim is not None:
            raise usage_error("`--goal` says nothing without a metric", "add `--best METRIC`")
        return None
    if known is None or metric not in (None, known.metric):
        known = Goal(metric or "", DIRECTIONS[0])
    return known if aim is None else Goal(known.metric, aim)


def _addresses(node: PlannedNode, name: str) -> Iterator[str]:
    """Where the files of an input come from, as far as it is known before its upstreams ran."""
    yield from (public(source.uri) for source in node.inputs[name])
    yield from (public(file.origin) for file in node.files.get(name, ()))
