"""`mlrun secret`: names are shown, values never."""

import io
import json
import sys

import pytest

from runner.cli.main import run

from .conftest import Project

Capture = pytest.CaptureFixture[str]


def given(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_a_value_comes_from_standard_input_and_is_never_shown(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    given(monkeypatch, b"s3cret value\r\n")
    assert run(["secret", "set", "TOKEN"]) == 0
    given(monkeypatch, b"s3cret\n")
    assert run(["secret", "set", "OTHER", "--everywhere"]) == 0
    assert run(["secret", "list"]) == 0
    assert run(["secret", "list", "--json"]) == 0
    captured = capsys.readouterr()

    assert "s3cret" not in captured.out + captured.err
    table, _, document = captured.out.partition("[")
    assert table.split() == ["Secrets:", "OTHER", "every", "project", "TOKEN", "this", "project"]
    assert json.loads("[" + document) == [
        {"name": "OTHER", "scope": "everywhere"},
        {"name": "TOKEN", "scope": "project"},
    ]


def test_a_value_comes_from_the_terminal_without_being_shown(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    asked = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("runner.cli.secret.getpass", lambda prompt: asked.append(prompt) or "s3cret")

    assert run(["secret", "set", "TOKEN"]) == 0
    assert asked == ["value of TOKEN: "]
    assert "s3cret" not in capsys.readouterr().err


def test_a_secret_is_removed(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    given(monkeypatch, b"x")
    run(["secret", "set", "TOKEN"])
    assert run(["secret", "rm", "TOKE"]) == 2
    assert "did you mean `TOKEN`?" in capsys.readouterr().err
    assert run(["secret", "rm", "TOKEN"]) == 0
    assert run(["secret", "list"]) == 0
    assert "no secrets" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["set", "A=b"], ["set", "A", "b"], ["set", "VH_X"], ["set"], ["show", "A"]])
def test_a_value_on_the_command_line_and_bad_names_are_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    given(monkeypatch, b"x")
    assert run(["secret", *arguments]) == 2


@pytest.mark.parametrize("data", [b"", b"\n", b"\xff", b"a\0b", b"x" * 200_000])
def test_a_value_that_no_variable_can_have_is_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: Capture, data: bytes
) -> None:
    given(monkeypatch, data)
    assert run(["secret", "set", "TOKEN"]) == 2
    assert run(["secret", "list"]) == 0
    assert capsys.readouterr().out == ""
