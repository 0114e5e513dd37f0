"""Installs Debian packages through `package.sh`, and never stops an installation half-way."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

SCRIPT = Path(__file__).with_name("package.sh")
MAY_NOT = 10


class Missing(Exception):
    """Something is not on this machine and may not be put there; the text is a reason fit to be shown."""


def install(*names: str) -> None:
    """Raises `Missing` where nothing may be installed and `subprocess.CalledProcessError` where apt failed."""
    command = [str(SCRIPT), *names]
    with _signals_later():
        done = subprocess.run(command, stdout=sys.stderr, stderr=subprocess.PIPE, text=True, start_new_session=True)
    if done.returncode == MAY_NOT:
        raise Missing(done.stderr.strip().splitlines()[-1])
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command, stderr=done.stderr)


@contextlib.contextmanager
def _signals_later() -> Iterator[None]:
    """Hold back requests to stop: a package manager that is killed leaves a broken machine."""
    came: list[int] = []

    def remember(number: int, _: FrameType | None) -> None:
        came.append(number)

    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            os.kill(os.getpid(), came[0])
