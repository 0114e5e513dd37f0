"""What a run that goes on has behind it: which nodes are kept with what they left, which jobs still run, what begins
anew. Asks the store and the machine; changes nothing."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from runner.app.ground import Ground
from runner.app.session import recorded_documents
from runner.app.standing import left_of, made_by
from runner.digest import Digest
from runner.engine import entry
from runner.engine.callback import Bound, Past
from runner.engine.node import Restored
from runner.engine.sampler import Told
from runner.engine.score import make_score
from runner.plan.bind import Left
from runner.plan.model import Plan, PlannedNode, Point, goal_of
from runner.spec.model import OnError, TaskType
from runner.state import DONE, FINAL, Reason, State
from runner.store.record import Entry, Execution, NodeRecord, Run
from runner.store.store import Store
from runner.worker.run import Running


@dataclass(slots=True)
class Behind:
    """What a run has behind it, while that is found out: `told` are the entries that say what was restored otherwise
    than the record says, `again` the nodes that begin anew."""

    nodes: dict[str, Restored] = field(default_factory=dict)
    left: dict[str, Left] = field(default_factory=dict)
    adopted: dict[str, Bound] = field(default_factory=dict)
    running: dict[str, Running] = field(default_factory=dict)
    trials: dict[str, dict[str, Told]] = field(default_factory=dict)
    again: list[str] = field(default_factory=list)
    told: list[Entry] = field(default_factory=list)

    def past(self) -> Past:
        """In the form that the loop takes."""
        return Past(self.nodes, self.left, self.adopted, self.trials)


def look_behind(plan: Plan, ground: Ground, run: Run) -> Behind:
    """What is kept of a run: nodes that are done, those that failed and were tolerated, those that await approval,
    trials that came to their end, and jobs that still run. Everything else begins anew. Raises MlrunError."""
    behind = Behind()
    store = ground.store
    for name, node in plan.nodes.items():
        record = run.nodes[name]
        if node.kind == "task":
            _look_at_task(behind, ground, run, node, record)
        else:
            _look_at_node(behind, ground, run, node, record)
    for name, below in reversed(list(plan.downstream().items())):
        needed = any(one not in behind.nodes or behind.nodes[one].state not in FINAL for one in below)
        if name in behind.left and needed and _has_lost(store, behind.left[name]):
            _begin_again(behind, name, [record.name for record in run.nodes.values() if record.trial_of == name])
    behind.again += [
        name
        for name, record in run.nodes.items()
        if name not in behind.nodes and (record.state is not State.WAITING or record.reason is not None)
    ]
    behind.again += [
        name for name, restored in behind.nodes.items() if restored.state is State.WAITING and name not in behind.again
    ]
    return behind


def _look_at_node(behind: Behind, ground: Ground, run: Run, node: PlannedNode, record: NodeRecord) -> None:
    state = record.state
    if state in DONE and record.gathered is not None:
        behind.nodes[record.name] = Restored(state, trial_of=record.trial_of)
        gathered = record.gathered
        behind.left[record.name] = Left({"id": gathered.id, "version_id": gathered.version_id})
        return
    made = made_by(ground.store, run, record)
    if _adopt(behind, ground, run, record):
        return
    if state in DONE and made is not None:
        _keep(behind, record, made[1])
    elif _is_tolerated(node, record):
        _keep(behind, record, made[1] if made is not None else None, tolerated=True)
    elif (point := _awaited_at(node, record, made[1] if made is not None else None)) is not None:
        _await(behind, record, made[1] if made is not None else None, point)


def _look_at_task(behind: Behind, ground: Ground, run: Run, node: PlannedNode, record: NodeRecord) -> None:
    """A task node that is done or awaits approval is kept with all its trials; of any other those trials are kept that
    came to their end, unless they only run together."""
    trials = [one for one in run.nodes.values() if one.trial_of == record.name]
    point = _awaited_at(node, record, None)
    over = record.state in DONE or point is not None or _is_tolerated(node, record)
    together = node.task is not None and node.task.type is TaskType.DISTRIBUTED
    score = make_score(goal_of(node))
    told: dict[str, Told] = {}
    done: list[tuple[int, Left]] = []
    for number, trial in enumerate(trials, 1):
        made = made_by(ground.store, run, trial)
        pruned = trial.state is State.STOPPED and trial.reason is Reason.PRUNED
        if over or (not together and (trial.state in DONE or pruned)):
            _keep(behind, trial, made[1] if made is not None else None)
        elif together or not _adopt(behind, ground, run, trial):
            behind.nodes[trial.name] = Restored(State.WAITING, trial_of=record.name)
        state = behind.nodes[trial.name].state
        metrics = made[1].metrics if made is not None else {}
        told[trial.name] = Told(trial.parameters, state, score(metrics) if state in FINAL else None)
        if state in DONE and made is not None:
            done.append((number, left_of(made[1])))
    if told:
        behind.trials[record.name] = told
    if not over:
        return
    left = Left(node.parameters, node.environment, trials=tuple(done))
    if point is not None:
        _await(behind, record, None, point)
    else:
        behind.nodes[record.name] = Restored(
            record.state, record.reason, record.detail, tolerated=record.state not in DONE
        )
    behind.left[record.name] = left


def _keep(behind: Behind, record: NodeRecord, made: Execution | None, *, tolerated: bool = False) -> None:
    behind.nodes[record.name] = Restored(
        record.state, record.reason, record.detail, tolerated=tolerated, trial_of=record.trial_of
    )
    if made is not None:
        behind.left[record.name] = left_of(made)


def _begin_again(behind: Behind, name: str, trials: Iterable[str]) -> None:
    """Something that the node left is gone."""
    del behind.nodes[name], behind.left[name]
    for trial in trials:
        behind.nodes[trial] = Restored(State.WAITING, trial_of=name)
        behind.left.pop(trial, None)
        old = behind.trials[name][trial]
        behind.trials[name][trial] = Told(old.parameters, State.WAITING)


def _is_tolerated(node: PlannedNode, record: NodeRecord) -> bool:
    """Whether a node failed and those below it had what it left all the same."""
    if record.state is not State.FAILED or record.trial_of is not None:
        return False
    approved = bool(record.decisions) and record.decisions[-1].point == Point.ERROR and record.decisions[-1].approved
    return node.on_error is OnError.CONTINUE or approved


def _awaited_at(node: PlannedNode, record: NodeRecord, made: Execution | None) -> Point | None:
    """The point at which somebody still has to approve a node; None where nobody has to, or where that is asked again.

    A run that lost its runner, or was rejected, has forgotten it if the node had succeeded: its program need not run
    again for that.
    """
    if record.state is State.AWAITING_APPROVAL and record.point is not None:
        return Point(record.point)
    asks = any("require-approval" in action.then and Point.COMPLETE in action.when for action in node.actions)
    forgotten = record.state in {State.SKIPPED, State.STOPPED} and made is not None and made.state is State.SUCCEEDED
    return Point.COMPLETE if asks and forgotten else None


def _await(behind: Behind, record: NodeRecord, made: Execution | None, point: Point) -> None:
    becomes, reason = None, None
    if point is Point.COMPLETE:
        becomes = State.REUSED if record.reused is not None else State.SUCCEEDED
    elif point is Point.ERROR:
        becomes, reason = State.FAILED, made.reason if made is not None else Reason.TRIAL
    detail = record.detail if record.state is State.AWAITING_APPROVAL else None
    if made is not None and record.reused is None:
        # The node's own sentence may say which condition asked; what becomes of the node has that of its execution.
        detail = made.detail
    behind.nodes[record.name] = Restored(State.AWAITING_APPROVAL, reason, detail, point, becomes)
    if made is not None and point is not Point.STARTING:
        behind.left[record.name] = left_of(made)
    if record.state is not State.AWAITING_APPROVAL:
        behind.told.append(_moved(record.name, State.AWAITING_APPROVAL, point=point))


def _adopt(behind: Behind, ground: Ground, run: Run, record: NodeRecord) -> bool:
    """Take over the job of a node that still runs, or whose end can still be learnt; whether there is one."""
    open_ones = [id for id in record.executions if run.executions[id].state not in FINAL]
    if not open_ones or run.executor != ground.executor.name:
        return False
    execution = run.executions[open_ones[-1]]
    if not ground.store.work_folder(execution.id).is_dir() or execution.job["image"] not in ground.images:
        return False
    handle = ground.executor.reattach(execution.id)
    if handle is None:
        return False
    job = replace(entry.job_from_json(execution.id, execution.job), documents=recorded_documents(run, execution))
    elapsed = _seconds_since(execution.started or execution.created)
    behind.nodes[record.name] = Restored(State.RUNNING, trial_of=record.trial_of)
    behind.adopted[record.name] = Bound(job, execution.counter, execution.key, elapsed=elapsed)
    behind.running[execution.id] = Running(handle, elapsed, execution.outputs)
    if record.state is not State.RUNNING:
        behind.told.append(_moved(record.name, State.RUNNING))
    if execution.started is None:
        behind.told.append(entry.execution_started(job, ground.executor.name, ground.images[job.image]))
    return True


def _moved(node: str, state: State, **more: Any) -> Entry:
    return {"type": "node-moved", "node": node, "state": state, **more}


def _seconds_since(moment: str) -> float:
    """By the clock of the wall, the only one that two processes share."""
    return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds())


def _has_lost(store: Store, left: Left) -> bool:
    """Whether a file that a node left is missing or damaged."""
    files = [*left.outputs, *(file for _, trial in left.trials for file in trial.outputs)]
    return not all(store.objects.is_sound(Digest(file.digest), file.size) for file in files)
