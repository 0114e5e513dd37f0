"""A second reader, written from `docs/store-format.md` with nothing of ours."""

import json
import os
import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from blake3 import blake3

from runner.state import Reason, State
from runner.store.catalog import data_of, write_listing
from runner.store.head import REF_ENTRY_TYPES
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


def unsealed(path: Path) -> Any:
    line = path.read_bytes()
    assert line[16:17] + line[-1:] == b" \n"
    assert line[:16] == blake3(line[17:-1]).hexdigest()[:16].encode()
    return json.loads(line[17:])


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
    assert (root / "format").read_bytes() == b"mlrun store, format 2\n"
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


def test_another_program_can_read_the_names_and_knows_the_ids_of_data(store: Store, header: Header) -> None:
    with store.begin_run(header("a")) as writer:
        execution = new_id()
        writer.append([{"type": "execution-created", "id": execution, "node": "a", "counter": 1, "job": {}}])
        output = {"name": "\udcff", "digest": store.objects.put_bytes(b"x"), "size": 1, "metadata": {"k": [1]}}
        writer.append([{"type": "execution-finished", "id": execution, "state": "succeeded", "outputs": [output]}])
    (datum,) = data_of(store.find_execution(None, execution)[1])
    named = blake3(f'["{execution}","'.encode() + b'\xff"]').hexdigest()
    assert datum.id == str(uuid.uuid5(uuid.UUID("c4b52d3c-55a5-5f07-9b5a-8d2b5f0a7a11"), named))
    with store.refs.changing({"user": "me", "execution": execution}) as change:
        change.set_alias("Köln", datum)
        change.make_version(("model", "m"), "v1", write_listing(store.objects, [datum]), [datum], {"tags": ["t"]})
        change.alias_version(("model", "m"), "prod", "v1")
    refs = store.layout.root / "refs"
    entries = second_reader(refs / "log")
    assert [entry["type"] for entry in entries] == ["alias-set", "version-made", "version-aliased"]
    alias = unsealed(refs / "alias" / blake3("Köln".encode()).hexdigest())
    assert alias["datum"] == entries[0]["datum"]
    assert alias["datum"]["id"] == datum.id
    model = unsealed(refs / "model" / blake3(b"m").hexdigest())
    assert model["aliases"] == {"prod": "v1"}
    (version,) = model["versions"]
    assert (version["name"], version["files"], version["size"], version["by"]["user"]) == ("v1", 1, 1, "me")
    listed = (refs.parent / "objects" / version["manifest"][:2] / version["manifest"]).read_bytes()
    assert json.loads(listed.decode("utf-8", "surrogateescape")) == {"data": [alias["datum"]], "format": 1}


def test_every_object_is_named_by_its_hash(store: Store) -> None:
    store.objects.put_many([b"", b"a", b"b" * 100_000])
    names = [path for path in store.layout.objects.rglob("*") if path.is_file()]
    assert len(names) == 3
    assert all(blake3(path.read_bytes()).hexdigest() == path.name for path in names)
    assert all(path.parent.name == path.name[:2] for path in names)


def test_the_page_names_every_entry_state_reason_and_table() -> None:

    page = (Path(__file__).parents[3] / "docs" / "store-format.md").read_text(encoding="utf-8")
    tables = ("counters", "runs", "executions", "data")
    for word in (*ENTRY_TYPES, *REF_ENTRY_TYPES, *State, *Reason, *tables, "owner", "inbox"):
        assert f"`{word}" in page, word
