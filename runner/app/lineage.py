"""What one store knows of a file's or an execution's lineage. Reads the index, and the journals of what it leads to."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from runner.digest import Digest
from runner.errors import MlrunError
from runner.lineage.model import Activity, Code, Data, Got, Graph, Left, Maker, Presence, Reuse, Subject, Value
from runner.lineage.trace import Bounds, trace
from runner.plan.address import public
from runner.spec.model import SocketType
from runner.state import DONE
from runner.store.catalog import read_listing
from runner.store.datum import SCHEME, Datum
from runner.store.reach import named_by_names
from runner.store.record import Execution, NodeRecord, Run, code_of, standing, trials
from runner.store.removal import Removals, Removed
from runner.store.store import Store

_SHOWN_REUSES = 10
_VALUES = (SocketType.PARAMETER, SocketType.ENVIRONMENT_VARIABLE)


def find_lineage(store: Store, subject: Subject, bounds: Bounds, *, up: bool = True, down: bool = True) -> Graph:
    """The lineage of a subject, with what became of its contents. Raises MlrunError (STORE, LOCKED, DISK)."""
    records = Records(store)
    graph = trace(records, subject, bounds, up=up, down=down)
    graph.activities = records.with_reuses(graph.activities)
    graph.data = _data(store, records, graph.contents())
    return graph


class Records:
    """The executions of a store (`runner.lineage.trace.Sources`); every journal is read once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._links = store.links()
        self._activities: dict[str, Activity] = {}
        self._informed: dict[str, list[Maker]] = defaultdict(list)
        self._read: set[str] = set()
        self._makers: dict[Digest, Sequence[Maker]] = {}
        self._users: dict[Digest, Sequence[Maker]] = {}

    def makers_of(self, digest: Digest) -> Sequence[Maker]:
        """The executions that left this content, newest first."""
        if digest not in self._makers:
            self._makers[digest] = self._links.makers_of(digest)
        return self._makers[digest]

    def users_of(self, digest: Digest) -> Sequence[Maker]:
        """The executions that got this content, newest first."""
        if digest not in self._users:
            self._users[digest] = self._links.users_of(digest)
        return self._users[digest]

    def maker_of(self, datum: str) -> Maker | None:
        """The execution of which this is the id of an output."""
        return self._links.maker_of(datum)

    def activity(self, maker: Maker) -> Activity | None:
        """An execution by the journal of its run; None when that is gone or cannot be read."""
        id, run_id = maker
        if run_id not in self._read:
            self._read.add(run_id)
            with suppress(MlrunError):
                self._add(self._store.run(run_id))
        return self._activities.get(id)

    def informed_by(self, activity: Activity) -> Iterable[Maker]:
        """The executions that got a value of it, as far as their runs were read."""
        return self._informed.get(activity.id, ())

    def with_reuses(self, activities: Mapping[str, Activity]) -> dict[str, Activity]:
        """Executions with the newest runs that reused them."""
        found = {id: self._links.reusers_of(id) for id in activities}
        newest = {run for runs in found.values() for run in runs[:_SHOWN_REUSES]}
        if not newest:
            return dict(activities)
        rows = {row["id"]: row for row in self._store.rows_of("run", sorted(newest))}
        return {id: _reused(activity, found[id], rows) for id, activity in activities.items()}

    def _add(self, run: Run) -> None:
        edges = {node["name"]: node.get("edges", ()) for node in run.plan["nodes"]}
        for one in run.executions.values():
            values = tuple(_values(run, edges[run.nodes[one.node].trial_of or one.node]))
            self._activities[one.id] = activity_of(run, one, values)
            for value in values:
                self._informed[value.maker[0]].append((one.id, run.id))


def _reused(activity: Activity, runs: Sequence[str], rows: Mapping[str, Mapping[str, Any]]) -> Activity:
    told = [rows[run] for run in runs[:_SHOWN_REUSES] if run in rows]
    reuses = tuple(Reuse(row["id"], row["counter"], row["project_name"]) for row in told)
    return replace(activity, reuses=reuses, more_reuses=len(runs) - len(reuses))


def activity_of(run: Run, one: Execution, values: tuple[Value, ...] = ()) -> Activity:
    """An execution of a run, as a node of the graph."""
    code = code_of(run, one.node)
    snapshot = Digest(one.job.get("snapshot") or code.snapshot)
    remote = public(code.remote) if code.remote else None
    return Activity(
        id=one.id,
        counter=one.counter,
        run=run.id,
        run_counter=run.counter,
        project=run.project.name,
        step=one.step,
        node=one.node,
        state=one.state,
        reason=one.reason,
        created=one.created,
        finished=one.finished,
        duration=one.duration,
        executor=one.executor,
        image=str(one.job.get("image") or ""),
        identity=str(one.identity["id"]) if one.identity and "id" in one.identity else None,
        code=Code(snapshot, code.commit, code.branch, remote, code.dirty),
        read=one.read.code,
        parameters=dict(one.job.get("parameters") or {}),
        metrics=dict(one.metrics),
        inputs=tuple(
            Got(given["name"], file["name"], Digest(file["digest"]), file["size"], public(str(file["origin"])))
            for given in one.job.get("inputs", ())
            for file in given["files"]
        ),
        outputs=tuple(Left(output.name, output.digest, output.size) for output in one.outputs),
        values=values,
    )


def _values(run: Run, edges: Iterable[Sequence[str]]) -> Iterator[Value]:
    """The values that came over the edges of a node. The three parts of an end are joined by dots."""
    for source, target in edges:
        above, _, key = source.split(".", 2)
        _, kind, parameter = target.split(".", 2)
        for maker in _makers_of(run, run.nodes.get(above)) if kind in _VALUES else ():
            yield Value(maker, key, parameter)


def _makers_of(run: Run, node: NodeRecord | None) -> Iterator[Maker]:
    """What gave the values of a node: of a task node each of its trials that is done."""
    if node is None:
        return
    if node.kind == "task":
        makers = (_last_of(run, trial) for trial in trials(run, node.name) if trial.state in DONE)
        yield from (maker for maker in makers if maker is not None)
    elif (maker := _last_of(run, node)) is not None:
        yield maker


def _last_of(run: Run, node: NodeRecord) -> Maker | None:
    """The execution that stands for a node, or its last one."""
    if node.reused is not None:
        return node.reused.execution, node.reused.run
    return (node.executions[-1], run.id) if node.executions else None


# Subjects -----------------------------------------------------------------------------------------------------------


def data_subject(shown: str, data: Sequence[Datum]) -> Subject:
    """Data by their names: their makers are those that are meant. A digest means content, whoever left it."""
    word = shown.removeprefix(SCHEME).lower()
    named = (datum for datum in data if datum.execution and not datum.digest.startswith(word))
    return Subject(
        "data",
        shown,
        tuple((datum.name, datum.digest) for datum in data),
        meant=frozenset(datum.execution for datum in named),
    )


def execution_subject(run: Run, one: Execution) -> Subject:
    """One execution."""
    return Subject("execution", f"execution {one.counter}", executions=((one.id, run.id),))


def run_subject(run: Run) -> Subject:
    """The executions of a run, and those that stand for nodes of it, oldest first."""
    reused = {(one.execution, one.run) for one in standing(run)}
    own = {(id, run.id) for id in run.executions}
    return Subject("run", f"run {run.counter}", executions=tuple(sorted(own | reused)))


# Data ---------------------------------------------------------------------------------------------------------------


def _data(store: Store, records: Records, contents: Mapping[Digest, int | None]) -> dict[Digest, Data]:
    """What is known of contents besides who made and got them."""
    named = _names(store, contents.keys())
    lacking = store.objects.lacking(contents)
    removed = _removed(store) if lacking else Removed()
    found = {}
    for digest, size in contents.items():
        names = tuple(named.get(digest, ()))
        if digest in lacking:
            presence, note = _absence(removed, records, digest)
            found[digest] = Data(digest, size, presence, names, note)
        else:
            known = store.objects.size(digest) if size is None else size
            found[digest] = Data(digest, known, Presence.PRESENT, names)
    return found


def _removed(store: Store) -> Removed:
    """What was removed on purpose; nothing where that cannot be read, which the check tells."""
    with suppress(MlrunError):
        return Removals(store.layout).read()
    return Removed()


def _absence(removed: Removed, records: Records, digest: Digest) -> tuple[Presence, str]:
    """Why content is not in the store."""
    if (purged := removed.purged.get(digest)) is not None:
        return Presence.PURGED, f"purged on {purged.time[:10]} by {purged.by}: {purged.reason}"
    with suppress(MlrunError):
        known = {id for id, _ in (*records.makers_of(digest), *records.users_of(digest))}
        if times := [removed.dropped[id] for id in known if id in removed.dropped]:
            return Presence.REMOVED, f"removed on {max(times)[:10]}"
    return Presence.MISSING, "not in this store"


def _names(store: Store, wanted: Iterable[Digest]) -> dict[Digest, list[str]]:
    """The addresses by which contents are called: aliases, versions of datasets and models."""

    def listed(manifest: Digest) -> tuple[Datum, ...]:
        with suppress(MlrunError):
            return read_listing(store.objects, manifest)
        return ()

    found: dict[Digest, list[str]] = {}
    asked = set(wanted)
    with suppress(MlrunError):
        for meant in named_by_names(store.refs, listed):
            if meant.datum is not None and meant.digest in asked:
                scheme = SCHEME if meant.kind == "alias" else f"{meant.kind}://"
                found.setdefault(meant.digest, []).append(scheme + meant.name)
    return found
