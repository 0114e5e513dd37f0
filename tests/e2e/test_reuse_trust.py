"""Nothing stands for a step but what its own record tells, whole, from here or from where the user believes it."""

import os
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.store.identity import new_id
from runner.store.journal import read
from runner.store.store import Store

from .two_nodes import BOTH, NONE, edit, fates, two_nodes


@pytest.fixture
def project(made, sandbox):
    return two_nodes(made)


def last(project, node: str) -> dict[str, Any]:
    """The newest execution of a node of run 1."""
    run = project.show("run:1")
    (id,) = run["nodes"][node]["executions"]
    return {"id": id, **run["executions"][id]}


def test_an_output_that_was_lost_or_tampered_with_is_made_again(project):
    digest = last(project, "make")["outputs"][0]["digest"]
    path = project.command.store / "objects" / digest[:2] / digest
    before, data = path.stat(), path.read_bytes()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(bytes(byte ^ 1 for byte in data))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    path.chmod(0o444)
    after = path.stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
    assert fates(project)["make"] == "succeeded"
    assert path.read_bytes() == data
    path.unlink()
    assert fates(project)["make"] == "succeeded"
    assert fates(project) == BOTH


def test_a_forged_row_of_the_index_finds_nothing_that_its_record_does_not_say(project):
    edit("valohai.yaml", "default: 1", "default: 2")(project)
    edit("use.txt", "used", "other")(project)
    assert fates(project) == NONE
    newest = project.show("run:latest")["executions"].values()
    wanted = {one["node"]: one["key"] for one in newest}
    old = {name: last(project, name)["id"] for name in wanted}
    with sqlite3.connect(project.command.store / "index.sqlite") as index:
        for name, key in wanted.items():
            index.execute("DELETE FROM keys WHERE base = ?", (bytes.fromhex(key),))
            index.execute("INSERT INTO keys VALUES (?, ?)", (bytes.fromhex(key), old[name]))
            index.execute("DELETE FROM steps WHERE execution <> ?", (old[name],))
    index.close()
    assert fates(project)["make"] == "succeeded"


def test_a_journal_that_was_edited_stands_for_nothing(project):
    run = project.show("run:1")
    path = project.command.store / "runs" / run["id"] / "journal"
    data = path.read_bytes()
    edit("valohai.yaml", "default: 1", "default: 2")(project)
    path.chmod(0o644)
    path.write_bytes(data.replace(b'"level":1', b'"level":2'))
    assert path.read_bytes() != data
    done = project.mlrun("pipeline", "p", "--json")
    assert done.code == 0, str(done)
    assert {name: node["state"] for name, node in done.json()["nodes"].items()}["make"] == "succeeded"


def test_a_run_whose_executions_stand_elsewhere_is_removed_only_with_a_word(project):
    assert fates(project) == BOTH
    assert "stands for node" in project.refused("rm", "run:1", code=40)
    project.succeeds("rm", "run:1", "run:2")
    project.succeeds("gc", "--undo")
    assert "stands for node" in project.refused("rm", "run:1", code=40)
    assert "stands for node" in project.succeeds("rm", "run:1", "--force").err
    assert fates(project) == NONE


# --- what was pulled


@pytest.fixture
def theirs(project, tmp_path):
    """The same repository with a store of its own, into which run 1 of the project was pulled."""
    remote = str(tmp_path / "remote")
    project.succeeds("push", "--to", remote)
    project.git("clone", "--quiet", ".", tmp_path / "clone")
    theirs = replace(project, folder=tmp_path / "clone").with_variables(
        MLRUN_STORE=str(tmp_path / "theirs"), XDG_CONFIG_HOME=str(tmp_path / "config")
    )
    theirs.succeeds("pull", "--from", remote)
    return theirs, remote


def settle(project: Any, *lines: str) -> None:
    """Let these be the settings of the user."""
    file = Path(project.command.environment["XDG_CONFIG_HOME"]) / "mlrun" / "settings.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines))


def fate(project: Any, node: str) -> Any:
    """What would become of a node, and why."""
    told = project.succeeds("pipeline", "p", "--dry-run", "--json").json()
    (found,) = (one for one in told["nodes"] if one["name"] == node)
    return found


def test_what_a_colleague_did_stands_where_the_settings_name_the_remote(theirs):
    project, remote = theirs
    for lines in (
        [],
        ['reuse-pulled = "none"', "[remotes]", f'lab = "{remote}"'],
        ["[remotes]", f'lab = "{remote}-another"'],
    ):
        settle(project, *lines)
        found = fate(project, "make")
        assert found["fate"] == "runs", lines
        assert f"came from `{remote}`" in found["causes"][0]["sentence"]
        assert "nothing can stand for node `make`" in project.refused("accept", "make", code=2)
    for lines in (['reuse-pulled = "all"'], ["[remotes]", f'lab = "{remote}"']):
        settle(project, *lines)
        assert fate(project, "make")["fate"] == "reused", lines
    done = project.succeeds("pipeline", "p")
    assert f"make: reused execution 1 of run 1, pulled from `{remote}`" in done.err
    settle(project, "")
    project.succeeds("rm", "run:2")
    edit("lib.py", "len(argv)", "len(argv) * 1")(project)
    assert f"cannot stand for node `make`: execution 1 came from `{remote}`" in project.refused(
        "accept", "make", code=2
    )
    settle(project, 'reuse-pulled = "maybe"')
    assert "`reuse-pulled` cannot be `maybe`" in project.refused("pipeline", "p", code=2)


def test_a_record_that_somebody_made_up_stands_for_nothing_unless_its_remote_is_believed(theirs, project, tmp_path):
    mine, remote = theirs
    with Store.open(project.command.store, create=False) as store:
        run = store.run(project.show("run:1")["id"])
        entries = read(store.layout.run(run.id).journal)
    evil = project.with_variables(MLRUN_STORE=str(tmp_path / "evil"))
    evil.succeeds("pull", "--from", remote)
    ids = {id: new_id() for id in run.executions}
    with Store.open(tmp_path / "evil", create=True) as store:
        lie = store.objects.put_bytes(b"a lie")
        header = {name: entries[0]["run"][name] for name in HEADER} | {"project": run.project, "code": run.code}
        with store.begin_run(header) as writer:
            for entry in entries[1:]:
                told = dict(entry) | ({"id": ids[entry["id"]]} if "id" in entry else {})
                if told.get("outputs"):
                    told["outputs"] = [{**told["outputs"][0], "digest": lie, "size": 5}]
                writer.append([told])
        forged = writer.id
    elsewhere = str(tmp_path / "elsewhere")
    evil.succeeds("push", forged, "--to", elsewhere)
    mine.succeeds("pull", "--from", elsewhere)
    settle(mine, "[remotes]", f'lab = "{remote}"')
    assert fate(mine, "make")["execution"] in run.executions
    settle(mine, "[remotes]", f'lab = "{remote}"', f'other = "{elsewhere}"')
    assert fate(mine, "make")["execution"] in ids.values()


HEADER = ("kind", "name", "title", "tags", "argv", "spec", "plan", "executor", "host", "version")
