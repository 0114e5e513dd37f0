"""Runs that came from another store: which numbers they have here. The rest of their record stays as it was made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from runner.store.durable import replace_file
from runner.store.record import UNNUMBERED, NodeRecord, Run
from runner.store.sealed import seal, unseal


@dataclass(frozen=True, slots=True)
class Import:
    """Where a run came from and when (UTC, ISO 8601); its number in this store, and those of its executions by id."""

    source: str
    time: str
    counter: int
    executions: Mapping[str, int]


def write_import(path: Path, told: Import) -> None:
    """Write the file that says so, durably; it has to be there before the run's journal. Raises OSError."""
    content = {"from": told.source, "time": told.time, "counter": told.counter, "executions": dict(told.executions)}
    replace_file(path, seal(content))


def read_import(path: Path) -> Import | None:
    """What the file says; None for a run of this store. Raises OSError, and ValueError for a damaged file."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        content = unseal(data)
        executions = {str(id): int(counter) for id, counter in content["executions"].items()}
        return Import(str(content["from"]), str(content["time"]), int(content["counter"]), executions)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it does not tell where the run came from: {error!r}") from error


Counters = tuple[int, Mapping[str, int]]
"""The number of a run in this store, and those of its executions by their ids."""


def numbered(run: Run, told: Import, counters: Callable[[str], Counters | None]) -> Run:
    """The run with the numbers that it has here, and without the work folders that are somewhere else.

    `counters` gives those of another run by its id, whose executions may stand for many nodes; None where it is not
    here.
    """
    executions = {
        id: replace(execution, counter=told.executions.get(id, execution.counter), work=None)
        for id, execution in run.executions.items()
    }
    nodes = {name: _renumbered(node, counters) for name, node in run.nodes.items()}
    return replace(run, counter=told.counter, executions=executions, nodes=nodes)


def _renumbered(node: NodeRecord, counters: Callable[[str], Counters | None]) -> NodeRecord:
    if node.reused is None:
        return node
    run, executions = counters(node.reused.run) or (UNNUMBERED, {})
    counter = executions.get(node.reused.execution, UNNUMBERED)
    detail = f"execution {counter} of run {run}" if counter else f"an execution of the run `{node.reused.run}`"
    return replace(node, detail=detail, reused=replace(node.reused, counter=counter))
