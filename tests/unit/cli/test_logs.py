"""`mlrun logs`: complete and live logs."""

import json
import sys
from threading import Thread, Timer

import pytest

from runner.cli.main import run

from .conftest import Project

Capture = pytest.CaptureFixture[bytes]


def printed(capsysbinary: Capture, *arguments: str) -> bytes:
    """What reaches a pipe, byte for byte."""
    return spoken(capsysbinary, *arguments)[0]


def spoken(capsysbinary: Capture, *arguments: str) -> tuple[bytes, str]:
    """What reaches a pipe, and what is said beside it."""
    capsysbinary.readouterr()
    assert run(["logs", *arguments]) == 0
    captured = capsysbinary.readouterr()
    return captured.out, captured.err.decode()


@pytest.fixture
def both(project: Project) -> str:
    """An execution that printed to both streams in turn."""
    telling = project.begin()
    id = telling.start()
    for data, stream in ((b"one\n", "stdout"), (b"warn \x1b[31mred\n", "stderr"), (b"two\xff\n", "stdout")):
        telling.say(id, data, stream)
    telling.finish(id)
    telling.end()
    return id


def test_a_pipe_gets_the_bytes_of_both_streams_in_order(both: str, capsysbinary: Capture) -> None:
    assert printed(capsysbinary, "1") == b"one\nwarn \x1b[31mred\ntwo\xff\n"
    assert printed(capsysbinary) == printed(capsysbinary, both)


def test_one_stream_is_exact(both: str, capsysbinary: Capture) -> None:
    assert printed(capsysbinary, "1", "--stdout") == b"one\ntwo\xff\n"
    assert printed(capsysbinary, "1", "--stderr") == b"warn \x1b[31mred\n"
    assert printed(capsysbinary, "1", "--stdout", "--stderr") == printed(capsysbinary, "1")


def test_the_tail_counts_lines_of_what_is_wanted(both: str, capsysbinary: Capture) -> None:
    assert printed(capsysbinary, "1", "--tail", "2") == b"warn \x1b[31mred\ntwo\xff\n"
    assert printed(capsysbinary, "1", "--tail", "1", "--stderr") == b"warn \x1b[31mred\n"
    assert printed(capsysbinary, "1", "--tail", "0") == b""
    assert printed(capsysbinary, "1", "--tail", "99") == printed(capsysbinary, "1")


def test_a_terminal_gets_no_control_codes(both: str, capsysbinary: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert b"\x1b" not in printed(capsysbinary, "1")
    assert b"\x1b" in printed(capsysbinary, "1", "--raw")


def test_times_stand_before_clean_lines(both: str, capsysbinary: Capture) -> None:
    lines = printed(capsysbinary, "1", "--time").decode().splitlines()
    assert [line[24:] for line in lines] == ["one", "warn \\x1b[31mred", "two\ufffd"]
    assert lines[0][4] == lines[0][7] == "-"


def test_json_has_one_object_per_line(both: str, capsysbinary: Capture) -> None:
    rows = [json.loads(line) for line in printed(capsysbinary, "1", "--json").splitlines()]
    assert [(row["stream"], row["text"]) for row in rows] == [
        ("stdout", "one"),
        ("stderr", "warn \x1b[31mred"),
        ("stdout", "two\ufffd"),
    ]


@pytest.mark.parametrize("tail", [None, "1"])
def test_a_live_log_is_followed_to_its_end(project: Project, capsysbinary: Capture, tail: str | None) -> None:
    telling = project.begin()
    id = telling.start()
    telling.say(id, b"before 1\nbefore 2\n")
    telling.flushed(id, "index", b"\n")

    def go_on() -> None:
        for number in range(20):
            telling.say(id, b"line %d\n" % number)
        telling.say(id, b"end without newline")
        telling.finish(id)
        telling.end()

    thread = Thread(target=go_on)
    thread.start()
    found = printed(capsysbinary, "1", "-f", *(["--tail", tail] if tail else []))
    thread.join()
    after = b"".join(b"line %d\n" % number for number in range(20)) + b"end without newline"
    if tail is None:
        assert found == b"before 1\nbefore 2\n" + after
    else:
        assert after.endswith(found) or found == b"before 2\n" + after


def test_following_ends_when_the_runner_is_gone(project: Project, capsysbinary: Capture) -> None:
    telling = project.begin()
    id = telling.start()
    telling.say(id, b"last words")
    telling.die()
    out, talk = spoken(capsysbinary, "1", "-f")
    assert out == b"last words"
    assert "interrupted (runner-lost)" in talk


def test_a_log_under_way_is_printed_as_far_as_it_is(project: Project, capsysbinary: Capture) -> None:
    telling = project.begin()
    id = telling.start()
    telling.say(id, b"so far\n")
    telling.flushed(id, "index", b"\n")
    out, talk = spoken(capsysbinary, "latest")
    assert out == b"so far\n"
    assert "`-f` follows it" in talk
    telling.finish(id)
    telling.end()


def test_an_execution_that_never_began_has_no_log(project: Project, capsysbinary: Capture) -> None:
    telling = project.begin()
    id = telling.start()
    for path in (telling.writer.folder.logs / id).iterdir():
        path.unlink()
    telling.die()
    out, talk = spoken(capsysbinary, "1")
    assert out == b""
    assert "there is no log: execution 1 interrupted" in talk


def test_raw_goes_with_neither_times_nor_json(both: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["logs", "1", "--raw", "--time"]) == 2
    assert run(["logs", "1", "--raw", "--json"]) == 2
    assert "hint:" in capsys.readouterr().err


def test_an_unknown_execution_is_a_usage_error(both: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["logs", "9"]) == 2
    assert "there is no execution `9`" in capsys.readouterr().err


def test_a_node_of_a_run_is_named_instead_of_its_execution(project: Project, capsysbinary: Capture) -> None:
    telling = project.begin("train", "score", "never", kind="pipeline")
    for node in ("train", "score"):
        id = telling.start(node)
        telling.say(id, node.encode())
        telling.finish(id)
    telling.end()
    project.run(log=b"another run", node="train")

    assert printed(capsysbinary, "run:1", "--node", "score") == b"score"
    assert printed(capsysbinary, "1", "--node", "score") == b"score"
    assert printed(capsysbinary, "--node", "train") == b"another run"
    assert run(["logs", "run:1", "--node", "scor"]) == 2
    assert b"did you mean `score`?" in capsysbinary.readouterr().err
    assert run(["logs", "run:1", "--node", "never"]) == 2
    assert run(["logs", "run:1", "--node", "never", "-f"]) == 2
    assert b"has not run" in capsysbinary.readouterr().err


def test_a_node_that_has_not_begun_is_waited_for(project: Project, capsysbinary: Capture) -> None:
    telling = project.begin("train", "score", kind="pipeline")

    def go_on() -> None:
        id = telling.start("score")
        telling.say(id, b"late")
        telling.finish(id)
        telling.end()

    thread = Timer(0.3, go_on)
    thread.start()
    assert printed(capsysbinary, "-f", "--node", "score") == b"late"
    thread.join()
