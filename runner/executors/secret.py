"""How the values of secrets reach a step: in a file in memory, which the shell around the step reads before the script.

The file lies on a tmpfs (in `/dev/shm`, else in `$XDG_RUNTIME_DIR`) in a folder that only this user may enter, and is
shown to the step read-only. So a value stands on no disk, in no argument list, in the first environment of no process
but the step's own, and in nothing that an engine tells about a container. The folder's name says which process it
belongs to: what a runner that was killed has left is known by that and removed by the next one.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import wraps
from pathlib import Path
from shlex import quote
from typing import Concatenate, ParamSpec, TypeVar

from runner.errors import ExitCode, MlrunError
from runner.job import Staged
from runner.process import own_start_time, start_time

NAME = "secrets"
"""The file in the step's control folder."""

_IN_MEMORY = frozenset({"tmpfs", "ramfs"})

Owner = TypeVar("Owner")
Rest = ParamSpec("Rest")
Result = TypeVar("Result")


def place(id: str) -> Path:
    """Where the file for the job `id` of this process is. Raises MlrunError (EXECUTOR) without a file system for it."""
    return _folder() / f"{_prefix()}{os.getpid()}-{own_start_time()}-{id}" / NAME


def delivering(
    start: Callable[Concatenate[Owner, Staged, Rest], Result],
) -> Callable[Concatenate[Owner, Staged, Rest], Result]:
    """For an executor's `start`: the file is there before it begins, and is removed if nothing could be started.
    Whoever closes the handle removes it else."""
    return _with_secrets(start, stays=True)


def lending(
    interact: Callable[Concatenate[Owner, Staged, Rest], Result],
) -> Callable[Concatenate[Owner, Staged, Rest], Result]:
    """For an executor's `interact`: the file is there as long as that lasts."""
    return _with_secrets(interact, stays=False)


def _with_secrets(
    work: Callable[Concatenate[Owner, Staged, Rest], Result], *, stays: bool
) -> Callable[Concatenate[Owner, Staged, Rest], Result]:
    @wraps(work)
    def with_secrets(self: Owner, staged: Staged, /, *rest: Rest.args, **named: Rest.kwargs) -> Result:
        if not staged.secrets:
            return work(self, staged, *rest, **named)
        kept = False
        try:
            _deliver(staged)
            result = work(self, staged, *rest, **named)
            kept = stays
            return result
        finally:
            if not kept:
                withdraw(staged.job.id)

    return with_secrets


def withdraw(id: str) -> None:
    """Remove the file for the job `id`, if there is one. Never raises."""
    with suppress(MlrunError, OSError):
        discard(place(id))


def discard(path: Path) -> None:
    """Remove such a file, which may be that of another process; nothing else. Never raises."""
    with suppress(MlrunError, OSError):
        folder = path.parent
        if folder.parent == _folder() and folder.name.startswith(_prefix()) and folder.is_dir():
            shutil.rmtree(folder)


def remove_leftovers() -> None:
    """Remove the files of runners of this user that have ended without doing so. Never raises."""
    with suppress(MlrunError, OSError):
        folder, prefix = _folder(), _prefix()
        for entry in os.scandir(folder):
            if entry.name.startswith(prefix) and entry.stat(follow_symlinks=False).st_uid == os.geteuid():
                pid, _, rest = entry.name.removeprefix(prefix).partition("-")
                if not pid.isdecimal() or str(start_time(int(pid))) != rest.partition("-")[0]:
                    shutil.rmtree(entry.path, ignore_errors=True)


def script(secrets: Mapping[str, str]) -> bytes:
    """Shell text (POSIX) that sets and exports the variables."""
    lines = (f"export {name}={quote(value)}\n" for name, value in secrets.items())
    return "".join(lines).encode("utf-8", "surrogateescape")


def _deliver(staged: Staged) -> None:
    """Write the file. The step may be any user, so all may read it who can reach it. Raises MlrunError (EXECUTOR)."""
    path = place(staged.job.id)
    try:
        path.parent.mkdir(mode=0o700)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o444)
        with open(fd, "wb") as file:
            os.fchmod(fd, 0o444)
            file.write(script(staged.secrets))
    except OSError as error:
        raise MlrunError(f"cannot hand the secrets to the step: {error}", code=ExitCode.EXECUTOR) from error


def _folder() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    in_memory = _mounts_in_memory()
    for candidate in ("/dev/shm", runtime):
        if candidate in in_memory and os.access(candidate, os.W_OK | os.X_OK):
            return Path(candidate)
    raise MlrunError(
        "there is no file system in memory for the secrets of a step",
        code=ExitCode.EXECUTOR,
        hint="mount a tmpfs at `/dev/shm`",
    )


def _mounts_in_memory() -> set[str]:
    """The places of tmpfs file systems (proc_pid_mounts(5)); one with another over it does not count."""
    kinds = {}
    with suppress(OSError):
        for line in Path("/proc/self/mounts").read_text("utf-8", "surrogateescape").splitlines():
            _, target, kind, *_ = line.split(" ")
            kinds[target] = kind
    return {target for target, kind in kinds.items() if kind in _IN_MEMORY}


def _prefix() -> str:
    return f"mlrun-{os.geteuid()}-"
