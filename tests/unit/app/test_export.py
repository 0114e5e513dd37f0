"""Documents of real stores: what is gathered, why something is gone, and what is written where."""

import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.app.export import StoreContents, subject_of, write_folder
from runner.digest import Digest, hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.export.document import Folder, Stored
from runner.store.imported import Import, write_import
from runner.store.record import Code, ProjectRef, Run
from runner.store.removal import Removals
from runner.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store", create=True) as store:
        yield store


def run_in(store: Store, *nodes: str, reused: dict[str, Any] | None = None) -> Run:
    """A run in which the first node was reused or had one execution with one output, and the others were skipped."""
    digest = store.objects.put_bytes(b"out")
    header = {
        "kind": "pipeline",
        "name": "Train",
        "project": ProjectRef("p", "iris", "/x", "valohai.yaml"),
        "title": None,
        "tags": ("best",),
        "argv": (),
        "code": Code(store.objects.put_tree([])),
        "spec": store.objects.put_bytes(b"- {}"),
        "plan": {"nodes": [{"name": name, "step": name} for name in nodes]},
        "executor": "sandbox",
        "host": {},
        "version": "1",
    }
    with store.begin_run(header) as writer:
        first = nodes[0]
        if reused is not None:
            writer.append([{"type": "node-moved", "node": first, "state": "reused", "reused": reused}])
        else:
            id, log = f"01980000-0000-7000-8000-{writer.counter:012}", store.objects.put_bytes(b"log")
            writer.append(
                [
                    {"type": "node-moved", "node": first, "state": "running"},
                    {"type": "execution-created", "id": id, "node": first, "counter": 1,
                     "job": {"parameters": {}, "inputs": []}},
                    {"type": "execution-finished", "id": id, "state": "succeeded", "reason": "exit", "exit_code": 0,
                     "outputs": [{"name": "m", "digest": digest, "size": 3}],
                     "log": {"stdout": log, "stderr": log, "index": log}},
                    {"type": "node-moved", "node": first, "state": "succeeded"},
                ]
            )  # fmt: skip
        writer.append([{"type": "node-moved", "node": node, "state": "skipped"} for node in nodes[1:]])
        writer.append([{"type": "run-finished", "state": "succeeded", "duration": 1.0}])
        return store.run(writer.id)


def test_a_node_that_was_reused_is_told_with_the_execution_of_the_other_run(store: Store) -> None:
    earlier = run_in(store, "a")
    (execution,) = earlier.executions
    run = run_in(store, "a", "b", reused={"execution": execution, "counter": 1, "run": earlier.id})
    subject = subject_of(store, run, None)
    assert [(part.node.name, part.run.id, part.is_reused) for part in subject.parts] == [
        ("a", earlier.id, True),
        ("b", run.id, False),
    ]
    assert [execution.id for _, execution in subject.executions()] == [execution]
    assert subject.tags == ("best",)


def test_a_node_whose_execution_was_removed_is_told_without_it(store: Store) -> None:
    gone = {
        "execution": "01980000-0000-7000-8000-0000000000ee",
        "counter": 1,
        "run": "01980000-0000-7000-8000-0000000000ff",
    }
    subject = subject_of(store, run_in(store, "a", reused=gone), None)
    assert [(part.execution, part.is_reused) for part in subject.parts] == [(None, True)]


def test_one_execution_is_told_alone(store: Store) -> None:
    run = run_in(store, "a", "b")
    (execution,) = run.executions.values()
    assert [part.execution for part in subject_of(store, run, execution).parts] == [execution]


def test_why_content_is_gone_is_told_as_the_store_knows_it(store: Store) -> None:
    run = run_in(store, "a")
    (execution,) = run.executions.values()
    (output,) = execution.outputs
    told = (run, execution)
    assert StoreContents(store, [told]).gone(output.digest) is None
    store.objects.path(output.digest).unlink()
    assert StoreContents(store, [told]).gone(output.digest) == "is missing from the store"
    removals = Removals(store.layout)
    removals.append([{"type": "files-dropped", "batch": "b", "executions": [execution.id]}])
    assert str(StoreContents(store, [told]).gone(output.digest)).startswith("was removed on 2")
    write_import(store.layout.run(run.id).imported, Import("s3://far", "2999-01-01T00:00:00Z", 1, {}))
    assert StoreContents(store, [told]).gone(output.digest) == "stayed at `s3://far`"
    assert StoreContents(store, []).gone(output.digest) == "is missing from the store"
    purge = {"type": "content-purged", "digest": output.digest, "by": "anna", "reason": "a request", "names": ["m"]}
    removals.append([purge])
    assert str(StoreContents(store, [told]).gone(output.digest)).endswith(" by anna: a request")


def folder_in(store: Store) -> Folder:
    held = store.objects.put_bytes(b"held" * 1000)
    return Folder(
        "name", {"a/b.txt": b"made", "a/c": Stored(held), "run": Stored(held, executable=True)}, ("empty", "a")
    )


@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_a_folder_and_an_archive_have_the_same_files(store: Store, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / "new" / f"out{suffix}"
    write_folder(store, folder_in(store), target)
    if suffix:
        with zipfile.ZipFile(target) as archive:
            assert archive.testzip() is None
            archive.extractall(tmp_path / "taken")
            modes = {one.filename: one.external_attr >> 16 for one in archive.infolist()}
            assert modes["run"] == 0o100755 and modes["a/c"] == 0o100644
        target = tmp_path / "taken"
    else:
        assert (target / "run").stat().st_mode & stat.S_IXUSR and not (target / "a/c").stat().st_mode & stat.S_IXUSR
    found = {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert found == {"a/b.txt": b"made", "a/c": b"held" * 1000, "run": b"held" * 1000}
    assert (target / "empty").is_dir()


def test_the_same_folder_gives_the_same_archive(store: Store, tmp_path: Path) -> None:
    for name in ("one.zip", "two.ZIP"):
        write_folder(store, folder_in(store), tmp_path / name)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.ZIP").read_bytes()


@pytest.mark.parametrize("name", ["there", "there.zip", "link"])
def test_nothing_that_is_there_is_replaced(store: Store, tmp_path: Path, name: str) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there.zip").write_bytes(b"mine")
    os.symlink("nowhere", tmp_path / "link")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(MlrunError) as caught:
        write_folder(store, folder_in(store), tmp_path / name)
    assert caught.value.code is ExitCode.OUTPUT and "is there already" in caught.value.message
    assert set(tmp_path.rglob("*")) - set(before) <= {*(tmp_path / "store").rglob("*")}


@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_what_cannot_be_written_whole_leaves_nothing(store: Store, tmp_path: Path, suffix: str) -> None:
    place = tmp_path / "place"
    place.mkdir()
    missing = Digest(hash_bytes(b"nobody has it"))
    with pytest.raises(MlrunError) as caught:
        write_folder(store, Folder("name", {"a": b"x", "b": Stored(missing)}), place / f"out{suffix}")
    assert caught.value.code is ExitCode.STORE
    assert list(place.iterdir()) == []


def test_a_place_where_nothing_can_be_made_is_named(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(MlrunError) as caught:
        write_folder(store, folder_in(store), tmp_path / "file" / "out")
    assert caught.value.code is ExitCode.USAGE and "cannot write" in caught.value.message
