"""What Podman does otherwise than Docker, as far as a step or its user can notice. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any


def is_rootless(info: Mapping[str, Any]) -> bool:
    """Whether an engine that tells `info` is rootless: Docker has an option for it, Podman a field of its own."""
    return bool(info.get("Rootless")) or any("rootless" in str(option) for option in info.get("SecurityOptions") or ())


def differences(info: Mapping[str, Any]) -> Iterator[str]:
    """The differences that hold for the engine that tells `info` of itself (GET /info), each with what is done."""
    yield "its images are its own: one that Docker has fetched is fetched again"
    yield "where it may not raise limits (CAP_SYS_RESOURCE), containers get this process's own open files and processes"
    yield "its init passes a signal to one process: to stop a step, a second program in the container signals all"
    yield "without `catatonit` there is no init: then zombies stay until the step ends"
    if str(info.get("CgroupVersion")) == "1":
        yield "with control groups of version 1 it tells no lack of memory: such a step ends as `exit` or `killed`"
    if is_rootless(info):
        yield "it is rootless: root in a container is you, and other users there are your subordinate ids"
        bounds = {"MemoryLimit": "memory", "CpuCfsQuota": "CPUs", "CPUSet": "the choice of CPUs"}
        missing = [noun for name, noun in bounds.items() if info.get(name) is False]
        if missing:
            yield f"it cannot bound {', '.join(missing)} here: a step that asks for it is refused"
