"""The shell around every step: one script out of the command list, and the way its end is told.

Knows shells, and the files of `workspace.control`: `script`, `prelude` (sets the traps and notes where each command
starts), `report` (the only one the step may write) and, if the step has any, its `secrets`. Knows no executor.

Two shells run. The outer one stays when the step is asked to stop, so that the program may save what it has; it picks
bash or sh, reports the code and gives files back to their owner. The inner one runs the script; its traps note the line
that failed. Nothing of this shows in the step's streams or variables.
"""

import json
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runner.escape import printable
from runner.executors import secret
from runner.job import Staged, View

MARK = "mlrun:"
"""`$0` of the outer shell is this mark and the execution's id: what a process list is searched for."""

# To open the folder first is what the kernel must tell of whoever wants to know what is opened next
# (`runner.worker.witness`). Not by `:`, for a shell ends where a redirection of a special built-in fails.
_OUTER = """\
true 2>/dev/null <.
asked=
trap asked=1 TERM INT HUP
unset TINI_KILL_PROCESS_GROUP
[ -z "$asked" ] || exit 143
if [ -e "${1%/*}/secrets" ]; then . "${1%/*}/secrets" || exit 126; fi
case $4 in
'#!') "$5" ${6+"$6"} "$1" ;;
*) if command -v bash >/dev/null 2>&1; then bash "$4" "$1"; else /bin/sh "$4" "$1"; fi ;;
esac
rc=$?
peak=
for file in memory.peak memory/memory.max_usage_in_bytes; do
[ -n "$peak" ] || read -r peak 2>/dev/null <"/sys/fs/cgroup/$file"
done
echo "exit $rc${asked:+ asked}${peak:+ $peak}" 2>/dev/null >>"${1%/*}/report"
[ -z "$2" ] || chown -hR "$2" "$3" 2>/dev/null
exit $rc
"""

_TERM = "trap 'exit 143' TERM\n"

# Bash tells the line in its ERR trap, but not for an `exit` or inside a function, where `BASH_LINENO` knows who called;
# the traps are those of `set -e` itself, so that they fire exactly where it would stop. Each is one line, since a line
# of a trap counts as one more of the script. Dash knows no line numbers.
_NOTE = '2>/dev/null >"${0%/*}/report"'
_CALLER = 'if [ ${#BASH_LINENO[@]} -gt 1 ]; then echo "line ${BASH_LINENO[-2]}"; else'
_EMPTY = '[ ! -s "${0%/*}/report" ]'
_TRAPS = f"""\
if [ -n "${{BASH_VERSION-}}" ]; then
trap 'case $- in *e*) {{ {_CALLER} echo "line $LINENO"; fi; }} {_NOTE}; esac' ERR
trap 'if [ $? -ne 0 ] && {_EMPTY}; then {{ {_CALLER} echo "text $BASH_COMMAND"; fi; }} {_NOTE}; fi' EXIT
else
trap 'if [ $? -ne 0 ]; then {{ echo "line ${{LINENO-}}"; }} {_NOTE}; fi' EXIT
fi
"""

_LIST = "# commands: "
_PRELUDE_CALL = '. "${0%/*}/prelude"; '
_GPU_PROBE = re.compile(r"(nvidia-smi|nvcc|rocm-smi)(?: [A-Za-z0-9=,._-]+)*")
_SHOWN = 80
_REPORT_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Report:
    """What the wrapper left behind: the script's own code, None when the wrapper itself was killed, and the command
    that ended it as (number from 1, count, first line of its text), None when that is not known; whether the wrapper
    was asked to stop before the script had ended; and the most memory of the control group that the wrapper sees, in
    bytes, which is the step's own in a container only."""

    exit_code: int | None
    command: tuple[int, int, str] | None
    asked: bool = False
    peak_memory: int | None = field(default=None, compare=False)

    def is_own_end(self, code: int | None) -> bool:
        """Whether a script that ended with `code` had done so before anybody asked it to."""
        return self.exit_code is not None and self.exit_code == code and not self.asked


def prepare(staged: Staged, view: View, owner: str = "") -> list[str]:
    """Write the control files and return the command that runs them in a place where the step sees `view`.

    `owner` is `uid:gid`: who gets the outputs at the end, empty where the step's user is the runner's. Raises OSError.
    """
    control = staged.workspace.control
    items = [item.replace("\r\n", "\n") for item in staged.job.script.items]
    text, mode = _script(items, stop_at_failure=staged.job.script.stop_at_failure)
    prelude = _TERM + (_TRAPS if staged.job.script.stop_at_failure else "")
    _write(control / "prelude", f"{prelude}{_LIST}{json.dumps(_commands(items))}\n", 0o644)
    _write(control / "report", "", 0o644)
    _write(control / "script", text, 0o755)
    if staged.secrets:
        _point_at_secrets(control, view, staged.job.id)
    script = f"{view.control}/script"
    return ["/bin/sh", "-c", _OUTER, MARK + staged.job.id, script, owner, view.outputs, *mode]


def _point_at_secrets(control: Path, view: View, id: str) -> None:
    """A place to mount the secrets at; where nothing can be mounted, the way to them."""
    path = control / secret.NAME
    path.unlink(missing_ok=True)
    if view.control == str(control):
        path.symlink_to(secret.place(id))
    else:
        _write(path, "", 0o444)


def read_report(control: Path) -> Report:
    """Read what the wrapper left in `control`; never raises, whatever the step wrote there."""
    noted = _read_regular(control / "report").decode("utf-8", "replace")
    code, asked, peak = None, False, None
    body, _, last = noted.rstrip("\n").rpartition("\n")
    if found := re.fullmatch(r"exit (\d{1,3})( asked)?(?: (\d{1,18}))?", last):
        code, asked, peak = int(found[1]), found[2] is not None, int(found[3]) if found[3] else None
    else:
        body = noted
    _, _, listed = _read_regular(control / "prelude").rpartition(_LIST.encode())
    try:
        commands = [(int(line), str(item)) for line, item in json.loads(listed)]
    except (ValueError, TypeError):
        return Report(code, None, asked, peak)
    return Report(code, _failed_command(body, commands), asked, peak)


def sentence(report: Report, exit_code: int) -> str:
    """One sentence for people about a script that ended with `exit_code`."""
    how = f"exit {exit_code}" if exit_code <= 128 or exit_code > 192 else f"signal {exit_code - 128}, exit {exit_code}"
    if report.command is None:
        return f"the command failed ({how})"
    number, count, text = report.command
    if count == 1:
        return f"the command failed ({how}): `{text}`"
    return f"command {number} of {count} failed ({how}): `{text}`"


def missing_module(stderr: bytes) -> str | None:
    """The Python module whose absence ended the step, as the last line of `stderr` tells; only ever used as advice."""
    said = stderr.decode("utf-8", "replace").rstrip().rpartition("\n")[2]
    found = re.fullmatch(r"(?:ModuleNotFoundError|ImportError): No module named '?([\w.]+)'?.*", said)
    return f"Python module `{found[1]}`" if found else None


def _script(items: Sequence[str], *, stop_at_failure: bool) -> tuple[str, list[str]]:
    """The script's text and how the outer shell runs it: the option of the inner shell, or `#!` and its words.

    A `#!` line means what execve(2) makes of it, one optional argument; it is read here because the kernel refuses a
    script that a thread forking at this moment still holds open for writing, and every script on a `noexec` disk.
    """
    if items and items[0].startswith("#!"):
        words = items[0].split("\n", 1)[0][2:].strip().split(None, 1)
        return "\n".join(items) + "\n", ["#!", *words] if words else ["+e"]
    shown = [_soften_gpu_probe(item, items[:number]) for number, item in enumerate(items)]
    return _PRELUDE_CALL + "\n".join(shown) + "\n", ["-e" if stop_at_failure else "+e"]


def _soften_gpu_probe(item: str, before: Sequence[str]) -> str:
    """Let a bare `nvidia-smi` be skipped where it is missing, unless it may be text inside something longer."""
    name = _GPU_PROBE.fullmatch(item.strip())
    inside = any("<<" in text or text.endswith("\\") or text.count("'") % 2 or text.count('"') % 2 for text in before)
    if name is None or inside:
        return item
    tool = name[1]
    note = f"echo '{tool}: not here, skipped' >&2"
    return f"if command -v {tool} >/dev/null 2>&1; then {item.strip()}; else {note}; fi"


def _commands(items: Sequence[str]) -> list[tuple[int, str]]:
    """For each command the line on which it starts, from 1, and its text."""
    starts, line = [], 1
    for item in items:
        starts.append((line, item))
        line += item.count("\n") + 1
    return starts


def _failed_command(noted: str, commands: Sequence[tuple[int, str]]) -> tuple[int, int, str] | None:
    kind, _, value = noted.strip().partition(" ")
    numbers: list[int] = []
    if len(commands) == 1:
        numbers = [0]
    elif kind == "line" and re.fullmatch(r"\d{1,9}", value):
        numbers = [number for number, (start, _) in enumerate(commands) if start <= int(value)][-1:]
    elif kind == "text" and value:
        numbers = [number for number, (_, item) in enumerate(commands) if value in item]
    if len(numbers) != 1:
        return None
    return numbers[0] + 1, len(commands), _shorten(commands[numbers[0]][1])


def _shorten(text: str) -> str:
    lines = text.strip().splitlines() or [""]
    shown = printable(lines[0][: _SHOWN + 1])
    return shown[:_SHOWN] + "…" if len(lines) > 1 or len(shown) > _SHOWN else shown


def _write(path: Path, text: str, mode: int) -> None:
    """Write anew; the mode counts whatever the umask is, since the step may be another user."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with open(fd, "wb") as file:
        file.write(text.encode("utf-8", "surrogateescape"))
        if stat.S_IMODE(os.fstat(fd).st_mode) != mode:
            os.fchmod(fd, mode)


def _read_regular(path: Path) -> bytes:
    """The first bytes of a regular file; empty for anything else that a step may have put there."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return b""
        return file.read(_REPORT_LIMIT if path.name == "report" else -1)
