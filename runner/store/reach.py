"""What records and names name: every object that must be there so that all they say can be read and repeated.

Knows no disk: whoever asks gives what reads manifests, lists and names.
"""

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import Literal, NamedTuple, Protocol

from runner.digest import Digest
from runner.store.datum import Datum
from runner.store.record import Execution, Run
from runner.store.ref import KINDS, Alias, Collection, CollectionKind


class Kind(StrEnum):
    """What an object is to a record. `OUTPUT`, `INPUT` and `LOG` are files of its executions, which may be removed
    while the record stays; all else belongs to the record itself and stays as long as it does."""

    CODE = "code"
    SPEC = "spec"
    METRICS = "metrics"
    DEPLOYMENT = "deployment"
    """A file that a deployment node gathered: it is meant to be served, whatever becomes of who made it."""
    GIVEN = "given"
    """A file that the command line gave to a node of which nothing has run yet: it cannot run without it."""
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


class Meant(NamedTuple):
    """An object that a name means. `name` is that of the alias, or `DATASET/VERSION`, `MODEL/VERSION`; `datum` is the
    file, None for the list of a version's files."""

    digest: Digest
    kind: Literal["alias"] | CollectionKind
    name: str
    datum: Datum | None

    @property
    def size(self) -> int | None:
        """Bytes of the object; None where the name does not tell them."""
        return None if self.datum is None else self.datum.size


class Names(Protocol):
    """The names of a store (`runner.store.naming.Refs`)."""

    def aliases(self) -> Iterable[Alias]:
        """All aliases."""

    def collections(self, kind: CollectionKind) -> Iterable[Collection]:
        """All datasets or models."""


def named_by(run: Run, read_tree: Callable[[Digest], Iterator[tuple[str, Digest, int]]]) -> Iterator[Named]:
    """Everything that a run and its executions name; the same object may come several times.

    `read_tree` gives path, digest and size of the files of a tree manifest, and may raise MlrunError (STORE).
    """
    yield Named(run.spec, Kind.SPEC, "", run.project.file, None)
    for execution in run.executions.values():
        yield from named_by_execution(execution)
    yield from _named_by_nodes(run)
    for snapshot, id in snapshots_of(run).items():
        yield Named(snapshot, Kind.CODE, id, "", None)
        for path, digest, size in read_tree(snapshot):
            yield Named(digest, Kind.CODE, id, path, size)


def snapshots_of(run: Run) -> dict[Digest, str]:
    """The tree manifests that a run names, each with the first execution that had it; empty for the code of the run and
    of its nodes, which they have whether they ran or not."""
    snapshots = {code.snapshot: "" for code in (run.code, *run.codes.values())}
    for execution in run.executions.values():
        if snapshot := execution.job.get("snapshot"):
            snapshots.setdefault(Digest(snapshot), execution.id)
    return snapshots


def _named_by_nodes(run: Run) -> Iterator[Named]:
    """What nodes name that have no execution to name it."""
    for node in run.nodes.values():
        for endpoint, files in (node.gathered.endpoints if node.gathered else {}).items():
            for name, file in files.items():
                yield Named(file.digest, Kind.DEPLOYMENT, "", f"{endpoint}/{name}", file.size)
    begun = {node.trial_of or node.name for node in run.nodes.values() if node.executions or node.reused}
    for node, given in ((run.arguments or {}).get("nodes") or {}).items():
        for input, files in given.get("files", {}).items() if node not in begun else ():
            for file in files:
                yield Named(Digest(file["digest"]), Kind.GIVEN, "", f"{input}/{file['name']}", file["size"])


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


def named_by_names(names: Names, read_list: Callable[[Digest], Iterable[Datum]]) -> Iterator[Meant]:
    """Everything that aliases and versions mean, aliases first, the list of a version before its files.

    `read_list` gives the files on the list of a version, and may raise MlrunError (STORE), as `names` may.
    """
    for alias in names.aliases():
        yield Meant(alias.datum.digest, "alias", alias.name, alias.datum)
    for kind in KINDS:
        for collection in names.collections(kind):
            for version in collection.versions:
                name = f"{collection.name}/{version.name}"
                yield Meant(version.manifest, kind, name, None)
                for datum in read_list(version.manifest):
                    yield Meant(datum.digest, kind, name, datum)
