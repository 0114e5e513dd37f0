"""What a sandboxed step sees of this machine: its system folders, the interpreter, its own folders and nothing else.

An allow-list: whatever is not named here (homes, `/var`, `/run`, other disks, the store, the live checkout) is not
there. Knows bubblewrap's mount options, in the order in which they must come; reads folders, starts nothing.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from runner.executors.interpreter import Interpreter
from runner.executors.mount import VIEW, mounts
from runner.executors.site import Site
from runner.job import Staged

HOME = "/home/step"
"""The step's private home: one name everywhere, so that what a step writes down does not depend on the user."""

_SYSTEM = frozenset({"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "libexec", "etc", "opt", "nix", "gnu"})
_STANDARD_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_PREFIX_PARTS = ("bin", "lib", "lib64", "include", "libexec", "ssl", "pyvenv.cfg")
_WHOLE_PREFIX = ("pyvenv.cfg", "conda-meta")
_CERTIFICATES = "/var/lib/ca-certificates"


class Root:
    """The options for bubblewrap that are the same for every step, and those of one step.

    `path` are the folders of the caller's PATH that the step can see, the active environment's first.
    """

    def __init__(self, site: Site, python: Interpreter) -> None:
        self._hidden = [Path(os.path.realpath(path)) for path in (site.store, site.checkout) if path is not None]
        self._protected = [*self._hidden, Path(os.path.realpath(site.home)), Path(os.path.realpath(Path.cwd()))]
        self._checkout = site.checkout
        self._python = python
        own = list(self._interpreter_folders())
        self.path = list(dict.fromkeys(self._search_path(site, own)))
        self._imports_checkout = any(self._in_checkout(path) for path in (*python.sites, *python.editable))
        self._before = [*self._system(), *self._masks()]
        self._after = [*_binds(path for path in (*own, *self.path) if not self._is_shown(path)), *self._sealed()]

    def bare(self) -> Iterator[str]:
        """The root without a step, to try it."""
        yield from (*self._before, "--tmpfs", "/tmp", *self._after, "--chdir", "/")

    def step(self, staged: Staged, inputs: Path, shm: int | None = None, devices: Iterable[str] = ()) -> Iterator[str]:
        """The root with the folders of a step, the paths of its devices, and so many bytes of `/dev/shm` (None: half of
        the machine's memory). What is shown of this machine comes after the step's `/tmp`, in which it may lie; at the
        end nothing can be added to the root itself."""
        workspace = staged.workspace
        yield from self._before
        yield from ("--bind", str(workspace.scratch / "tmp"), "/tmp")
        yield from ("--bind", str(workspace.scratch / "tmp"), "/var/tmp")
        yield from self._after
        yield from ("--bind", str(workspace.scratch / "home"), HOME)
        yield from ("--perms", "0755", "--dir", "/valohai")
        if shm is not None:
            yield from ("--perms", "1777", "--size", str(shm), "--tmpfs", "/dev/shm")
        for device in devices:
            yield from ("--dev-bind", device, device)
        for mount in mounts(staged, inputs):
            yield from ("--ro-bind" if mount.read_only else "--bind", str(mount.source), mount.target)
        if self._imports_checkout:
            yield from ("--bind", str(workspace.repository), str(self._checkout))
        yield from ("--remount-ro", "/", "--chdir", VIEW.repository)

    def _system(self) -> Iterator[str]:
        for entry in os.scandir("/"):
            if entry.name not in _SYSTEM:
                continue
            if entry.is_symlink():
                yield from ("--symlink", os.readlink(entry.path), entry.path)
            elif entry.is_dir() and os.access(entry.path, os.R_OK | os.X_OK):
                yield from ("--ro-bind", entry.path, entry.path)
        yield from ("--ro-bind", "/sys", "/sys", "--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys")
        yield from ("--dev", "/dev", "--perms", "1777", "--tmpfs", "/dev/shm", "--perms", "0755", "--tmpfs", "/run")
        yield from ("--perms", "0755", "--dir", "/var", "--symlink", "../run", "/var/run", "--perms", "0755")
        yield from ("--dir", "/home", "--ro-bind-try", _CERTIFICATES, _CERTIFICATES)
        resolver = os.path.realpath("/etc/resolv.conf")
        if not _is_system(resolver):
            yield from ("--ro-bind-try", resolver, resolver)

    def _masks(self) -> Iterator[str]:
        """Cover what an ordinary user could not read, and hidden folders that lie in a system folder."""
        for path in _secrets(Path("/etc")) if os.geteuid() == 0 else ():
            yield from ("--tmpfs", str(path)) if path.is_dir() else ("--ro-bind", "/dev/null", str(path))
        for hidden in self._covered():
            yield from ("--perms", "0755", "--tmpfs", hidden)

    def _sealed(self) -> Iterator[str]:
        for hidden in self._covered():
            yield from ("--remount-ro", hidden)

    def _covered(self) -> list[str]:
        return [str(hidden) for hidden in self._hidden if _is_system(str(hidden)) and hidden.is_dir()]

    def _is_shown(self, path: str) -> bool:
        """Whether a path comes with the system folders and no cover lies over it."""
        return _is_system(path) and not any(Path(path).is_relative_to(hidden) for hidden in self._hidden)

    def _interpreter_folders(self) -> Iterator[str]:
        python = self._python
        for prefix in dict.fromkeys((python.prefix, python.base_prefix)):
            for path in dict.fromkeys((prefix, os.path.realpath(prefix))):
                yield from self._prefix(path)
        base = os.path.dirname(python.base_executable)
        for folder in (*python.sites, *python.editable, base, os.path.dirname(os.path.realpath(python.executable))):
            if not self._in_checkout(folder) and not self._exposes(folder):
                yield folder

    def _prefix(self, prefix: str) -> Iterator[str]:
        """An environment as a whole; of a prefix that holds other things too, the parts Python needs."""
        if self._is_shown(prefix):
            return
        whole = any(os.path.lexists(os.path.join(prefix, name)) for name in _WHOLE_PREFIX)
        if whole and not self._exposes(prefix):
            yield prefix
            return
        for name in _PREFIX_PARTS:
            if os.path.exists(path := os.path.join(prefix, name)) and not self._exposes(path):
                yield path

    def _search_path(self, site: Site, own: Iterable[str]) -> Iterator[str]:
        """What is found by name: an entry may be any folder, but never one that has a protected one below it."""
        yield os.path.join(self._python.prefix, "bin")
        for entry in site.environment.get("PATH", "").split(os.pathsep):
            if not os.path.isabs(entry) or not os.path.isdir(entry) or self._exposes(entry):
                continue
            below_own = any(Path(entry).is_relative_to(path) for path in own)
            hidden = any(Path(os.path.realpath(entry)).is_relative_to(path) for path in self._hidden)
            if below_own or not hidden:
                yield os.path.normpath(entry)
        yield from _STANDARD_PATH

    def _exposes(self, path: str) -> bool:
        """Whether showing `path` would show a home, the store or the checkout."""
        real = os.path.realpath(path)
        return any(protected.is_relative_to(real) for protected in self._protected)

    def _in_checkout(self, path: str) -> bool:
        """Whether `path` is live code of the project, of which the step has a copy; an environment in it is none."""
        if self._checkout is None or Path(path).is_relative_to(self._python.prefix):
            return False
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self._checkout))


def _binds(paths: Iterable[str]) -> Iterator[str]:
    """Read-only binds, outer folders first, with parents that other users can pass; what is inside another is left."""
    done: list[str] = []
    made: set[str] = set()
    for path in sorted(set(map(os.path.normpath, paths))):
        if not os.path.exists(path) or any(Path(path).is_relative_to(outer) for outer in done):
            continue
        for parent in reversed(Path(path).parents[:-1]):
            if str(parent) not in made and str(parent) != "/home":
                made.add(str(parent))
                yield from ("--perms", "0755", "--dir", str(parent))
        done.append(path)
        yield from ("--ro-bind", path, path)


def _is_system(path: str) -> bool:
    """Whether a path is shown with the system folders, also where it is reached through a link."""
    return all(Path(form).parts[1:2] and Path(form).parts[1] in _SYSTEM for form in (path, os.path.realpath(path)))


def _secrets(folder: Path, depth: int = 2) -> Iterator[Path]:
    """What below `folder` only root and its groups may read: password hashes, host keys, private keys."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISLNK(mode):
                continue
            if not mode & (stat.S_IROTH | stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH):
                yield Path(entry.path)
            elif stat.S_ISDIR(mode) and depth > 1:
                yield from _secrets(Path(entry.path), depth - 1)
