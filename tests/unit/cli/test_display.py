"""What a run looks like, from its events."""

import io
import sys
from typing import cast

import pytest
from rich.console import Console

from runner.cli.board import Board, Tail, metric_text, metrics_text
from runner.cli.cell import duration_text
from runner.cli.display import PlainDisplay, failures, final_table, start_sentence
from runner.cli.live import LiveDisplay
from runner.escape import printable, printable_lines
from runner.events import (
    Event,
    Foreseen,
    InputFetched,
    LogArrived,
    MetricsArrived,
    NodeChanged,
    NodeShown,
    Noticed,
    RunEnded,
    RunStarted,
)
from runner.state import Reason, State

STORY: list[Event] = [
    RunStarted("id", 3, "pipeline", "p", "sandbox", (NodeShown("a", "s", "i", ()), NodeShown("b", "s", "i", ("a",)))),
    NodeChanged("a", State.STARTING, execution=7),
    NodeChanged("a", State.RUNNING, execution=7),
    LogArrived("a", "stdout", b'hello\n{"loss": 0.123456789}\npart'),
    MetricsArrived("a", {"loss": 0.123456789}),
    LogArrived("a", "stdout", b"ial"),
    NodeChanged("a", State.FAILED, Reason.EXIT, "command 2 failed", 7, 4, 1.25, "/w/x"),
    NodeChanged("b", State.SKIPPED, Reason.UPSTREAM, "`a` failed"),
    RunEnded("id", 3, State.FAILED, None, 2.0),
]


def board_after(events: list[Event]) -> Board:
    board = Board()
    for event in events:
        board.take(event)
    return board


def test_the_final_table_has_a_line_per_node() -> None:
    assert final_table(board_after(STORY)).splitlines() == [
        "node  state    execution  duration  metrics",
        "a     failed   #7         1.2 s     loss=0.12346",
        "b     skipped",
    ]


def test_a_failure_shows_why_the_last_lines_and_the_work_folder() -> None:
    text = "\n".join(failures(board_after(STORY)))
    assert "a: command 2 failed" in text
    assert "│ partial" in text
    assert "bash /w/x/rerun.sh" in text


def test_plain_output_is_whole_lines_with_their_node_and_loses_no_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    with PlainDisplay(out) as display:
        for event in STORY:
            display(event)
    assert out.getvalue().splitlines() == ["a │ hello", 'a │ {"loss": 0.123456789}', "a │ partial"]
    talk = capsys.readouterr().err
    assert "pipeline `p` (run 3) with sandbox" in talk
    assert "b: skipped - upstream, `a` failed" in talk


def test_a_character_that_comes_in_two_pieces_is_one_character() -> None:
    tail = Tail()
    assert tail.feed("grü".encode()[:-1]) == []
    assert tail.feed("ü".encode()[-1:] + b"n\nend\xc3") == ["grün"]
    assert tail.finish() == ["end\N{REPLACEMENT CHARACTER}"]
    assert tail.finish() == []


def test_the_unfinished_last_line_of_a_node_stands_before_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainDisplay(sys.stderr) as display:
        for event in STORY:
            display(event)
    said = capsys.readouterr().err
    assert said.index("partial") < said.index("a: failed")


def test_a_progress_bar_is_one_line_in_its_last_state() -> None:
    tail = Tail()
    tail.feed(b"10%\r50%\r")
    assert tail.feed(b"100%\n") == ["100%"]


def test_a_log_cannot_speak_to_the_terminal() -> None:
    assert Tail().feed(b"\x1b[2Jgone \xe2\x80\xaeevil\n") == ["\\x1b[2Jgone \\u202eevil"]
    assert printable_lines("a\nb\tc") == "a\nb\tc"
    assert printable("a\nb") == "a\\nb"


def drawn(display: LiveDisplay) -> list[str]:
    """The lines of the live table as they are on a terminal without colours."""
    console = Console(file=io.StringIO(), width=100, markup=False)
    with console.capture() as capture:
        console.print(display._draw())
    return [" ".join(line.split()) for line in capture.get().splitlines()]


def test_the_live_table_shows_each_node_with_its_state_and_the_last_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with LiveDisplay() as display:
        for event in STORY[:5]:
            display(event)
        running = drawn(display)
        for event in [*STORY[5:], Noticed("[bold]not markup", "a")]:
            display(event)
        ended = drawn(display)
    assert running[0] == ended[0] == "pipeline p · run 3 · sandbox"
    assert running[1].startswith("▸ a running ")
    assert running[1].endswith(" s loss=0.12346")
    assert running[2:] == ["· b waiting after a", "a │ hello", 'a │ {"loss": 0.123456789}']
    assert ended[1:3] == ["✗ a failed 1.2 s command 2 failed", "- b skipped upstream, `a` failed"]
    assert ended[-1] == "a │ partial"
    assert "a: [bold]not markup" in capsys.readouterr().err


GIB = 1 << 30


def test_a_download_is_a_line_a_second_at_most_and_one_at_its_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("runner.cli.display.time.monotonic", lambda: now)
    display = PlainDisplay(io.StringIO())
    for step in range(12):
        now = 100 + step / 4
        display(InputFetched("a", "s3://b/k\x1b", step << 28, 4 * GIB))
    display(InputFetched("a", "s3://b/k\x1b", 4 * GIB, 4 * GIB))
    assert capsys.readouterr().err.splitlines() == [
        "a: downloading `s3://b/k\\x1b`: 0 B of 4.0 GiB (0 %)",
        "a: downloading `s3://b/k\\x1b`: 1.0 GiB of 4.0 GiB (25 %)",
        "a: downloading `s3://b/k\\x1b`: 2.0 GiB of 4.0 GiB (50 %)",
        "a: downloading `s3://b/k\\x1b`: 4.0 GiB of 4.0 GiB (100 %)",
    ]


def test_of_a_download_of_unknown_size_only_the_bytes_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    PlainDisplay(io.StringIO())(InputFetched("a", "http://h/x", 1024, 0))
    assert capsys.readouterr().err == "a: downloading `http://h/x`: 1.0 KiB\n"


def test_the_live_table_shows_a_download_until_it_ends() -> None:
    with LiveDisplay() as display:
        display(STORY[0])
        display(InputFetched("a", "http://h/x", GIB, 2 * GIB))
        display(InputFetched("b", "http://h/y", GIB, 0))
        under_way = drawn(display)
        display(InputFetched("b", "http://h/y", GIB, GIB))
        display(STORY[1])
        after = drawn(display)
    assert any("a: downloading `http://h/x`: 1.0 GiB of 2.0 GiB (50 %)" in line for line in under_way)
    assert any("b: downloading `http://h/y`: 1.0 GiB" in line for line in under_way)
    assert not any("downloading" in line for line in after)


def test_names_of_wide_letters_leave_the_columns_of_the_final_table_straight() -> None:
    shown = (NodeShown("名前", "s", "i", ()), NodeShown("b", "s", "i", ()))
    board = board_after([RunStarted("id", 3, "pipeline", "p", "sandbox", shown)])
    assert final_table(board).splitlines()[1:] == ["名前  waiting", "b     waiting"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.04, "0.0 s"), (9.94, "9.9 s"), (59.9, "59 s"), (185, "3 min 05 s"), (7620, "2 h 07 min")],
)
def test_durations_are_short(seconds: float | None, text: str) -> None:
    assert duration_text(seconds) == text


def test_metrics_are_numbers_with_the_fractions_first() -> None:
    assert metric_text(0.1 + 0.2) == "0.3"
    assert metrics_text({"a": 1, "m": [[1]], "t": "x", "b": True, "f": 0.5}, 80) == "f=0.5 a=1"
    assert metrics_text({"a": 1, "b": 2}, 5) == "a=1"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_an_unfinished_line_is_shown_on_a_terminal_until_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TERM", raising=False)
    out = Terminal()
    with PlainDisplay(out) as display:
        display(RunStarted("id", 3, "exec", "s", "sandbox", (NodeShown("a", "s", "i", ()),)))
        for data in (b"\r10%", b"\r20%\x1b[2J", b"\r100%\nnext", b" and more\n"):
            display(LogArrived("a", "stdout", data))
    shown = out.getvalue()

    assert shown == "\r\x1b[K10%\r\x1b[K20%\\x1b[2J\r\x1b[K100%\n\r\x1b[Knext\r\x1b[Knext and more\n"


def test_an_unfinished_line_is_not_shown_where_it_could_not_be_taken_back() -> None:
    out = io.StringIO()
    with PlainDisplay(out) as display:
        display(RunStarted("id", 3, "exec", "s", "sandbox", (NodeShown("a", "s", "i", ()),)))
        display(LogArrived("a", "stdout", b"\r10%"))
        assert out.getvalue() == ""
    assert out.getvalue() == "10%\n"


def test_endless_progress_and_endless_keys_are_bounded() -> None:
    board = board_after(STORY[:2])
    for number in range(3000):
        board.take(LogArrived("a", "stderr", b"\r%0100d" % number))
        board.take(MetricsArrived("a", {f"k{number}": number, "text": "x"}))
    assert len(board.nodes["a"].tails["stderr"].unfinished) <= 1 << 16
    assert len(board.nodes["a"].metrics) == 1000
    assert board.nodes["a"].tails["stderr"].partial() == f"{2999:0100d}"


def test_a_reused_node_says_which_execution_stands_for_it_since_when_and_with_which_metrics(
    capsys: pytest.CaptureFixture[str],
) -> None:
    started = RunStarted("id", 3, "pipeline", "p", "sandbox", (NodeShown("a", "s", "i", ()),))
    reused = NodeChanged("a", State.REUSED, None, "execution 4 of run 2", execution=4, age=3 * 86400.0)
    with PlainDisplay(io.StringIO()) as display:
        for event in (started, Foreseen(1, 1, 0.0), MetricsArrived("a", {"loss": 0.5}), reused):
            display(event)
    talk = capsys.readouterr().err.splitlines()
    assert talk[1:] == ["1 node, all reused", "a: reused execution 4 of run 2, 3 days ago loss=0.5"]
    assert final_table(display.board).splitlines()[1].split() == ["a", "reused", "#4", "loss=0.5"]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ((12, 9, 240.0), "12 nodes, 9 reused, about 4 min"),
        ((12, 9, None), "12 nodes, 9 reused"),
        ((12, 0, 0.4), "12 nodes, about 1 s"),
        ((1, 0, 7300.0), "1 node, about 2 h 02 min"),
        ((12, 12, 0.0), "12 nodes, all reused"),
    ],
)
def test_the_first_line_says_only_what_is_known(told: tuple[int, int, float | None], said: str) -> None:
    assert start_sentence(*told) == said


def test_the_live_table_shows_reused_nodes_and_what_is_to_come() -> None:
    started = RunStarted("id", 3, "pipeline", "p", "sandbox", (NodeShown("a", "s", "i", ()),))
    reused = NodeChanged("a", State.REUSED, None, "execution 4 of run 2", execution=4, age=60.0)
    display = LiveDisplay()
    for event in (started, Foreseen(1, 1, 0.0), reused):
        display(event)
    console = Console(file=io.StringIO(), width=100)
    console.print(display._draw())
    drawn = cast("io.StringIO", console.file).getvalue()
    assert "1 node, all reused" in drawn
    assert "= a" in drawn
    assert "execution 4 of run 2, 1 min ago" in drawn
