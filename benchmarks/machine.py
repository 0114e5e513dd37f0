"""The machine in a few lines: a figure means nothing without it. Linux."""

import os
import platform
import time
from pathlib import Path
from statistics import median

from benchmarks.report import in_words
from runner.provenance.host import describe_host


def describe(folder: Path) -> list[str]:
    """Processor, kernel and Python, and the disk that `folder` lies on."""
    host = describe_host()
    load = os.getloadavg()
    kind = _file_system(folder)
    memory = "; in memory: nothing waits for a disk here, name another with --folder" if kind == "tmpfs" else ""
    return [
        f"machine  {host['processors']} cores ({host['processor'] or host['machine']}), {host['kernel']}, "
        f"{host['distribution'] or 'unknown distribution'}, load {load[0]:.1f}",
        f"python   {platform.python_implementation()} {platform.python_version()}",
        f"disk     {kind} at {folder}: {in_words(_durable_file(folder))} for a small file with its name made durable"
        f"{memory}",
    ]


def _file_system(folder: Path) -> str:
    """The type of the file system, from proc(5)."""
    real, found = folder.resolve(), ("", "unknown")
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind, *_ = line.split(" ")
        if real.is_relative_to(point) and len(point) >= len(found[0]):
            found = (point, kind)
    return found[1]


def _durable_file(folder: Path) -> float:
    """Seconds for one small file, written, synced and named, and its folder synced."""
    seconds = []
    for number in range(15):
        began = time.perf_counter()
        path = folder / f"durable-{number}"
        with path.open("wb") as file:
            file.write(b"x" * 1000)
            file.flush()
            os.fsync(file.fileno())
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(fd)
        os.close(fd)
        seconds.append(time.perf_counter() - began)
        path.unlink()
    return median(seconds)
