"""Who drives a run, and whether it lives."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from runner.store.lease import current_owner, is_alive, read_owner, write_owner


def test_this_process_is_alive() -> None:
    assert is_alive(current_owner()) is True


def test_a_process_that_ended_is_dead_also_before_it_is_reaped() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
    owner = replace(current_owner(), pid=child.pid, start_time=int(fields[19]))
    assert is_alive(owner) is False
    child.wait()
    assert is_alive(owner) is False


def test_another_process_with_the_same_number_is_not_the_owner() -> None:
    assert is_alive(replace(current_owner(), start_time=1)) is False


def test_a_process_before_the_last_boot_is_dead() -> None:
    assert is_alive(replace(current_owner(), boot_id="00000000-0000-0000-0000-000000000000")) is False


def test_nobody_can_tell_about_another_host() -> None:
    assert is_alive(replace(current_owner(), host="elsewhere", pid=1)) is None


def test_the_lease_file_gives_back_the_owner(tmp_path: Path) -> None:
    write_owner(tmp_path / "owner", current_owner())
    assert read_owner(tmp_path / "owner") == current_owner()


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b'{"host": 1, "boot_id": 2, "pid": "x"}'])
def test_a_damaged_lease_names_nobody(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "owner").write_bytes(content)
    assert read_owner(tmp_path / "owner") is None
    assert read_owner(tmp_path / "missing") is None
