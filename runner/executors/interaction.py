"""An interactive program in the place of a step: what runs it there, and the files that are there for whoever works in
it. Knows shells, and the files of `workspace.control` beside those of `wrapper`; knows no executor.

`step` runs the step's own command as the step would; `shellrc` is read by an interactive shell; `leash` is a named pipe
that the caller keeps open, for programs that the caller's death would not end.
"""

import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from runner.errors import ExitCode, MlrunError
from runner.executors import terminal, wrapper
from runner.executors.child import ChildHandle
from runner.executors.terminal import Streams
from runner.job import Staged, View
from runner.state import Reason

KILLED = 137
"""The exit code of a program that was killed before it could tell one, as shells count (128 + SIGKILL)."""

_SESSION = """\
trap : INT QUIT TERM HUP
unset TINI_KILL_PROCESS_GROUP
control=$1 leash=$2 owner=$3 outputs=$4 repository=$5
shift 5
if [ -e "$control/secrets" ]; then . "$control/secrets" || exit 126; fi
if [ -n "$leash" ]; then
(read -r _ <"$control/leash"; kill -9 -1) </dev/null >/dev/null 2>&1 &
fi
if [ $# -gt 0 ]; then "$@"
elif [ ! -t 0 ]; then if command -v bash >/dev/null 2>&1; then bash; else /bin/sh; fi
elif command -v bash >/dev/null 2>&1; then bash --rcfile "$control/shellrc" -i
else ENV=$control/shellrc /bin/sh -i
fi
rc=$?
echo "left $rc" 2>/dev/null >>"$control/report"
[ -z "$owner" ] || chown -hR "$owner" "$outputs" "$repository" 2>/dev/null
exit $rc
"""
"""Stays while the program runs: it passes on the exit code and, where another user worked here, what that one made.
Signals of the keyboard reach the program and not this shell, whose traps do nothing."""

_SHELLRC = """\
if [ -n "${BASH_VERSION-}" ]; then
if [ -r ~/.bashrc ]; then . ~/.bashrc; fi
PS1='(%s) \\w\\$ '
else
PS1='(%s) $ '
fi
unset HISTFILE ENV
"""

_STEP = "#!/bin/sh\n# Runs the step's own command, as the step does.\n: 2>/dev/null >{report}\nexec {command}\n"


def prepare(staged: Staged, view: View, argv: Sequence[str], owner: str = "", *, leashed: bool = False) -> list[str]:
    """Write the control files; the command that runs `argv`, or a shell when it is empty, where a step sees `view`.

    `owner` is as for `wrapper.prepare`; `leashed` where the `leash` is held and all processes that the program could
    kill are its own. Raises OSError.
    """
    control = staged.workspace.control
    command = wrapper.prepare(staged, view, owner)
    step = _STEP.format(report=shlex.quote(f"{view.control}/report"), command=shlex.join(command))
    name = re.sub(r"[^A-Za-z0-9 _.-]", "_", staged.job.step)
    _write(control / "step", step, 0o755)
    _write(control / "shellrc", _SHELLRC % (name, name), 0o644)
    words = [view.control, "leash" if leashed else "", owner, view.outputs, view.repository, *argv]
    return ["/bin/sh", "-c", _SESSION, wrapper.MARK + staged.job.id, *words]


def environment(staged: Staged, view: View, ours: Mapping[str, str]) -> dict[str, str]:
    """The variables of the program: the step's own, where its command is, and what our terminal is."""
    return {**terminal.variables(ours), **staged.environment, "MLRUN_STEP": f"{view.control}/step"}


def exit_code(control: Path) -> int:
    """What the program ended with, from its report; it is not to be had of one that was killed."""
    try:
        said = (control / "report").read_bytes()[-16:].decode("ascii", "replace")
    except OSError:
        return KILLED
    found = re.search(r"(?:^|\n)left (\d{1,3})\n$", said)
    return int(found[1]) if found else KILLED


@contextmanager
def leash(control: Path) -> Iterator[None]:
    """Hold the leash: it falls when this process ends, however it does. Raises OSError."""
    path = control / "leash"
    path.unlink(missing_ok=True)
    os.mkfifo(path, 0o644)
    path.chmod(0o644)
    # Open for both: for writing alone it would have to wait for the reader.
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield
    finally:
        os.close(fd)
        path.unlink(missing_ok=True)


def converse(handle: ChildHandle, start: Callable[[Streams], None], until: int | None) -> int:
    """Run a child of ours on the caller's terminal, or on pipes where there is none; its exit code.

    `start` gives it its streams. Nothing of it is left when this returns or raises. Raises MlrunError (code EXECUTOR).
    """
    try:
        link, streams = terminal.open_link()
    except OSError as error:
        raise MlrunError(f"cannot open a terminal: {error.strerror}", code=ExitCode.EXECUTOR) from error
    try:
        with terminal.raw():
            try:
                start(streams)
            finally:
                streams.close()
            try:
                if not terminal.relay(link, until):
                    handle.stop(0)
                outcome = handle.wait()
            finally:
                handle.close()
    finally:
        link.close()
    if outcome.reason is Reason.START:
        raise MlrunError(outcome.detail or "it could not be started", code=ExitCode.EXECUTOR)
    return KILLED if outcome.exit_code is None else outcome.exit_code


def _write(path: Path, text: str, mode: int) -> None:
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with open(fd, "wb") as file:
        file.write(text.encode("utf-8", "surrogateescape"))
        os.fchmod(fd, mode)
