"""The parent of a step without isolation, run as the program that it is."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.executors import supervisor
from tests.patience import PATIENCE


@pytest.mark.parametrize(
    ("script", "said", "code"),
    [("exit 7", None, 7), ("sleep 600", b"t", 143), ("sleep 600", b"", 137)],
    ids=["its own end", "asked to stop", "the runner is gone"],
)
def test_a_step_is_followed_whatever_numbers_the_descriptors_have(
    script: str, said: bytes | None, code: int, high: Callable[[int], int], tmp_path: Path
) -> None:
    def high_pipe() -> tuple[int, int]:
        ends = os.pipe()
        numbers = high(ends[0]), high(ends[1])
        for end in ends:
            os.close(end)
        return numbers

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
