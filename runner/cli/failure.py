"""How work fails: every error becomes one line and an exit code."""

import errno
import os
import sys
from collections.abc import Callable

from runner import __version__
from runner.cli.terminal import say, show_error, silence
from runner.errors import ExitCode, MlrunError, is_full
from runner.escape import printable

_EXHAUSTED = {
    errno.EMFILE: "raise the limit of open files (`ulimit -n`), or run fewer steps at the same time (`--jobs`)",
    errno.ENFILE: "close other programs, or let root raise `fs.file-max`",
    errno.ENOMEM: "free some memory and run the command again",
    errno.EAGAIN: "raise the limit of processes (`ulimit -u`), or run fewer steps at the same time (`--jobs`)",
}
"""What a machine may run out of at any call, and what to do then."""

_NO_THREAD = "can't start new thread"
"""What Python says where the machine gives no more threads: the error has no type of its own."""


def protected(work: Callable[[], int]) -> int:
    """Do some work whose failures are shown and become the exit code; never raises."""
    try:
        return work()
    except MlrunError as error:
        show_error(error)
        return error.code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does when it has enough.
        silence(sys.stdout)
        return ExitCode.OK
    except Exception as error:
        if isinstance(error, OSError) and is_full(error):
            return _unwritten(error)
        if isinstance(error, OSError) and error.errno in _EXHAUSTED:
            return _refused(error)
        if isinstance(error, RuntimeError) and str(error) == _NO_THREAD:
            return _refused(BlockingIOError(errno.EAGAIN, _NO_THREAD))
        if os.environ.get("MLRUN_DEBUG"):
            raise
        say(f"this is a bug in mlrun {__version__}: {type(error).__name__}: {error}")
        say("hint: `MLRUN_DEBUG=1` in the environment shows where; please report it")
        return ExitCode.BUG


def flushed(code: int) -> int:
    """Write out what still waits to be printed; the exit code, which is another one if that cannot be done."""
    try:
        sys.stdout.flush()
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            silence(sys.stdout)
            return code
        unwritten = _unwritten(error)
        return code or unwritten
    return code


def _refused(error: OSError) -> int:
    """The machine gives us no more of something, wherever we asked for it: no bug of ours either."""
    what = f": `{printable(str(error.filename))}`" if error.filename else ""
    hint = _EXHAUSTED[error.errno or 0]
    show_error(MlrunError(f"the machine refuses: {error.strerror}{what}", code=ExitCode.STORE, hint=hint))
    return ExitCode.STORE


def _unwritten(error: OSError) -> int:
    """What is printed finds no room: a disk that is full is no bug of ours. Nothing more is printed."""
    silence(sys.stdout)
    what = f"`{error.filename}`" if error.filename else "the output"
    show_error(MlrunError(f"cannot write {what}: {error.strerror}", code=ExitCode.DISK, hint="make room for it"))
    return ExitCode.DISK
