"""The past tense: what became of a run, its nodes and its executions, folded from the journal. Pure.

A journal is a sequence of entries, each a JSON object with `type` and `time`. `fold` turns a sequence into a `Run`;
nothing else may interpret entries, so that the terminal, the index and a later rebuild can never disagree.
Times are UTC in ISO 8601 with microseconds and `Z`; durations are seconds of the monotonic clock.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from runner.digest import Digest
from runner.state import FINAL, Reason, State

Entry = Mapping[str, Any]
"""One line of a journal: `type` is one of `ENTRY_TYPES`, `time` when it was written."""

ENTRY_TYPES = (
    "run-created",
    "node-moved",
    "execution-created",
    "execution-started",
    "output-taken",
    "execution-finished",
    "run-finished",
)

RunKind = Literal["exec", "pipeline"]


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
    """The earlier execution that stands for a node: its id, its number in its project, and its run's id. The number is
    0 where it has none here: the record came from another store without that run."""

    execution: str
    counter: int
    run: str


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
class NodeRecord:
    """What became of a node of the plan, and its executions in order."""

    name: str
    step: str
    state: State = State.WAITING
    reason: Reason | None = None
    detail: str | None = None
    executions: tuple[str, ...] = ()
    reused: Reused | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run was told about reuse: `on` at all, the nodes of `refresh` run in any case, `code_key` says what counts
    of Python files (`runner.reuse.content`), `sources` are the other stores whose runs may stand for nodes (None: all).
    """

    on: bool
    refresh: tuple[str, ...]
    code_key: str
    sources: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Run:
    """One call of `mlrun exec` or `mlrun pipeline`.

    `argv` is the command line; `spec` names the object with the YAML file's bytes; `plan` is the compiled plan as
    JSON; `host` describes the machine; `reuse` is None where the journal does not tell. A run that nobody drives any
    more keeps its last recorded state here: whether it was interrupted is decided by its `owner`
    (`runner.store.lease`).
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
    reuse: Wanted | None = None
    nodes: Mapping[str, NodeRecord] = field(default_factory=dict)
    executions: Mapping[str, Execution] = field(default_factory=dict)


class BrokenJournal(ValueError):
    """Entries that cannot follow one another: a damaged store or a bug of ours."""


def standing(run: Run) -> Iterator[Reused]:
    """The earlier executions that stand for nodes of a run, in the order of the nodes."""
    return (node.reused for node in run.nodes.values() if node.reused is not None)


def fold(entries: Iterable[Entry]) -> Run:
    """The run that a whole journal tells, in time linear in its length. Raises BrokenJournal."""
    story = Story()
    for entry in entries:
        story.add(entry)
    return story.run()


class Story:
    """A run that grows entry by entry, each in constant time."""

    def __init__(self) -> None:
        self._run: Run | None = None
        self._nodes: dict[str, dict[str, Any]] = {}
        """The fields of each node's record as the last entry left them: a record is made when it is asked for."""
        self._executions: dict[str, dict[str, Any]] = {}
        """The same of each execution."""
        self._attempts: dict[str, list[str]] = {}
        self._taken: dict[str, list[OutputFile]] = {}
        """What executions that have not ended have left so far."""

    def run(self) -> Run:
        """The run so far. Raises BrokenJournal when it was not created yet."""
        nodes = {
            name: NodeRecord(**fields, executions=tuple(self._attempts.get(name, ())))
            for name, fields in self._nodes.items()
        }
        return replace(self.header(), nodes=nodes, executions={id: self.execution(id) for id in self._executions})

    def header(self) -> Run:
        """The run without what became of its nodes and executions. Raises BrokenJournal when it was not created yet."""
        if self._run is None:
            raise BrokenJournal("the journal has no entries")
        return self._run

    def __contains__(self, id: str) -> bool:
        """Whether an execution of this id was told of."""
        return id in self._executions

    def execution(self, id: str) -> Execution:
        """One execution as it is by the last entry. Raises KeyError."""
        fields = self._executions[id]
        return Execution(**fields | {"outputs": tuple(self._taken[id])} if id in self._taken else fields)

    def add(self, entry: Entry) -> None:
        """Tell one more entry. Raises BrokenJournal for one that does not follow."""
        try:
            self._add(entry)
        except (KeyError, TypeError, ValueError) as error:
            kind = entry.get("type") if isinstance(entry, Mapping) else entry
            raise BrokenJournal(f"entry `{kind}` cannot be understood: {error!r}") from error

    def _add(self, entry: Entry) -> None:
        kind = entry["type"]
        if self._run is None:
            if kind != "run-created":
                raise ValueError("the first entry is not `run-created`")
            self._run = _run_created(entry)
            self._nodes = {node.name: {"name": node.name, "step": node.step} for node in self._run.nodes.values()}
        elif kind == "node-moved":
            self._nodes[entry["node"]] |= {
                "state": State(entry["state"]),
                "reason": _reason(entry),
                "detail": entry.get("detail"),
                "reused": Reused(**entry["reused"]) if "reused" in entry else None,
            }
        elif kind == "execution-created":
            self._execution_created(entry)
        elif kind == "execution-started":
            self._change(entry, {"state": State.RUNNING, "started": entry["time"]})
        elif kind == "output-taken":
            self._taken.setdefault(self._executions[entry["id"]]["id"], []).append(OutputFile(**entry["output"]))
        elif kind == "execution-finished":
            # Who records the end of a run that lost its owner knows of no outputs but those that were taken before.
            before = {"outputs": tuple(self._taken.pop(entry["id"], ()))}
            self._change(entry, before | _finished(entry))
        elif kind == "run-finished":
            self._run = replace(
                self._run,
                state=State(entry["state"]),
                reason=_reason(entry),
                finished=entry["time"],
                duration=entry.get("duration"),
            )
        else:
            raise ValueError(f"there is no entry type `{kind}`")

    def _execution_created(self, entry: Entry) -> None:
        node = self._nodes[entry["node"]]
        if entry["id"] in self._executions:
            raise ValueError(f"there is an execution `{entry['id']}` already")
        self._executions[entry["id"]] = {
            "id": entry["id"],
            "counter": entry["counter"],
            "node": node["name"],
            "step": node["step"],
            "job": entry["job"],
            "state": State.STARTING,
            "created": entry["time"],
            "key": entry.get("key"),
        }
        self._attempts.setdefault(node["name"], []).append(entry["id"])

    def _change(self, entry: Entry, changes: Mapping[str, Any]) -> None:
        came_from = {"identity": entry["identity"], "executor": entry["executor"]} if "identity" in entry else {}
        self._executions[entry["id"]] |= {**changes, **came_from}


def _reason(entry: Entry) -> Reason | None:
    value = entry.get("reason")
    return None if value is None else Reason(value)


def _run_created(entry: Entry) -> Run:
    body = dict(entry["run"])
    body["project"] = ProjectRef(**body["project"])
    body["owner"] = Owner(**body["owner"])
    code = dict(body["code"])
    code["not_captured"] = tuple(code.get("not_captured", ()))
    body["code"] = Code(**code)
    body["tags"] = tuple(body["tags"])
    body["argv"] = tuple(body["argv"])
    body["reuse"] = _wanted(body.get("reuse"))
    nodes = {node["name"]: NodeRecord(node["name"], node["step"]) for node in body["plan"]["nodes"]}
    return Run(**body, created=entry["time"], nodes=nodes)


def _wanted(told: Mapping[str, Any] | None) -> Wanted | None:
    if told is None:
        return None
    sources = told.get("sources")
    return Wanted(told["on"], tuple(told["refresh"]), told["code_key"], None if sources is None else tuple(sources))


def _finished(entry: Entry) -> dict[str, Any]:
    log = entry.get("log")
    outputs = {"outputs": tuple(OutputFile(**one) for one in entry["outputs"])} if "outputs" in entry else {}
    return {
        **outputs,
        "state": State(entry["state"]),
        "reason": _reason(entry),
        "exit_code": entry.get("exit_code"),
        "detail": entry.get("detail"),
        "finished": entry["time"],
        "duration": entry.get("duration"),
        "log": None if log is None else LogRef(**log),
        "metrics": entry.get("metrics", {}),
        "metric_log": entry.get("metric_log"),
        "warnings": tuple(entry.get("warnings", ())),
        "work": entry.get("work"),
        "read": _reading(entry.get("read")),
        "peak_memory": entry.get("peak_memory"),
    }


def _reading(told: Mapping[str, Any] | None) -> Reading:
    """What an execution opened; of one that does not say, nothing is known."""
    if told is None:
        return UNWATCHED
    given = dict(told)
    code, inputs = given.get("code"), given.get("inputs")
    return Reading(None if code is None else tuple(code), given.get("doubt"), None if inputs is None else tuple(inputs))


def interrupted(run: Run) -> Run:
    """The run as a reader shows it when its owner is gone: what was under way is `interrupted`, the rest skipped.

    A run that reached its end before is given back as it is.
    """
    if run.state in FINAL:
        return run

    def end(state: State) -> State:
        if state in FINAL:
            return state
        return State.INTERRUPTED if state in {State.STARTING, State.RUNNING, State.STOPPING} else State.SKIPPED

    return replace(
        run,
        state=end(run.state),
        reason=Reason.RUNNER_LOST,
        nodes={
            name: node if node.state in FINAL else replace(node, state=end(node.state), reason=Reason.RUNNER_LOST)
            for name, node in run.nodes.items()
        },
        executions={
            id: execution
            if execution.state in FINAL
            else replace(execution, state=State.INTERRUPTED, reason=Reason.RUNNER_LOST)
            for id, execution in run.executions.items()
        },
    )


def to_json(value: Run | Execution | NodeRecord) -> dict[str, Any]:
    """A record as plain JSON data."""
    return asdict(value)
