"""Many processes on one store, and processes that are killed at random moments with what they started."""

import contextlib
import io
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import script
from check import acknowledgements
from ground import Ground, alone, checked

from runner.executors.creation import LABEL
from runner.store.store import Store


def together(bodies: Sequence[Callable[[], int]]) -> list[tuple[int, str]]:
    """Run all at the same time, each in a process of its own; exit codes, and what each printed."""
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(TemporaryFile()) for _ in bodies]
        children = [start(body, file.fileno()) for body, file in zip(bodies, files, strict=True)]
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        for file in files:
            file.seek(0)
        return [(code, file.read().decode("utf-8", "replace")) for code, file in zip(codes, files, strict=True)]


def start(body: Callable[[], int], out: int) -> int:
    """A process group of its own that runs `body` and prints to `out`."""
    child = os.fork()
    if child:
        with contextlib.suppress(OSError):
            os.setpgid(child, child)
        return child
    code = 125
    try:
        os.setpgid(0, 0)
        null = os.open(os.devnull, os.O_RDONLY)
        for fd, target in ((null, 0), (out, 1), (out, 2)):
            os.dup2(fd, target)
        sys.stdout, sys.stderr = (
            io.TextIOWrapper(io.FileIO(fd, "w", closefd=False), write_through=True) for fd in (1, 2)
        )
        code = body()
    finally:
        os._exit(code)


def run_at_once(here: Ground, place: Path, count: int) -> list[str]:
    """So many runs of one step with the same outputs; what was wrong."""
    done = together([here.command(place, "exec", "make")] * count)
    wrong = [f"{code}: {text[-1000:]}" for code, text in done if code != 0 or "locked" in text]
    lines = [line for _, text in done for line in acknowledgements(text)]
    if not wrong and len({line for line in lines if line.startswith("run ") and "succeeded" in line}) != count:
        wrong = [f"{count} runs have other numbers: {sorted(lines)}"]
    return wrong + list(filter(None, [checked(place / "store", lines)]))


def commit(here: Ground, place: Path, processes: int, each: int) -> list[str]:
    """Processes that tell the store of as many runs as each can; what was lost."""

    def body() -> int:
        with Store.open(place / "store", create=True) as store:
            for number in range(each):
                script.tell_a_run(store, f"{os.getpid()}-{number}")
        return 0

    done = together([body] * processes)
    wrong = [f"{code}: {text[-1000:]}" for code, text in done if code != 0]
    lines = [line for _, text in done for line in text.splitlines()]
    return wrong + list(filter(None, [checked(place / "store", lines)]))


def kill_writers(place: Path, rounds: int, seed: int) -> Iterator[str]:
    """Two processes that tell of runs, killed together at a random moment, `rounds` times; yields what was wrong at the
    end, and nothing for the other rounds."""
    chance = random.Random(seed)
    lines: list[str] = []

    def body() -> int:
        with Store.open(place / "store", create=True) as store:
            while True:
                script.tell_a_run(store, f"{os.getpid()}-{time.monotonic_ns()}")

    for number in range(rounds):
        with TemporaryFile() as file, TemporaryFile() as other:
            children = [start(body, one.fileno()) for one in (file, other)]
            time.sleep(chance.uniform(0, 0.2))
            for child in children:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            for one in (file, other):
                one.seek(0)
                lines += [line for line in one.read().decode().splitlines(keepends=True) if line.endswith("\n")]
        yield checked(place / "store", lines) if number == rounds - 1 else ""


class Engine:
    """The container engine of this machine: which containers of a store there are."""

    @cached_property
    def _client(self) -> Any:
        import docker

        return docker.from_env()

    def why_not(self) -> str | None:
        """None where a container can be started, else the reason."""
        try:
            found = self._client.images.list("mlrun-test/busybox:1")
        except Exception as error:
            return f"no container engine answers: {error}"
        return None if found else "the image mlrun-test/busybox:1 is not in the engine"

    def containers(self) -> list[str]:
        """The names of all containers that `mlrun` made, dead ones too."""
        return [str(one.name) for one in self._client.containers.list(all=True, filters={"label": LABEL})]


def kill_with_containers(here: Ground, place: Path, count: int, seed: int) -> Iterator[str]:
    """Runs in containers, killed at a random moment; yields what was wrong after each, empty if nothing."""
    engine, chance = Engine(), random.Random(seed)
    foreign = set(engine.containers())
    body = here.command(place, "exec", "--executor", "docker", "--network", "none", "make")
    began = time.monotonic()
    first = together([body])[0]
    usual = time.monotonic() - began
    if first[0] != 0:
        yield f"the step does not run: {first}"
        return
    for number in range(count):
        with TemporaryFile() as file:
            child = start(body, file.fileno())
            time.sleep(chance.uniform(0, usual))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            file.seek(0)
            text = file.read().decode("utf-8", "replace")
        wrong = "a bug" if "Traceback" in text or "this is a bug" in text else ""
        wrong = wrong or checked(place / "store", acknowledgements(text))
        if number % 10 == 9 or number == count - 1:
            after = alone(body)
            wrong = wrong or ("" if after.code == 0 else f"the next run: {after.code} {after.err[-1000:]}")
            # What still runs of a run that lost its runner waits for whoever goes on with that, or ends it.
            with Store.open(place / "store", create=False) as store:
                lost = [run.counter for run in store.lost_runs()]
            for counter in lost:
                stopped = alone(here.command(place, "stop", f"run:{counter}"))
                wrong = wrong or ("" if stopped.code == 0 else f"run {counter} is not stopped: {stopped.err}")
            if left := set(engine.containers()) - foreign:
                wrong = wrong or f"containers are left: {sorted(left)}"
        yield wrong and f"kill {number}: {wrong}"
