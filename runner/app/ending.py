"""Ending a run that nobody drives: one that is parked, or one whose runner has gone while its containers run on."""

from collections.abc import Collection
from pathlib import Path

from runner.app.executor import open_site
from runner.engine import entry
from runner.engine.action import Decide, Move
from runner.executors import EXECUTORS
from runner.plan.model import Point
from runner.settings import Settings
from runner.state import FINAL, Reason, State
from runner.store.record import Entry, Run
from runner.store.recovery import last_entries, open_executions
from runner.store.store import Store
from runner.store.story import is_driven
from runner.worker.run import end


def end_run(settings: Settings, run_id: str) -> Run:
    """End a run that nobody drives, with what is left of it on this machine; the run as it is then. Raises MlrunError:
    LOCKED where somebody drives it, EXECUTOR where what runs cannot be ended."""
    with Store.open(settings.store, create=True) as store, store.resume_run(run_id) as writer:
        run = writer.run()
        if run.state in FINAL:
            return run
        if not is_driven(run):
            writer.append([*_stopped(run, ()), _run_stopped(Reason.STOP)])
            return writer.run()
        executor = EXECUTORS[run.executor](open_site(settings, Path(run.project.root)))
        for id in open_executions(run):
            if (handle := executor.reattach(id)) is not None:
                end(handle)
        writer.append(last_entries(run))
        return writer.run()


def reject_parked(root: Path, run_id: str, nodes: Collection[str], by: str) -> Run:
    """Reject nodes of a run that is parked, which ends it; the run as it is then. Raises MlrunError."""
    with Store.open(root, create=True) as store, store.resume_run(run_id) as writer:
        run = writer.run()
        points = {name: point for name in nodes if (point := run.nodes[name].point) is not None}
        said = [entry.approval_decided(Decide(name, Point(point), False, by)) for name, point in points.items()]
        writer.append([*said, *_stopped(run, nodes, by), _run_stopped(Reason.REJECTED)])
        return writer.run()


def _stopped(run: Run, rejected: Collection[str], by: str = "") -> list[Entry]:
    """What becomes of the nodes that are not final."""
    return [
        entry.node_moved(
            Move(name, State.STOPPED, Reason.REJECTED, f"by {by}")
            if name in rejected
            else Move(name, State.SKIPPED, Reason.STOP)
        )
        for name, node in run.nodes.items()
        if node.state not in FINAL
    ]


def _run_stopped(reason: Reason) -> Entry:
    return {"type": "run-finished", "state": State.STOPPED, "reason": reason}
