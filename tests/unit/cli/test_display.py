"""What a run looks like, from its events."""

import io
import sys
from typing import Any, cast

import pytest
from rich.console import Console, ConsoleDimensions

from runner.cli.board import Board, Tail, metric_text, metrics_text
from runner.cli.display import PlainDisplay, ended_sentence, failures, start_sentence
from runner.cli.live import LiveDisplay
from runner.escape import printable, printable_lines
from runner.events import (
    ApprovalAsked,
    ApprovalDecided,
    Event,
    Foreseen,
    InputFetched,
    LogArrived,
    MetricsArrived,
    NodeChanged,
    NodeShown,
    Noticed,
    RunEnded,
    RunParked,
    RunStarted,
    TrialsAdded,
)
from runner.quantity import duration_text
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


def test_how_long_a_run_took_is_told_where_somebody_knows() -> None:
    assert ended_sentence(RunEnded("id", 3, State.FAILED, None, 2.0), "task") == "task run 3 failed in 2.0 s"
    lost = RunEnded("id", 3, State.INTERRUPTED, Reason.RUNNER_LOST, None)
    assert ended_sentence(lost, "task") == "task run 3 interrupted"


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
    assert ended[1:3] == ["✗ a failed 1.2 s command 2 failed", "– b skipped upstream, `a` failed"]
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


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ((12, 9, 240.0), "12 nodes, 9 reused, about 4 min"),
        ((12, 9, None), "12 nodes, 9 reused"),
        ((12, 0, 0.4), "12 nodes, about 1 s"),
        ((1, 0, 7300.0), "1 node, about 2 h 02 min"),
        ((12, 12, 0.0), "12 nodes, all reused"),
        ((12, 12, 0.0, 5, 5), "12 nodes, all reused"),
        ((3, 1, 240.0, 20, 9), "3 nodes, 1 reused, 9 of 20 trials reused, about 4 min"),
        ((3, 0, None, 1, 0), "3 nodes, 1 trial"),
        ((3, 2, 9.0, 20, 20), "3 nodes, 2 reused, all of 20 trials reused, about 9 s"),
        ((3, 0, 9.0, 1500, 990, True), "3 nodes, at least 990 of 1,500 trials reused, about 9 s"),
        ((12, 0, 9.0, 0, 0, False, 3), "12 nodes, 3 kept, about 9 s"),
        ((12, 2, None, 0, 0, False, 3), "12 nodes, 3 kept, 2 reused"),
        ((2, 0, 0.0, 0, 0, False, 2), "2 nodes, all kept"),
        ((5, 2, 0.0, 0, 0, False, 3), "5 nodes, 3 kept, 2 reused"),
        ((3, 0, None, 50, 0, False, 1, 20), "3 nodes, 1 kept, 20 of 50 trials kept"),
        ((3, 0, None, 50, 5, True, 1, 20), "3 nodes, 1 kept, 20 of 50 trials kept, at least 5 reused"),
        ((3, 0, None, 50, 0, False, 1, 50), "3 nodes, 1 kept, all of 50 trials kept"),
    ],
)
def test_the_first_line_says_only_what_is_known(told: tuple[Any, ...], said: str) -> None:
    assert start_sentence(Foreseen(*told)) == said


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
    assert "\n= a" in drawn
    assert "execution 4 of run 2, 1 min ago" in drawn


TASK = NodeShown("sweep", "t", "i", (), kind="task")
DEPLOY = NodeShown("deploy", "d", "i", ("sweep",))


def trials(count: int, size: int | None) -> TrialsAdded:
    chosen = [{"lr": number / 10, "depth": 4} for number in range(1, count + 1)]
    shown = (
        NodeShown(f"sweep.{number}", "t", "i", (), trial_of="sweep", parameters=values)
        for number, values in enumerate(chosen, 1)
    )
    return TrialsAdded("sweep", tuple(shown), size)


def said(events: list[Event], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What the plain display says of events of a pipeline with a task, after its first line."""
    with PlainDisplay(io.StringIO()) as display:
        for event in [RunStarted("id", 3, "pipeline", "p", "sandbox", (TASK, DEPLOY)), *events]:
            display(event)
    return capsys.readouterr().err.splitlines()[1:]


def test_a_trial_is_told_with_its_values_and_how_many_are_over(capsys: pytest.CaptureFixture[str]) -> None:
    events: list[Event] = [
        trials(2, 50),
        NodeChanged("sweep.1", State.STARTING, execution=8),
        NodeChanged("sweep.1", State.RUNNING, execution=8),
        MetricsArrived("sweep.1", {"loss": 0.5}),
        NodeChanged("sweep.1", State.SUCCEEDED, Reason.EXIT, None, 8, 0, 3.1),
        NodeChanged("sweep.2", State.STOPPED, Reason.PRUNED, None, 9, 143, 1.0),
    ]
    assert said(events, capsys) == [
        "sweep.1 (lr=0.1, depth=4): running (execution 8)",
        "sweep.1 (lr=0.1, depth=4): succeeded [1/50] (execution 8) in 3.1 s loss=0.5",
        "sweep.2 (lr=0.2, depth=4): pruned [2/50] (execution 9) in 1.0 s",
    ]


def test_of_very_many_trials_only_the_end_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    events: list[Event] = [trials(500, None)]
    for number in range(1, 501):
        events += [NodeChanged(f"sweep.{number}", state) for state in (State.STARTING, State.RUNNING, State.SUCCEEDED)]
    lines = said(events, capsys)
    assert len(lines) == 500
    assert lines[-1] == "sweep.500 (lr=50, depth=4): succeeded [500]"


def test_a_retry_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    detail = "command 1 failed with 1; attempt 2 of 3 in 2 s"
    retried = NodeChanged("deploy", State.WAITING, Reason.RETRY, detail, execution=7)
    assert said([retried], capsys) == [f"deploy: failed (execution 7) - {detail}"]


def test_who_is_asked_about_a_failed_node_is_told_why_it_failed(capsys: pytest.CaptureFixture[str]) -> None:
    failed = NodeChanged("deploy", State.AWAITING_APPROVAL, None, "the command failed (exit 4)", execution=7)
    assert said([failed], capsys) == ["deploy: awaiting-approval (execution 7) - the command failed (exit 4)"]


def test_a_failed_task_is_told_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    failed = NodeChanged("deploy", State.FAILED, Reason.TRIAL, "4 trials, 1 failed")
    assert said([failed], capsys) == ["deploy: failed - 4 trials, 1 failed"]


def test_an_approval_says_what_is_to_be_typed_and_who_gave_it(capsys: pytest.CaptureFixture[str]) -> None:
    odd = NodeShown("it's\x1b", "d", "i", ())
    events: list[Event] = [
        RunStarted("id", 3, "pipeline", "p", "sandbox", (odd,)),
        NodeChanged("it's\x1b", State.AWAITING_APPROVAL),
        ApprovalAsked("it's\x1b", "node-starting"),
        RunParked("id", 3, ("it's\x1b", "b", "c", "d")),
        ApprovalDecided("it's\x1b", "node-starting", approved=False, by="ann@\x1bbox"),
    ]
    assert said(events, capsys)[1:] == [
        "it's\\x1b: awaiting approval (node-starting): `mlrun approve run:3 'it'\"'\"'s\\x1b'` lets it go on, "
        "`mlrun reject run:3 'it'\"'\"'s\\x1b'` does not",
        "run 3 is parked until it is approved: `mlrun approve run:3 'it'\"'\"'s\\x1b'`, `mlrun approve run:3 b`, "
        "`mlrun approve run:3 c` and 1 more",
        "it's\\x1b: rejected by ann@\\x1bbox",
    ]


def test_of_very_many_failures_the_first_are_told_and_the_others_named() -> None:
    events: list[Event] = [RunStarted("id", 3, "pipeline", "p", "sandbox", (TASK,)), trials(300, 300)]
    events += [NodeChanged(f"sweep.{number}", State.FAILED, Reason.EXIT, "no") for number in range(1, 301)]
    lines = failures(board_after(events))
    assert len(lines) == 11
    assert lines[-1].startswith("failed: 290 more: sweep.11, sweep.12, ")
    assert lines[-1].endswith(", …")


def test_nothing_is_left_on_a_terminal_that_became_narrower(monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal wraps what was drawn: the lines that stand there then are more than were written."""
    display = LiveDisplay()
    events: list[Event] = [RunStarted("id", 3, "pipeline", "p" * 60, "sandbox", (TASK, DEPLOY))]
    for event in events:
        display(event)
    out = io.StringIO()
    console = Console(file=out, width=100, height=20, force_terminal=True, highlight=False)
    monkeypatch.setattr(display, "_console", console)
    display._draw()
    console.size = ConsoleDimensions(40, 20)
    display._draw()
    # The title had 83 columns, which are three lines of 40.
    assert out.getvalue() == "\x1b[2K\x1b[1A" * 2
    display._draw()
    assert out.getvalue() == "\x1b[2K\x1b[1A" * 2
