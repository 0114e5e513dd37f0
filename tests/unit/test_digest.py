import os
import signal
import time

from runner.digest import hash_bytes, large_hasher

MUCH = bytes(8 << 20)
PATIENCE = 60.0


def ended_well(child: int) -> bool:
    """Whether a process ends by itself and well; it is killed if it does not end."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return status == 0
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def test_much_content_is_hashed_as_little_is() -> None:
    hasher = large_hasher()
    hasher.update(MUCH)
    assert hasher.hexdigest() == hash_bytes(MUCH)


def test_a_forked_process_can_hash_much_after_its_parent_did() -> None:
    large_hasher().update(MUCH)
    child = os.fork()
    if child == 0:
        hasher = large_hasher()
        hasher.update(MUCH)
        os._exit(0 if hasher.hexdigest() == hash_bytes(MUCH) else 1)
    assert ended_well(child)
