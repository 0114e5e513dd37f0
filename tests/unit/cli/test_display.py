"""What a run looks like, from its events."""

import io
import sys

import pytest

from runner.cli.board import Board, Tail, duration_text, metric_text, metrics_text
from runner.cli.display import PlainDisplay, failures, final_table
from runner.cli.live import LiveDisplay
from runner.escape import printable, printable_lines
from runner.events import Event, LogArrived, MetricsArrived, NodeChanged, NodeShown, Noticed, RunEnded, RunStarted
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
    assert "pipeline `p` (run 3, 2 nodes) with sandbox" in talk
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


def test_the_live_table_shows_every_state_without_an_error() -> None:
    with LiveDisplay() as display:
        for event in [*STORY, Noticed("[bold]not markup", "a")]:
            display(event)
            display._draw()


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
