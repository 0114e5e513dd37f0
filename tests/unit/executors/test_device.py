"""Devices, on machines that are made of folders."""

from pathlib import Path

import pytest

from runner.executors.device import device_files, gpu_request, installed, shortage, units, visible

GPU, AMD = "nvidia.com/gpu", "amd.com/gpu"


@pytest.fixture
def dev(tmp_path: Path) -> str:
    (tmp_path / "dri").mkdir()
    for name in ("nvidia0", "nvidia1", "nvidia10", "nvidiactl", "nvidia-uvm", "null", "kfd", "dri/card0",
                 "dri/renderD128", "dri/renderD129"):  # fmt: skip
        (tmp_path / name).touch()
    return str(tmp_path)


@pytest.fixture
def driver(tmp_path: Path) -> str:
    """Three cards, of which the driver numbers the files in another order than that of the bus."""
    for address, minor in (("0000:0a:00.0", 10), ("0000:01:00.0", 1), ("0000:c1:00.0", 0)):
        folder = tmp_path / "gpus" / address
        folder.mkdir(parents=True)
        facts = {
            "Model": "A card",
            "IRQ": "",
            "GPU UUID": f"GPU-{minor}a",
            "Bus Location": address,
            "Device Minor": minor,
        }
        text = "".join(f"{name}: \t\t {value}\n" for name, value in facts.items())
        (folder / "information").write_text(text)
    return str(tmp_path / "gpus")


def paths(dev: str, *numbers: int) -> dict[str, tuple[str, ...]]:
    return {GPU: tuple(f"{dev}/nvidia{number}" for number in numbers)}


def test_a_step_gets_its_devices_and_what_they_share(dev: str) -> None:
    assert device_files(paths(dev, 1, 10), dev) == [
        f"{dev}/{name}" for name in ("nvidia1", "nvidia10", "nvidiactl", "nvidia-uvm")
    ]
    assert device_files({AMD: (f"{dev}/dri/renderD129",)}, dev) == [f"{dev}/dri/renderD129", f"{dev}/kfd"]
    assert device_files({}, dev) == []


def test_the_devices_of_a_machine_come_in_the_order_of_their_numbers(dev: str, tmp_path: Path) -> None:
    assert units(GPU, dev) == [f"{dev}/nvidia{number}" for number in (0, 1, 10)]
    assert units(AMD, dev) == [f"{dev}/dri/renderD128", f"{dev}/dri/renderD129"]
    assert (units("example.com/npu", dev), units(GPU, str(tmp_path / "dri"))) == ([], [])


def test_programs_are_told_their_gpus_by_uuid(dev: str, driver: str) -> None:
    for hidden in (True, False):
        told = visible(paths(dev, 1, 10), hidden=hidden, driver=driver)
        assert told == {"NVIDIA_VISIBLE_DEVICES": "GPU-1a,GPU-10a", "CUDA_VISIBLE_DEVICES": "GPU-1a,GPU-10a"}


def test_where_the_driver_tells_nothing_programs_are_told_the_numbers_that_cuda_counts(dev: str) -> None:
    seen = {hidden: visible(paths(dev, 1, 10), hidden=hidden, driver="/nowhere") for hidden in (True, False)}
    assert [told["CUDA_VISIBLE_DEVICES"] for told in seen.values()] == ["0,1", "1,10"]
    assert {told["NVIDIA_VISIBLE_DEVICES"] for told in seen.values()} == {"1,10"}
    assert {told["CUDA_DEVICE_ORDER"] for told in seen.values()} == {"PCI_BUS_ID"}


def test_a_step_without_gpus_of_nvidia_is_told_nothing(dev: str, driver: str) -> None:
    for devices in ({}, {AMD: (f"{dev}/dri/renderD128",)}, {GPU: (f"{dev}/dxg",)}):
        assert visible(devices, hidden=True, driver=driver) == {}


@pytest.mark.parametrize(
    ("count", "numbers", "docker", "podman"),
    [
        (1, (10,), ["GPU-10a"], ["nvidia.com/gpu=1"]),
        (2, (0, 1), ["GPU-0a", "GPU-1a"], ["nvidia.com/gpu=2", "nvidia.com/gpu=0"]),
        (1, (7,), ["7"], ["nvidia.com/gpu=7"]),
    ],
)
def test_an_engine_is_asked_for_the_very_gpus(
    dev: str, driver: str, count: int, numbers: tuple[int, ...], docker: list[str], podman: list[str]
) -> None:
    for is_podman, name, ids in ((False, "", docker), (True, "cdi", podman)):
        asked = gpu_request(count, paths(dev, *numbers)[GPU], podman=is_podman, driver=driver)
        assert asked == {"Driver": name, "DeviceIDs": ids, "Capabilities": [["gpu"]]}


def test_an_engine_is_asked_for_all_gpus_or_for_a_number_where_they_have_no_names(dev: str, driver: str) -> None:
    for count, some in ((-1, paths(dev, 0, 1, 10)[GPU]), (2, (f"{dev}/dxg",))):
        assert gpu_request(count, some, podman=False, driver=driver) == {
            "Driver": "", "Count": count, "Capabilities": [["gpu"]]
        }  # fmt: skip
        assert gpu_request(count, some, podman=True, driver=driver)["DeviceIDs"] == ["nvidia.com/gpu=all"]


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
    assert installed(GPU, str(tmp_path)) == 1
    assert device_files({GPU: tuple(units(GPU, str(tmp_path)))}, str(tmp_path)) == [f"{tmp_path}/dxg"]
