"""What is asked of a container engine for one step, and what its refusals mean.

Requests have the form of the Engine API (POST /containers/create), which Podman answers too.
"""

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from runner.errors import ExitCode, MlrunError
from runner.executors.device import GPU, device_files
from runner.executors.endpoint import EngineError
from runner.executors.limit import machine_memory, most_tasks, own_limits
from runner.executors.mount import VIEW, Mount
from runner.job import Allowance, Network, Staged

if TYPE_CHECKING:
    from runner.executors.engine import Engine

LABEL = "mlrun.execution"
"""The label of a step's container: the id of its job."""

NO_INIT, OWN_LIMITS = "no-init", "own-limits"
"""What an engine may lack: its small init program, and the right to raise limits."""

_DROPPED = ("MKNOD", "NET_RAW", "AUDIT_WRITE")
"""Capabilities that ordinary images do not need; a device node left in an output folder could be opened outside."""


def container_config(
    staged: Staged, laid: Iterable[Mount], argv: Sequence[str], quirks: frozenset[str], *, podman: bool
) -> dict[str, Any]:
    """What is asked of the engine for one step (POST /containers/create). Pure but for this process's own limits.

    Mounts are never written as `source:target` text, and their sources must exist. The log driver is the engine's
    plain one: it is what the log is read from after a crash of the runner. `quirks` is what this engine cannot do.
    """
    job = staged.job
    variables = dict(staged.environment)
    has_init = NO_INIT not in quirks
    if has_init:
        # The init process passes a signal to the whole group, so that it reaches the program and not only the shell.
        variables["TINI_KILL_PROCESS_GROUP"] = "1"
    host: dict[str, Any] = {
        "Init": has_init,
        "CapDrop": list(_DROPPED),
        "SecurityOpt": ["no-new-privileges", *(["label=disable"] if podman else [])],
        "LogConfig": {"Type": "json-file", "Config": {}},
        **bounds(job.allowance),
        "Mounts": [
            {"Type": "bind", "Source": str(mount.source), "Target": mount.target, "ReadOnly": mount.read_only}
            for mount in laid
        ],
    }
    if job.network is not Network.DEFAULT:
        host["NetworkMode"] = job.network.value
    if OWN_LIMITS in quirks:
        host["Ulimits"] = own_limits()
    return {
        "Image": staged.identity.id,
        "Entrypoint": list(argv[:1]),
        "Cmd": list(argv[1:]),
        "Env": [f"{name}={value}" for name, value in variables.items()],
        "WorkingDir": VIEW.repository,
        "Labels": {LABEL: job.id, "mlrun.image": job.image},
        "HostConfig": host,
    }


def bounds(asked: Allowance) -> dict[str, Any]:
    """The part of a container's `HostConfig` that bounds what a step may use.

    Memory and swap together are no more than the memory: a step that wants more is ended, not slowed down. Without a
    size of its own `/dev/shm` gets half of the machine's memory, as outside a container, in place of 64 MB.
    """
    host: dict[str, Any] = {"PidsLimit": most_tasks()}
    if asked.cpu_set:
        host["CpusetCpus"] = ",".join(map(str, asked.cpu_set))
    elif asked.cpus is not None:
        # An engine refuses more than there are.
        host["NanoCpus"] = int(min(asked.cpus, os.cpu_count() or asked.cpus) * 10**9)
    if asked.memory is not None:
        host["Memory"] = host["MemorySwap"] = asked.memory
    host["ShmSize"] = asked.shm if asked.shm is not None else machine_memory() // 2
    if count := asked.devices.get(GPU):
        host["DeviceRequests"] = [{"Driver": "", "Count": count, "Capabilities": [["gpu"]]}]
    others = device_files({name: number for name, number in asked.devices.items() if name != GPU})
    if others:
        host["Devices"] = [{"PathOnHost": path, "PathInContainer": path, "CgroupPermissions": "rwm"} for path in others]
    return host


def refuse_unkept(asked: Allowance, engine: "Engine") -> None:
    """Refuse what an engine would drop with no more than a warning. Raises MlrunError (code EXECUTOR)."""
    wanted = {
        "MemoryLimit": (asked.memory is not None, "memory"),
        "CpuCfsQuota": (asked.cpus is not None and not asked.cpu_set, "CPUs"),
        "CPUSet": (bool(asked.cpu_set), "the choice of CPUs"),
    }
    for name, (is_asked, noun) in wanted.items():
        if is_asked and engine.info.get(name) is False:
            raise MlrunError(
                f"{engine.title} cannot bound {noun} here",
                code=ExitCode.EXECUTOR,
                hint="it needs control groups (rootless engines: version 2, delegated); else `--executor sandbox`",
            )


def start_error(image: str, error: EngineError) -> MlrunError:
    """The error for a step whose container could not be made or started, with the engine's own words."""
    if error.status == 0:
        hint = "is it still running? else use `--executor sandbox`"
        return MlrunError(f"the container engine does not answer: {error.words}", code=ExitCode.EXECUTOR, hint=hint)
    if error.status == 404 and "image" in error.words.lower():
        hint = "fetch it again, or use `--executor sandbox`"
        return MlrunError(f"image `{image}` is no longer on this machine", code=ExitCode.IMAGE, hint=hint)
    if "/bin/sh" in error.words:
        hint = "steps are shell commands: use an image with a shell"
        return MlrunError(f"image `{image}` has no working `/bin/sh`: {error.words}", code=ExitCode.IMAGE, hint=hint)
    advice = 'set `network = "host"` or `"none"` in your settings' if "network" in error.words else None
    return MlrunError(f"the container cannot be started: {error.words}", code=ExitCode.EXECUTOR, hint=advice)


def quirks_of(words: str) -> frozenset[str]:
    """What an engine that refused to start a container with these `words` must be spared: an engine's small init
    program may be missing, and Podman asks for limits that it may not give where it lacks the right."""
    found = set()
    if "docker-init" in words or "catatonit" in words:
        found.add(NO_INIT)
    if "rlimit" in words:
        found.add(OWN_LIMITS)
    return frozenset(found)
