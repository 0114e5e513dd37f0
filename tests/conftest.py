"""Guards: a test that is not about the installed command touches neither the user's files nor the network."""

import ipaddress
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
UNGUARDED = {"e2e", "contract"}
"""The suites that are about this machine; each makes its own folders."""

HOMES = ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "MLRUN_STORE")
SETTINGS = ("MLRUN_EXECUTOR", "MLRUN_DEBUG", "DOCKER_HOST", "NO_COLOR", "TERM")


@pytest.fixture(scope="session")
def nobodys_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder whose name says what a test that finds itself there forgot."""
    return tmp_path_factory.mktemp("guard") / "YouForgotToExplicitlyChooseAStore"


@pytest.fixture(autouse=True)
def guard(request: pytest.FixtureRequest) -> None:
    """Keeps every test but the unguarded suites away from the user's files and from the network."""
    if request.path.relative_to(HERE).parts[0] not in UNGUARDED:
        for name in ("_no_home", "_no_network"):
            request.getfixturevalue(name)


@pytest.fixture
def _no_home(nobodys_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Home, settings and store lie in a folder that must stay empty; the caller's settings count for nothing."""
    nobodys_home.mkdir(exist_ok=True)
    for name in HOMES:
        monkeypatch.setenv(name, str(nobodys_home))
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    yield
    left = sorted(path.name for path in nobodys_home.iterdir())
    assert not left, f"{left} in {nobodys_home}: give the code under test a folder below `tmp_path`"


@pytest.fixture
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections may go to this machine only. The failure is no OSError, so that no code takes it for bad weather."""
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def checked_connect(self: socket.socket, address: Any) -> None:
        _refuse_stranger(self, address)
        connect(self, address)

    def checked_connect_ex(self: socket.socket, address: Any) -> int:
        _refuse_stranger(self, address)
        return connect_ex(self, address)

    def checked_getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        _refuse_host(host)
        return getaddrinfo(host, *arguments, **options)

    monkeypatch.setattr(socket.socket, "connect", checked_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", checked_connect_ex)
    monkeypatch.setattr(socket, "getaddrinfo", checked_getaddrinfo)


@pytest.fixture(scope="session")
def official_examples() -> Path | None:
    """The folder of the example files of `valohai-yaml`; None, with the reason printed, where they cannot be had."""
    script = HERE / "machine" / "official.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    print(done.stderr)
    return None if done.returncode else Path(done.stdout.strip())


def _refuse_stranger(connection: socket.socket, address: Any) -> None:
    if connection.family in {socket.AF_INET, socket.AF_INET6}:
        _refuse_host(address[0])


def _refuse_host(host: Any) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if name in {None, "", "localhost"}:
        return
    try:
        if ipaddress.ip_address(name).is_loopback:
            return
    except ValueError:
        pass
    pytest.fail(f"a unit test wants to reach `{name}`: serve what it needs on 127.0.0.1", pytrace=True)
