"""A run in the background: a process of its own that no terminal can end, and what its starter is told of it."""

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from runner.app.run import Ended
from runner.cli.display import notice_sentence
from runner.cli.failure import protected
from runner.cli.terminal import print_json, put, say
from runner.errors import ExitCode
from runner.events import Event, Listener, Noticed, RunStarted
from runner.store.layout import Layout

_TALK = "talk"
"""The file in a run's folder with what its process has to say."""


def in_background(store: Path, drive: Callable[[Listener], Ended], *, json: bool) -> int:
    """Let another process drive a run, and name the run as soon as it is recorded; the exit code.

    What goes wrong before that is shown here, and its code is that of this command. No thread may have been started.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    receive, send = os.pipe2(os.O_CLOEXEC)
    talk = os.memfd_create("talk")
    child = os.fork()
    if child == 0:
        os.close(receive)
        _leave_terminal(talk)
        _end_with(_drive(Layout(store), drive, send, talk))
    os.close(send)
    with open(receive, encoding="utf-8") as told:
        answer = told.read()
    said = os.pread(talk, os.fstat(talk).st_size, 0).decode("utf-8", "replace")
    os.close(talk)
    if said:
        put(said.rstrip("\n"), sys.stderr)
    if not answer:
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else ExitCode.BUG
    _tell(answer, as_json=json)
    return ExitCode.OK


def _tell(answer: str, *, as_json: bool) -> None:
    run: dict[str, Any] = json.loads(answer)
    name = f"run:{run['counter']}"
    if as_json:
        print_json(run)
    else:
        print(name)
    say(f"it goes on in the background: `mlrun watch {name}` follows it, `mlrun stop {name}` stops it")


def _leave_terminal(talk: int) -> None:
    """From here on no terminal is ours: closing it, or Ctrl-C in it, concerns us no more."""
    os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.close(nothing)
    for stream in (1, 2):
        os.dup2(talk, stream)


def _drive(layout: Layout, drive: Callable[[Listener], Ended], send: int, talk: int) -> int:
    def tell(event: Event) -> None:
        if isinstance(event, Noticed):
            say(notice_sentence(event))
        elif isinstance(event, RunStarted):
            sys.stdout.flush()
            sys.stderr.flush()
            _move_talk(layout.run(event.id).path / _TALK, talk)
            with open(send, "w", encoding="utf-8") as starter:
                starter.write(json.dumps({"id": event.id, "counter": event.counter}))

    return protected(lambda: drive(tell).exit)


def _move_talk(path: Path, talk: int) -> None:
    """Say what follows, and what was said, into a file. Where that cannot be made, it is said to nobody."""
    with suppress(OSError):
        fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        os.write(fd, os.pread(talk, os.fstat(talk).st_size, 0))
        for stream in (1, 2):
            os.dup2(fd, stream)
        os.close(fd)


def _end_with(code: int) -> NoReturn:
    """End this process without what its starter would do at its own end."""
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
