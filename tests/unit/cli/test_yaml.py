"""`mlrun yaml step`: what it writes, says and refuses."""

import os
from pathlib import Path

import pytest

from runner.cli.main import run

SCRIPT = 'import valohai\nvalohai.prepare(step="train", default_parameters={"lr": 0.5})\n'
YAML = "# mine\n- step:\n    name: train # it\n    image: b:1\n    command: make\n"
FRESH = """\
- step:
    name: train
    image: python:3.11-slim
    command:
      - pip install -r requirements.txt
      - python ./train.py {parameters}
    parameters:
      - name: lr
        type: float
        default: 0.5
"""
UPDATED = YAML + "    parameters:\n      - name: lr\n        type: float\n        default: 0.5\n"

Streams = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project = tmp_path / "project"
    (project / ".git").mkdir(parents=True)
    (project / "src").mkdir()
    (project / "train.py").write_text(SCRIPT)
    monkeypatch.chdir(project)
    return project


def test_a_missing_file_is_made(folder: Path, capsys: Streams) -> None:
    assert run(["yaml", "step", "train.py"]) == 0
    assert (folder / "valohai.yaml").read_text() == FRESH
    assert capsys.readouterr() == ("", "valohai.yaml: step `train` is added\n")
    assert run(["yaml", "step", "train.py"]) == 0
    assert capsys.readouterr() == ("", "valohai.yaml: step `train` is up to date\n")


def test_a_step_is_brought_up_to_date_and_the_changes_are_told(folder: Path, capsys: Streams) -> None:
    (folder / "valohai.yaml").write_text(YAML)
    assert run(["yaml", "step", "train.py"]) == 0
    assert (folder / "valohai.yaml").read_text() == UPDATED
    assert capsys.readouterr() == ("", "valohai.yaml: step `train` changed: parameter `lr` added\n")


def test_a_dry_run_prints_the_difference_and_writes_nothing(folder: Path, capsys: Streams) -> None:
    (folder / "valohai.yaml").write_text(YAML)
    assert run(["yaml", "step", "--dry-run", "train.py"]) == 0
    assert (folder / "valohai.yaml").read_text() == YAML
    out, err = capsys.readouterr()
    assert [line for line in out.splitlines() if line.startswith(("-", "+"))] == [
        "--- valohai.yaml",
        "+++ valohai.yaml",
        "+    parameters:",
        "+      - name: lr",
        "+        type: float",
        "+        default: 0.5",
    ]
    assert err == "valohai.yaml: step `train` would change: parameter `lr` added\n"


def test_several_scripts_are_written_at_once_or_not_at_all(folder: Path, capsys: Streams) -> None:
    (folder / "src" / "b.py").write_text("import valohai\nvalohai.prepare(step='b')\n")
    (folder / "c.py").write_text("import valohai\nvalohai.prepare(step=NAME)\n")
    assert run(["yaml", "step", "train.py", "src/b.py", "c.py"]) == 10
    assert not (folder / "valohai.yaml").exists()
    assert "c.py:2:22: error: the argument `step`" in capsys.readouterr().err
    assert run(["yaml", "step", "train.py", "src/b.py"]) == 0
    text = (folder / "valohai.yaml").read_text()
    assert text.startswith(FRESH)
    assert "- python src/b.py {parameters}\n" in text


def test_the_file_of_the_project_is_found_from_a_folder_below(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder / "src")
    assert run(["yaml", "step", "../train.py"]) == 0
    assert (folder / "valohai.yaml").read_text() == FRESH


def test_another_file_can_be_named(folder: Path) -> None:
    (folder / "src" / "own.yaml").write_text("")
    assert run(["yaml", "step", "--yaml", "src/own.yaml", "train.py"]) == 0
    assert (folder / "src" / "own.yaml").read_text() == FRESH
    assert not (folder / "valohai.yaml").exists()


def test_nothing_of_a_script_is_run(folder: Path) -> None:
    (folder / "train.py").write_text(SCRIPT + "open('ran', 'w')\nimport sys; sys.exit(7)\n")
    assert run(["yaml", "step", "train.py"]) == 0
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    ("name", "said", "code"),
    [
        ("missing.py", "there is no `missing.py`", 2),
        ("src", "neither a Python script nor a notebook", 2),
        ("folder.py", "`folder.py`", 2),
        ("pipe.py", "is a pipe, socket or device", 2),
        ("nul\0.py", "is no name of a file", 2),
        ("../outside.py", "lies outside the project", 2),
        ("link/outside.py", "lies outside the project", 2),
        ("empty.py", "`empty.py` does not call `valohai.prepare`", 10),
        ("broken.py", "broken.py:1:", 10),
    ],
)
def test_what_cannot_be_read_is_told_and_nothing_is_written(
    folder: Path, capsys: Streams, name: str, said: str, code: int
) -> None:
    (folder / "folder.py").mkdir()
    os.mkfifo(folder / "pipe.py")
    (folder.parent / "outside.py").write_text(SCRIPT)
    (folder / "link").symlink_to("..")
    (folder / "empty.py").write_text("")
    (folder / "broken.py").write_text("def f(:\n")
    assert run(["yaml", "step", name]) == code
    err = capsys.readouterr().err
    assert said in err
    assert "hint:" in err
    assert not (folder / "valohai.yaml").exists()


def test_control_codes_of_a_script_do_not_reach_the_terminal(folder: Path, capsys: Streams) -> None:
    (folder / "train.py").write_text("import valohai\nvalohai.prepare(step='a\\x1b[31mb\\nc')\n")
    assert run(["yaml", "step", "--dry-run", "train.py"]) == 0
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert len(err.splitlines()) == 1


def test_help_explains_the_verb(capsys: Streams) -> None:
    assert run(["yaml", "--help"]) == 0
    assert "mlrun yaml step FILE.py" in capsys.readouterr().out
    assert run(["yaml"]) == 2
    assert "hint:" in capsys.readouterr().err
