"""A second reader, written from `docs/store-format.md` with nothing of ours."""

import fcntl
import json
import os
import re
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from blake3 import blake3

from runner.digest import hash_bytes
from runner.state import Reason, State
from runner.store.catalog import data_of, write_listing
from runner.store.claim import Claims
from runner.store.head import REF_ENTRY_TYPES
from runner.store.identity import new_id
from runner.store.imported import Import, write_import
from runner.store.migration import MIGRATIONS
from runner.store.packed import Packed
from runner.store.recipe import Piece, make_recipe
from runner.store.removal import REMOVAL_ENTRY_TYPES, Removals
from runner.store.store import Store
from runner.store.story import ENTRY_TYPES
from runner.store.trash import Trash

from .conftest import INPUT, whole_run

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


def object_in(root: Path, digest: str) -> bytes | None:
    """An object, wherever it is: whole, as a recipe, or either in a batch of the trash."""
    for top in (root, *(path for path in (root / "trash").iterdir() if not path.name.startswith("."))):
        whole, recipe = (top / part / digest[:2] / digest for part in ("objects", "packed"))
        if whole.exists():
            content = whole.read_bytes()
        elif recipe.exists():
            document = json.loads(recipe.read_bytes())
            assert document["format"] == 1
            content = b"".join(pieces(root, document["pieces"]))
            assert len(content) == document["size"]
        else:
            continue
        assert blake3(content).hexdigest() == digest
        return content
    return None


def pieces(root: Path, told: list[tuple[str, int, int]]) -> Iterator[bytes]:
    for source, offset, length in told:
        with (root / "objects" / source[:2] / source).open("rb") as file:
            file.seek(offset)
            yield file.read(length)


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


def test_another_program_can_tell_what_was_reused_and_what_was_read(store: Store, header: Header) -> None:
    key = blake3(b"all that it is made of").hexdigest()
    read = {"code": ["train.py"], "inputs": ["data/a.csv"]}
    with store.begin_run(header("a")) as writer:
        id = new_id()
        created = {"type": "execution-created", "id": id, "node": "a", "counter": 1, "key": key, "job": {"image": "x"}}
        writer.append([created, {"type": "execution-finished", "id": id, "state": "succeeded", "read": read}])
        writer.append([{"type": "run-finished", "state": "succeeded"}])
    earlier = writer.id
    reused = {"execution": id, "counter": 1, "run": earlier}
    with store.begin_run(header("a")) as writer:
        writer.append([{"type": "node-moved", "node": "a", "state": "reused", "reused": reused}])
        writer.append([{"type": "run-finished", "state": "succeeded"}])
    runs = store.layout.root / "runs"
    first, second = (second_reader(runs / run / "journal") for run in (earlier, writer.id))
    assert [entry["key"] for entry in first if "key" in entry] == [key]
    assert [entry["read"] for entry in first if "read" in entry] == [read]
    assert [entry["reused"] for entry in second if "reused" in entry] == [reused]
    with closing(sqlite3.connect(store.layout.index)) as index:
        assert index.execute("SELECT base, execution FROM keys").fetchall() == [(bytes.fromhex(key), id)]
        assert index.execute("SELECT project, step, execution FROM steps").fetchall() == [("p1", "step a", id)]
        assert index.execute("SELECT execution, run FROM reuses").fetchall() == [(id, writer.id)]


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


def test_another_program_can_read_pins_and_tags(store: Store, header: Header) -> None:
    run = whole_run(store, header())
    (execution,) = store.run(run.id).executions
    with store.refs.changing({"user": "me"}) as change:
        change.pin("execution", execution, "the paper")
        change.tag("run", run.id, "good/one", own=False)
        change.untag("run", run.id, "best", own=True)
    refs = store.layout.root / "refs"
    entries = second_reader(refs / "log")
    assert [entry["type"] for entry in entries] == ["pinned", "tagged", "untagged"]
    pin = unsealed(refs / "pin" / blake3(execution.encode()).hexdigest())
    assert (pin["id"], pin["what"], pin["note"], pin["by"]) == (execution, "execution", "the paper", {"user": "me"})
    tags = {name: unsealed(refs / "tag" / blake3(name.encode()).hexdigest()) for name in ("good/one", "best")}
    assert tags == {
        "good/one": {"name": "good/one", "has": {run.id: "run"}, "without": {}},
        "best": {"name": "best", "has": {}, "without": {run.id: "run"}},
    }


def test_another_program_can_put_packed_objects_together_also_in_the_trash(store: Store) -> None:
    source, other = store.objects.put_bytes(b"0123456789"), store.objects.put_bytes(b"abc")
    packed, root = Packed(store.layout.packed), store.layout.root
    old = hash_bytes(b"234bc7")
    packed.put(old, make_recipe([Piece(source, 2, 3), Piece(other, 1, 2), Piece(source, 7, 1)]))
    recipe = root / "packed" / old[:2] / old
    assert recipe.stat().st_mode & 0o7777 == 0o444
    assert object_in(root, old) == b"234bc7"
    trash = Trash(store.layout)
    batch = trash.begin("gc", "me")
    trash.move(batch, recipe)
    gone = store.objects.put_bytes(b"gone")
    trash.move(batch, store.objects.path(gone))
    assert (object_in(root, old), object_in(root, gone)) == (b"234bc7", b"gone")
    assert object_in(root, "0" * 64) is None
    about = unsealed(root / "trash" / batch.id / "batch")
    assert about == {"id": batch.id, "time": batch.time, "why": "gc", "by": "me"}


def test_another_program_can_tell_what_was_removed(store: Store, header: Header) -> None:
    run = whole_run(store, header(), "a", "b")
    executions = sorted(store.run(run.id).executions)
    purged = blake3(b"secret").hexdigest()
    removals, root = Removals(store.layout), store.layout.root
    batch = Trash(store.layout).begin("rm", "me")
    removals.append([{"type": "files-dropped", "executions": executions, "batch": batch.id}])
    about = {"digest": purged, "by": "me", "reason": "asked", "names": ["x"], "size": 6, "parts": []}
    removals.append([{"type": "content-purged", **about}])
    store.remove_run(run.id, batch)
    entries = second_reader(root / "removed")
    assert [entry["type"] for entry in entries] == ["files-dropped", "content-purged", "run-removed"]
    assert entries[0]["executions"] == executions
    assert {key: entries[1][key] for key in about} == about
    gone = {key: entries[2][key] for key in ("run", "project", "counter", "executions")}
    assert gone == {"run": run.id, "project": "p1", "counter": 1, "executions": 2}
    journal = root / "trash" / batch.id / "runs" / run.id / "journal"
    assert second_reader(journal)[0]["run"]["id"] == run.id


def test_another_program_can_tell_what_a_living_process_has_claimed(store: Store) -> None:
    claims, digests = Claims(store.layout.claims), [hash_bytes(data) for data in (b"a", b"b")]
    claims.claim(digests)
    (path,) = (path for path in store.layout.claims.iterdir() if path.read_bytes()[:32].hex() == digests[0])
    assert path.read_bytes() == b"".join(map(bytes.fromhex, digests))
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            raise AssertionError("nobody holds the claim")
    claims.close()
    assert not path.exists()


def test_another_program_can_read_the_numbers_of_a_run_of_another_store(store: Store) -> None:
    told = Import("ssh://lab/srv", "2026-01-01T00:00:00.000000Z", 7, {"id": 12})
    path = store.layout.root / "import"
    write_import(path, told)
    assert unsealed(path) == {"from": told.source, "time": told.time, "counter": 7, "executions": {"id": 12}}


def test_another_program_can_check_the_rows_of_the_index(store: Store, header: Header) -> None:
    run = whole_run(store, header())
    (execution,) = store.run(run.id).executions
    with closing(sqlite3.connect(store.layout.index)) as index:
        rows = index.execute("SELECT row, seal FROM runs UNION ALL SELECT row, seal FROM executions").fetchall()
        assert len(rows) == 2
        assert all(blake3(row.encode()).digest()[:8] == seal for row, seal in rows)
        assert index.execute("SELECT digest, execution FROM inputs").fetchall() == [(bytes.fromhex(INPUT), execution)]
        ((id, made),) = index.execute("SELECT id, execution FROM data").fetchall()
        assert (str(uuid.UUID(bytes=id)), made) == (data_of(store.run(run.id).executions[execution])[0].id, execution)


def test_every_object_is_named_by_its_hash(store: Store) -> None:
    store.objects.put_many([b"", b"a", b"b" * 100_000])
    names = [path for path in store.layout.objects.rglob("*") if path.is_file()]
    assert len(names) == 3
    assert all(blake3(path.read_bytes()).hexdigest() == path.name for path in names)
    assert all(path.parent.name == path.name[:2] for path in names)


def test_the_page_names_every_entry_state_reason_and_table() -> None:
    page = (Path(__file__).parents[3] / "docs" / "store-format.md").read_text(encoding="utf-8")
    tables = re.findall(r"CREATE TABLE (\w+)", "".join(MIGRATIONS))
    fields = ("reused", "accepted", "key", "read", "doubt", "defaults", "owner", "inbox")
    for word in (*ENTRY_TYPES, *REF_ENTRY_TYPES, *REMOVAL_ENTRY_TYPES, *State, *Reason, *tables, *fields):
        assert f"`{word}" in page, word
