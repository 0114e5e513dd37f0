"""What stands in a run because the user says so, whatever it is made of: nodes as they came out in an earlier run.

Reads the store; writes nothing.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import cache

from runner.app.standing import left_of, made_by
from runner.engine.callback import Stand
from runner.errors import ExitCode, MlrunError, did_you_mean, usage_error
from runner.escape import printable
from runner.plan.bind import Left
from runner.plan.model import Plan, PlannedNode, trial_number
from runner.sign import word_of
from runner.spec.phrase import counted
from runner.state import DONE
from runner.store.record import Execution, NodeRecord, Reused, Run, planned_of, trials
from runner.store.store import RUN_PREFIX, Store

_MEND = "let it run again, too: `--from` names where a rerun starts, `--mimic` what it may leave out"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which nodes of an earlier run are to run again: those of `start` and all below them, `only` these, or with
    `failed` those that did not succeed and all below them; all of them where nothing is said."""

    start: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    failed: bool = False


def choose(plan: Plan, run: Run, choice: Choice) -> dict[str, str]:
    """The nodes of the plan that are taken from a run, each with the id of that. Deployment nodes are not: all that
    they do is to gather what is there. Raises MlrunError (USAGE) for a choice that means nothing."""
    if sum(map(bool, (choice.start, choice.only, choice.failed))) > 1:
        raise usage_error("only one of `--from`, `--only` and `--failed` can be meant", hint="`--from` may be repeated")
    if not (choice.start or choice.only or choice.failed):
        return {}
    for name in (*choice.start, *choice.only):
        _check_known(plan, run, name)
    again = set(choice.only) or below(plan, choice.start or _failed(plan, run))
    return {name: run.id for name, node in plan.nodes.items() if name not in again and node.kind != "deployment"}


def _check_known(plan: Plan, run: Run, name: str) -> None:
    if name in plan.nodes:
        return
    record = run.nodes.get(name)
    if record is not None and record.trial_of is not None:
        task = printable(record.trial_of)
        raise usage_error(f"`{printable(name)}` is a trial of `{task}`", hint=f"name the task node: `{task}`")
    hint = did_you_mean(name, map(printable, plan.nodes))
    raise usage_error(f"{plan.kind} `{printable(plan.name)}` has no node `{printable(name)}`", hint=hint)


def _failed(plan: Plan, run: Run) -> list[str]:
    found = [name for name in plan.nodes if name not in run.nodes or run.nodes[name].state not in DONE]
    if not found:
        raise usage_error(f"every node of run {run.counter} succeeded", hint="`--from NODE` names where to start")
    return found


def below(plan: Plan, names: Iterable[str]) -> set[str]:
    """These nodes and all that need something of them, near or far."""
    downstream = plan.downstream()
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += downstream[name]
    return found


def mimic(nodes: Collection[str], words: Sequence[str], find: Callable[[str], Run]) -> dict[str, str]:
    """The nodes that are taken from other runs, by words such as `run:5:train*,load`; `find` gives the run that a word
    names. Where two name the same node the last counts. Raises MlrunError (USAGE)."""
    taken: dict[str, str] = {}
    for word in words:
        named, colon, globs = word.removeprefix(RUN_PREFIX).partition(":")
        if not colon or not named or not globs:
            raise usage_error(
                f"`--mimic {printable(word)}` does not say which nodes of which run",
                hint="write `--mimic RUN:NODE`, as `--mimic run:5:load,train*`",
            )
        run = find(named)
        for pattern in globs.split(","):
            matched = [name for name in nodes if name == pattern] or [
                name for name in nodes if fnmatchcase(name, pattern)
            ]
            if not matched:
                raise usage_error(
                    f"`{printable(pattern)}` of `--mimic {printable(word)}` matches no node",
                    hint=did_you_mean(pattern, map(printable, nodes)),
                )
            taken |= dict.fromkeys(matched, run.id)
    return taken


# What that comes to ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Taken:
    """What stands for a node, and the executions that this is about."""

    stand: Stand
    executions: tuple[Execution, ...]


def find_taken(store: Store, plan: Plan, done: Collection[str] = ()) -> dict[str, Taken]:
    """What stands for the nodes that are taken from earlier runs, but for those that are `done`. What they left is
    relied on until the store is closed.

    Raises MlrunError: USAGE for a node that has nothing to stand for it, INPUT for one whose outputs are gone.
    """
    read = cache(store.run)
    return {
        name: _take(store, read(node.taken_from), node, read)
        for name, node in plan.nodes.items()
        if node.taken_from is not None and name not in done
    }


def _take(store: Store, run: Run, node: PlannedNode, read: Callable[[str], Run]) -> Taken:
    shown = f"node `{printable(node.name)}`"
    record = run.nodes.get(node.name)
    if record is None:
        hint = did_you_mean(node.name, map(printable, run.nodes)) or _MEND
        raise usage_error(f"run {run.counter} has no {shown}", hint=hint)
    if record.kind != node.kind:
        raise usage_error(f"{shown} is of kind {record.kind} in run {run.counter}, and {node.kind} now", hint=_MEND)
    if record.state not in DONE:
        what = f"{shown} of run {run.counter} is {word_of(record)}, so that it can stand for nothing"
        raise usage_error(what, hint=_MEND)
    if record.kind == "task":
        return _take_task(store, run, record, read)
    return _take_execution(store, run, record, read)


def _take_task(store: Store, run: Run, task: NodeRecord, read: Callable[[str], Run]) -> Taken:
    done = [trial for trial in trials(run, task.name) if trial.state in DONE]
    taken = {trial.name: _take_execution(store, run, trial, read) for trial in done}
    numbered = ((trial_number(name), one.stand.left) for name, one in taken.items())
    left = Left(planned_of(run, task.name).get("parameters", {}), trials=tuple(numbered))
    stands = {trial.name: (trial.parameters, taken[trial.name].stand) for trial in done}
    age = min((one.stand.age for one in taken.values()), default=0.0)
    stand = Stand(None, left, f"{counted(len(done), 'trial')}, taken from run {run.counter}", age, stands)
    return Taken(stand, tuple(execution for one in taken.values() for execution in one.executions))


def _take_execution(store: Store, run: Run, record: NodeRecord, read: Callable[[str], Run]) -> Taken:
    made = made_by(store, run, record, read)
    if made is None:
        what = f"the execution of node `{printable(record.name)}` of run {run.counter} is not recorded any more"
        raise usage_error(what, hint=_MEND)
    owner, execution = made
    for complaint in _lacking(store, execution):
        raise MlrunError(
            f"node `{printable(record.name)}` cannot be taken from run {run.counter}: {complaint}",
            code=ExitCode.INPUT,
            hint=_MEND,
        )
    of = "" if owner.id == run.id else f" of run {owner.counter}"
    detail = f"execution {execution.counter}{of}, taken from run {run.counter}"
    reused = Reused(execution.id, execution.counter, owner.id, taken=True)
    ended = datetime.fromisoformat(execution.finished or execution.created)
    age = (datetime.now(UTC) - ended).total_seconds()
    return Taken(Stand(reused, left_of(execution), detail, age), (execution,))


def _lacking(store: Store, execution: Execution) -> Iterator[str]:
    """What is wrong with the outputs of an execution."""
    for output in execution.outputs:
        if not store.objects.is_sound(output.digest, output.size):
            try:
                store.catalog.require(output.name, output.digest)
            except MlrunError as error:
                yield error.message
            yield f"its output `{printable(output.name)}` is damaged"


def stands_of(taken: Mapping[str, Taken]) -> dict[str, Stand]:
    """What stands, by node."""
    return {name: one.stand for name, one in taken.items()}
