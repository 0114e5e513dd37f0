"""Small JSON files in the cache: what was found out once, for who asks again. Losing one costs time and nothing else.

So nothing is synced, what cannot be kept is not, and a file that cannot be used says nothing. Readers see a whole
file, old or new. Whoever recalls one checks what it gets: other versions of this program write there, too.
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from runner.store.durable import temporary_name


def recall(path: Path) -> Any:
    """The JSON value that is kept at `path`; None where that is nothing."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def keep(path: Path, value: Any) -> None:
    """Keep a JSON value at `path`, in a folder that is there. Raises TypeError for what JSON does not have."""
    data = json.dumps(value).encode("ascii")
    temporary = path.parent / temporary_name()
    with suppress(OSError):
        try:
            temporary.write_bytes(data)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
