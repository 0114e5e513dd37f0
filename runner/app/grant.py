"""What of this machine a run may have: the file only asks, the user's settings and options grant.

Host folders, devices and a machine that is large enough are looked at before anything starts.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from runner import share
from runner.app.secret import secrets_folder
from runner.errors import ExitCode, Location, MlrunError, spec_error
from runner.escape import printable
from runner.executors.device import GPU, shortage
from runner.executors.endpoint import endpoints
from runner.executors.limit import lacking
from runner.job import HostMount, Job, Network
from runner.plan.limit import MEGABYTE, Grant, allowance
from runner.plan.model import Plan
from runner.settings import Settings
from runner.spec.model import Mount, Step

ALL = "all"
"""Among granted devices: whatever a file asks for."""

EVERY = -1
"""So many of a device: all that there are."""

_WIDER = (Network.NONE, Network.DEFAULT, Network.HOST)
"""Each lets a step reach more than the one before."""

_NOWHERE = Location("", 1, 1)
"""Where in a file a record asks for something."""

_SOCKETS = (
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/buildkit/buildkitd.sock",
)
"""Whoever may talk to one of these is root of the machine."""

_SENSITIVE = ("/boot", "/dev", "/etc", "/proc", "/root", "/run", "/sys", "/var/lib")
"""Folders that a permission for a folder around them does not cover."""

_OURS = ("/valohai", "/inputs", "/outputs", "/proc", "/sys", "/dev")
"""Where in a step nothing may be laid over."""


@dataclass(frozen=True, slots=True)
class Granted:
    """The grants of a plan by node, and what the user should know about them."""

    nodes: Mapping[str, Grant]
    notices: tuple[str, ...]


def grant_plan(plan: Plan, settings: Settings, gpus: int | None = None) -> Granted:
    """What each node of `plan` may have of this machine. `gpus` is how many each step gets whatever the file says.

    Raises MlrunError with the place in the file: POLICY for what the user has not granted, EXECUTOR where the machine
    has less than a step needs, INPUT for a folder that is not there.
    """
    notices: dict[str, None] = {}
    doors = Doors.of(settings) if any(node.step.mounts for node in plan.nodes.values()) else None
    nodes = {}
    for name, node in plan.nodes.items():
        mounts = tuple(doors.open(mount, node.step.name, notices) for mount in node.step.mounts) if doors else ()
        nodes[name] = Grant(mounts, _devices(node.step, settings, gpus), settings.shm)
        _check_machine(node.step, node.environment, nodes[name])
    return Granted(nodes, tuple(notices))


def grant_recorded(job: Job, settings: Settings) -> tuple[Job, tuple[str, ...]]:
    """A recorded job with what the user grants it today, and what the user should know about that.

    A record may come from elsewhere, so its host folders, devices and network are asked for once more, as by a file.
    Raises MlrunError: POLICY, EXECUTOR, INPUT, SPEC; without a place, because a record has none.
    """
    notices: dict[str, None] = {}
    doors = Doors.of(settings) if job.mounts else None
    try:
        mounts = tuple(
            doors.open(Mount(mount.source, mount.target, _NOWHERE, mount.read_only), job.step, notices)
            for mount in job.mounts
            if doors is not None
        )
        for name, count in job.allowance.devices.items():
            if not _is_granted(name, settings):
                raise _device_refused(name, job.step, _NOWHERE, "--allow-devices")
            if (said := shortage({name: count})) is not None:
                raise MlrunError(f"step `{printable(job.step)}` needs {said}", code=ExitCode.EXECUTOR)
    except MlrunError as error:
        raise MlrunError(error.message, code=error.code, hint=error.hint) from None
    if _WIDER.index(job.network) > _WIDER.index(settings.network):
        message = f"step `{printable(job.step)}` had the network `{job.network}`, which you have not allowed"
        hint = f'allow it with `--network {job.network}`, or for good with `network = "{job.network}"` in your settings'
        raise MlrunError(message, code=ExitCode.POLICY, hint=hint)
    return replace(job, mounts=mounts), tuple(notices)


def unkept(plan: Plan, granted: Granted, executor: str) -> Iterator[str]:
    """What of the bounds this executor cannot keep, in at most one sentence."""
    said: dict[str, None] = {}
    for name, node in plan.nodes.items():
        asked = allowance(node.step, node.environment, granted.nodes[name])
        said |= dict.fromkeys(lacking(executor, asked))
    if said:
        yield f"the executor {executor} cannot keep every limit: {'; '.join(said)}"


def _devices(step: Step, settings: Settings, gpus: int | None) -> dict[str, int]:
    """What of the devices that a step asks for it gets. Raises MlrunError (code POLICY)."""
    devices = dict(step.resources.devices or {})
    asked = [name for name in devices if not _is_granted(name, settings)]
    if gpus is not None:
        asked = [name for name in asked if name != GPU]
        devices[GPU] = gpus
    if asked:
        name = asked[0]
        flag = f"--gpus {devices[name]}" if name == GPU else "--allow-devices"
        raise _device_refused(name, step.name, step.location, flag)
    return {name: count for name, count in devices.items() if count}


def _is_granted(device: str, settings: Settings) -> bool:
    return device in settings.devices or ALL in settings.devices


def _device_refused(name: str, step: str, location: Location, flag: str) -> MlrunError:
    message = f"step `{printable(step)}` asks for the device `{printable(name)}`, which you have not allowed"
    hint = f'allow it with `{flag}`, or for good with `devices = ["{printable(name)}"]` in your settings'
    return _refused(message, location, hint)


def _check_machine(step: Step, environment: Mapping[str, str], grant: Grant) -> None:
    """Refuse a step whose least this machine does not have."""
    processors = os.sched_getaffinity(0)
    memory = share.machine_memory()
    cpus, megabytes = step.resources.cpu.minimum, step.resources.memory.minimum
    if cpus is not None and cpus > len(processors):
        _too_small(step, f"at least {cpus:g} CPUs, and this machine has {len(processors)}")
    if megabytes is not None and megabytes * MEGABYTE > memory:
        _too_small(step, f"at least {megabytes:g} MB of memory, and this machine has {memory // MEGABYTE} MB")
    missing = [number for number in allowance(step, environment, grant).cpu_set if number not in processors]
    if missing:
        _too_small(step, f"processor {missing[0]}, and this machine gives {_numbers(processors)}")
    if (said := shortage(grant.devices)) is not None:
        without = ", or without GPUs by `--gpus 0`" if GPU in grant.devices else ""
        _too_small(step, said, f"run it on another machine{without}")


def _too_small(step: Step, said: str, hint: str = "run it on a larger machine, or ask for less in the file") -> None:
    raise MlrunError(
        f"step `{printable(step.name)}` needs {said}", code=ExitCode.EXECUTOR, location=step.location, hint=hint
    )


def _numbers(processors: Iterable[int]) -> str:
    shown = sorted(processors)
    return ", ".join(map(str, shown[:8])) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "")


@dataclass(frozen=True, slots=True)
class Doors:
    """Which host folders are open: the user's `(folder, read_only)` pairs, and those that stay shut whatever they say.
    All paths without links; `shut` are paths with the words for them, `sensitive` want a permission of their own."""

    allowed: tuple[tuple[Path, bool], ...]
    shut: tuple[tuple[Path, str], ...]
    sensitive: tuple[Path, ...]

    @classmethod
    def of(cls, settings: Settings) -> "Doors":
        """The doors of this machine and user."""
        allowed = [(_real(door.path), door.read_only) for door in settings.mounts]
        shut = [(_real(path), "the socket of a container engine") for path in _sockets()]
        shut.append((_real(settings.store), "the store of mlrun"))
        if os.path.exists(secrets := secrets_folder()):
            shut.append((_real(secrets), "your secrets"))
        return cls(
            tuple(allowed),
            tuple(shut),
            tuple(map(_real, _sensitive())),
        )

    def open(self, mount: Mount, step: str, notices: dict[str, None]) -> HostMount:
        """The mount of a step as the user grants it. Raises MlrunError."""
        noun = f"step `{printable(step)}` asks for the mount `{printable(mount.source)}`"
        _check_kind(mount, noun)
        _check_target(mount, noun)
        source = _source(mount, noun)
        resolved = _real(source)
        leads = "" if str(resolved) == source else f", which leads to `{printable(str(resolved))}`"
        for path, words in self.shut:
            if _touch(resolved, path):
                raise _refused(f"{noun}{leads}: no step may have {words}", mount.location, "mount another folder")
        read_only = self._permission(resolved)
        if read_only is None:
            suffix = ":ro" if mount.readonly else ""
            door = f"{resolved}{suffix}"
            hint = f"allow it with `--allow-mount {printable(door)}`, or for good with `mounts` in your settings"
            raise _refused(f"{noun}{leads}, which you have not allowed", mount.location, hint)
        _check_file(resolved, noun, mount.location)
        if read_only and not mount.readonly:
            notices[f"`{printable(str(resolved))}` is mounted read-only, as you have allowed it"] = None
        return HostMount(str(resolved), _plain(mount.destination), read_only or mount.readonly)

    def _permission(self, path: Path) -> bool | None:
        """Whether the user grants `path` for reading only (True) or writing too; None if not at all.

        The innermost permission counts. One for a folder around a sensitive one covers neither that nor what holds it.
        """
        found = [
            (len(door.parts), read_only)
            for door, read_only in self.allowed
            if path.is_relative_to(door) and (door == path or self._is_plain(path, door))
        ]
        return max(found)[1] if found else None

    def _is_plain(self, path: Path, door: Path) -> bool:
        return not any(_touch(path, secret) and not door.is_relative_to(secret) for secret in self.sensitive)


def _touch(path: Path, other: Path) -> bool:
    """Whether one of two paths lies in the other, or they are the same."""
    return path.is_relative_to(other) or other.is_relative_to(path)


def _real(path: str | Path) -> Path:
    return Path(os.path.realpath(path))


def _sockets() -> Iterator[str]:
    yield from _SOCKETS
    for endpoint in endpoints(os.environ):
        if endpoint.socket is not None:
            yield endpoint.socket
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    yield from (f"{runtime}/docker.sock", f"{runtime}/podman/podman.sock")


def _sensitive() -> Iterator[str]:
    """System folders, and what is hidden in the user's home: keys, tokens, settings."""
    yield from _SENSITIVE
    home = os.path.expanduser("~")
    for name in (".ssh", ".gnupg", ".aws", ".config", ".docker", ".kube"):
        yield os.path.join(home, name)
    with suppress(OSError):
        yield from (os.path.join(home, name) for name in os.listdir(home) if name.startswith("."))


def _check_kind(mount: Mount, noun: str) -> None:
    hint = "mount it on this machine, and name its folder as `source`"
    if mount.options:
        raise spec_error(f"{noun} with `options`, which mlrun cannot keep", mount.location, hint)
    if mount.type not in (None, "bind"):
        raise spec_error(
            f"{noun} of type `{printable(str(mount.type))}`, which mlrun cannot make", mount.location, hint
        )


def _check_target(mount: Mount, noun: str) -> None:
    target = mount.destination
    parts = target.split("/")
    covers = [own for own in _OURS if _touch(Path(_plain(target)), Path(own))]
    if ".." in parts or "\0" in target or covers:
        hint = "mount it elsewhere, such as at `/mnt/data`"
        raise spec_error(f"{noun} at `{printable(target)}`, where nothing can be mounted", mount.location, hint)
    if target.endswith((":ro", ":rw")):
        hint = "write `source`, `destination` and `readonly: true` as keys"
        raise spec_error(f"{noun} at `{printable(target)}`: a mount has no flags", mount.location, hint)


def _source(mount: Mount, noun: str) -> str:
    source = mount.source
    if not source.startswith("/") or ".." in source.split("/") or "\0" in source:
        hint = "write an absolute path without `..`"
        raise _refused(f"{noun}, which is not an absolute path without `..`", mount.location, hint)
    return _plain(source)


def _plain(path: str) -> str:
    """The path with single slashes: POSIX keeps two at the very beginning, and Linux sees nothing special in them."""
    return os.path.normpath(f"/{path.lstrip('/')}")


def _check_file(path: Path, noun: str, location: Location) -> None:
    """Only folders and regular files are shown: a device has a word of its own, a socket speaks for somebody."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        hint = "make it, or change the file"
        raise MlrunError(
            f"{noun}, which cannot be mounted: {(error.strerror or str(error)).lower()}",
            code=ExitCode.INPUT,
            location=location,
            hint=hint,
        ) from error
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise _refused(f"{noun}, which is neither a folder nor a file", location, "devices stand under `resources`")


def _refused(message: str, location: Location, hint: str) -> MlrunError:
    return MlrunError(message, code=ExitCode.POLICY, location=location, hint=hint)
