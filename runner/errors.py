"""What can go wrong, said in one way: a message, a place in a file, a hint and an exit code.

Knows nothing of rooms above it. A failure of the user's own step is data (`runner.job.Outcome`), never an exception.
"""

import errno
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class ExitCode(IntEnum):
    """The exit codes of the command, documented in `docs/cli.md`. Signals end with 128 + their number."""

    OK = 0
    STEP_FAILED = 1
    USAGE = 2
    BUG = 3
    SPEC = 10
    STRICT = 11
    EXECUTOR = 20
    IMAGE = 21
    STORE = 30
    LOCKED = 31
    DISK = 32
    POLICY = 40
    INPUT = 41
    OUTPUT = 42
    DIFFERS = 50
    CANNOT_REPEAT = 51
    APPROVAL = 60
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A place in a text file; `line` and `column` count from 1."""

    file: str
    line: int
    column: int

    @property
    def place(self) -> tuple[int, int]:
        """Line and column."""
        return self.line, self.column

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Severity(StrEnum):
    """How bad a problem is: an `ERROR` refuses a run that needs the place, a `WARNING` does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a file. `code` is a stable kebab-case name, documented in `docs/yaml.md`."""

    severity: Severity
    code: str
    message: str
    location: Location
    hint: str | None = None

    def __str__(self) -> str:
        return f"{self.location}: {self.severity}: {self.message}"


class MlrunError(Exception):
    """Our own inability to do what was asked: shown as one located line with a hint, never as a traceback."""

    def __init__(
        self,
        message: str,
        *,
        code: ExitCode,
        hint: str | None = None,
        location: Location | None = None,
        problems: Sequence[Problem] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint
        self.location = location
        self.problems = tuple(problems)


def usage_error(message: str, hint: str | None = None) -> MlrunError:
    """The command line itself is wrong (exit code 2)."""
    return MlrunError(message, code=ExitCode.USAGE, hint=hint)


def spec_error(message: str, location: Location | None, hint: str | None = None) -> MlrunError:
    """The YAML file asks for something that cannot be run (exit code 10)."""
    return MlrunError(message, code=ExitCode.SPEC, hint=hint, location=location)


def is_full(error: OSError) -> bool:
    """Whether a write failed because there is no room: a full disk, or a quota that is used up."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT}


def no_room(place: str, needs: int = 0) -> MlrunError:
    """The disk of `place` is full: for `needs` bytes (0 where that is not known), or for one more file."""
    try:
        status = os.statvfs(place if os.path.isdir(place) else os.path.dirname(place) or ".")
        has, files = status.f_bavail * status.f_frsize, status.f_favail if status.f_files else 1
    except OSError:
        has, files = 0, 1
    if files == 0:
        short = "needs 1 more file, has room for 0 (no inodes are left)"
    elif needs:
        short = f"needs {needs:,} bytes, has {has:,}"
    else:
        short = f"needs more, has {has:,} bytes"
    return MlrunError(
        f"the disk of `{place}` is full: {short}",
        code=ExitCode.DISK,
        hint="free some space there (or raise the quota) and run the command again; nothing has to be repaired",
    )


def write_code(error: OSError) -> ExitCode:
    """The exit code of a write that failed: DISK without room, else USAGE, for another place may do."""
    return ExitCode.DISK if is_full(error) else ExitCode.USAGE


def did_you_mean(name: str, candidates: Iterable[str]) -> str | None:
    """A hint that names the closest candidate, or lists the candidates when none is close; None without any."""
    known = sorted(set(candidates))
    if not known:
        return None
    # Not at the top: it takes long to load, and few commands are misspelled.
    from difflib import get_close_matches

    folded = {candidate.casefold(): candidate for candidate in known}
    close = get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    if close:
        return f"did you mean `{folded[close[0]]}`?"
    shown = ", ".join(f"`{candidate}`" for candidate in known[:12])
    return f"there is {shown}" + (f" and {len(known) - 12} more" if len(known) > 12 else "")
