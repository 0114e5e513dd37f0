"""Approving and rejecting: through the owner of a run, or by going on with one that is parked."""

from collections.abc import Sequence

from runner.errors import did_you_mean, usage_error
from runner.escape import printable
from runner.state import FINAL, State
from runner.store.record import Run
from runner.store.store import Store


def awaiting(run: Run, node: str | None) -> tuple[str, ...]:
    """The nodes of a run that await approval, or the one that is named. Raises MlrunError (USAGE) where none does."""
    names = [record.name for record in run.nodes.values() if record.state is State.AWAITING_APPROVAL]
    if node is not None and node not in run.nodes:
        hint = did_you_mean(node, names or run.nodes)
        raise usage_error(f"run {run.counter} has no node `{printable(node)}`", hint=hint)
    if run.state in FINAL:
        raise usage_error(f"run {run.counter} is {run.state}: nothing of it awaits approval", hint=_hint(run))
    if not names:
        raise usage_error(f"nothing of run {run.counter} awaits approval", hint=f"it is {run.state}")
    if node is not None and node not in names:
        state = run.nodes[node].state
        shown = ", ".join(f"`{printable(name)}`" for name in names)
        hint = f"{shown} await{'s' if len(names) == 1 else ''} approval"
        raise usage_error(f"node `{printable(node)}` of run {run.counter} is {state}", hint=hint)
    return (node,) if node is not None else tuple(names)


def _hint(run: Run) -> str:
    lost = any(record.point is not None and record.state is not State.SUCCEEDED for record in run.nodes.values())
    if lost:
        return f"`mlrun resume run:{run.counter}` goes on with it, and asks again"
    return "`mlrun list runs --where 'state == \"waiting\"'` names those that are parked"


def ask_owner(store: Store, run: Run, nodes: Sequence[str], *, approved: bool, by: str) -> None:
    """Tell the process that drives a run what was decided. Raises MlrunError (USAGE) when the run has ended."""
    kind = "approve" if approved else "reject"
    for node in nodes:
        store.request(run.id, {"type": kind, "node": node, "by": by})
