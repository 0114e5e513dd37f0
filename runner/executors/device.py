"""Devices by the names of Kubernetes, and where they are on this machine. Reads folders, opens no device."""

import os
import re
from collections.abc import Iterator, Mapping

GPU = "nvidia.com/gpu"
AMD_GPU = "amd.com/gpu"

_NVIDIA = re.compile(r"nvidia\d+")
_SHARED = {
    GPU: re.compile(r"nvidiactl|nvidia-uvm|nvidia-uvm-tools|nvidia-modeset|nvidia-caps|dxg"),
    AMD_GPU: re.compile(r"kfd"),
}
"""What every program needs that uses one of them."""


def shortage(devices: Mapping[str, int], dev: str = "/dev") -> str | None:
    """What of `devices` this machine lacks, in words that follow `needs`; None if it has them all."""
    for name, count in devices.items():
        if name not in _SHARED:
            return f"the device `{name}`, which mlrun does not know ({', '.join(_SHARED)} it does)"
        there = len(list(_units(name, dev)))
        if os.path.exists(f"{dev}/dxg"):
            # The subsystem for Linux on Windows shows all GPUs as one device.
            there = max(there, count)
        if there == 0 or count > there:
            wanted = "all" if count < 0 else count
            return f"{wanted} of the device `{name}`, and this machine has {there or 'none'}"
    return None


def device_files(devices: Mapping[str, int], dev: str = "/dev") -> list[str]:
    """The paths of devices that a step gets: as many units as it may have, and what they share."""
    found: list[str] = []
    for name, count in devices.items():
        units = list(_units(name, dev))
        found += units if count < 0 else units[:count]
        shared = _SHARED.get(name)
        found += [f"{dev}/{entry}" for entry in _entries(dev) if shared is not None and shared.fullmatch(entry)]
    return found


def _units(name: str, dev: str) -> Iterator[str]:
    """One path per device of this name."""
    if name == GPU:
        yield from (f"{dev}/{entry}" for entry in _entries(dev) if _NVIDIA.fullmatch(entry))
    elif name == AMD_GPU:
        yield from (f"{dev}/dri/{entry}" for entry in _entries(f"{dev}/dri") if entry.startswith("renderD"))


def _entries(folder: str) -> list[str]:
    """The names in a folder, those with numbers in the order of the numbers; none where there is no folder."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return sorted(names, key=lambda name: (len(name), name))
