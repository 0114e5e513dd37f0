"""The parent of a step without isolation, run as the program that it is."""

import fcntl
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.executors import supervisor
from tests.patience import PATIENCE

MANY = 1100
"""More descriptors than select(2) can name."""


@pytest.fixture
def enough() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * MANY:
        pytest.skip(f"no more than {hard} descriptors can be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * MANY), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def high_pipe() -> tuple[int, int]:
    """Both ends of a pipe, with numbers that a runner's pipes have when it has a great many open."""
    ends = os.pipe()
    high = fcntl.fcntl(ends[0], fcntl.F_DUPFD_CLOEXEC, MANY), fcntl.fcntl(ends[1], fcntl.F_DUPFD_CLOEXEC, MANY)
    for end in ends:
        os.close(end)
    return high


@pytest.mark.parametrize(
    ("script", "said", "code"),
    [("exit 7", None, 7), ("sleep 600", b"t", 143), ("sleep 600", b"", 137)],
    ids=["its own end", "asked to stop", "the runner is gone"],
)
def test_a_step_is_followed_whatever_numbers_the_descriptors_have(
    script: str, said: bytes | None, code: int, enough: None, tmp_path: Path
) -> None:
    request, leash, status = high_pipe(), high_pipe(), high_pipe()
    command = [sys.executable, "-I", "-S", supervisor.__file__, str(request[0]), str(leash[0]), str(status[1])]
    theirs = (request[0], leash[0], status[1])
    with subprocess.Popen(command, pass_fds=theirs, stderr=subprocess.PIPE) as process:
        for fd in theirs:
            os.close(fd)
        with open(request[1], "wb") as file:
            step = {"argv": ["/bin/sh", "-c", script], "env": {}, "cwd": str(tmp_path), "mounts": []}
            file.write(json.dumps(step).encode())
        with open(status[0]) as reports:
            assert "child-pid" in reports.readline()
            if said:
                os.write(leash[1], said)
            elif said is not None:
                os.close(leash[1])
            assert json.loads(reports.readline() or "{}") == {"exit-code": code}
        _, complaint = process.communicate(timeout=PATIENCE)
    if said != b"":
        os.close(leash[1])
    assert (process.returncode, complaint) == (0, b"")
