"""A second reader, written from `docs/store-format.md` with nothing of ours."""

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from blake3 import blake3

from runner.state import Reason, State
from runner.store.identity import new_id
from runner.store.record import ENTRY_TYPES
from runner.store.store import Store

Header = Callable[..., dict[str, Any]]


def second_reader(journal: Path) -> list[dict[str, Any]]:
    check = b""
    entries: list[dict[str, Any]] = []
    for line in journal.read_bytes().split(b"\n")[:-1]:
        array = line[17:]
        check, before = line[:16], check
        assert line[16:17] == b" "
        assert check == blake3(before + array).hexdigest()[:16].encode()
        entries += json.loads(array)
    return entries


def test_another_program_can_read_a_run(store: Store, header: Header) -> None:
    tree = store.objects.put_tree([("\udcff", "100644", store.objects.put_bytes(b"x"), 1), ("a", "120000", "b", 1)])
    with store.begin_run(header("a", title="odd \udcfe")) as writer:
        id = new_id()
        writer.append([{"type": "execution-created", "id": id, "node": "a", "counter": 1, "job": {"image": "x"}}])
        writer.append([{"type": "execution-finished", "id": id, "state": "failed", "reason": "oom", "exit_code": 137}])
        writer.append(
            [{"type": "node-moved", "node": "a", "state": "failed"}, {"type": "run-finished", "state": "failed"}]
        )
    root = store.layout.root
    assert (root / "format").read_bytes() == b"mlrun store, format 1\n"
    entries = second_reader(root / "runs" / writer.id / "journal")
    assert [entry["type"] for entry in entries] == [
        "run-created",
        "execution-created",
        "execution-finished",
        "node-moved",
        "run-finished",
    ]
    assert entries[0]["run"]["title"] == "odd \udcfe"
    owner = json.loads((root / "runs" / writer.id / "owner").read_bytes())
    assert owner == entries[0]["run"]["owner"]
    assert owner["pid"] == os.getpid()
    manifest = (root / "objects" / tree[:2] / tree).read_bytes()
    assert json.loads(manifest.decode("utf-8", "surrogateescape")) == {
        "entries": [["a", "120000", "b", 1], ["\udcff", "100644", blake3(b"x").hexdigest(), 1]],
        "format": 1,
    }
    with closing(sqlite3.connect(root / "index.sqlite")) as index:
        assert index.execute("SELECT id, counter, final FROM runs").fetchall() == [(writer.id, 1, 1)]
        assert index.execute("SELECT id, run, final FROM executions").fetchall() == [(id, writer.id, 1)]


def test_every_object_is_named_by_its_hash(store: Store) -> None:
    store.objects.put_many([b"", b"a", b"b" * 100_000])
    names = [path for path in store.layout.objects.rglob("*") if path.is_file()]
    assert len(names) == 3
    assert all(blake3(path.read_bytes()).hexdigest() == path.name for path in names)
    assert all(path.parent.name == path.name[:2] for path in names)


def test_the_page_names_every_entry_state_reason_and_table() -> None:

    page = (Path(__file__).parents[3] / "docs" / "store-format.md").read_text(encoding="utf-8")
    for word in (*ENTRY_TYPES, *State, *Reason, "counters", "runs", "executions", "owner", "inbox"):
        assert f"`{word}" in page, word
