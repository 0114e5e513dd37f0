"""What tests do to a remote behind the program's back, and what has to be true of a store afterwards."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runner.digest import hash_bytes
from runner.store.reach import FILES, Kind
from runner.store.record import Run
from runner.store.removal import Removals

RECORDS: frozenset[Kind] = frozenset()
"""The kinds of files that a fetch brings: none."""


def object_path(remote: Path, digest: str) -> Path:
    return remote / "objects" / digest[:2] / digest


def overwrite(path: Path, data: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(data)
    path.chmod(0o444)


def removed(place: Any) -> Any:
    return Removals(place.store.layout).read()


def check_honest(place: Any) -> None:
    """Whatever is in the lists is whole, or told as given up."""
    gone = removed(place)
    for row in place.store.runs():
        run = place.store.run(row["id"])
        for digest, kind in place.named(run).items():
            if kind in FILES and gone.dropped.keys() >= run.executions.keys():
                continue
            assert hash_bytes(place.store.objects.read(digest)) == digest


def breaks(remote: Path, digest: str, how: str) -> None:
    path = object_path(remote, digest)
    match how:
        case "flipped":
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            overwrite(path, bytes(data))
        case "short":
            overwrite(path, path.read_bytes()[:-1])
        case "empty":
            overwrite(path, b"")
        case "long":
            overwrite(path, path.read_bytes() + b"x")
        case "missing":
            path.unlink()
        case "fifo":
            path.unlink()
            os.mkfifo(path)
        case "link":
            path.rename(path.with_name("elsewhere"))
            path.symlink_to(path.with_name("elsewhere"))
        case "folder":
            path.unlink()
            path.mkdir()


def forge(remote: Path, run: Run, change: Callable[[dict[str, Any]], None]) -> None:
    """Somebody who may write there puts another manifest in the place of a run's, under the right name."""
    (path,) = (remote / "runs").rglob(f"{run.id}.*")
    document = json.loads(path.read_bytes())
    change(document)
    data = json.dumps(document).encode()
    path.rename(path.with_name("old"))
    path.with_name(f"{run.id}.{hash_bytes(data)}").write_bytes(data)


def replace_journal(remote: Path, run: Run, journal: bytes) -> None:
    """The same with another journal, which is put there, too."""
    path = object_path(remote, hash_bytes(journal))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(journal)
    forge(remote, run, lambda document: document.update(journal=[path.name, len(journal)]))
