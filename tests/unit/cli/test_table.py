"""Tables for people and for other tools."""

import csv
import io

import pytest

from runner.cli.table import Column, csv_table, md_table, print_table, text_table
from runner.escape import display_width


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


COLUMNS = [Column("step"), Column("loss", right=True), Column("state", colours={"failed": "31"})]
ROWS = [["train", "0.5", "failed"], ["日本", "12.25", "succeeded"]]


def test_columns_are_aligned_and_numbers_stand_right() -> None:
    assert text_table(COLUMNS, ROWS, io.StringIO()).split("\n") == [
        "step    loss  state",
        "train    0.5  failed",
        "日本   12.25  succeeded",
    ]


def test_states_are_coloured_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[31mfailed\x1b[0m" in text_table(COLUMNS, ROWS, Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in text_table(COLUMNS, ROWS, Terminal())


@pytest.mark.parametrize("columns", range(1, 40))
def test_no_line_is_wider_than_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    lines = text_table(COLUMNS, ROWS, Terminal()).split("\n")
    assert len(lines) == 3
    assert all(display_width(line) <= columns for line in lines)


def test_a_pipe_gets_every_column_whole() -> None:
    long = "x" * 500
    assert long in text_table([Column("a"), Column("b")], [[long, "end"]], io.StringIO())


def on_terminal(columns: int, rows: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    return text_table([Column(name) for name in "abc"], rows, Terminal()).split("\n")


def test_columns_are_dropped_from_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [["1" * 9, "2" * 9, "3" * 9]]
    assert on_terminal(31, rows, monkeypatch)[1].split() == rows[0]
    assert on_terminal(30, rows, monkeypatch)[1].split() == rows[0][:2]
    assert on_terminal(19, rows, monkeypatch)[1].split() == rows[0][:1]


def test_a_long_cell_shrinks_before_a_column_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    line = on_terminal(80, [["x" * 200, "short", "end"]], monkeypatch)[1]
    assert line.endswith("…  short  end")
    assert len(line) == 80


def test_columns_without_room_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("runner.cli.table.terminal_width", lambda stream: 12)
    print_table(COLUMNS, ROWS)
    captured = capsys.readouterr()
    assert captured.out.splitlines()[0] == "step    loss"
    assert "no room for state" in captured.err


def test_csv_reads_back_exactly() -> None:
    rows = [["a,b", 0.1 + 0.2, None, [1, 2]], ['say "hi"\nthere', True, "NaN", {"k": 1}]]
    text = csv_table(["one", "two", "three", "four"], rows, shown=False)
    back = list(csv.reader(io.StringIO(text)))
    assert back[1] == ["a,b", "0.30000000000000004", "", "[1, 2]"]
    assert back[2] == ['say "hi"\nthere', "true", "NaN", '{"k": 1}']


def test_csv_for_a_terminal_shows_control_codes() -> None:
    assert "\x1b" not in csv_table(["a"], [["\x1b[2J"]], shown=True)


def test_csv_holds_text_that_can_be_encoded() -> None:
    assert csv_table(["a"], [["bad\udcff"]], shown=False).encode() == b"a\nbad\\udcff"


def test_markdown_in_a_cell_is_not_markup() -> None:
    text = md_table([Column("step"), Column("loss", right=True)], [["a|b *c*", "1"]])
    assert text.split("\n") == ["| step | loss |", "| --- | ---: |", "| a\\|b \\*c\\* | 1 |"]
