"""What a record names: every object that must be there so that all it says can be read and repeated. Pure."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple

from runner.digest import Digest
from runner.store.record import Execution, Run


class Kind(StrEnum):
    """What an object is to a record. `CODE`, `SPEC` and `METRICS` belong to the record itself and stay as long as it
    does; `OUTPUT`, `INPUT` and `LOG` are its files, which may be removed while the record stays."""

    CODE = "code"
    SPEC = "spec"
    METRICS = "metrics"
    OUTPUT = "output"
    INPUT = "input"
    LOG = "log"


FILES = frozenset({Kind.OUTPUT, Kind.INPUT, Kind.LOG})
"""What an execution may lose while its record stays."""


class Named(NamedTuple):
    """An object that a record names. `execution` is empty for what the whole run names; `size` in bytes, None where the
    record does not tell it; `name` is what people call it: a path, a stream, an input and its file."""

    digest: Digest
    kind: Kind
    execution: str
    name: str
    size: int | None


def named_by(run: Run, read_tree: Callable[[Digest], Iterator[tuple[str, Digest, int]]]) -> Iterator[Named]:
    """Everything that a run and its executions name; the same object may come several times.

    `read_tree` gives path, digest and size of the files of a tree manifest, and may raise MlrunError (STORE).
    """
    yield Named(run.spec, Kind.SPEC, "", run.project.file, None)
    snapshots = {run.code.snapshot: ""}
    for execution in run.executions.values():
        snapshot = execution.job.get("snapshot")
        if snapshot:
            snapshots.setdefault(Digest(snapshot), execution.id)
        yield from named_by_execution(execution)
    for snapshot, id in snapshots.items():
        yield Named(snapshot, Kind.CODE, id, "", None)
        for path, digest, size in read_tree(snapshot):
            yield Named(digest, Kind.CODE, id, path, size)


def named_by_execution(execution: Execution) -> Iterator[Named]:
    """What an execution names besides its code."""
    id = execution.id
    for given in execution.job.get("inputs", ()):
        for file in given["files"]:
            name = f"{given['name']}/{file['name']}"
            yield Named(Digest(file["digest"]), Kind.INPUT, id, name, file["size"])
    for output in execution.outputs:
        yield Named(output.digest, Kind.OUTPUT, id, output.name, output.size)
    if execution.log is not None:
        for stream in ("stdout", "stderr", "index"):
            yield Named(getattr(execution.log, stream), Kind.LOG, id, stream, None)
    if execution.metric_log is not None:
        yield Named(execution.metric_log, Kind.METRICS, id, "metrics", None)
