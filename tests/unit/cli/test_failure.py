"""How work fails: one line, a hint and an exit code."""

import errno
import os
from threading import Thread

import pytest

from runner.cli.failure import protected
from runner.errors import ExitCode


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN])
def test_what_the_machine_refuses_is_no_bug(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        raise OSError(number, os.strerror(number))

    assert protected(work) == ExitCode.STORE
    error, hint = capsys.readouterr().err.splitlines()
    assert error == f"error: the machine refuses: {os.strerror(number)}"
    assert hint.startswith("hint: ")


def test_a_thread_that_is_not_to_be_had_is_no_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    def work() -> int:
        Thread().start()
        return 0

    monkeypatch.setattr("threading._start_new_thread", refuse)
    assert protected(work) == ExitCode.STORE
    assert capsys.readouterr().err.splitlines() == [
        "error: the machine refuses: can't start new thread",
        "hint: raise the limit of processes (`ulimit -u`), or run fewer steps at the same time (`--jobs`)",
    ]


def test_any_other_error_is_a_bug(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        raise RuntimeError("broken")

    assert protected(work) == ExitCode.BUG
    assert "this is a bug in mlrun" in capsys.readouterr().err
