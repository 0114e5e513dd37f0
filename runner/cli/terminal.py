"""How we speak: data on stdout, talk on stderr, nothing from a repository or a step reaches the terminal raw."""

import io
import json
import os
import sys
from typing import Any, TextIO

from runner.errors import ExitCode, Location, MlrunError
from runner.escape import printable, printable_lines
from runner.spec.annotation import inert


def colourful(stream: TextIO) -> bool:
    """Whether colours may be used on `stream`: a terminal, no `NO_COLOR`, not `TERM=dumb`."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def is_attended() -> bool:
    """Whether somebody can be asked: what is said reaches a terminal, and what is typed there reaches us. A live
    display stands before the streams, so that the descriptors are asked."""
    return os.isatty(0) and os.isatty(2)


def can_draw(stream: TextIO) -> bool:
    """Whether the letters of `stream` have the signs of our drawings."""
    try:
        "●│┆├╰─━→×−…▸✓".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def paint(text: str, code: str, stream: TextIO) -> str:
    """`text` in the SGR colour `code` (such as `31`) if `stream` shows colours."""
    return f"\x1b[{code}m{text}\x1b[0m" if colourful(stream) else text


def hold_streams() -> None:
    """Put something below the standard streams that the caller closed, and let none fail for a letter that it lacks.

    Else the next file that is opened would get the number of a closed one, and somebody's words.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            # The system gives the lowest number that is free, and those below are taken.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115
        elif number and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def silence(stream: TextIO) -> None:
    """Let what is still written to `stream` go nowhere: nobody reads it any more, or its disk is full."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def put(text: str, stream: TextIO, end: str = "\n") -> None:
    """A line on `stream`, at once. A run is worth more than what is told about it: no failure to write ends one."""
    try:
        print(text, file=stream, end=end, flush=True)
    except OSError:
        silence(stream)


def harmless(text: str) -> str:
    """Text in which GitHub's runner, which reads the output of all it runs for commands, finds none."""
    return inert(text) if os.environ.get("GITHUB_ACTIONS") else text


def say(text: str) -> None:
    """One line of talk, on stderr."""
    put(harmless(printable_lines(text)), sys.stderr)


_HINTS = {
    ExitCode.USAGE: "`mlrun --help` lists the verbs, `mlrun VERB --help` explains one",
    ExitCode.SPEC: "`mlrun lint` says everything that is wrong with the file",
    ExitCode.EXECUTOR: "`mlrun doctor` says what works here, and why not",
    ExitCode.STORE: "`mlrun doctor` looks at the store; `MLRUN_STORE` names another",
    ExitCode.DISK: "make room, or name a store on another disk with `MLRUN_STORE`",
}
"""What can be done about an error that has no hint of its own."""


def show_error(error: MlrunError) -> None:
    """An error as `place: message`, its problems below, and the hint on its own line."""
    where = f"{printable(str(error.location))}: " if error.location else ""
    mark = paint("error:", "31;1", sys.stderr)
    put(harmless(f"{where}{mark} {printable(error.message)}"), sys.stderr)
    for problem in error.problems:
        if (problem.location, problem.message) == (error.location, error.message):
            continue
        put(harmless(f"  {printable(str(problem))}"), sys.stderr)
        if problem.hint:
            put(harmless(f"    hint: {printable(problem.hint)}"), sys.stderr)
    if hint := error.hint or _HINTS.get(error.code):
        show_hint(hint)


def show_warning(message: str, location: Location | None = None) -> None:
    """What is odd, as `place: warning: message`; the work goes on."""
    where = f"{printable(str(location))}: " if location else ""
    put(harmless(f"{where}{paint('warning:', '33', sys.stderr)} {printable(message)}"), sys.stderr)


def show_hint(text: str) -> None:
    """What can be done about what was told before, on a line of its own."""
    put(harmless(f"{paint('hint:', '36', sys.stderr)} {printable(text)}"), sys.stderr)


def print_json(value: Any) -> None:
    """Strict JSON on stdout, one document, two blanks of indent."""
    print(json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False, default=str))
