"""A program of the user's that is told by its standard input, its variables and its arguments. No shell reads them."""

import os
import re
import signal
import subprocess
import tempfile
from contextlib import suppress
from typing import IO

from runner.escape import printable
from runner.notice.message import Message, NotTold
from runner.notifier import Notifier

LIMIT = 30.0
"""Seconds that it may take."""

_MOST = 200
"""Characters of what it says that are shown."""


def send(notifier: Notifier, message: Message) -> None:
    """Run the program to its end. `{title}`, `{text}` and such in an argument are replaced by what they name. Raises
    NotTold when it cannot be run, takes too long, or ends with anything but 0."""
    # Files, not pipes: a program that leaves another one behind is not waited for longer than itself.
    with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as said:
        told.write(message.json())
        told.seek(0)
        _run([_filled(word, message) for word in notifier.command], message.variables(), told, said)


def _run(words: list[str], variables: dict[str, str], told: IO[bytes], said: IO[bytes]) -> None:
    try:
        process = subprocess.Popen(
            words,
            stdin=told,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env={**os.environ, **variables},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = os.strerror(error.errno or 0) if isinstance(error, OSError) else str(error)
        raise NotTold(f"it cannot be run: {why}") from error
    try:
        code = process.wait(LIMIT)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise NotTold(f"it had not ended after {LIMIT:g} s") from None
    if code != 0:
        words_said = _last_line(said)
        raise NotTold(f"it ended with {code}" + (f": {words_said}" if words_said else ""))


def _last_line(said: IO[bytes]) -> str:
    said.seek(max(0, said.seek(0, os.SEEK_END) - 4 * _MOST))
    return printable(said.read().decode("utf-8", "replace").strip().rpartition("\n")[2][:_MOST])


def _filled(word: str, message: Message) -> str:
    """An argument with the values that it names in braces; other braces stay."""
    values = {name.removeprefix("MLRUN_").lower(): value for name, value in message.variables().items()}
    return re.sub(r"\{([a-z]+)\}", lambda found: values.get(found[1], found[0]), word)
