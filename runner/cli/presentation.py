"""A run on a display: which one it has, who is asked at it, and how its end is told."""

import shlex
import sys
from collections.abc import Callable, Set
from contextlib import suppress
from dataclasses import replace

from runner.app.request import Decider, Request
from runner.app.run import Ended
from runner.cli.board import Board
from runner.cli.cell import now
from runner.cli.display import Display, PlainDisplay, ended_sentence, failures
from runner.cli.relay import Relay
from runner.cli.subject import open_store
from runner.cli.summary import final_table, path_text
from runner.cli.terminal import can_draw, colourful, is_attended, print_json, put, say
from runner.errors import ExitCode, MlrunError
from runner.escape import printable
from runner.plan.model import recorded_goal
from runner.provenance.host import who
from runner.state import Reason, State
from runner.store.record import NodeRecord, Run, to_json, trials

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
    if results := results_line(run):
        say(results)
    if run.kind != "exec" and run.state in _CUT_SHORT and run.reason is not Reason.ACTION:
        name = f"run:{run.counter}"
        say(f"`mlrun resume {name}` goes on with it as it is, `mlrun rerun {name} --failed` with the code of now")


def results_line(run: Run) -> str | None:
    """What shows what a run has come to: a task's trials, or the outputs of the last node that left any. None where
    there is nothing to show."""
    if run.kind == "task":
        return _trials_line(run, run.name)
    if run.state is not State.SUCCEEDED:
        return None
    node = _last_with_outputs(run)
    if node is None:
        return None
    if node.kind == "task":
        return _trials_line(run, node.name, f" --node {shlex.quote(node.name)}")
    if node.reused is not None:
        words = f"run:{run.counter} --node {shlex.quote(node.name)}"
    else:
        words = str(run.executions[node.executions[-1]].counter)
    return f"outputs: `mlrun outputs {printable(words)}` lists them, `-d DIR` copies them out"


def _trials_line(run: Run, task: str, which: str = "") -> str:
    goal = recorded_goal(run.plan, task)
    best = f", `--best {shlex.quote(goal.metric)}` names the best one" if goal else ""
    return "trials: " + printable(f"`mlrun task show run:{run.counter}{which}` lists them{best}")


def _last_with_outputs(run: Run) -> NodeRecord | None:
    """The last node of the plan that has outputs, its own, those of its trials, or those of what stands for it; None
    where there is none, or the store does not tell."""
    with suppress(MlrunError):
        standing = _reused_with_outputs(run)
        for node in reversed(list(run.nodes.values())):
            at_work = trials(run, node.name) if node.kind == "task" else (node,)
            if node.trial_of is None and any(_has_outputs(run, one, standing) for one in at_work):
                return node
    return None


def _reused_with_outputs(run: Run) -> frozenset[str]:
    """The ids of the executions that stand for nodes and have outputs. Raises MlrunError."""
    ids = {node.reused.execution for node in run.nodes.values() if node.reused is not None}
    if not ids:
        return frozenset()
    with open_store() as store:
        return frozenset(row["id"] for row in store.rows_of("execution", sorted(ids)) if row["outputs"])


def _has_outputs(run: Run, node: NodeRecord, standing: Set[str]) -> bool:
    """Whether what counts of a node has any: what stands for it, else its last attempt."""
    if node.reused is not None:
        return node.reused.execution in standing
    return bool(node.executions) and bool(run.executions[node.executions[-1]].outputs)
