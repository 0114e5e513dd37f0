"""Which execution a node came to, its own or the earlier one that stands for it, and what that left."""

from collections.abc import Callable

from runner.app.input import left_files
from runner.engine.entry import inputs_from_json
from runner.errors import ExitCode, MlrunError
from runner.plan.bind import Left
from runner.store.record import Execution, NodeRecord, Run
from runner.store.store import Store


def made_by(
    store: Store, run: Run, node: NodeRecord, read: Callable[[str], Run] | None = None
) -> tuple[Run, Execution] | None:
    """The last execution of a node of a run, or the one that stands for it, with its run; None where there is none, or
    where that was removed. `read` gives a run of the store by its id, perhaps one that was read before. Raises
    MlrunError (STORE)."""
    if node.reused is None:
        return (run, run.executions[node.executions[-1]]) if node.executions else None
    try:
        earlier = (read or store.run)(node.reused.run)
    except MlrunError as error:
        if error.code is not ExitCode.USAGE and not _is_lacking(store, node.reused.run):
            raise
        return None
    execution = earlier.executions.get(node.reused.execution)
    return None if execution is None else (earlier, execution)


def left_of(execution: Execution) -> Left:
    """What an execution left for the nodes downstream. Raises KeyError or TypeError for a damaged record."""
    job, outputs = execution.job, left_files(execution.id, execution.outputs)
    return Left(job["parameters"], job["environment"], inputs_from_json(job["inputs"]), outputs, execution.metrics)


def _is_lacking(store: Store, run: str) -> bool:
    """Whether a run is not in the store at all, as where it was left behind by a pull."""
    return not store.layout.run(run).journal.exists()
