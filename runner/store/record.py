"""The past tense: what became of a run, its nodes and its executions, as `runner.store.story` tells it. Pure.

Times are UTC in ISO 8601 with microseconds and `Z`; durations are seconds of the monotonic clock.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from runner.digest import Digest
from runner.state import UNBEGUN, Reason, State

Entry = Mapping[str, Any]
"""One line of a journal, a JSON object: `type` says what happened, `time` when it was written."""

RunKind = Literal["exec", "pipeline", "task"]
NodeKind = Literal["execution", "task", "deployment"]


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that drives a run. It is alive if a process of this pid and start time lives in this boot."""

    host: str
    boot_id: str
    pid: int
    start_time: int
    """Field 22 of `/proc/PID/stat`: clock ticks since boot."""


@dataclass(frozen=True, slots=True)
class ProjectRef:
    """Which project a run belongs to: `id` is derived from the first commit and the path of the YAML file."""

    id: str
    name: str
    root: str
    file: str


@dataclass(frozen=True, slots=True)
class Code:
    """The exact code of a run: `snapshot` names a tree manifest in the objects, the rest says where it came from.

    `commit` is None outside git and before the first commit; `dirty` tells whether the snapshot differs from the
    commit; `not_captured` lists paths that the snapshot could not hold, each with the reason.
    """

    snapshot: Digest
    commit: str | None = None
    branch: str | None = None
    remote: str | None = None
    describe: str | None = None
    dirty: bool = False
    not_captured: tuple[str, ...] = ()

    @property
    def identifier(self) -> str:
        """What programs are told as the commit: `~` and the snapshot where no commit has exactly this code."""
        return self.commit if self.commit and not self.dirty else f"~{self.snapshot}"


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A collected output; `name` is its path below the outputs folder, undecodable bytes as lone surrogates.

    `metadata` are the properties that the step gave it, JSON values. A file that was replaced while the step ran has
    its versions as `name`, `name~2`, `name~3`; `version` is the number behind the `~`, 1 where there is none.
    """

    name: str
    digest: Digest
    size: int
    metadata: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1


@dataclass(frozen=True, slots=True)
class LogRef:
    """The whole log of an execution, as objects: both streams byte for byte, and the index that merges them."""

    stdout: Digest
    stderr: Digest
    index: Digest


@dataclass(frozen=True, slots=True)
class Reading:
    """Which files an execution opened.

    `code` are paths of its snapshot, None where that is not known for sure; then `doubt` says why, and all of them
    count. `inputs` are files of inputs as `INPUT/NAME`, for people to see; None where nobody looked or they are too
    many.
    """

    code: tuple[str, ...] | None = None
    doubt: str | None = None
    inputs: tuple[str, ...] | None = None


UNWATCHED = Reading()
"""Nobody looked."""


@dataclass(frozen=True, slots=True)
class Reused:
    """The earlier execution that stands for a node: its id, its number in its project (`UNNUMBERED` where the record
    came from another store without that run), its run's id, and whether it is the user's word that it may though
    something differs. `taken`: nobody asked what it is made of, because the user named the run that it is from."""

    execution: str
    counter: int
    run: str
    accepted: bool = False
    taken: bool = False


UNNUMBERED = 0
"""Of a run or an execution that is not in this store."""


@dataclass(frozen=True, slots=True)
class Execution:
    """One attempt of one job.

    `job` is the bound job as JSON; `identity` what its programs came from; `metrics` the
    last value per key; `metric_log` an object with all events, one JSON object per line; `work` the kept work folder;
    `key` the base key, by which it may be found to stand for another (`runner.reuse.fact`), None where it may not;
    `read` which files it opened; `peak_memory` about how many bytes of memory its processes had at most, None where
    nobody could tell.
    """

    id: str
    counter: int
    node: str
    step: str
    job: Mapping[str, Any]
    state: State
    created: str
    reason: Reason | None = None
    exit_code: int | None = None
    detail: str | None = None
    executor: str | None = None
    identity: Mapping[str, Any] | None = None
    started: str | None = None
    finished: str | None = None
    duration: float | None = None
    outputs: tuple[OutputFile, ...] = ()
    log: LogRef | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    metric_log: Digest | None = None
    warnings: tuple[str, ...] = ()
    work: str | None = None
    key: Digest | None = None
    read: Reading = UNWATCHED
    peak_memory: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody (`by`, who and on which machine) decided about a node that awaited approval at `point`."""

    point: str
    approved: bool
    by: str
    time: str


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a deployment node has made ready: the ids of the deployment and of its version, the endpoints with the files
    they get by name, and the names to set. `deployed` tells whether anything serves it."""

    deployment: str
    id: str
    version_id: str
    endpoints: Mapping[str, Mapping[str, OutputFile]]
    aliases: tuple[str, ...] = ()
    deployed: bool = False


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """What became of a node, and its executions in order: each attempt is one.

    A trial is a node of its own: `trial_of` names the task node that it belongs to, `parameters` are the values that
    were chosen for it. A task node has trials and no executions, `size` in all, None where the journal does not tell;
    a deployment node what it `gathered`. `point` is that at which the node awaits approval.
    """

    name: str
    step: str
    kind: NodeKind = "execution"
    state: State = State.WAITING
    reason: Reason | None = None
    detail: str | None = None
    executions: tuple[str, ...] = ()
    reused: Reused | None = None
    point: str | None = None
    decisions: tuple[Decision, ...] = ()
    trial_of: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    gathered: Gathered | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class ReuseOptions:
    """What a run was told about reuse: `on` at all, the nodes of `refresh` run in any case, `code_key` says what counts
    of Python files (`runner.reuse.content`), `sources` are the other stores whose runs may stand for nodes (None: all).
    """

    on: bool
    refresh: tuple[str, ...]
    code_key: str
    sources: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Run:
    """One call of `mlrun exec`, `mlrun pipeline` or `mlrun task`.

    `argv` is the command line, `arguments` what the plan was compiled with besides the file, as JSON, None where the
    journal does not tell; `spec` names the object with the YAML file's bytes; `plan` is the compiled plan as JSON;
    `host` describes the machine; `codes` is the code of nodes that run another commit, by node; `reuse` is None where
    the journal does not tell. A run that nobody drives any more keeps its last recorded state here: whether it was
    interrupted is decided by its `owner` (`runner.store.lease`). `exit_code` is what the command that drove it to its
    end ended with, None where the journal does not tell.
    """

    id: str
    counter: int
    kind: RunKind
    name: str
    project: ProjectRef
    title: str | None
    tags: tuple[str, ...]
    argv: tuple[str, ...]
    code: Code
    spec: Digest
    plan: Mapping[str, Any]
    executor: str
    host: Mapping[str, Any]
    version: str
    owner: Owner
    created: str
    state: State = State.RUNNING
    reason: Reason | None = None
    finished: str | None = None
    duration: float | None = None
    exit_code: int | None = None
    reuse: ReuseOptions | None = None
    arguments: Mapping[str, Any] | None = None
    codes: Mapping[str, Code] = field(default_factory=dict)
    nodes: Mapping[str, NodeRecord] = field(default_factory=dict)
    executions: Mapping[str, Execution] = field(default_factory=dict)


def standing(run: Run) -> Iterator[Reused]:
    """The earlier executions that stand for nodes of a run, in the order of the nodes."""
    return (node.reused for node in run.nodes.values() if node.reused is not None)


def trials(run: Run, node: str) -> tuple[NodeRecord, ...]:
    """The trials of a task node, in the order in which they were chosen; none of another node."""
    return tuple(record for record in run.nodes.values() if record.trial_of == node)


def begun(task: NodeRecord, trials: Collection[NodeRecord]) -> int:
    """How many of its trials a task node has begun; all that were chosen where nobody knows of how many."""
    if task.size is None:
        return len(trials)
    return sum(trial.state not in UNBEGUN or bool(trial.executions) for trial in trials)


def in_order(run: Run) -> Iterator[NodeRecord]:
    """The nodes in the order of the plan, the trials of a task node behind it."""
    of_task: dict[str, list[NodeRecord]] = {}
    for record in run.nodes.values():
        if record.trial_of is not None:
            of_task.setdefault(record.trial_of, []).append(record)
    for record in run.nodes.values():
        if record.trial_of is None:
            yield record
            yield from of_task.get(record.name, ())


def code_of(run: Run, node: str) -> Code:
    """The code that a node has: its own where it is at another commit than the run, and a trial that of its task."""
    return run.codes.get(_in_plan(run, node), run.code)


def planned_of(run: Run, node: str) -> Mapping[str, Any]:
    """A node as it was planned; a trial is planned as its task node is."""
    name = _in_plan(run, node)
    found: Mapping[str, Any] = next(planned for planned in run.plan["nodes"] if planned["name"] == name)
    return found


def _in_plan(run: Run, node: str) -> str:
    record = run.nodes.get(node)
    return record.trial_of or node if record is not None else node


def to_json(value: Run | Execution | NodeRecord) -> dict[str, Any]:
    """A record as plain JSON data."""
    return asdict(value)
