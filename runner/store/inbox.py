"""Requests to the process that drives a run: one small JSON file each, in its `inbox`. Knows no request's meaning."""

import contextlib
import json
from pathlib import Path
from typing import Any

from runner.store.durable import replace_file
from runner.store.identity import new_id

Request = dict[str, Any]
"""A JSON object; `type` says what is asked for, such as `stop`."""


def leave(folder: Path, request: Request) -> None:
    """Put a request into the inbox; whole or not at all. Raises OSError."""
    replace_file(folder / f"{new_id()}.json", json.dumps(request).encode())


def take(folder: Path) -> list[Request]:
    """The requests that have come, oldest first, and remove them. What is no request is removed too. Raises OSError."""
    requests: list[Request] = []
    for path in sorted(entry for entry in folder.iterdir() if entry.suffix == ".json"):
        with contextlib.suppress(ValueError):
            request = json.loads(path.read_bytes())
            if isinstance(request, dict) and isinstance(request.get("type"), str):
                requests.append(request)
        path.unlink()
    return requests
