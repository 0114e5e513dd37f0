"""What is asked of a container engine for one step, and what its refusals mean.

Requests have the form of the Engine API (POST /containers/create), which Podman answers too.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runner import share
from runner.errors import ExitCode, MlrunError
from runner.executors.device import GPU, device_files, gpu_request
from runner.executors.endpoint import EngineError
from runner.executors.limit import most_tasks, own_limits
from runner.executors.mount import VIEW, Mount
from runner.job import NO_DEVICES, Allowance, Devices, Network, Staged

if TYPE_CHECKING:
    from runner.executors.engine import Engine

LABEL = "mlrun.execution"
"""The label of a step's container: the id of its job."""

DEVICES_LABEL = "mlrun.devices"
"""The label of a step's container: the devices that it has, as JSON."""

GANG_LABEL = "mlrun.gang"
"""The label of a network: the id of the gang that it is for."""

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
        **shown(job.allowance, staged.devices, podman=podman),
        "Mounts": [
            {"Type": "bind", "Source": str(mount.source), "Target": mount.target, "ReadOnly": mount.read_only}
            for mount in laid
        ],
    }
    if job.network is not Network.DEFAULT:
        host["NetworkMode"] = job.network.value
    if OWN_LIMITS in quirks:
        host["Ulimits"] = own_limits()
    joined: dict[str, Any] = {}
    if job.gang is not None and job.network is Network.DEFAULT:
        host["NetworkMode"] = network = network_name(job.gang.id)
        joined[network] = {"IPAMConfig": {"IPv4Address": job.gang.address}}
    return {
        "Image": staged.identity.id,
        "Entrypoint": list(argv[:1]),
        "Cmd": list(argv[1:]),
        "Env": [f"{name}={value}" for name, value in variables.items()],
        "WorkingDir": VIEW.repository,
        "Labels": {LABEL: job.id, "mlrun.image": job.image, **device_labels(staged.devices)},
        "HostConfig": host,
        **({"NetworkingConfig": {"EndpointsConfig": joined}} if joined else {}),
    }


def network_name(gang: str) -> str:
    """The network of jobs that reach one another."""
    return f"mlrun-{gang}"


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
    host["ShmSize"] = asked.shm if asked.shm is not None else share.machine_memory() // 2
    return host


def shown(asked: Allowance, devices: Devices, *, podman: bool) -> dict[str, Any]:
    """The part of a container's `HostConfig` that shows a step its devices, of the number that it asked for."""
    host: dict[str, Any] = {}
    if count := asked.devices.get(GPU):
        host["DeviceRequests"] = [gpu_request(count, devices.get(GPU, ()), podman=podman)]
    others = device_files({name: paths for name, paths in devices.items() if name != GPU})
    if others:
        host["Devices"] = [{"PathOnHost": path, "PathInContainer": path, "CgroupPermissions": "rwm"} for path in others]
    return host


def device_labels(devices: Devices) -> dict[str, str]:
    """The labels of a container that has these devices."""
    return {DEVICES_LABEL: json.dumps(dict(devices))} if devices else {}


def labelled_devices(labels: Mapping[str, str]) -> Devices:
    """The devices that a container has, by its labels."""
    if DEVICES_LABEL not in labels:
        return NO_DEVICES
    return {name: tuple(paths) for name, paths in json.loads(labels[DEVICES_LABEL]).items()}


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
