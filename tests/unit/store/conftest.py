"""A store in a temporary folder and a run's header to begin runs with."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.digest import hash_bytes
from runner.store.layout import Layout
from runner.store.objects import Objects
from runner.store.record import Code, ProjectRef
from runner.store.store import Store

Header = Callable[..., dict[str, Any]]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create_or_open(tmp_path / "store")


@pytest.fixture
def objects(layout: Layout) -> Objects:
    return Objects(layout.objects, layout.scratch)


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
