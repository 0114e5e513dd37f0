"""The parent of a step that runs without isolation: runs it, tells its end and leaves none of its processes behind.

A program, not a module: started as `python -I -S supervisor.py`, it uses nothing but the standard library. It adopts
whatever the step's processes leave behind (prctl(2), PR_SET_CHILD_SUBREAPER), so that a daemon cannot get away. Its
arguments are three descriptors. From the first it reads a request, one JSON object. On the second, the leash, it obeys
`t` (SIGTERM to all) and the end of file (SIGKILL to all, which is also what the runner's own death brings). On the
third it reports.
"""

import ctypes
import fcntl
import json
import os
import select
import signal
import sys
import termios
from contextlib import suppress

_SUBREAPER = 36
_NEW_MOUNTS = 0x00020000
_BIND = 0x1000
_READ_ONLY = 0x1
_REMOUNT = 0x20
_RECURSIVE = 0x4000
_PRIVATE = 0x40000

_OURS = {"/valohai", "/inputs", "/outputs"}
"""Top-level folders in which a step finds nothing but its own."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ)

_libc = ctypes.CDLL(None, use_errno=True)


def main(request_fd: int, leash: int, status: int) -> int:
    """Run the requested step to its end; the exit code only says whether it could be started."""
    _libc.prctl(_SUBREAPER, 1, 0, 0, 0)
    with open(request_fd, "rb") as file:
        request = json.load(file)
    try:
        if request["mounts"]:
            change_root(request["root"], request["mounts"])
        child = start(request)
    except OSError as error:
        print(f"cannot start the step: {error}", file=sys.stderr)
        return 1
    report(status, {"child-pid": child})
    code = attend(child, leash)
    report(status, {"exit-code": code})
    return 0


def change_root(root: str, mounts: list[list[str]]) -> None:
    """Give this process a root of its own: the machine's top level bound below `root`, and `mounts` over it.

    Each mount is `[source, target, "rw" or "ro"]`. Nothing of it shows outside: the mount points lie in a temporary
    file system, and the mount name space ends with its last process. Raises OSError.
    """
    check(_libc.unshare(_NEW_MOUNTS))
    mount("none", "/", "", _RECURSIVE | _PRIVATE)
    mount("tmpfs", root, "tmpfs", 0, "mode=0755")
    targets = {target for _, target, _ in mounts}
    show("/", root, targets | _OURS, {os.path.dirname(target) for target in targets})
    for source, target, mode in mounts:
        place = root + target
        if os.path.isdir(source):
            os.makedirs(place, exist_ok=True)
        elif not os.path.exists(place):
            os.makedirs(os.path.dirname(place), exist_ok=True)
            os.close(os.open(place, os.O_CREAT | os.O_WRONLY, 0o644))
        mount(source, place, "", _BIND)
        if mode == "ro":
            mount("none", place, "", _BIND | _REMOUNT | _READ_ONLY)
    os.chroot(root)


def show(folder: str, root: str, covered: set[str], parents: set[str]) -> None:
    """Bind what a folder of this machine has below `root`, but for what is covered; folders that a mount point has to
    be made in are made anew and shown entry by entry."""
    for entry in os.scandir(folder):
        target = root + entry.path
        if entry.path in covered:
            continue
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), target)
        elif entry.is_dir():
            os.mkdir(target)
            if any(parent == entry.path or parent.startswith(entry.path + "/") for parent in parents):
                show(entry.path, root, covered, parents)
            else:
                mount(entry.path, target, "", _BIND | _RECURSIVE)
        elif folder != "/" and entry.is_file():
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
            mount(entry.path, target, "", _BIND)


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """mount(2). Raises OSError."""
    check(_libc.mount(os.fsencode(source), os.fsencode(target), kind.encode(), flags, data.encode()))


def check(result: int) -> None:
    """Raise OSError for the result of a failed call."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def start(request: dict[str, object]) -> int:
    """Fork the step's first process, in a session of its own, with the terminal if it has one. Raises OSError."""
    argv, env, cwd = request["argv"], request["env"], request["cwd"]
    os.chdir(cwd)  # type: ignore[arg-type]
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            if os.isatty(0):
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            os.closerange(3, 1 << 16)
            os.execve(argv[0], argv, env)  # type: ignore[index,arg-type]
        finally:
            os._exit(127)
    return child


def attend(child: int, leash: int) -> int:
    """Wait for `child`, obeying the leash; when it returns nothing that the step started is alive."""
    ended = os.pidfd_open(child)
    poll = select.poll()
    for fd in (ended, leash):
        poll.register(fd, select.POLLIN)
    while ended not in (ready := {fd for fd, _ in poll.poll()}):
        if leash in ready:
            if os.read(leash, 1) == b"t":
                signal_all(signal.SIGTERM)
            else:
                poll.unregister(leash)
                signal_all(signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    while True:
        signal_all(signal.SIGKILL)
        try:
            # One, then all that have ended: a look at the whole machine for each of thousands would take for ever.
            os.waitpid(-1, 0)
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return code if code >= 0 else 128 - code


def signal_all(number: int) -> None:
    """Send a signal to every descendant of this process."""
    for pid in descendants():
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def descendants() -> list[int]:
    """The processes that have this one among their ancestors."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with suppress(OSError, ValueError), open(f"/proc/{name}/stat", "rb") as file:
                parent = int(file.read().rpartition(b")")[2].split()[1])
                children.setdefault(parent, []).append(int(name))
    found = list(children.get(os.getpid(), ()))
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def report(status: int, message: dict[str, int]) -> None:
    """One line for the runner, which may be gone."""
    with suppress(OSError):
        os.write(status, json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    # Blocked, not ignored: a request to stop may reach the step's first process before it is itself.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    if sys.argv[1] == "check":
        try:
            change_root(sys.argv[2], [])
        except OSError:
            sys.exit(1)
    else:
        sys.exit(main(*(int(word) for word in sys.argv[1:4])))
