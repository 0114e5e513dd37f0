"""A store with executions as runs leave them, made in a few milliseconds each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runner.app.upkeep import Done, remove
from runner.digest import Digest
from runner.settings import Settings
from runner.store.catalog import data_of, read_listing, write_listing
from runner.store.datum import Datum
from runner.store.history import recorded_run, run_folders
from runner.store.identity import new_id
from runner.store.layout import Layout
from runner.store.reach import FILES, named_by
from runner.store.record import Code, Execution, ProjectRef, Run
from runner.store.removal import Removals, Removed
from runner.store.store import Store
from runner.store.writer import RunWriter
from runner.upkeep.plan import Plan, Planner
from runner.upkeep.retention import Policy

from .mode import bound_by_modes
from .windows import Opened, opening

BY = {"user": "me"}


@dataclass
class Scene:
    """The store at `root`. What is written is written by a store of its own, closed at once: nothing stays claimed."""

    root: Path
    code: tuple[str, ...] = ("print('train')",)
    ended: list[Execution] = field(default_factory=list)

    datum = staticmethod(lambda execution, number=0: data_of(execution)[number])
    begin = staticmethod(lambda store, step, project="p1", code=("x",): begin(store, step, project, code))
    start = staticmethod(lambda writer, step, inputs=(): start(writer, step, inputs, writer.run().code.snapshot))
    finish = staticmethod(lambda *arguments: finish(*arguments))

    @property
    def layout(self) -> Layout:
        return Layout(self.root)

    @property
    def settings(self) -> Settings:
        return Settings(self.root)

    def writing(self) -> Store:
        return Store.open(self.root, create=True)

    def reading(self) -> Store:
        return Store.open(self.root, create=False)

    def execute(
        self,
        step: str = "train",
        outputs: Mapping[str, bytes] | None = None,
        inputs: Sequence[Datum] = (),
        *,
        project: str = "p1",
        state: str = "succeeded",
        log: bytes = b"done\n",
    ) -> Execution:
        """A run of one step that has ended."""
        with self.writing() as store:
            writer = begin(store, step, project, self.code)
            id = start(writer, step, inputs, code=writer.run().code.snapshot)
            finish(store, writer, id, step, outputs or {}, state, log)
            self.ended.append(writer.run().executions[id])
        return self.ended[-1]

    def plan(self, last: int | None = 0, within: float | None = None, days: float = 2.0) -> Plan:
        """What would go, `days` from now."""
        with self.reading() as view:
            return Planner(view, later(days)).plan(Policy(last, within))

    def collect(
        self, last: int | None = 0, within: float | None = None, days: float = 2.0, *, now: bool = False
    ) -> Done:
        """Remove what may go, `days` from now."""
        done = remove(self.settings, Policy(last, within), later(days), at_once=now)
        assert done is not None
        return done

    def has(self, *digests: str) -> bool:
        """Whether all these lie in their places: nothing is brought back from the trash for this question."""
        with self.reading() as view:
            places = {view.objects.find(Digest(digest)) for digest in digests}
        return places <= {"whole", "packed"}

    def run_of(self, execution: Execution) -> Run:
        with self.reading() as view:
            return view.find_execution(None, execution.id)[0]

    def lost(self) -> list[str]:
        """What records and names say is there, and is nowhere: files that were removed on purpose do not count."""
        removed = self.removed()
        with self.reading() as view:
            named = [
                named
                for folder in run_folders(self.layout)
                if (run := recorded_run(folder)) is not None
                for named in named_by(
                    run, lambda tree: ((e.path, Digest(e.content), e.size) for e in view.objects.read_tree(tree))
                )
                if named.kind not in FILES or named.execution not in removed.dropped
            ]
            digests = {one.digest for one in named}
            digests |= {alias.datum.digest for alias in view.refs.aliases()}
            versions = [version for one in view.refs.collections("dataset") for version in one.versions]
            digests |= {datum.digest for one in versions for datum in read_listing(view.objects, one.manifest)}
            return sorted(digest for digest in digests if not view.objects.has(digest))

    def removed(self) -> Removed:
        return Removals(self.layout).read()

    def put(self, data: bytes) -> Digest:
        """An object that nobody names."""
        with self.writing() as store:
            return store.objects.put_bytes(data)

    def name(self, execution: Execution, alias: str) -> None:
        with self.writing() as store, store.refs.changing(BY) as change:
            change.set_alias(alias, data_of(execution)[0])

    def version(self, data: Sequence[Datum], name: str, version: str) -> None:
        with self.writing() as store, store.refs.changing(BY) as change:
            change.make_version(("dataset", name), version, write_listing(store.objects, data), data, {})


def later(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def files_of(view: Store, tree: Digest) -> Iterator[tuple[str, Digest, int]]:
    return ((entry.path, Digest(entry.content), entry.size) for entry in view.objects.read_tree(tree))


def begin(
    store: Store,
    step: str,
    project: str = "p1",
    code: Sequence[str] = ("x",),
    more: Mapping[str, Any] | None = None,
) -> RunWriter:
    files = [(f"{number}.py", text.encode()) for number, text in enumerate(code)]
    tree = store.objects.put_tree((name, "100644", store.objects.put_bytes(data), len(data)) for name, data in files)
    header: dict[str, Any] = {
        "kind": "exec",
        "name": step,
        "project": ProjectRef(project, f"name of {project}", "/home/me", "valohai.yaml"),
        "title": None,
        "tags": (),
        "argv": (),
        "code": Code(tree),
        "spec": store.objects.put_bytes(b"- step"),
        "plan": {"nodes": [{"name": step, "step": step}]},
        "executor": "fake",
        "host": {},
        "version": "1",
    }
    return store.begin_run({**header, **(more or {})})


def start(writer: RunWriter, step: str, inputs: Sequence[Datum] = (), code: str = "") -> str:
    files = [
        {"name": one.name, "digest": one.digest, "size": one.size, "origin": f"datum://{one.id}", "metadata": {}}
        for one in inputs
    ]
    job = {"step": step, "image": "i", "snapshot": code, "parameters": {}, "inputs": [{"name": "in", "files": files}],
           "environment": {}}  # fmt: skip
    id, counter = new_id(), writer.new_execution_counter()
    writer.append([{"type": "execution-created", "id": id, "node": step, "counter": counter, "job": job}])
    return id


def finish(
    store: Store, writer: RunWriter, id: str, step: str, outputs: Mapping[str, bytes], state: str, log: bytes
) -> None:
    stored = [
        {"name": name, "digest": store.objects.put_bytes(data), "size": len(data)} for name, data in outputs.items()
    ]
    streams = {
        name: store.objects.put_bytes(log + id.encode() + name.encode()) for name in ("stdout", "stderr", "index")
    }
    metrics = store.objects.put_bytes(b"metrics of " + id.encode())
    told = {"outputs": stored, "log": streams, "metric_log": metrics}
    writer.append(
        [
            {"type": "execution-finished", "id": id, "state": state, "reason": "exit", **told},
            {"type": "node-moved", "node": step, "state": state},
            {"type": "run-finished", "state": state},
        ]
    )
    writer.close()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "store")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store", create=True) as store:
        yield store


@pytest.fixture
def opened() -> Iterator[Opened]:
    with opening() as opened:
        yield opened


@pytest.fixture
def bound() -> Iterator[None]:
    with bound_by_modes():
        yield
