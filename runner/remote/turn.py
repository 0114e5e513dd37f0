"""The bytes of a journal that count: its whole, checked turns."""

from pathlib import Path

from runner.store.durable import disk_errors
from runner.store.journal import Follower


def whole_turns(path: Path) -> bytes:
    """A journal without what a crash tore off at its end, which never was a part of it. Raises MlrunError (STORE)."""
    with disk_errors(path):
        follower = Follower(path)
        follower.poll()
        return path.read_bytes()[: follower.offset]
