"""The declared tense: what a `valohai.yaml` says, typed, defaults filled in, every named thing with its place. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from runner.errors import Location, Problem
from runner.job import Value
from runner.spec.extension import Policy


class ParameterType(StrEnum):
    """The type of a step's parameter; `string` where the file names none."""

    STRING = "string"
    INTEGER = "integer"
    FLOAT = "float"
    FLAG = "flag"


class Multiple(StrEnum):
    """How a parameter with several values is passed."""

    NONE = "none"
    REPEAT = "repeat"
    SEPARATE = "separate"


class KeepDirectories(StrEnum):
    """How much of a source path is recreated below an input's folder."""

    NONE = "none"
    SUFFIX = "suffix"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A step's parameter. `default` is as written in the file; with `multiple` it is always a list, perhaps empty."""

    name: str
    location: Location
    type: ParameterType = ParameterType.STRING
    default: Value | None = None
    optional: bool = False
    description: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Value, ...] = ()
    pass_as: str | None = None
    pass_true_as: str | None = None
    pass_false_as: str | None = None
    multiple: Multiple = Multiple.NONE
    separator: str = ","

    @property
    def required(self) -> bool:
        """Whether a run must give a value: no default, not optional; flags are simply false."""
        return self.default is None and not self.may_be_unset

    @property
    def may_be_unset(self) -> bool:
        """Whether a step can do without a value."""
        return self.optional or self.type is ParameterType.FLAG


@dataclass(frozen=True, slots=True)
class Input:
    """A step's input; `default` holds the URIs in order, empty when there are none."""

    name: str
    location: Location
    default: tuple[str, ...] = ()
    optional: bool = False
    description: str | None = None
    filename: str | None = None
    keep_directories: KeepDirectories = KeepDirectories.NONE
    on_demand: bool = False


@dataclass(frozen=True, slots=True)
class EnvironmentVariable:
    """An environment variable of a step."""

    name: str
    location: Location
    default: str | None = None
    optional: bool = True


@dataclass(frozen=True, slots=True)
class CommandItem:
    """One item of a step's command list, as written, edges stripped; `location` is where its text starts."""

    text: str
    location: Location


@dataclass(frozen=True, slots=True)
class Condition:
    """An expression over metadata (`stop-condition`, `if`), in the language of the library `leval`, as written."""

    text: str
    location: Location


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder of the host that a step asks to see."""

    source: str
    destination: str
    location: Location
    readonly: bool = False
    type: str | None = None
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Range:
    """The least and the most of something; None where the file names none."""

    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True, slots=True)
class Resources:
    """What a step asks of its machine: CPUs, memory in MB, and devices by name. `devices` is None where the file says
    nothing of them, which is not the same as none."""

    cpu: Range = Range()
    memory: Range = Range()
    devices: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A step. `source` is its normalised mapping as plain data, for the record; `ignored` are the fields that are
    valid but have no effect in this version, with their places. Times are in seconds."""

    name: str
    location: Location
    image: str
    command: tuple[CommandItem, ...]
    parameters: tuple[Parameter, ...] = ()
    inputs: tuple[Input, ...] = ()
    environment_variables: tuple[EnvironmentVariable, ...] = ()
    mounts: tuple[Mount, ...] = ()
    resources: Resources = Resources()
    time_limit: float | None = None
    no_output_timeout: float | None = None
    stop_condition: Condition | None = None
    source_path: str | None = None
    description: str | None = None
    ignored: Mapping[str, Location] = field(default_factory=dict)
    source: Mapping[str, object] = field(default_factory=dict)

    def parameter(self, name: str) -> Parameter | None:
        """The parameter of exactly this name."""
        return next((item for item in self.parameters if item.name == name), None)

    def input(self, name: str) -> Input | None:
        """The input of exactly this name."""
        return next((item for item in self.inputs if item.name == name), None)


class SocketType(StrEnum):
    """What an edge carries at one of its ends."""

    OUTPUT = "output"
    INPUT = "input"
    PARAMETER = "parameter"
    METADATA = "metadata"
    FILE = "file"
    DEPENDENCY = "dependency"
    DEPLOYMENT = "deployment"
    ENVIRONMENT_VARIABLE = "environment-variable"


@dataclass(frozen=True, slots=True)
class Socket:
    """One end of an edge: `node.type.key`, split at the first two dots."""

    node: str
    type: SocketType
    key: str

    def __str__(self) -> str:
        return f"{self.node}.{self.type}.{self.key}"


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge of a pipeline."""

    source: Socket
    target: Socket
    location: Location


NodeType = Literal["execution", "task", "deployment"]


class OnError(StrEnum):
    """What a failed node does to the rest of its pipeline."""

    STOP_ALL = "stop-all"
    STOP_NEXT = "stop-next"
    CONTINUE = "continue"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Override:
    """What a node changes of its step. Of parameters, inputs and environment variables only the defaults count:
    a name with None clears the step's default."""

    location: Location
    image: str | None = None
    command: tuple[CommandItem, ...] = ()
    parameters: Mapping[str, Value | None] = field(default_factory=dict)
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    environment_variables: Mapping[str, str | None] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()


@dataclass(frozen=True, slots=True)
class Action:
    """Something to do when a node reaches a point and all conditions hold; the words in lower case."""

    when: tuple[str, ...]
    conditions: tuple[Condition, ...]
    then: tuple[str, ...]
    location: Location


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a pipeline. `step` is None for a deployment node and for a task node that names a task; `deployment`,
    `endpoints` and `aliases` belong to a deployment node."""

    name: str
    location: Location
    type: NodeType
    step: str | None = None
    task: str | None = None
    commit: str | None = None
    override: Override | None = None
    on_error: OnError = OnError.STOP_ALL
    append_edges: bool = False
    actions: tuple[Action, ...] = ()
    deployment: str | None = None
    endpoints: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PipelineParameter:
    """A parameter of a pipeline and the node parameters it sets, as (node, parameter) pairs."""

    name: str
    location: Location
    default: Value | None
    targets: tuple[tuple[str, str], ...]
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A graph of steps. `ignored` are the fields of it, its overrides and edges that are valid but have no effect in
    this version, with their places."""

    name: str
    location: Location
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    parameters: tuple[PipelineParameter, ...] = ()
    reuse_executions: bool | None = None
    ignored: tuple[tuple[str, Location], ...] = ()

    def node(self, name: str) -> Node | None:
        """The node of exactly this name."""
        return next((item for item in self.nodes if item.name == name), None)


class TaskType(StrEnum):
    """How a task chooses the values of its executions."""

    GRID_SEARCH = "grid_search"
    RANDOM_SEARCH = "random_search"
    MANUAL_SEARCH = "manual_search"
    BAYESIAN_TPE = "bayesian_tpe"
    DISTRIBUTED = "distributed"


class OnChildError(StrEnum):
    """What a failed execution of a task does to the task."""

    CONTINUE_AND_COMPLETE = "continue-and-complete"
    CONTINUE_AND_ERROR = "continue-and-error"
    STOP_ALL_AND_ERROR = "stop-all-and-error"


class Engine(StrEnum):
    """The library that chooses the values of a Bayesian search."""

    OPTUNA = "optuna"
    HYPEROPT = "hyperopt"


class Style(StrEnum):
    """How the rules of a varied parameter are meant."""

    SINGLE = "single"
    MULTIPLE = "multiple"
    LINEAR = "linear"
    LOGSPACE = "logspace"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class Variation:
    """A parameter that a task varies; `rules` as written."""

    name: str
    location: Location
    style: Style
    rules: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Task:
    """A sweep over parameters of one step. `on_child_error` is None where the file leaves it open."""

    name: str
    location: Location
    step: str
    type: TaskType = TaskType.GRID_SEARCH
    variations: tuple[Variation, ...] = ()
    parameter_sets: tuple[Mapping[str, Value], ...] = ()
    execution_count: int | None = None
    execution_batch_size: int | None = None
    maximum_queued_executions: int | None = None
    engine: Engine = Engine.OPTUNA
    target_metric: str | None = None
    target_value: float | None = None
    on_child_error: OnChildError | None = None
    stop_condition: Condition | None = None
    reuse_children: bool = False
    description: str | None = None

    @property
    def members(self) -> int:
        """How many members a distributed task has."""
        return self.execution_count or 1


@dataclass(frozen=True, slots=True)
class EndpointFile:
    """A file that an endpoint expects at `path`, brought by an edge of a pipeline or by a deployment."""

    name: str
    path: str
    location: Location


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A service: a command that listens, or a WSGI application; exactly one of the two is given. `source` is its
    mapping, with what only a cluster knows."""

    name: str
    location: Location
    image: str
    server_command: tuple[CommandItem, ...] = ()
    wsgi: str | None = None
    port: int = 8000
    files: tuple[EndpointFile, ...] = ()
    description: str | None = None
    source: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Deployment:
    """A place that endpoints are deployed to; `target` is the default one."""

    name: str
    location: Location
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """One file, understood as far as it can be.

    `file` is the path as shown in messages, `data` its bytes. `problems` are all problems of the whole file, sorted by
    place; an item too broken to be understood is missing from the items of its kind but present in `broken`, as
    (kind, name or None, its first problem): running refuses only what was asked for. A file that could not be read at
    all has no items and one broken one of the kind `file`. `tree` is the whole normalised file, for the schema.
    """

    file: str
    data: bytes
    steps: Mapping[str, Step]
    pipelines: Mapping[str, Pipeline]
    broken: tuple[tuple[str, str | None, Problem], ...]
    problems: tuple[Problem, ...]
    tasks: Mapping[str, Task] = field(default_factory=dict)
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    deployments: Mapping[str, Deployment] = field(default_factory=dict)
    policies: Mapping[str, Policy] = field(default_factory=dict)
    tree: Sequence[object] = field(default=(), repr=False, compare=False)
