"""`mlrun outputs`: lists and copies."""

import json
import os
from pathlib import Path

import pytest

from runner.cli.main import run

from .conftest import Project


@pytest.fixture
def one(project: Project) -> Project:
    """An execution that left files, one with a hostile name."""
    project.run(outputs={"model.pkl": b"model", "deep/plot.png": b"p" * 2000, "evil\x1b[2J\n\udcff": b"!"})
    return project


def test_the_list_has_names_sizes_and_digests(one: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["outputs", "1"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[0].split() == ["name", "size", "digest", "datum"]
    assert captured.out.splitlines()[2].split()[:3] == ["deep/plot.png", "2.0", "KiB"]
    assert "\x1b" not in captured.out
    assert len(captured.out.splitlines()) == 4


def test_json_has_whole_digests_and_exact_names(one: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["outputs", "1", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[2]["name"] == "evil\x1b[2J\n\udcff"
    assert len(rows[0]["digest"]) == 64


def test_files_are_copied_out(one: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["outputs", "1", "-d", str(tmp_path / "out"), "--glob", "*.pkl", "--glob", "deep/*"]) == 0
    assert (tmp_path / "out/model.pkl").read_bytes() == b"model"
    assert sorted(os.listdir(tmp_path / "out")) == ["deep", "model.pkl"]
    assert "copied 2 files" in capsys.readouterr().err
    assert run(["outputs", "1", "-d", str(tmp_path / "out"), "--glob", "*.pkl"]) == 0
    assert "1 were there already" in capsys.readouterr().err


def test_other_files_are_replaced_only_with_force(one: Project, tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(b"mine")
    assert run(["outputs", "1", "-d", str(tmp_path), "--glob", "model.pkl"]) == 42
    assert (tmp_path / "model.pkl").read_bytes() == b"mine"
    assert run(["outputs", "1", "-d", str(tmp_path), "--glob", "model.pkl", "--force"]) == 0
    assert (tmp_path / "model.pkl").read_bytes() == b"model"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["1", "--glob", "*.txt"], "no output matches"),
        (["1", "--force"], "needs `-d DIR`"),
        (["2"], "there is no execution"),
    ],
)
def test_bad_input_is_a_usage_error_with_a_hint(
    one: Project, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["outputs", *arguments]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert "hint:" in captured.err
    assert "\x1b" not in captured.err


def test_what_left_nothing_is_told(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.run()
    assert run(["outputs"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "left no outputs" in captured.err
    telling = project.begin()
    id = telling.start()
    assert run(["outputs"]) == 0
    assert "is running" in capsys.readouterr().err
    telling.finish(id)
    telling.end()
