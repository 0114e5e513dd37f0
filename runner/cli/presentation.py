"""A run on a display: which one it has, who is asked at it, and how its end is told."""

import shlex
import sys
from collections.abc import Callable
from dataclasses import replace

from runner.app.request import Decider, Request
from runner.app.run import Ended
from runner.cli.board import Board
from runner.cli.cell import now
from runner.cli.display import Display, PlainDisplay, ended_sentence, failures
from runner.cli.relay import Relay
from runner.cli.summary import final_table, path_text
from runner.cli.terminal import can_draw, colourful, is_attended, print_json, put, say
from runner.errors import ExitCode
from runner.escape import printable
from runner.plan.model import recorded_goal
from runner.provenance.host import who
from runner.state import Reason, State
from runner.store.record import Run, to_json

_CUT_SHORT = frozenset({State.STOPPED, State.FAILED, State.INTERRUPTED})


def on_display(kind: str, drive: Callable[[Relay], Ended], *, json: bool) -> int:
    """Show a run of this kind while it is driven, and how it came out; the exit code."""
    with Relay(_choose_display(kind, json=json)) as display:
        ended = drive(display)
    try:
        _tell_end(ended, display.board, json=json)
    except OSError as error:
        # How the run ended counts more than whether it can be told.
        if ended.exit == ExitCode.OK and not isinstance(error, BrokenPipeError):
            raise
    return ended.exit


def _choose_display(kind: str, *, json: bool) -> Display:
    """Live for more than one step on a terminal, else plain: with the output of programs on stderr where stdout is for
    JSON."""
    if json:
        return PlainDisplay(sys.stderr)
    if kind != "exec" and colourful(sys.stderr) and can_draw(sys.stderr) and sys.stdout.isatty():
        # Not at the top: piped runs do without the weight of rich.
        from runner.cli.live import LiveDisplay

        return LiveDisplay()
    return PlainDisplay(sys.stdout)


def attended(request: Request, display: Relay) -> Request:
    """Of a run that somebody at a terminal looks at, who is asked there what has to be approved; it does not park."""
    if not is_attended():
        return request
    by = who()

    def attend(decide: Decider) -> None:
        display.attend(lambda node, approved: decide(node, approved, by))

    return replace(request, parks=False, attend=attend)


def _tell_end(ended: Ended, board: Board, *, json: bool) -> None:
    """Say how a run came out that was shown."""
    run = ended.run
    for line in failures(board):
        put(line, sys.stderr)
    if json:
        print_json(to_json(run))
    elif run.kind != "exec":
        reused = {node.name: node.metrics for node in board.nodes.values() if node.state is State.REUSED}
        put(final_table(run, now(), reused), sys.stdout)
        if path := path_text(run, now()):
            put(f"critical path: {path}", sys.stdout)
    if board.ended:
        put(ended_sentence(board.ended, run.kind), sys.stderr)
    if run.kind == "task":
        goal = recorded_goal(run.plan, run.name)
        best = printable(f", `--best {shlex.quote(goal.metric)}` names the best one") if goal else ""
        say(f"trials: `mlrun task show run:{run.counter}` lists them{best}")
    elif run.state is State.SUCCEEDED and (words := _outputs_of(run)):
        say(f"outputs: `mlrun outputs {words}` lists them, `-d DIR` copies them out")
    if run.kind != "exec" and run.state in _CUT_SHORT and run.reason is not Reason.ACTION:
        name = f"run:{run.counter}"
        say(f"`mlrun resume {name}` goes on with it as it is, `mlrun rerun {name} --failed` with the code of now")


def _outputs_of(run: Run) -> str:
    """What names the last outputs of a run: its own execution, or else the node for which an earlier one stands; empty
    where there are none."""
    made = [execution for execution in run.executions.values() if execution.outputs]
    if made:
        return str(made[-1].counter)
    reused = [node.name for node in run.nodes.values() if node.reused is not None and node.trial_of is None]
    return f"run:{run.counter} --node {printable(shlex.quote(reused[-1]))}" if reused else ""
