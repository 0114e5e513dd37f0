"""Repeats a recorded run from the store alone and compares everything that it leaves with the record.

Each execution is repeated on the inputs of its own record, so that one that differs does not spoil the next, and of a
node that was reused the execution that stands for it. One that differs is repeated a second time: if the two
repetitions differ from one another the step is not deterministic, if they are the same the environment has changed.

Repetitions are not recorded. They tell something about a record and are no new results: recorded, they would be the
newest makers of the very files that they confirm, and stand for other executions in their turn.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock

from runner.app.interrupt import catching_signals
from runner.app.overlay import Overlay
from runner.app.repetition import NOT_ITS_OWN, Missing, Preparer, Ready, Trial, opener, repeat
from runner.app.reproduction import (
    Lack,
    Need,
    Repeated,
    Reproduction,
    Verdict,
    cannot_run,
    find_causes,
    judge,
)
from runner.app.result import Open, Result, compare_results, without_values
from runner.app.scratch import scratch_folder
from runner.app.watch import Over, watched
from runner.comparison.tolerance import Tolerance
from runner.errors import MlrunError, usage_error
from runner.escape import printable
from runner.events import Listener, Noticed
from runner.executors.secret import remove_leftovers
from runner.settings import Settings
from runner.sign import word_of
from runner.state import FINAL, State
from runner.store.record import Execution, OutputFile, Run, in_order
from runner.store.store import Store
from runner.worker.mask import Mask
from runner.worker.stopper import Stopper

TakeOutputs = Callable[[Repeated, Overlay, tuple[OutputFile, ...]], None]
"""Does something with what the repetition of an execution left, before it is thrown away. Called by any thread."""


_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user wants of a repetition. `strict` runs nothing for which anything of the environment has changed;
    `once` leaves out the second repetition; `jobs` run at the same time; `executor` stands for the recorded one."""

    settings: Settings
    tolerance: Tolerance = field(default_factory=Tolerance)
    strict: bool = False
    once: bool = False
    jobs: int = 1
    executor: str | None = None
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    take: TakeOutputs | None = None


@dataclass(frozen=True, slots=True)
class _Task:
    """A node and the execution that is to be repeated for it, with the run whose execution that is."""

    blank: Repeated
    run: Run | None = None
    execution: Execution | None = None


def reproduce(run: Run, chosen: Execution | None, wanted: Wanted, emit: Listener) -> Reproduction:
    """Repeat a run, or one execution of it. Raises MlrunError: USAGE for what is under way, STORE, DISK."""
    subject = chosen or run
    if subject.state not in FINAL:
        raise usage_error(f"{_name(run, chosen)} is {subject.state}", hint="repeat it once it has ended")
    told = {"run": run.id, "counter": run.counter, "project": run.project.id, "name": run.name}
    if chosen is not None:
        told |= {"execution": chosen.id}
    with Store.open(wanted.settings.store, create=True) as store:
        remove_leftovers()
        tasks = [_task(run, chosen.node, chosen)] if chosen else [*_tasks(store, run)]
        preparer = Preparer(store, wanted.settings, wanted.secrets, wanted.executor)
        prepared = [_prepare(preparer, task, wanted) for task in tasks]
        drift = tuple(dict.fromkeys(one for node, _ in prepared for one in node.drift))
        for one in drift:
            emit(Noticed(f"changed: {one.what}: {one.before or 'none'} → {one.after or 'none'}"))
        with scratch_folder(store.layout.work, store.objects.unlink) as folder:
            crew = _Crew(store, wanted, folder, emit)
            nodes, signal = crew.work(prepared)
    return Reproduction(told, wanted.tolerance.relative, nodes, signal)


def _name(run: Run, chosen: Execution | None) -> str:
    return f"run {run.counter}" if chosen is None else f"execution {chosen.counter}"


def _tasks(store: Store, run: Run) -> Iterator[_Task]:
    read = cache(store.run)
    for node in in_order(run):
        if node.kind != "execution":
            # Its trials are nodes of their own, and what a deployment gathered somebody else has left.
            continue
        if node.executions and node.reused is None:
            yield _task(run, node.name, run.executions[node.executions[-1]])
        elif node.reused is not None:
            blank = Repeated(node.name, node.step, Verdict.NEVER_RAN, node.reused.counter, node.reused.execution)
            try:
                other = read(node.reused.run)
                yield _task(other, node.name, other.executions[node.reused.execution])
            except (MlrunError, KeyError) as error:
                said = error.message if isinstance(error, MlrunError) else "its run has no such execution"
                message = f"execution {node.reused.counter}, which stands for it, is not in the store: {said}"
                yield _Task(cannot_run(blank, Lack(Need.RECORD, "", message)))
        else:
            note = f"{word_of(node)}: {node.detail}" if node.detail else word_of(node)
            yield _Task(Repeated(node.name, node.step, Verdict.NEVER_RAN, note=note))


def _task(run: Run, node: str, execution: Execution) -> _Task:
    blank = Repeated(node, execution.step, Verdict.NEVER_RAN, execution.counter, execution.id, run.id)
    if execution.state in (State.STOPPED, State.INTERRUPTED):
        message = f"it was {word_of(execution)}, so there is no end to compare with"
        return _Task(cannot_run(blank, Lack(Need.RECORD, "", message)))
    if execution.started is None and execution.reason in NOT_ITS_OWN:
        return _Task(replace(blank, note=execution.detail or str(execution.reason)))
    return _Task(blank, run, execution)


def _prepare(preparer: Preparer, task: _Task, wanted: Wanted) -> tuple[Repeated, Ready | None]:
    if task.run is None or task.execution is None:
        return task.blank, None
    try:
        ready = preparer.prepare(task.run, task.execution)
    except Missing as missing:
        return cannot_run(task.blank, *missing.lacks), None
    told = replace(task.blank, drift=ready.drift)
    if wanted.strict and ready.drift:
        names = ", ".join(dict.fromkeys(one.what for one in ready.drift))
        hint = "leave `--strict` out to repeat it all the same"
        return cannot_run(told, Lack(Need.ENVIRONMENT, "", f"not as it was: {names}", hint)), None
    return told, ready


def _wait(arrived: SimpleQueue[int]) -> int:
    """The next note. Looks up from time to time: a signal that another thread was given does not wake this one."""
    while True:
        with suppress(Empty):
            return arrived.get(timeout=_LOOK_SECONDS)


class _Crew:
    """Runs repetitions on threads of their own and ends them when this process is asked to end."""

    def __init__(self, store: Store, wanted: Wanted, folder: Path, emit: Listener) -> None:
        self._store = store
        self._wanted = wanted
        self._folder = folder
        self._emit = emit
        self._lock = Lock()
        self._stoppers: list[Stopper] = []
        self._over = False

    def work(self, prepared: list[tuple[Repeated, Ready | None]]) -> tuple[tuple[Repeated, ...], int | None]:
        """Repeat all that is ready; the nodes in their order, and the signal that ended it before its time."""
        arrived: SimpleQueue[int] = SimpleQueue()
        # A signal only leaves a note: its handler may run while a lock is held.
        with (
            catching_signals(lambda so_far: arrived.put(len(so_far))) as caught,
            ThreadPoolExecutor(self._wanted.jobs) as pool,
        ):
            futures = [pool.submit(self._node, node, ready) for node, ready in prepared]
            try:
                for future in futures:
                    future.add_done_callback(lambda _: arrived.put(0))
                for _ in range(len(futures)):
                    while (signals := _wait(arrived)) > 0:
                        self._stop(0 if signals > 1 else self._wanted.settings.grace)
                return tuple(future.result() for future in futures), caught[0] if caught else None
            except BaseException:
                self._stop(0)
                raise

    def _stop(self, grace: float) -> None:
        with self._lock:
            self._over = True
            stoppers = [*self._stoppers]
        for stopper in stoppers:
            stopper.stop(grace)

    def _node(self, node: Repeated, ready: Ready | None) -> Repeated:
        if ready is None:
            return node
        for notice in ready.notices:
            self._emit(Noticed(notice, node.node))
        self._emit(Noticed(f"execution {node.execution} of `{printable(node.step)}` is repeated", node.node))
        trials: list[Trial] = []
        try:
            return self._compare(node, ready, trials)
        except Over:
            return replace(node, note="stopped")
        finally:
            for trial in trials:
                trial.discard()

    def _compare(self, node: Repeated, ready: Ready, trials: list[Trial]) -> Repeated:
        """Repeat it once, and a second time if it differs; `trials` gets each repetition."""
        first = self._repeat(ready, trials)
        if first is None:
            return replace(node, note="stopped")
        if (lack := first.lack(ready.execution)) is not None:
            return cannot_run(node, lack)
        tolerance = self._wanted.tolerance
        before = Result.recorded(ready.execution, self._watching(opener(self._store)))
        result = Result.repeated(first.finished, self._watching(first.objects.open))
        parts = compare_results(before, result, tolerance)
        if ready.job.secrets:
            mask = Mask({name: self._wanted.secrets[name] for name in ready.job.secrets})
            parts = tuple(without_values(part, mask.text) for part in parts)
        told = replace(node, verdict=judge(parts), parts=parts)
        if self._wanted.take is not None:
            self._wanted.take(told, first.objects, first.finished.outputs)
        if told.verdict is not Verdict.DIFFERENT or self._wanted.once:
            return told
        self._emit(Noticed(f"execution {node.execution} differs, and is repeated once more", node.node))
        second = self._repeat(ready, trials)
        if second is None or second.lack(ready.execution) is not None:
            return told
        latest = Result.repeated(second.finished, self._watching(second.objects.open))
        again = compare_results(result, latest, tolerance)
        return replace(told, causes=find_causes(parts, again))

    def _watching(self, open: Open) -> Open:
        """Opens the same, as long as nobody has asked for the end: to compare large files may take minutes."""
        return lambda digest: watched(open(digest), lambda: self._over)

    def _repeat(self, ready: Ready, trials: list[Trial]) -> Trial | None:
        """One repetition; None if it was stopped."""
        stopper = Stopper()
        with self._lock:
            if self._over:
                return None
            self._stoppers.append(stopper)
        wanted = self._wanted
        trials.append(repeat(ready, self._store, wanted.settings, self._folder, stopper, wanted.secrets, self._emit))
        with self._lock:
            self._stoppers.remove(stopper)
            return None if self._over else trials[-1]
