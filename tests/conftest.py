"""Guards: a test that is not about the installed command touches neither the user's files nor the network."""

import contextlib
import fcntl
import ipaddress
import os
import random
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from runner.crew import Crew, _Alarm
from tests.patience import PATIENCE

pytest_plugins = ["tests.server"]

HERE = Path(__file__).parent
UNGUARDED = {"e2e", "contract"}
"""The suites that are about this machine; each makes its own folders."""

HOMES = ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "MLRUN_STORE")
SETTINGS = ("MLRUN_EXECUTOR", "MLRUN_DEBUG", "DOCKER_HOST", "NO_COLOR", "TERM")

SEARCHES = "MLRUN_TEST_SEARCH" in os.environ
"""Whether tests choose at random what they try; otherwise a commit is tested in the same way each time."""

# A slow machine is no failure of the code.
settings.register_profile("ours", deadline=None, derandomize=not SEARCHES)
settings.load_profile("ours")


def pytest_configure() -> None:
    """What a shell runs in the background ignores Ctrl-C, and so would every command that a test starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What a test draws from `random` is the same each time, whatever ran before it."""
    if not SEARCHES:
        random.seed(item.nodeid)


@pytest.fixture(scope="session")
def nobodys_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder whose name says what a test that finds itself there forgot."""
    return tmp_path_factory.mktemp("guard") / "YouForgotToExplicitlyChooseAStore"


@pytest.fixture
def alive() -> Callable[[str], list[int]]:
    """Tells which processes of this machine, zombies excepted, have a text on their command line."""

    def find(text: str) -> list[int]:
        found = []
        for name in filter(str.isdecimal, os.listdir("/proc")):
            try:
                words = Path("/proc", name, "cmdline").read_bytes().decode("utf-8", "replace")
            except OSError:
                continue
            if text in words and int(name) != os.getpid():
                found.append(int(name))
        return found

    return find


@pytest.fixture
def high() -> Iterator[Callable[[int], int]]:
    """Gives an open file a second descriptor, whose number select(2) cannot name: it knows none above 1,023."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2048:
        pytest.skip(f"no more than {hard} descriptors can be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    yield lambda fd: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 1100)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def new_threads() -> Callable[[], list[threading.Thread]]:
    """Tells which threads of this process are at work that were not when the test began, whatever earlier tests have
    left. One that only waits for further work is not, but it may be a moment before it does."""
    before = _at_work()
    return lambda: [thread for thread in _at_work() if thread not in before]


@pytest.fixture
def new_descriptors() -> Callable[[], list[str]]:
    """Tells what this process has open that it had not when the test began, whatever of earlier tests is closed now."""
    before = _descriptors()
    return lambda: [target for number, target in _descriptors().items() if before.get(number) != target]


def _at_work() -> list[threading.Thread]:
    frames = sys._current_frames()
    waits = {Crew._next.__code__, _Alarm._next.__code__}

    def waits_for_work(thread: threading.Thread) -> bool:
        frame = frames.get(thread.ident or 0)
        while frame is not None and frame.f_code not in waits:
            frame = frame.f_back
        return frame is not None

    return [thread for thread in threading.enumerate() if not waits_for_work(thread)]


def _descriptors() -> dict[str, str]:
    found = {}
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the listing itself
            found[number] = os.readlink(f"/proc/self/fd/{number}")
    return found


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


class Terminal:
    """A command on a terminal of its own, in a session that the terminal controls, as under an emulator."""

    def __init__(
        self, argv: Sequence[str | Path], folder: Path, env: Mapping[str, str], rows: int, columns: int
    ) -> None:
        self._main, self._side = os.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self._side)
        self.process = subprocess.Popen(
            [str(word) for word in argv],
            cwd=folder,
            env={"TERM": "xterm", **env},
            stdin=self._side,
            stdout=self._side,
            stderr=self._side,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self._bytes = bytearray()
        self._seen = 0

    @property
    def written(self) -> str:
        """All that was written to it so far."""
        return self._bytes.decode("utf-8", "replace")

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._main, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, text: str) -> None:
        """Type something."""
        os.write(self._main, text.encode())

    def until(self, text: str) -> str:
        """Wait for a text behind those waited for before; gives what came up to its end."""
        deadline = time.monotonic() + PATIENCE
        while (at := self._bytes.find(text.encode(), self._seen)) < 0:
            ended = self.process.poll() is not None
            if not self._read(0.2) and ended:
                raise AssertionError(f"it ended with {self.process.returncode} without {text!r}: {self.written!r}")
            assert time.monotonic() < deadline, f"no {text!r} in {self.written[-2000:]!r}"
        begin, self._seen = self._seen, at + len(text.encode())
        return self._bytes[begin : self._seen].decode("utf-8", "replace")

    def end(self) -> int:
        """Wait for the end; the exit code, and everything is in `written`."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            self._read(0.05)
            assert time.monotonic() < deadline, f"still running after {self.written[-2000:]!r}"
        while self._read(0):
            pass
        return self.process.returncode

    def waiting(self) -> int:
        """Bytes that were typed and that nobody has read."""
        found = fcntl.ioctl(self._side, termios.FIONREAD, b"\0" * 4)
        return int.from_bytes(found, sys.byteorder)

    def is_restored(self) -> bool:
        """Whether the terminal is as it was before the command."""
        return termios.tcgetattr(self._side) == self.before

    def hang_up(self) -> None:
        """Close the terminal, as by closing its window; then there is nothing more to read."""
        os.close(self._side)
        os.close(self._main)
        self._side = self._main = -1

    def close(self) -> None:
        """End the command if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self._main >= 0:
            self.hang_up()

    def _read(self, seconds: float) -> bool:
        if not select.select([self._main], [], [], seconds)[0]:
            return False
        data = os.read(self._main, 1 << 16)
        self._bytes += data
        return bool(data)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    """Starts commands on terminals of their own: `terminal(argv, folder, env)`, with `rows` and `columns`."""
    started: list[Terminal] = []

    def start(
        argv: Sequence[str | Path], folder: Path, env: Mapping[str, str], rows: int = 30, columns: int = 100
    ) -> Terminal:
        started.append(Terminal(argv, folder, env, rows, columns))
        return started[-1]

    yield start
    for one in started:
        one.close()


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
