"""The machine a run happened on, read from the kernel's own files, and who ran it. Linux only; starts no program."""

import getpass
import os
import platform
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from runner import share

_VECTOR = ("sse", "ssse", "avx", "fma", "f16c", "amx", "bf16", "asimd", "sve", "sme")
"""How the names of instruction sets for many numbers at once begin, on x86 and ARM."""


def describe_host() -> dict[str, Any]:
    """Facts for the record: name, kernel, processor, memory in bytes, distribution, the runner's Python.

    `flags` are the instruction sets of the processor by which libraries choose how they add up; `gpu` the models of the
    NVIDIA cards with a driver.
    """
    system = os.uname()
    return {
        "hostname": system.nodename,
        "kernel": f"{system.sysname} {system.release}",
        "machine": system.machine,
        "processor": _after("/proc/cpuinfo", ("model name", "Processor", "cpu model")),
        "flags": _flags(),
        "processors": os.cpu_count(),
        "gpu": _gpus(),
        "gpu_driver": _after("/proc/driver/nvidia/version", ("NVRM version",)),
        "memory": share.machine_memory(),
        "distribution": (_after("/etc/os-release", ("PRETTY_NAME",), "=") or "").strip('"') or None,
        "python": f"{platform.python_implementation()} {platform.python_version()} ({sys.executable})",
    }


def user_name() -> str:
    """Who runs this, by name or number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def who() -> str:
    """Who runs this, and on which machine: `anna@box`."""
    return f"{user_name()}@{os.uname().nodename}"


def _flags() -> list[str]:
    told = (_after("/proc/cpuinfo", ("flags", "Features")) or "").split()
    return sorted(flag for flag in set(told) if flag.startswith(_VECTOR))


def _gpus() -> list[str]:
    folders = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    return [model for folder in folders if (model := _after(str(folder), ("Model",)))]


def _after(file: str, names: Iterable[str], sign: str = ":") -> str | None:
    """The text after the first line's sign whose name is one of `names`; None when it is not to be had."""
    try:
        with Path(file).open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                name, _, value = line.partition(sign)
                if name.strip() in names:
                    return value.strip()
    except OSError:
        return None
    return None
