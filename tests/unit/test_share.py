"""What a process may take of the machine, by the files of control groups of either version."""

import math
import os
import resource
from collections.abc import Mapping
from pathlib import Path

import pytest

from runner import share
from runner.share import Bounds, Share, group_bounds, machine_memory, own_share, share_of

UNBOUND = "9223372036854771712\n"
"""What version 1 says where memory has no bound."""


@pytest.mark.parametrize(
    ("files", "membership", "expected"),
    [
        pytest.param({}, "", Bounds(), id="no groups"),
        pytest.param({}, "0::/user.slice/gone", Bounds(), id="a group that is not shown"),
        pytest.param(
            {"a/cpu.max": "150000 100000\n", "a/memory.max": "1024\n", "a/pids.max": "40\n"},
            "0::/a\n",
            Bounds(1.5, 1024, 40),
            id="version 2",
        ),
        pytest.param(
            {"a/cpu.max": "max 100000\n", "a/memory.max": "max\n", "a/pids.max": "max\n"},
            "0::/a\n",
            Bounds(),
            id="version 2 without bounds",
        ),
        pytest.param(
            {
                "a/b/cpu.max": "400000 100000\n",
                "a/cpu.max": "200000 100000\n",
                "a/b/memory.max": "1\n",
                "memory.max": "2\n",
            },
            "0::/a/b\n",
            Bounds(2, 1),
            id="the least of a group and those above it",
        ),
        pytest.param({"a/b/pids.max": "3\n", "a/c/pids.max": "1\n"}, "0::/a/b\n", Bounds(tasks=3), id="none beside it"),
        pytest.param({"pids.max": "7\n"}, "0::/\n", Bounds(tasks=7), id="the first group, as a container sees its own"),
        pytest.param({"pids.max": "7\n"}, "0::/docker/1234\n", Bounds(tasks=7), id="a path that only the host knows"),
        pytest.param({"pids.max": "7\n", "b/pids.max": "1\n"}, "0::/../b\n", Bounds(tasks=7), id="a path outside"),
        pytest.param({"pids.max": "7\n"}, "nothing of the kind\n\n", Bounds(tasks=7), id="lines of another form"),
        pytest.param({"a\udcff/pids.max": "7\n"}, "0::/a\udcff\n", Bounds(tasks=7), id="a name that is no text"),
        pytest.param({"a:b/pids.max": "7\n"}, "0::/a:b\n", Bounds(tasks=7), id="a name with a colon"),
        pytest.param(
            {
                "cpu,cpuacct/a/cpu.cfs_quota_us": "50000\n",
                "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
                "memory/a/memory.limit_in_bytes": "4096\n",
                "pids/b/pids.max": "9\n",
            },
            "4:pids:/b\n3:memory:/a\n2:cpu,cpuacct:/a\n1:name=systemd:/\n",
            Bounds(0.5, 4096, 9),
            id="version 1",
        ),
        pytest.param(
            {"cpu/a/cpu.cfs_quota_us": "50000\n", "cpu/a/cpu.cfs_period_us": "100000\n"},
            "2:cpuacct,cpu:/a\n",
            Bounds(0.5),
            id="controllers in another order than those of the folder",
        ),
        pytest.param({"blkio/pids.max": "9\n"}, "2:blkio:/\n", Bounds(), id="a controller of something else"),
        pytest.param(
            {
                "cpu/a/cpu.cfs_quota_us": "-1\n",
                "cpu/a/cpu.cfs_period_us": "100000\n",
                "memory/memory.limit_in_bytes": UNBOUND,
            },
            "2:cpu:/a\n1:memory:/a\n",
            Bounds(memory=float(UNBOUND)),
            id="version 1 without bounds",
        ),
        pytest.param(
            {"unified/a/pids.max": "5\n", "memory/a/memory.limit_in_bytes": "4096\n"},
            "1:memory:/a\n0::/a\n",
            Bounds(memory=4096, tasks=5),
            id="both versions",
        ),
        pytest.param(
            {"cpu.max": "0 100000\n", "memory.max": "much\n", "pids.max": "\n"},
            "0::/\n",
            Bounds(),
            id="nonsense",
        ),
        pytest.param({"cpu.max": "200000\n"}, "0::/\n", Bounds(), id="a quota without a period"),
    ],
)
def test_groups_bound_what_a_process_takes(
    tmp_path: Path, files: Mapping[str, str], membership: str, expected: Bounds
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert group_bounds(tmp_path, membership) == expected


@pytest.fixture
def bounded(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A process in such groups, on three processors."""
    monkeypatch.setattr(share, "_own_bounds", lambda: request.param)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2, 4})


@pytest.mark.parametrize(
    ("bounded", "processors", "places"),
    [(Bounds(), 3, 3), (Bounds(1e6), 3, 3), (Bounds(1.5), 1.5, 2), (Bounds(0.2), 0.2, 1)],
    indirect=["bounded"],
)
def test_a_part_of_a_processor_is_one_place_and_nobody_has_more_than_the_machine(
    bounded: None, processors: float, places: int
) -> None:
    assert (own_share().processors, own_share().places) == (processors, places)
    assert own_share().memory == machine_memory()


@pytest.mark.parametrize("bounded", [Bounds(0.2, 4096)], indirect=True)
def test_an_engine_bounds_its_containers_itself(bounded: None) -> None:
    assert share_of("sandbox") == share_of("process") == Share(0.2, 4096)
    assert share_of("docker") == Share(3, machine_memory())


@pytest.mark.parametrize(
    ("bounded", "limit", "tasks"),
    [
        (Bounds(), resource.RLIM_INFINITY, math.inf),
        (Bounds(), 50, 50),
        (Bounds(tasks=40), 50, 40),
        (Bounds(tasks=40), resource.RLIM_INFINITY, 40),
    ],
    indirect=["bounded"],
)
def test_the_user_and_the_group_bound_processes(
    bounded: None, limit: int, tasks: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, resource.RLIM_INFINITY))
    assert share.tasks() == tasks


def test_where_nobody_tells_of_groups_the_machine_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share, "_MEMBERSHIP", tmp_path / "missing")
    assert share._own_bounds.__wrapped__() == Bounds()


def test_what_this_process_really_may_take_is_something() -> None:
    assert 0 < own_share().processors <= len(os.sched_getaffinity(0))
    assert 0 < own_share().memory <= machine_memory()
    assert share.tasks() > 0
