"""What the journal of a run tells: the one place that interprets its entries. Pure.

`fold` turns the entries of a whole journal into a `Run` (`runner.store.record`), a `Story` those that came so far.
Nothing else may interpret entries, so that the terminal, the index and a later rebuild can never disagree.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from runner.state import FINAL, Reason, State
from runner.store.record import (
    UNWATCHED,
    Code,
    Decision,
    Entry,
    Execution,
    Gathered,
    LogRef,
    NodeRecord,
    OutputFile,
    Owner,
    ProjectRef,
    Reading,
    Reused,
    ReuseOptions,
    Run,
)

ENTRY_TYPES = (
    "run-created",
    "run-resumed",
    "run-parked",
    "node-moved",
    "trials-added",
    "approval-decided",
    "deployment-gathered",
    "execution-created",
    "execution-started",
    "output-taken",
    "execution-finished",
    "run-finished",
)


class BrokenJournal(ValueError):
    """Entries that cannot follow one another: a damaged store or a bug of ours."""


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
            self._nodes = {
                node.name: {"name": node.name, "step": node.step, "kind": node.kind}
                for node in self._run.nodes.values()
            }
        elif kind == "node-moved":
            self._nodes[entry["node"]] |= {
                "state": State(entry["state"]),
                "reason": _reason(entry),
                "detail": entry.get("detail"),
                "reused": Reused(**entry["reused"]) if "reused" in entry else None,
                "point": entry.get("point"),
            }
        elif kind == "trials-added":
            self._trials_added(entry)
        elif kind == "approval-decided":
            decision = Decision(entry["point"], entry["approved"], entry["by"], entry["time"])
            node = self._nodes[entry["node"]]
            node["decisions"] = (*node.get("decisions", ()), decision)
        elif kind == "deployment-gathered":
            self._nodes[entry["node"]]["gathered"] = _gathered(entry["gathered"])
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
        elif kind == "run-parked":
            self._run = replace(self._run, state=State.WAITING)
        elif kind == "run-resumed":
            self._run = replace(
                self._run,
                owner=Owner(**entry["owner"]),
                state=State.RUNNING,
                reason=None,
                finished=None,
                duration=None,
                exit_code=None,
            )
            for name in entry["again"]:
                self._nodes[name] |= {"state": State.WAITING, "reason": None, "detail": None, "reused": None}
        elif kind == "run-finished":
            self._run = replace(
                self._run,
                state=State(entry["state"]),
                reason=_reason(entry),
                finished=entry["time"],
                duration=entry.get("duration"),
                exit_code=entry.get("exit_code"),
            )
        else:
            raise ValueError(f"there is no entry type `{kind}`")

    def _trials_added(self, entry: Entry) -> None:
        parent = self._nodes[entry["node"]]
        parent["size"] = entry.get("size", parent.get("size"))
        for trial in entry["trials"]:
            if trial["name"] in self._nodes:
                raise ValueError(f"there is a node `{trial['name']}` already")
            self._nodes[trial["name"]] = {
                "name": trial["name"],
                "step": parent["step"],
                "trial_of": parent["name"],
                "parameters": trial["parameters"],
            }

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
    body["code"] = _code(body["code"])
    body["tags"] = tuple(body["tags"])
    body["argv"] = tuple(body["argv"])
    body["reuse"] = _reuse_options(body.get("reuse"))
    body["codes"] = {node: _code(told) for node, told in body.get("codes", {}).items()}
    nodes = {
        node["name"]: NodeRecord(node["name"], node["step"], node.get("kind", "execution"))
        for node in body["plan"]["nodes"]
    }
    return Run(**body, created=entry["time"], nodes=nodes)


def _code(told: Mapping[str, Any]) -> Code:
    return Code(**{**told, "not_captured": tuple(told.get("not_captured", ()))})


def _gathered(told: Mapping[str, Any]) -> Gathered:
    endpoints = {
        endpoint: {name: OutputFile(**file) for name, file in files.items()}
        for endpoint, files in told["endpoints"].items()
    }
    return Gathered(**{**told, "endpoints": endpoints, "aliases": tuple(told.get("aliases", ()))})


def _reuse_options(told: Mapping[str, Any] | None) -> ReuseOptions | None:
    if told is None:
        return None
    sources = None if told.get("sources") is None else tuple(told["sources"])
    return ReuseOptions(told["on"], tuple(told["refresh"]), told["code_key"], sources)


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


def is_driven(run: Run) -> bool:
    """Whether somebody has to drive the run, by its last entry: it was neither ended nor parked."""
    return run.state not in FINAL and run.state is not State.WAITING


def interrupted(run: Run) -> Run:
    """The run as a reader shows it when its owner is gone: what was under way is `interrupted`, the rest skipped.

    A run that reached its end before, or that was parked, is given back as it is.
    """
    if not is_driven(run):
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
