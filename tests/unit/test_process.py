"""Whether a process lives, and whether somebody holds a file."""

import fcntl
import os
import signal
import subprocess
import time
from pathlib import Path

from runner.process import boot_id, is_held, own_start_time, start_time, try_lock


def test_this_process_has_a_start_time_that_stays() -> None:
    assert own_start_time() == own_start_time() == start_time(os.getpid())
    assert 0 < own_start_time() <= time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK")


def test_a_process_that_ended_has_no_start_time_also_before_it_is_reaped() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert start_time(child.pid) is None
    child.wait()
    assert start_time(child.pid) is None


def test_a_program_may_have_any_name(tmp_path: Path) -> None:
    program = tmp_path / "a) Z (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([str(program), "60"]) as child:
        assert (start_time(child.pid) or 0) >= own_start_time()
        child.kill()


def test_the_id_of_the_boot_is_a_uuid() -> None:
    assert len(boot_id()) == 36


def test_a_lock_is_held_as_long_as_its_process_lives(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.write(send, b"x")
            os.close(receive)
            signal.pause()
        os._exit(0)
    os.read(receive, 1)
    with path.open("rb") as file:
        assert is_held(file.fileno())
        assert not try_lock(file.fileno(), fcntl.LOCK_EX)
        os.kill(child, 9)
        os.waitpid(child, 0)
        assert not is_held(file.fileno())
        assert try_lock(file.fileno(), fcntl.LOCK_EX)
