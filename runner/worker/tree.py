"""Folders that somebody else has filled: made accessible to their owner, and removed whatever lies in them."""

import os
import stat
from contextlib import suppress
from pathlib import Path

from runner.store.verified import Unlink

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DEEP = 60
"""Folders within one another that are entered, each with an open descriptor."""


def make_accessible(name: bytes | str, parent: int | None) -> None:
    """Give the owner all rights on a folder where they are missing; other things and others' folders are left alone.

    `parent` is the open folder that `name` lies in. Never raises: the use of the folder will tell.
    """
    if os.geteuid() == 0:
        return
    with suppress(OSError):
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if found.st_mode & 0o700 == 0o700 or not stat.S_ISDIR(found.st_mode):
            return
        # Through a descriptor, because a name could mean a link by the time its mode is changed (open(2), O_PATH).
        fd = os.open(name, _LOOK, dir_fd=parent)
        try:
            os.chmod(f"/proc/self/fd/{fd}", 0o700)
        finally:
            os.close(fd)


def remove_tree(root: Path, unlink: Unlink = os.unlink) -> None:
    """Remove a folder and all below it, however deep and whatever its modes; links are not followed. `unlink` removes
    what is no folder.

    Removes as much as can be and raises the first OSError.
    """
    errors: list[OSError] = []
    make_accessible(os.fsencode(root), None)
    try:
        fd = os.open(root, _FOLDER)
    except FileNotFoundError:
        return
    try:
        moved = [0]
        while _empty(fd, fd, 0, moved, errors, unlink):
            pass
    finally:
        os.close(fd)
    if errors:
        raise errors[0]
    os.rmdir(root)


def _empty(fd: int, top: int, depth: int, moved: list[int], errors: list[OSError], unlink: Unlink) -> bool:
    """Remove what lies in the open folder `fd`; whether deep folders were moved up to `top` and wait there."""
    again = False
    with os.scandir(fd) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in found:
        try:
            if not is_folder:
                unlink(name, dir_fd=fd)
                continue
            make_accessible(name, fd)
            if depth == _DEEP:
                moved[0] += 1
                os.rename(name, f"deep-{moved[0]}", src_dir_fd=fd, dst_dir_fd=top)
                again = True
                continue
            inner = os.open(name, _FOLDER, dir_fd=fd)
            try:
                again |= _empty(inner, top, depth + 1, moved, errors, unlink)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=fd)
        except OSError as error:
            errors.append(error)
    return again
