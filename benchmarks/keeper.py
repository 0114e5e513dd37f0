"""`python -m benchmarks.keeper VERB PROJECT`: what a run does with its data, as a process of its own, and nothing else.

`add` takes the folder `data` of the project into the store, as an input of a step would be, and records an execution
that names its files; `status` looks for changes as the next run would, and fails if it finds any.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runner.app.place import locate
from runner.cli.main import collect_rarely
from runner.data import local
from runner.data.means import Means, Want
from runner.errors import Location
from runner.job import InputFile
from runner.plan.model import Source
from runner.settings import load_settings
from runner.spec.model import Input
from runner.store.identity import new_id
from runner.store.record import Code
from runner.store.store import Store

DATA = "data"


class Changed(Exception):
    """A file was read though nothing had changed."""


def main(verb: str, folder: Path) -> None:
    """Do one of both in `folder`, with the store that the environment names."""
    with Store.open(load_settings().store, create=True) as store:
        put_file = store.objects.put_file
        if verb == "status":
            store.objects.put_file = _refuse  # type: ignore[method-assign]
        want = Want(Input(DATA, Location("valohai.yaml", 1, 1)), Source(DATA, str(folder)), folder)
        files = local.fetch(want, Means(store.objects, store.layout.cache))
        store.objects.put_file = put_file  # type: ignore[method-assign]
        if verb == "add":
            record(store, folder, files)


def record(store: Store, folder: Path, files: Sequence[InputFile]) -> None:
    """A run of the project whose one execution left these files."""
    id = new_id()
    writer = store.begin_run(_header(store, folder))
    counter = writer.new_execution_counter()
    outputs = [{"name": file.name, "digest": file.digest, "size": file.size} for file in files]
    ended = {"id": id, "state": "succeeded", "reason": "exit", "exit_code": 0, "outputs": outputs}
    writer.append([{"type": "execution-created", "id": id, "node": "a", "counter": counter, "job": {"step": "a"}}])
    writer.append([{"type": "execution-finished", **ended}, {"type": "run-finished", "state": "succeeded"}])
    writer.close()


def _header(store: Store, folder: Path) -> dict[str, Any]:
    return {
        "kind": "exec",
        "name": "a",
        "project": locate(folder).ref,
        "title": None,
        "tags": (),
        "argv": ("exec", "a"),
        "code": Code(store.objects.put_tree([])),
        "spec": store.objects.put_bytes(b"spec"),
        "plan": {"nodes": [{"name": "a", "step": "a"}]},
        "executor": "process",
        "host": {},
        "version": "0",
    }


def _refuse(fd: int) -> Any:
    raise Changed(f"descriptor {fd}")


if __name__ == "__main__":
    collect_rarely()
    main(sys.argv[1], Path(sys.argv[2]))
