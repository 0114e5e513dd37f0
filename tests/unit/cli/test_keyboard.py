"""What is typed at a terminal while something is asked."""

import fcntl
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator

import pytest

from runner.cli import keyboard as module
from runner.cli.keyboard import Keyboard
from tests.patience import wait_for


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """Both ends of a terminal; in its foreground is whoever asks."""
    main, side = pty.openpty()
    monkeypatch.setattr(module.os, "tcgetpgrp", lambda fd: os.getpgrp())
    yield main, side
    os.close(main)
    os.close(side)


def is_raw(fd: int) -> bool:
    return not termios.tcgetattr(fd)[3] & (termios.ICANON | termios.ECHO)


def collector() -> tuple[list[str], Callable[[str], None]]:
    heard: list[str] = []
    return heard, heard.append


def test_keys_are_heard_one_by_one_and_the_terminal_is_left_as_it_was(ends: tuple[int, int]) -> None:
    main, side = ends
    before = termios.tcgetattr(side)
    heard, hear = collector()
    keyboard = Keyboard(side, hear, keys=True)
    keyboard.listen(wanted=True)
    wait_for(lambda: is_raw(side), "keys are read one by one")
    os.write(main, "yß".encode())
    wait_for(lambda: "".join(heard) == "yß", "the keys are heard")
    keyboard.listen(wanted=False)
    wait_for(lambda: not is_raw(side), "the terminal is as before")
    keyboard.listen(wanted=True)
    wait_for(lambda: is_raw(side), "keys are read again")
    keyboard.close()
    keyboard.close()
    assert termios.tcgetattr(side) == before


def test_a_terminal_is_heard_whatever_number_its_descriptor_has(
    ends: tuple[int, int], high: Callable[[int], int]
) -> None:
    main, side = ends
    fd = high(side)
    heard, hear = collector()
    keyboard = Keyboard(fd, hear, keys=False)
    try:
        keyboard.listen(wanted=True)
        os.write(main, b"y\n")
        wait_for(lambda: heard == ["y\n"], "the line is heard")
    finally:
        keyboard.close()
        os.close(fd)


def test_lines_are_heard_as_the_terminal_has_them(ends: tuple[int, int]) -> None:
    main, side = ends
    heard, hear = collector()
    keyboard = Keyboard(side, hear, keys=False)
    keyboard.listen(wanted=True)
    os.write(main, b"yx\x7f\n")
    wait_for(lambda: heard == ["y\n"], "the line is heard")
    keyboard.close()


def test_what_was_typed_before_it_was_asked_is_no_answer(ends: tuple[int, int]) -> None:
    main, side = ends
    os.write(main, b"n\n")
    heard, hear = collector()
    keyboard = Keyboard(side, hear, keys=True)
    keyboard.listen(wanted=True)
    wait_for(lambda: is_raw(side), "somebody listens")
    os.write(main, b"y\n")
    wait_for(lambda: "".join(heard) == "y\n", "what was typed since is heard")
    keyboard.close()


def test_nothing_is_read_before_somebody_asks(ends: tuple[int, int]) -> None:
    _, side = ends
    keyboard = Keyboard(side, lambda text: None, keys=True)
    assert keyboard._thread is None
    assert not is_raw(side)
    keyboard.close()


def test_the_end_of_input_ends_the_listening(ends: tuple[int, int]) -> None:
    main, side = ends
    keyboard = Keyboard(side, lambda text: None, keys=False)
    keyboard.listen(wanted=True)
    os.write(main, b"\x04")
    wait_for(lambda: not keyboard._wanted, "nobody listens any more")
    keyboard.close()


BACKGROUND = """
import sys, time
from runner.cli.keyboard import Keyboard
keyboard = Keyboard(0, print, keys=True)
keyboard.listen(wanted=True)
time.sleep(1)
keyboard.close()
print("went on", flush=True)
"""


def test_a_run_in_the_background_is_not_stopped_and_leaves_the_terminal_alone() -> None:
    """A shell with job control puts the program into the background of a terminal."""
    main, side = pty.openpty()
    script = f'set -m; "{sys.executable}" -c "$PROGRAM" & wait $!; echo "ended with $?"'
    shell = subprocess.Popen(
        ["bash", "-c", script],
        stdin=side,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PROGRAM": BACKGROUND},
        start_new_session=True,
        preexec_fn=lambda: _take_terminal(side),
        encoding="utf-8",
    )
    said, _ = shell.communicate(timeout=60)
    assert "went on" in said
    assert "ended with 0" in said
    assert not is_raw(side)
    os.close(main)
    os.close(side)


def _take_terminal(fd: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)
