"""Devices, on machines that are made of folders."""

from pathlib import Path

import pytest

from runner.executors.device import device_files, shortage


@pytest.fixture
def dev(tmp_path: Path) -> str:
    (tmp_path / "dri").mkdir()
    for name in ("nvidia0", "nvidia1", "nvidia10", "nvidiactl", "nvidia-uvm", "null", "kfd", "dri/card0",
                 "dri/renderD128", "dri/renderD129"):  # fmt: skip
        (tmp_path / name).touch()
    return str(tmp_path)


def test_a_step_gets_as_many_devices_as_it_may_have_and_what_they_share(dev: str) -> None:
    assert device_files({"nvidia.com/gpu": 2}, dev) == [
        f"{dev}/{name}" for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm")
    ]
    assert device_files({"amd.com/gpu": 1}, dev) == [f"{dev}/dri/renderD128", f"{dev}/kfd"]
    assert len(device_files({"nvidia.com/gpu": -1}, dev)) == 5
    assert device_files({}, dev) == []


def test_a_machine_without_devices_gives_none(tmp_path: Path) -> None:
    assert device_files({"nvidia.com/gpu": 1}, str(tmp_path)) == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"nvidia.com/gpu": 3}, None),
        ({"nvidia.com/gpu": -1, "amd.com/gpu": 2}, None),
        ({"nvidia.com/gpu": 4}, "4 of the device `nvidia.com/gpu`, and this machine has 3"),
        ({"example.com/npu": 1}, "the device `example.com/npu`, which mlrun does not know"),
    ],
)
def test_what_a_machine_lacks_is_told(dev: str, asked: dict[str, int], said: str | None) -> None:
    found = shortage(asked, dev)
    assert found is None if said is None else said in (found or "")


def test_all_of_nothing_is_too_few(tmp_path: Path) -> None:
    assert (
        shortage({"nvidia.com/gpu": -1}, str(tmp_path))
        == "all of the device `nvidia.com/gpu`, and this machine has none"
    )


def test_windows_shows_all_its_gpus_as_one_device(tmp_path: Path) -> None:
    (tmp_path / "dxg").touch()
    assert shortage({"nvidia.com/gpu": 2}, str(tmp_path)) is None
    assert device_files({"nvidia.com/gpu": 2}, str(tmp_path)) == [f"{tmp_path}/dxg"]
