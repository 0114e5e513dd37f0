"""Devices by the names of Kubernetes, where they are on this machine, and what drivers and engines call them. Reads
folders and the driver's own files (`/proc/driver/nvidia`), opens no device."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runner.job import Devices

GPU = "nvidia.com/gpu"
AMD_GPU = "amd.com/gpu"

DRIVER = "/proc/driver/nvidia/gpus"
"""Where NVIDIA's driver describes its cards, in a folder for each, named by the address on the PCI bus."""

_NVIDIA = re.compile(r"nvidia\d+")
_FACT = re.compile(r"^([^:\n]+?)[ \t]*:[ \t]*(.*?)[ \t]*$", re.MULTILINE)
"""A line of what the driver tells, such as `Device Minor: \t 0`."""
_SHARED = {
    GPU: re.compile(r"nvidiactl|nvidia-uvm|nvidia-uvm-tools|nvidia-modeset|nvidia-caps|dxg"),
    AMD_GPU: re.compile(r"kfd"),
}
"""What every program needs that uses one of them."""


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU of NVIDIA as others name it: its number in the order of the PCI bus, by which NVML and the names of CDI
    count, and its UUID. The number in the name of its file is another one, which is often the same."""

    number: int
    uuid: str


def units(name: str, dev: str = "/dev") -> list[str]:
    """One path per device of this name, always in the same order. The subsystem for Linux on Windows shows all its GPUs
    as one."""
    found = list(_units(name, dev))
    if not found and name == GPU and os.path.exists(f"{dev}/dxg"):
        return [f"{dev}/dxg"]
    return found


def installed(name: str, dev: str = "/dev") -> int:
    """How many of a device this machine has."""
    return len(units(name, dev))


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


def device_files(devices: Devices, dev: str = "/dev") -> list[str]:
    """The paths that a step gets: its devices, and what all of the same name share."""
    found: list[str] = []
    for name, paths in devices.items():
        shared = _SHARED.get(name)
        found += paths
        found += [f"{dev}/{entry}" for entry in _entries(dev) if shared is not None and shared.fullmatch(entry)]
    return list(dict.fromkeys(found))


def visible(devices: Devices, *, hidden: bool, driver: str = DRIVER) -> dict[str, str]:
    """The variables that tell CUDA and NVIDIA's tools which GPUs are the step's; `hidden` where it sees no others.

    By UUID, which means the same everywhere. Where the driver does not tell it, by number: CUDA counts what it sees,
    in the order of the bus if told so (CUDA C++ Programming Guide, CUDA Environment Variables).
    """
    paths = [path for path in devices.get(GPU, ()) if _NVIDIA.fullmatch(os.path.basename(path))]
    if not paths:
        return {}
    known = cards(driver)
    found = [known.get(_minor(path)) for path in paths]
    uuids = [card.uuid for card in found if card is not None]
    if len(uuids) == len(paths):
        return dict.fromkeys(("NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"), ",".join(uuids))
    numbers = [_minor(path) for path in paths]
    return {
        "NVIDIA_VISIBLE_DEVICES": _listed(numbers),
        "CUDA_VISIBLE_DEVICES": _listed(range(len(numbers)) if hidden else numbers),
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    }


def gpu_request(count: int, paths: Iterable[str], *, podman: bool, driver: str = DRIVER) -> dict[str, object]:
    """What is asked of a container engine for `count` GPUs, -1 for all, which are these: a `DeviceRequest` of the
    Engine API. Docker asks NVIDIA's toolkit for them by UUID, or by number; Podman has the names of CDI."""
    known = cards(driver)
    minors = [_minor(path) for path in paths if _NVIDIA.fullmatch(os.path.basename(path))]
    if podman:
        chosen = ["all"] if count < 0 or not minors else [_number(minor, known) for minor in minors]
        return {"Driver": "cdi", "DeviceIDs": [f"{GPU}={one}" for one in chosen], "Capabilities": [["gpu"]]}
    if count < 0 or not minors:
        return {"Driver": "", "Count": count, "Capabilities": [["gpu"]]}
    names = [known[minor].uuid if minor in known else str(minor) for minor in minors]
    return {"Driver": "", "DeviceIDs": names, "Capabilities": [["gpu"]]}


def cards(driver: str = DRIVER) -> dict[int, Card]:
    """The GPUs of NVIDIA of which the driver tells, by the numbers in the names of their files (`/dev/nvidia0`)."""
    found = {}
    for number, folder in enumerate(_entries(driver)):
        text = ""
        with suppress(OSError):
            text = Path(driver, folder, "information").read_text(encoding="utf-8", errors="replace")
        told = dict(_FACT.findall(text))
        minor, uuid = told.get("Device Minor", ""), told.get("GPU UUID", "")
        if minor.isdecimal() and uuid.startswith("GPU-"):
            found[int(minor)] = Card(number, uuid)
    return found


def _number(minor: int, known: Mapping[int, Card]) -> int:
    return known[minor].number if minor in known else minor


def _minor(path: str) -> int:
    return int(os.path.basename(path).removeprefix("nvidia"))


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))


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
