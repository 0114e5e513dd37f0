"""A store in a temporary folder and a run's header to begin runs with."""

import json
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.digest import hash_bytes
from runner.store import identity
from runner.store.identity import new_id
from runner.store.layout import Layout
from runner.store.objects import Objects
from runner.store.record import Code, ProjectRef
from runner.store.store import Store
from runner.store.writer import RunWriter

Header = Callable[..., dict[str, Any]]

INPUT = hash_bytes(b"input")
AN_INPUT = {"name": "a", "digest": INPUT, "size": 5, "origin": "file:a"}


@pytest.fixture(autouse=True)
def _ids_of_this_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids only grow within a process: those of a test that sets the clock forward shall not be followed by others."""
    monkeypatch.setattr(identity, "_last", identity._last)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create_or_open(tmp_path / "store")


@pytest.fixture
def objects(layout: Layout) -> Iterator[Objects]:
    objects = Objects(layout)
    yield objects
    objects.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store", create=True) as store:
        yield store


@pytest.fixture
def foreign_place() -> Iterator[Path]:
    """A folder that other users can reach, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="mlrun-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def as_nobody() -> Callable[[Callable[[], str]], str]:
    """Calls a function in a process of an ordinary user and gives what it returned."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")

    def call(function: Callable[[], str]) -> str:
        receive, send = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setgroups([])
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
                answer = function()
            except BaseException as error:
                answer = f"raised {error!r}"
            os.write(send, answer.encode())
            os._exit(0)
        os.close(send)
        with open(receive) as file:
            answer = file.read()
        os.waitpid(child, 0)
        return answer

    return call


@pytest.fixture
def header() -> Header:
    def make(*nodes: str, project: str = "p1", **changes: Any) -> dict[str, Any]:
        return {
            "kind": "pipeline",
            "name": "Train",
            "project": ProjectRef(project, "iris", "/home/me/iris", "valohai.yaml"),
            "title": None,
            "tags": ("best",),
            "argv": ("mlrun", "pipeline", "Train"),
            "code": Code(hash_bytes(b"tree"), commit="c0ffee", branch="main", dirty=True, not_captured=("x: a pipe",)),
            "spec": hash_bytes(b"spec"),
            "plan": {"nodes": [{"name": name, "step": f"step {name}"} for name in nodes or ("a", "b")]},
            "executor": "sandbox",
            "host": {"hostname": "here"},
            "version": "1.0",
            **changes,
        }

    return make


def tell(writer: RunWriter, node: str = "a", *, end: bool = True, **parameters: Any) -> str:
    """One execution of a node."""
    id = new_id()
    job = {"image": "busybox", "parameters": parameters, "inputs": [{"name": "data", "files": [AN_INPUT, AN_INPUT]}]}
    counter = writer.new_execution_counter()
    writer.append(
        [
            {"type": "node-moved", "node": node, "state": "starting"},
            {"type": "execution-created", "id": id, "node": node, "counter": counter, "job": job},
        ]
    )
    writer.append([{"type": "execution-started", "id": id, "executor": "sandbox", "identity": {"id": "x"}}])
    if end:
        output = {"name": "model", "digest": hash_bytes(b"m"), "size": 10}
        writer.append(
            [
                {
                    "type": "execution-finished",
                    "id": id,
                    "state": "succeeded",
                    "reason": "exit",
                    "exit_code": 0,
                    "outputs": [output],
                    "metrics": {"loss": float("nan"), "acc": 0.5},
                },
                {"type": "node-moved", "node": node, "state": "succeeded"},
            ]
        )
    return id


def finish(writer: RunWriter, state: str = "succeeded") -> None:
    writer.append([{"type": "run-finished", "state": state, "duration": 1.0}])
    writer.close()


def whole_run(store: Store, header: dict[str, Any], *nodes: str) -> RunWriter:
    writer = store.begin_run(header)
    for node in nodes or ("a",):
        tell(writer, node, C=0.5)
    finish(writer)
    return writer


def killed(store: Store, work: Callable[[Store], None]) -> None:
    """Do `work` in a process that is killed at its end."""
    store.close()
    child = os.fork()
    if child == 0:
        try:
            with Store.open(store.layout.root, create=True) as own:
                work(own)
                os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL


def answers(store: Store) -> str:
    """Everything that readers can ask for."""
    rows = [store.executions(), store.executions("p1"), store.executions("p2"), store.executions("p1", 2)]
    rows += [store.runs(), store.runs("p1"), store.runs("p2"), store.runs("p1", 1)]
    return json.dumps(rows)


def reader(store: Store) -> Store:
    return Store.open(store.layout.root, create=False)


def void(_: object) -> None:
    pass


def add_junk(store: Store, run_id: str) -> Path:
    journal = store.layout.run(run_id).journal
    with journal.open("ab") as file:
        file.write(b"junk\n")
    return journal


def files(layout: Layout) -> list[str]:
    """The names of everything below `objects/`."""
    return sorted(path.name for path in layout.objects.rglob("*") if path.is_file())
