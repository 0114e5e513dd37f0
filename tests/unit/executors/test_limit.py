"""Bounds of processors, memory and processes, without a step."""

import os
import subprocess
import sys
import threading

import pytest

from runner.executors.creation import bounds, device_labels, labelled_devices, shown
from runner.executors.guard import Guard, descendants
from runner.executors.limit import (
    bound_processors,
    choose_processors,
    lacking,
    memory_sentence,
    most_tasks,
)
from runner.job import Allowance
from runner.share import machine_memory
from runner.state import Reason

FOUR = {0, 1, 2, 7}


def test_a_step_that_asks_for_nothing_has_all_processors() -> None:
    assert choose_processors(Allowance(), FOUR) == FOUR
    assert choose_processors(Allowance(cpus=4.0), FOUR) == FOUR
    assert choose_processors(Allowance(cpus=100.0), FOUR) == FOUR


def test_steps_that_want_a_part_of_the_processors_get_different_ones() -> None:
    first, second = (choose_processors(Allowance(cpus=1.5), FOUR) for _ in range(2))
    assert len(first) == len(second) == 2
    assert first | second == FOUR


def test_processors_that_are_named_are_those() -> None:
    assert choose_processors(Allowance(cpu_set=(1, 7)), FOUR) == {1, 7}
    assert choose_processors(Allowance(cpu_set=(1, 99)), FOUR) == {1}


def test_the_thread_that_starts_a_step_gets_its_own_processors_back() -> None:
    own = os.sched_getaffinity(0)
    one = min(own)
    with pytest.raises(ZeroDivisionError), bound_processors(Allowance(cpu_set=(one,))):
        assert os.sched_getaffinity(0) == {one}
        raise ZeroDivisionError
    assert os.sched_getaffinity(0) == own


def test_a_plain_process_says_what_it_does_not_keep() -> None:
    asked = Allowance(cpus=1.5, memory=10**9, shm=10**8, devices={"nvidia.com/gpu": 1})
    assert list(lacking("docker", asked)) == []
    assert list(lacking("sandbox", asked)) == ["1.5 CPUs are rounded up to 2"]
    assert len(list(lacking("process", asked))) == 3
    assert list(lacking("process", Allowance())) == []


def test_what_is_asked_of_an_engine() -> None:
    assert bounds(Allowance()) == {"PidsLimit": most_tasks(), "ShmSize": machine_memory() // 2}
    asked = bounds(Allowance(cpus=0.5, memory=10**9, shm=10**8))
    assert (asked["NanoCpus"], asked["Memory"], asked["MemorySwap"], asked["ShmSize"]) == (
        5 * 10**8, 10**9, 10**9, 10**8
    )  # fmt: skip
    assert bounds(Allowance(cpu_set=(0, 2)))["CpusetCpus"] == "0,2"
    assert bounds(Allowance(cpus=1e5))["NanoCpus"] == (os.cpu_count() or 1) * 10**9


def test_a_container_is_shown_the_devices_that_were_chosen_and_remembers_them() -> None:
    devices = {"nvidia.com/gpu": ("/dev/nvidia77",), "amd.com/gpu": ("/dev/dri/renderD129",)}
    asked = shown(Allowance(devices={"nvidia.com/gpu": 1, "amd.com/gpu": 1}), devices, podman=False)
    assert asked["DeviceRequests"] == [{"Driver": "", "DeviceIDs": ["77"], "Capabilities": [["gpu"]]}]
    assert {
        "PathOnHost": "/dev/dri/renderD129",
        "PathInContainer": "/dev/dri/renderD129",
        "CgroupPermissions": "rwm",
    } in (asked["Devices"])
    assert not any("nvidia" in device["PathOnHost"] for device in asked["Devices"])
    assert labelled_devices({"other": "label", **device_labels(devices)}) == devices
    assert (shown(Allowance(), {}, podman=False), labelled_devices({}), device_labels({})) == ({}, {}, {})


def test_the_sentence_of_a_lack_of_memory_has_the_limit_and_the_peak() -> None:
    assert memory_sentence(64 << 20, 70 << 20) == "out of memory: the limit is 64 MiB, the peak was 70 MiB"


def eating(megabytes: int) -> "subprocess.Popen[bytes]":
    """A process with one child that takes so much memory. A guard watches it, never the tests' own process: it would
    end every server that they share."""
    program = f"x = bytearray({megabytes << 20}); print('full', flush=True); input()"
    argv = ["sh", "-c", '"$@"; exit 0', "sh", sys.executable, "-c", program]
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"full\n"
    return child


def test_a_guard_ends_what_takes_too_much_memory_once() -> None:
    killed = threading.Event()
    child = eating(200)
    guard = Guard(100 << 20, 10**6, (), killed.set)
    try:
        guard.start(child.pid)
        assert killed.wait(60)
    finally:
        guard.close()
        child.communicate(b"\n")
    assert guard.verdict is not None
    assert (guard.verdict.reason, guard.verdict.oom_killed) == (Reason.OOM, True)


def test_a_guard_ends_what_has_too_many_processes() -> None:
    killed = threading.Event()
    child = eating(1)
    guard = Guard(None, 0, (), killed.set)
    try:
        guard.start(child.pid)
        assert killed.wait(60)
    finally:
        guard.close()
        child.communicate(b"\n")
    assert guard.verdict is not None
    assert guard.verdict.reason is Reason.KILLED


def test_a_guard_that_never_started_is_closed_all_the_same() -> None:
    Guard(None, 1, (), lambda: None).close()


def test_descendants_are_found_with_their_threads() -> None:
    child = eating(1)
    try:
        family = descendants(os.getpid())
        assert family[child.pid] == 1
        (grandchild,) = descendants(child.pid)
        assert family[grandchild] == 1
        assert descendants(grandchild) == {}
    finally:
        child.communicate(b"\n")
