"""`mlrun purge` on a store that real runs have made: the bytes are gone, the names stay, and everybody is told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.digest import hash_bytes

YAML = """
- step:
    name: prepare
    image: busybox
    command: |
      cp /valohai/inputs/raw/people.csv /valohai/outputs/clean.csv
    inputs:
      - {name: raw}
- step:
    name: train
    image: busybox
    command: |
      wc -c < /valohai/inputs/data/clean.csv > /valohai/outputs/model.pkl
      cp about.json /valohai/outputs/model.pkl.metadata.json
    inputs:
      - {name: data}
- step:
    name: fails
    image: busybox
    command: |
      cp /valohai/inputs/raw/people.csv half.csv
      exit 3
    inputs:
      - {name: raw}
- step:
    name: waits
    image: busybox
    command: |
      echo here
      sleep 60
    inputs:
      - {name: raw}
- pipeline:
    name: all
    nodes:
      - {name: prepare, step: prepare, type: execution}
      - {name: train, step: train, type: execution}
    edges:
      - [prepare.output.clean.csv, train.input.data]
"""
ABOUT = '{"valohai.alias":"prod","valohai.model-versions":["model://people/v1"]}'
MARKER = "".join(f"{number} is a number of somebody, " for number in range(7000, 7040)).encode()
WINDOW = 64


@pytest.fixture
def project(make: Callable[..., Any], tmp_path: Path) -> Any:
    project = make(YAML, {"about.json": ABOUT})
    (tmp_path / "people.csv").write_bytes(MARKER)
    return project.with_variables(MLRUN_STORE=str(tmp_path / "own"))


def left(store: Path) -> list[str]:
    """The files of the store that hold 64 bytes in a row of the marker."""
    windows = [MARKER[at : at + WINDOW] for at in range(len(MARKER) - WINDOW + 1)]
    return [
        str(path.relative_to(store))
        for path in sorted(store.rglob("*"))
        if path.is_file() and any(window in path.read_bytes() for window in windows)
    ]


def test_a_file_is_destroyed_everywhere_and_everything_made_from_it_is_named(project: Any, tmp_path: Path) -> None:
    store, people = tmp_path / "own", tmp_path / "people.csv"
    project.fails("exec", "fails", "--raw", people)
    project.succeeds("exec", "prepare", "--raw", people)
    project.succeeds("exec", "train", "--data", "datum://" + _datum(project, "2"))
    assert len(left(store)) >= 3
    files = {path for path in store.rglob("*") if path.is_file()}
    dry = project.succeeds("purge", "2/clean.csv")
    assert {path for path in store.rglob("*") if path.is_file()} == files
    assert "nothing was destroyed" in dry.err
    for text in ("model.pkl", "datum://prod", "model://people/v1", "`raw/people.csv` of execution 1", "half.csv"):
        assert text in dry.out, dry.out
    done = project.succeeds("purge", "2/clean.csv", "--yes", "--reason", "asked for")
    assert left(store) == []
    assert "copies elsewhere are untouched" in done.err
    digest = hash_bytes(MARKER)
    assert "clean.csv (purged)" in project.succeeds("outputs", "2").out
    assert "asked for" in project.succeeds("datum", "show", "2/clean.csv").out
    whole = project.succeeds("store", "check", "--read-data", "--json").json()
    assert (whole["damage"], whole["purged"]) == ([], 1)
    refused = project.mlrun("outputs", "2", "-d", tmp_path / "out")
    assert refused.code == 40, str(refused)
    assert "asked for" in refused.err
    again = project.mlrun("exec", "prepare", "--raw", people)
    assert again.code == 40, str(again)
    assert left(store) == []
    assert project.succeeds("purge", digest, "--yes").code == 0
    assert people.read_bytes() == MARKER


def test_a_name_of_a_purged_file_stays_and_says_so(project: Any, tmp_path: Path) -> None:
    project.succeeds("exec", "prepare", "--raw", tmp_path / "people.csv")
    project.succeeds("alias", "people", "1/clean.csv")
    project.succeeds("dataset", "add", "people/v1", "1/clean.csv")
    project.succeeds("purge", "people", "--yes", "--reason", "asked for")
    assert "clean.csv (purged)" in project.succeeds("alias").out
    assert "asked for" in project.succeeds("alias", "people").out
    assert "clean.csv (purged)" in project.succeeds("dataset", "show", "people/v1").out


def test_a_file_in_use_is_not_destroyed_without_force(project: Any, tmp_path: Path) -> None:
    running = project.start("exec", "waits", "--raw", str(tmp_path / "people.csv"))
    running.until("here")
    digest = hash_bytes(MARKER)
    refused = project.mlrun("purge", digest, "--yes")
    assert refused.code == 31, str(refused)
    assert "in use by input `raw/people.csv` of execution 1 (waits)" in refused.err
    assert left(tmp_path / "own")
    project.succeeds("purge", digest, "--yes", "--force")
    project.succeeds("stop", "run:1")
    running.end()
    project.succeeds("store", "check")
    assert left(tmp_path / "own") == []


def test_what_was_pushed_is_destroyed_there_and_never_pulled_again(project: Any, tmp_path: Path) -> None:
    project.succeeds("exec", "prepare", "--raw", tmp_path / "people.csv")
    remote = tmp_path / "remote"
    project.succeeds("push", "--to", str(remote), "run:1")
    assert left(remote)
    digest = hash_bytes(MARKER)
    assert "would be purged" in project.succeeds("purge", "--remote", str(remote), digest).err
    assert left(remote)
    project.succeeds("purge", digest, "--yes", "--reason", "asked for")
    assert left(remote)
    project.succeeds("purge", "--remote", str(remote), digest, "--yes")
    assert left(remote) == []
    other = project.with_variables(MLRUN_STORE=str(tmp_path / "other"))
    other.mlrun("pull", "--from", str(remote))
    assert left(tmp_path / "other") == []


def _datum(project: Any, execution: str) -> str:
    return str(project.succeeds("outputs", execution, "--json").json()[0]["datum"])
