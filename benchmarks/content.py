"""Files of random bytes to be stored, the same ones for everybody who takes a turn, never hashed or copied before."""

import os
from pathlib import Path

_BLOCK = 1_000_000


def make_master(path: Path, size: int) -> None:
    """A file of `size` random bytes."""
    with path.open("wb") as file:
        for begin in range(0, size, _BLOCK):
            file.write(os.urandom(min(_BLOCK, size - begin)))


def fill(folder: Path, master: Path, count: int) -> None:
    """`count` new files of the same size in the new folder `folder`, which together are the master file; like those of
    a program that has just ended, they are in the page cache and not all on the disk."""
    folder.mkdir(parents=True)
    size = master.stat().st_size // count
    with master.open("rb", buffering=0) as source:
        for number in range(count):
            with (folder / f"{number:05d}").open("wb", buffering=0) as file:
                left = size
                while left:
                    data = source.read(min(left, _BLOCK))
                    file.write(data)
                    left -= len(data)
