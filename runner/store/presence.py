"""Which of very many objects have a file. Reads names of folders; knows no content, and nothing of recipes or trash."""

import os
from collections import defaultdict
from collections.abc import Iterable

from runner.digest import Digest

_NAME = 72
"""About what a name takes in a folder, in bytes; only a guess at what is faster hangs on it."""
_WORTH = 8
"""Reading so many names is about as fast as asking for one."""


def without_file(root: str, digests: Iterable[Digest]) -> set[Digest]:
    """Those that have no file below `root`, the folder of the objects. One that cannot be asked for has none.

    A folder that holds little else is listed, and in one that holds much more each is asked for.
    """
    by_folder: dict[str, set[Digest]] = defaultdict(set)
    for digest in digests:
        by_folder[digest[:2]].add(digest)
    absent: set[Digest] = set()
    for name, wanted in by_folder.items():
        absent |= _absent(f"{root}/{name}", wanted)
    return absent


def _absent(folder: str, wanted: set[Digest]) -> set[Digest]:
    try:
        if os.stat(folder).st_size <= _NAME * _WORTH * len(wanted):
            return wanted.difference(os.listdir(folder))
    except OSError:
        return wanted
    return {digest for digest in wanted if not os.path.exists(f"{folder}/{digest}")}
