"""A file system synced as a whole, and when that is not relied on."""

import errno
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from runner.store import volume as volume_module
from runner.store.volume import Volume, check_written, start_writing

PLENTY = 1 << 60
"""More bytes than any machine has waiting."""


def kernel(monkeypatch: pytest.MonkeyPatch, release: str) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release=release))


@pytest.fixture
def ext4(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder on a file system that is relied on; skips where the tests have none."""
    found = subprocess.run(["stat", "-f", "-c", "%t", tmp_path], capture_output=True, text=True, check=True)
    if int(found.stdout, 16) not in volume_module._PROVEN:
        pytest.skip("the temporary folder is not on ext4, XFS or Btrfs")
    kernel(monkeypatch, "6.1.0-13-amd64")
    return tmp_path


def test_one_sync_pays_on_a_disk_that_nobody_else_writes_to(ext4: Path) -> None:
    with Volume(ext4) as volume:
        assert volume.pays(1, PLENTY)
        volume.sync()


@pytest.mark.parametrize("release", ["5.7.19", "4.4.0", "4.19.0-26-amd64", "unknown", ""])
def test_one_sync_never_pays_where_lost_writes_may_go_unreported(
    ext4: Path, monkeypatch: pytest.MonkeyPatch, release: str
) -> None:
    kernel(monkeypatch, release)
    with Volume(ext4) as volume:
        assert not volume.pays(1, PLENTY)


@pytest.mark.parametrize("release", ["5.8", "5.10.0-28-amd64", "5.15.153.1-microsoft-standard-WSL2", "6.18.44+"])
def test_kernels_that_report_lost_writes_are_known_by_their_number(
    ext4: Path, monkeypatch: pytest.MonkeyPatch, release: str
) -> None:
    kernel(monkeypatch, release)
    with Volume(ext4) as volume:
        assert volume.pays(1, PLENTY)


def test_one_sync_never_pays_on_an_unknown_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel(monkeypatch, "6.1.0")
    with Volume(Path("/proc/self")) as volume:
        assert not volume.pays(1, PLENTY)


@pytest.mark.parametrize(("dirty", "pays"), [(100, True), (1_000_000, False)])
def test_one_sync_pays_only_if_others_have_little_to_write(
    ext4: Path, monkeypatch: pytest.MonkeyPatch, dirty: int, pays: bool
) -> None:
    memory = ext4 / "meminfo"
    memory.write_text(f"MemTotal:  24 kB\nDirty:  {dirty} kB\nWriteback:  28 kB\nHugePages_Total:  0\n")
    monkeypatch.setattr(volume_module, "_MEMORY", memory)
    with Volume(ext4) as volume:
        assert volume.pays(2, 0) is pays
        assert volume.pays(2, 1_000_028 << 10)


@pytest.mark.parametrize("content", [None, "", "Dirty: 5 kB\n", "Dirty: much kB\nWriteback: 1 kB\n"])
def test_one_sync_never_pays_if_nobody_says_how_much_waits(
    ext4: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    memory = ext4 / "meminfo"
    if content is not None:
        memory.write_text(content)
    monkeypatch.setattr(volume_module, "_MEMORY", memory)
    with Volume(ext4) as volume:
        assert not volume.pays(1, PLENTY)


def test_a_sync_that_fails_is_told(tmp_path: Path) -> None:
    volume = Volume(tmp_path)
    volume.__exit__()
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        volume.sync()
    assert caught.value.errno == errno.EBADF


def test_the_check_of_a_file_passes_what_was_written_and_tells_a_failure(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.write(b"x" * 10_000)
        file.flush()
        check_written(file.fileno())
    receive, send = os.pipe()
    try:
        with pytest.raises(OSError, match="Illegal seek"):
            check_written(receive)
    finally:
        os.close(receive)
        os.close(send)


def test_a_disk_that_begins_to_write_changes_nothing_and_tells_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.write(b"x" * 100_000)
        file.flush()
        start_writing(file.fileno(), 0, 50_000)
        start_writing(file.fileno(), 50_000, 1 << 40)
    assert path.read_bytes() == b"x" * 100_000
    receive, send = os.pipe()
    start_writing(receive, 0, 1)
    os.close(receive)
    os.close(send)
    start_writing(receive, 0, 1)


def test_it_is_told_whether_a_file_lies_on_it(tmp_path: Path) -> None:
    with (
        Volume(tmp_path) as volume,
        (tmp_path / "file").open("wb") as here,
        Path("/proc/self/status").open("rb") as away,
    ):
        assert volume.holds(here.fileno())
        assert not volume.holds(away.fileno())
