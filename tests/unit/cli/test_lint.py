"""`mlrun lint`: what it prints and how it ends."""

import io
import json
import sys
from pathlib import Path

import pytest

from runner.cli.main import run

GOOD = "- step:\n    name: train\n    image: busybox\n    command: 'true'\n"
WARNING = (
    "- step:\n    name: train\n    image: busybox\n    command: 'true'\n    colour: red\n- flavour:\n    name: x\n"
)
ERROR = "- step:\n    name: train\n    image: busybox\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in (("good", GOOD), ("warning", "- flavour:\n    name: x\n" + GOOD), ("error", ERROR)):
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["good.yaml"], 0),
        (["warning.yaml"], 0),
        (["warning.yaml", "--strict"], 11),
        (["error.yaml"], 10),
        (["error.yaml", "--strict"], 10),
        (["good.yaml", "error.yaml"], 10),
        (["good.yaml", "missing.yaml"], 10),
        (["good.yaml", "--strict"], 0),
        (["good.yaml", "--format", "xml"], 2),
    ],
)
def test_the_exit_code_tells_the_worst_problem(arguments: list[str], code: int) -> None:
    assert run(["lint", *arguments]) == code


def test_problems_are_shown_with_their_line_and_a_caret(capsys: pytest.CaptureFixture[str]) -> None:
    run(["lint", "error.yaml"])
    captured = capsys.readouterr()
    assert captured.out.startswith("error.yaml:")
    assert "^" in captured.out
    assert "1 error, 0 warnings" in captured.err


def test_the_projects_own_file_is_the_default(folder: Path) -> None:
    (folder / "valohai.yaml").write_text(ERROR)
    assert run(["lint"]) == 10


def test_without_a_project_the_hint_names_init(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint"]) == 10
    assert "mlrun init" in capsys.readouterr().err


def test_standard_input_is_read_for_a_dash(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(ERROR.encode())))
    assert run(["lint", "-"]) == 10
    assert capsys.readouterr().out.startswith("<stdin>:")


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xff\xfe", b"[" * 5000, b"a: &a [*a]", b"- step: [}", b"\x1b[2J: 1"])
def test_no_file_is_odd_enough_for_a_traceback(folder: Path, data: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "odd.yaml").write_bytes(data)
    assert run(["lint", "odd.yaml"]) in {0, 10}
    captured = capsys.readouterr()
    assert "bug" not in captured.err
    assert "\x1b" not in captured.out


def test_json_has_every_problem_and_the_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint", "error.yaml", "warning.yaml", "--json"]) == 10
    document = json.loads(capsys.readouterr().out)
    assert document["files"] == 2
    assert document["errors"] == sum(problem["severity"] == "error" for problem in document["problems"])
    assert {problem["file"] for problem in document["problems"]} == {"error.yaml", "warning.yaml"}


def test_a_file_that_is_a_link_to_itself_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / ".git").mkdir()
    (folder / "valohai.yaml").symlink_to("valohai.yaml")
    for arguments in (["lint"], ["exec", "train"]):
        assert run(arguments) == 10
        assert "is a symbolic link that leads back to itself" in capsys.readouterr().err
