"""Pieces of a log put together to lines."""

from typing import Any

from runner.cli.line import Line, Lines
from runner.worker.log import LogPiece


def lines_of(pieces: list[tuple[Any, bytes]], last: int | None = None) -> list[Line]:
    written: list[Line] = []
    lines = Lines(written.append, last)
    for moment, (stream, data) in enumerate(pieces):
        lines.feed(LogPiece(moment, stream, data))
    lines.finish()
    return written


def test_the_streams_are_not_mixed_within_a_line() -> None:
    written = lines_of([("stdout", b"one "), ("stderr", b"warn\n"), ("stdout", b"two\n")])
    assert [(line.stream, line.data) for line in written] == [("stderr", b"warn\n"), ("stdout", b"one two\n")]


def test_every_byte_comes_out_again() -> None:
    pieces = [("stdout", b"a\nb"), ("stdout", b"\n\n\xff\r\nc\x00")]
    assert b"".join(line.data for line in lines_of(pieces)) == b"a\nb\n\n\xff\r\nc\x00"


def test_a_last_line_without_a_newline_is_written_at_the_end() -> None:
    assert [line.data for line in lines_of([("stderr", b"a\nend")])] == [b"a\n", b"end"]


def test_only_the_last_lines_are_written_when_asked() -> None:
    assert [line.data for line in lines_of([("stdout", b"1\n2\n3\n")], last=2)] == [b"2\n", b"3\n"]
    assert lines_of([("stdout", b"1\n2\n")], last=0) == []


def test_after_the_release_every_line_is_written() -> None:
    written: list[Line] = []
    lines = Lines(written.append, 1)
    lines.feed(LogPiece(1, "stdout", b"1\n2\n"))
    lines.release()
    lines.feed(LogPiece(2, "stdout", b"3\n4\n"))
    assert [line.data for line in written] == [b"2\n", b"3\n", b"4\n"]


def test_a_progress_bar_leaves_its_last_state() -> None:
    (line,) = lines_of([("stdout", b"10%\r50%\r100%\n")])
    assert line.text == "100%"


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    written = lines_of([("stdout", b"x" * (1 << 20))] * 3)
    assert len(written) > 1
    assert sum(len(line.data) for line in written) == 3 << 20
