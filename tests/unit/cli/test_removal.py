"""What verbs say of what is gone: removed runs, files in the trash, a full disk, somebody else at work."""

import json
import os
import shutil
import signal

import pytest

from runner.app import upkeep
from runner.cli.main import run
from runner.errors import no_room
from runner.store.packed import Packed
from runner.store.record import Code
from runner.store.shelf import Where
from runner.store.store import Store

from .conftest import Project
from .test_keeping import Capture, data, out


def leave(project: Project, **outputs: bytes) -> str:
    """A run of one execution with outputs and a snapshot that no process relies on any more; the execution's id."""
    id = project.run(outputs=outputs, code=Code(project.store.objects.put_tree([])))
    project.store.close()
    return id


def test_who_asks_for_a_removed_run_is_told_when_it_went_and_how_it_comes_back(
    project: Project, capsys: Capture
) -> None:
    project.run(outputs={"m": b"m"})
    project.run()
    id = project.store.find_run(project.ref.id, "1").id
    out(capsys, "rm", "run:1")
    for verb in (("show", "1"), ("outputs", "1"), ("logs", "1"), ("pin", "1"), ("tag", "1", "x"), ("rm", "1")):
        text = out(capsys, *verb, code=2)
        assert "there is no execution `1`: it was removed with run 1 on 20" in text, verb
        assert "`mlrun gc --undo` brings it back, until 20" in text
    for word in ("run:1", id, id[:20]):
        assert "it was removed on 20" in out(capsys, "show", word, code=2)
    assert "the latest has the number 2" in out(capsys, "show", "3", code=2)
    out(capsys, "rm", "run:2")
    assert "`mlrun gc --undo`, called 2 times, brings it back" in out(capsys, "show", "run:1", code=2)
    out(capsys, "gc", "--undo")
    assert "1 run is listed again" in out(capsys, "gc", "--undo")
    out(capsys, "show", "run:1")


def test_a_removed_run_that_cannot_come_back_from_the_trash_is_told_as_such(project: Project, capsys: Capture) -> None:
    leave(project)
    leave(project)
    out(capsys, "rm", "run:1")
    out(capsys, "gc", "--now")
    for word in ("run:1", "1"):
        text = out(capsys, "show", word, code=2)
        assert "was removed" in text
        assert "not in the trash any more" in text
        assert "--undo" not in text


def test_a_list_without_rows_says_that_runs_were_removed(project: Project, capsys: Capture) -> None:
    assert "nothing has run yet" in out(capsys, "list")
    project.run()
    out(capsys, "rm", "run:1")
    for verb in (("list",), ("list", "runs"), ("list", "--all-projects"), ("list", "--where", "state == 'failed'")):
        assert "nothing is here: its run was removed; `mlrun gc --undo`" in out(capsys, *verb)
    assert "all runs were removed" in out(capsys, "show", code=2)
    assert run(["list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_tag_that_is_not_there_cannot_be_taken_away(project: Project, capsys: Capture) -> None:
    project.run(tags=("nightly",))
    out(capsys, "tag", "1", "best")
    text = out(capsys, "tag", "1", "best", "bets", "--remove", code=2)
    assert "execution 1 of run:1 has no tag `bets`" in text
    assert "it has `nightly`, `best`" in text
    assert "run 1 has no tag `best`" in out(capsys, "tag", "run:1", "best", "--remove", code=2)
    assert {one["tag"] for one in data(capsys, "tag", "--list")} == {"nightly", "best"}


def test_a_pin_says_which_files_it_cannot_keep(project: Project, capsys: Capture) -> None:
    leave(project, model=b"m", data=b"d")
    assert "note" not in out(capsys, "pin", "1")
    out(capsys, "pin", "1", "--remove")
    out(capsys, "gc", "--keep-last", "0", "--yes")
    text = out(capsys, "pin", "run:1")
    assert "note: 2 files of execution 1 are in the trash: the next `mlrun gc --yes` brings back" in text
    out(capsys, "gc", "--yes", "--keep-last", "0")
    assert "note" not in out(capsys, "pin", "1")
    out(capsys, "pin", "1", "run:1", "--remove")
    out(capsys, "gc", "--keep-last", "0", "--now")
    text = out(capsys, "pin", "1")
    assert "note: 2 files of execution 1 are not here: its files were removed by `mlrun gc` on 20" in text
    assert "`mlrun pull`" in text


def test_files_in_the_trash_are_said_to_come_back_from_there(project: Project, capsys: Capture) -> None:
    leave(project, model=b"m")
    out(capsys, "gc", "--keep-last", "0", "--yes")
    assert "`mlrun gc --undo` brings them back" in out(capsys, "outputs", "1")
    out(capsys, "gc", "--keep-last", "0", "--now")
    assert "`mlrun pull` from a remote that has them brings them back" in out(capsys, "outputs", "1")


def test_a_removal_without_room_says_how_it_finds_some(
    project: Project, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(project, model=b"m")

    def full(*_: object, **__: object) -> None:
        raise no_room(str(project.store.layout.root), 1 << 20)

    with monkeypatch.context() as patch:
        patch.setattr(upkeep, "remove", full)
        text = out(capsys, "gc", "--yes", code=32)
        assert "free a little elsewhere on this disk, then say `--now` instead of `--yes`" in text
        assert "then do this again" in out(capsys, "gc", "--now", code=32)
    out(capsys, "gc", "--keep-last", "0", "--yes")
    monkeypatch.setattr(upkeep, "remove", full)
    assert "the same with `--now` makes room first" in out(capsys, "gc", "--yes", code=32)


def test_packing_beside_a_removal_names_who_is_at_it(project: Project, capsys: Capture) -> None:
    project.run()
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        with Packed(project.store.layout.packed).alone():
            os.write(tell, b".")
            signal.pause()
    os.read(ready, 1)
    try:
        text = out(capsys, "store", "pack", code=31)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(tell)
    assert f"process {child}" in text
    assert "is packing or removing objects of this store" in text
    assert "wait for it to end, then do this again" in text


def test_the_lock_of_packing_is_no_recipe(project: Project, capsys: Capture) -> None:
    project.run()
    out(capsys, "store", "pack")
    assert (project.store.layout.packed / "lock").exists()
    assert run(["du", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parts"]["packed"] == {"files": 0, "size": 0}
    assert "recipes of older versions" not in out(capsys, "du")


def test_names_that_lost_their_log_stop_a_removal_until_a_rebuild(project: Project, capsys: Capture) -> None:
    id = leave(project, model=b"m")
    out(capsys, "alias", "prod", "1/model")
    log = project.store.layout.refs / "log"
    log.unlink()
    for verb in (("gc", "--keep-last", "0"), ("gc", "--keep-last", "0", "--yes"), ("gc", "--keep-last", "0", "--now")):
        text = out(capsys, *verb, code=30)
        assert "has lost what it once told" in text
        assert "`mlrun store rebuild`" in text
    assert "refs/log has lost turns" in out(capsys, "store", "check", code=30)
    assert "cannot be told" in out(capsys, "du")
    assert "has lost what it once told" in out(capsys, "store", "rebuild", code=30)
    out(capsys, "store", "rebuild")
    assert "nothing would go" in out(capsys, "gc", "--keep-last", "0")
    with Store.open(project.store.layout.root, create=False) as store:
        _, execution = store.find_execution(None, id)
        assert store.objects.find(execution.outputs[0].digest) is Where.WHOLE


@pytest.mark.parametrize(
    "verb", [("store", "check"), ("store", "rebuild"), ("du",), ("gc",), ("gc", "--yes")], ids=" ".join
)
def test_without_a_store_there_is_none_afterwards(project: Project, capsys: Capture, verb: tuple[str, ...]) -> None:
    project.store.close()
    shutil.rmtree(project.store.layout.root)
    assert run([*verb, "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) is None
    assert f"there is no store in {project.store.layout.root} yet" in captured.err
    assert not project.store.layout.root.exists()


def test_who_names_an_execution_where_a_file_is_needed_is_told_how_to_name_one(
    project: Project, capsys: Capture
) -> None:
    project.run(outputs={"model.pkl": b"m"})
    for word in ("1", "latest"):
        text = out(capsys, "store", "cat", word, code=2)
        assert f"`{word}` names an execution, and this needs a file" in text
        assert f"`mlrun outputs {word}`" in text
    assert "`mlrun store cat --help` explains it" in out(capsys, "store", "cat", code=2)


def test_one_of_something_is_told_as_one(project: Project, capsys: Capture) -> None:
    leave(project, model=b"m")
    assert "moves them into the trash" in out(capsys, "gc", "--keep-last", "0")
    out(capsys, "gc", "--keep-last", "0", "--now")
    project.store.objects.put_bytes(b"nobody's")
    project.store.close()
    assert "(1 object) is named by no record" in out(capsys, "du")
