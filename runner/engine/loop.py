"""The loop: gives the machine its stimuli, makes its decisions durable, then carries them out. Time and threads.

One turn: take every stimulus that has arrived, ask the machine, append all moves to the journal in one durable write,
tell the listeners, act. Nothing is shown or started before it is recorded. Each job has a thread of its own that lives
until the job's end, because a sandbox dies with the thread that started it.
"""

import heapq
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Event as ThreadEvent
from threading import Thread
from typing import Any

from runner.engine import entry
from runner.engine.callback import Bound, Callbacks, GivenUp, Recorder, Stand, Ticket
from runner.engine.machine import (
    Action,
    Begun,
    Bind,
    EndRun,
    JobEnded,
    JobPaused,
    JobStarted,
    LimitReached,
    Machine,
    Move,
    NodeBound,
    NodeReused,
    NodeUnbindable,
    SetTimer,
    Start,
    Stimulus,
    Stop,
    StopAsked,
    TimerFired,
)
from runner.errors import ExitCode, MlrunError
from runner.events import Event, Listener, LogArrived, MetricsArrived, NodeChanged, Noticed
from runner.job import Identity, Job, LogChunk
from runner.metrics import MetricEvent
from runner.plan.bind import Left
from runner.plan.model import Plan, PlannedNode
from runner.state import FINAL, Reason, State
from runner.store.record import OutputFile
from runner.worker.report import Finished, clear
from runner.worker.stopper import Stopper

_RECORDED_WITHIN = 10.0
"""Seconds that a job's helper waits for the record of a file that was taken while the job runs."""

_POLL = 0.25
"""Seconds between two looks into the inbox, where other processes leave requests."""

_REASONS = {ExitCode.DISK: Reason.DISK, ExitCode.IMAGE: Reason.IMAGE}


@dataclass(frozen=True, slots=True)
class _Taken:
    """A running job left a file that is in the store; whoever tells waits until that is recorded."""

    node: str
    file: OutputFile
    recorded: ThreadEvent = field(default_factory=ThreadEvent)


class _Bug(Exception):
    """An exception on another thread that nobody foresaw."""


class Loop:
    """Drives one plan to its end. Used once: make it, `run` it on the main thread; `stop` from anywhere."""

    def __init__(
        self,
        plan: Plan,
        calls: Callbacks,
        *,
        slots: int,
        recorder: Recorder,
        identities: Mapping[str, Identity],
        executor: str,
        emit: Listener,
        grace: float,
    ) -> None:
        """`slots` jobs run at the same time, by the executor of that name, in what `identities` has by image; `grace`
        is the seconds that a program gets to end when it is stopped."""
        self._plan = plan
        self._machine = Machine(plan, slots)
        self._recorder = recorder
        self._calls = calls
        self._identities = identities
        self._executor = executor
        self._emit = emit
        self._grace = grace
        self._arrived: SimpleQueue[Stimulus | _Taken | _Bug] = SimpleQueue()
        self._timers: list[tuple[float, str]] = []
        self._tickets: dict[str, Ticket] = {}
        self._jobs: dict[str, Job] = {}
        self._bound: dict[str, Bound] = {}
        self._stands: dict[str, Stand] = {}
        self._finished: dict[str, Finished] = {}
        self._left: dict[str, Left] = {}
        self._stoppers: dict[str, Stopper] = {}
        self._threads: list[Thread] = []
        self._exits: dict[str, ExitCode] = {}
        self._began = time.monotonic()

    def stop(self, *, kill: bool = False) -> None:
        """Ask the run to end; safe in a signal handler. Without `kill` the programs get their grace."""
        self._arrived.put(StopAsked(kill))

    @property
    def exit(self) -> ExitCode:
        """What the command should end with if the run failed: the code of the first node that did."""
        return next(iter(self._exits.values()), ExitCode.STEP_FAILED)

    def run(self) -> EndRun:
        """Drive the plan to its end. Raises MlrunError when the store cannot be written; nothing is left running."""
        self._began = time.monotonic()
        self._arrived.put(Begun())
        try:
            while True:
                end = self._turn(self._receive())
                if end is not None:
                    return end
        finally:
            self._abandon()

    def _receive(self) -> list[Stimulus | _Taken]:
        """Block until something arrives, then take all of it."""
        batch: list[Stimulus | _Taken] = []
        while not batch:
            try:
                batch.append(self._take(timeout=self._patience()))
            except Empty:
                batch += self._due()
                batch += [StopAsked(kill=request["type"] == "kill") for request in self._recorder.inbox()]
        while not self._arrived.empty():
            batch.append(self._take(timeout=None))
        return batch

    def _take(self, timeout: float | None) -> Stimulus | _Taken:
        stimulus = self._arrived.get(timeout=timeout)
        if isinstance(stimulus, _Bug):
            raise stimulus.__cause__ or stimulus
        return stimulus

    def _patience(self) -> float:
        if not self._timers:
            return _POLL
        return min(_POLL, max(0.0, self._timers[0][0] - time.monotonic()))

    def _due(self) -> list[Stimulus]:
        due: list[Stimulus] = []
        while self._timers and self._timers[0][0] <= time.monotonic():
            due.append(TimerFired(heapq.heappop(self._timers)[1]))
        return due

    def _turn(self, batch: list[Stimulus | _Taken]) -> EndRun | None:
        taken = [one for one in batch if isinstance(one, _Taken)]
        stimuli = [one for one in batch if not isinstance(one, _Taken)]
        actions = self._decide(stimuli)
        entries: list[Mapping[str, Any]] = [entry.output_taken(self._jobs[one.node], one.file) for one in taken]
        events: list[Event] = []
        for action in actions:
            self._tell(action, entries, events)
        if entries:
            self._recorder.append(entries)
        for name in _ended(actions):
            self._settle(name)
        for one in taken:
            one.recorded.set()
        # Before anything is shown or bound: a node downstream may ask for a name that this one sets.
        events += [Noticed(said, name) for name in _ended(actions) for said in self._published(name)]
        for written in entries:
            if written["type"] == "execution-finished" and "log" in written:
                self._recorder.drop_log(written["id"])
        for event in events:
            self._emit(event)
        for action in actions:
            self._carry_out(action)
        return next((action for action in actions if isinstance(action, EndRun)), None)

    def _decide(self, stimuli: Sequence[Stimulus]) -> list[Action]:
        """What the machine says. A chain of nodes for which others are known to stand takes one turn, not one each."""
        actions: list[Action] = []
        waiting = deque(stimuli)
        while waiting:
            for action in self._machine.handle(waiting.popleft()):
                stand = self._calls.known.get(action.node) if isinstance(action, Bind) else None
                if stand is None:
                    actions.append(action)
                elif isinstance(action, Bind):
                    self._stand(action.node, stand)
                    waiting.append(NodeReused(action.node, stand.detail))
        return actions

    def _stand(self, name: str, stand: Stand) -> None:
        self._stands[name] = stand
        self._left[name] = stand.left

    def _tell(self, action: Action, entries: list[Mapping[str, Any]], events: list[Event]) -> None:
        """What the journal and the listeners get to know of an action."""
        if isinstance(action, EndRun):
            entries.append(entry.run_finished(action, time.monotonic() - self._began))
        if not isinstance(action, Move):
            return
        name = action.node
        stand = self._stands.get(name)
        entries.append(entry.node_moved(action, stand.reused if stand and action.state is State.REUSED else None))
        job, finished = self._jobs.get(name), self._finished.get(name)
        if job and action.state is State.STARTING:
            bound = self._bound[name]
            entries.append(entry.execution_created(name, bound.counter, job, bound.key))
        elif job and action.state is State.RUNNING:
            identity = self._identities[job.image]
            entries.append(entry.execution_started(job, self._executor, identity))
        elif job and finished and action.state in FINAL:
            entries.append(entry.execution_finished(job, action, finished))
            self._left[name] = self._calls.leave(job, finished)
            events += [Noticed(warning, name) for warning in finished.warnings]
        elif stand and action.state is State.REUSED and stand.left.metrics:
            events.append(MetricsArrived(name, stand.left.metrics))
        events.append(self._changed(action, finished if action.state in FINAL else None))

    def _settle(self, name: str) -> None:
        """A node is final, whether it was bound or is just being."""
        if name in self._tickets:
            self._tickets[name].give_up()
        if name in self._bound:
            self._bound[name].settle()

    def _published(self, name: str) -> Sequence[str]:
        if (stand := self._stands.get(name)) is not None:
            return self._calls.republish(stand.reused)
        job, finished = self._jobs.get(name), self._finished.get(name)
        return self._calls.publish(job, finished) if job and finished else ()

    def _changed(self, move: Move, finished: Finished | None) -> NodeChanged:
        stand = self._stands.get(move.node) if move.state is State.REUSED else None
        return NodeChanged(
            move.node,
            move.state,
            move.reason,
            move.detail,
            execution=self._number(move),
            exit_code=finished.outcome.exit_code if finished else None,
            duration=finished.duration if finished else None,
            work=str(finished.work) if finished and finished.work else None,
            age=stand.age if stand else None,
        )

    def _number(self, move: Move) -> int | None:
        """The number of the execution that the move is about."""
        if move.state is State.REUSED:
            return self._stands[move.node].reused.counter
        return self._bound[move.node].counter if move.node in self._bound else None

    def _carry_out(self, action: Action) -> None:
        match action:
            case Bind(name):
                node = self._plan.nodes[name]
                upstream = {above: self._left.get(above, Left()) for above in node.upstream}
                self._tickets[name] = Ticket(self._recorder.new_execution_counter)
                self._spawn(self._bind_node, node, upstream, self._tickets[name])
            case Start(name):
                self._stoppers[name] = Stopper()
                self._threads = [thread for thread in self._threads if thread.is_alive()]
                self._threads.append(self._spawn(self._run_job, name))
            case Stop(name, kill, reason):
                self._stoppers[name].stop(0 if kill else self._grace, reason)
            case SetTimer(name, seconds):
                heapq.heappush(self._timers, (time.monotonic() + seconds, name))
            case _:
                pass

    def _spawn(self, target: Callable[..., None], *arguments: object) -> Thread:
        def guarded() -> None:
            try:
                target(*arguments)
            except BaseException as error:  # noqa: BLE001 - any bug there must end the run here
                bug = _Bug()
                bug.__cause__ = error
                self._arrived.put(bug)

        thread = Thread(target=guarded, name=target.__name__, daemon=True)
        thread.start()
        return thread

    def _bind_node(self, node: PlannedNode, upstream: Mapping[str, Left], ticket: Ticket) -> None:
        try:
            found = self._calls.bind(node, upstream, ticket)
        except GivenUp:
            return
        except MlrunError as error:
            self._exits[node.name] = error.code
            reason = _REASONS.get(error.code, Reason.INPUT)
            self._arrived.put(NodeUnbindable(node.name, reason, _sentence(error)))
            return
        if isinstance(found, Stand):
            self._stand(node.name, found)
            self._arrived.put(NodeReused(node.name, found.detail))
            return
        self._bound[node.name] = found
        self._jobs[node.name] = found.job
        if ticket.is_given_up:
            found.settle()
        self._arrived.put(NodeBound(node.name, found.job.time_limit))

    def _run_job(self, name: str) -> None:
        listener = _JobListener(name, self._arrived, self._emit)
        finished = self._calls.work(self._jobs[name], self._stoppers[name], listener)
        self._finished[name] = finished
        outcome = finished.outcome
        if not outcome.succeeded and finished.asked is not Reason.STOP:
            self._exits[name] = finished.exit
        detail = _with_hint(outcome.detail, finished.hint) if outcome.detail else None
        self._arrived.put(JobEnded(name, outcome.succeeded, outcome.reason, detail))
        complaint = clear(finished)
        if complaint:
            self._emit(Noticed(complaint, name))

    def _abandon(self) -> None:
        """Leave nothing behind, however the loop ended: a binding node may be given up, a running job may not."""
        for stopper in self._stoppers.values():
            stopper.stop(0)
        for thread in self._threads:
            thread.join(timeout=self._grace)
        for name in self._tickets:
            self._settle(name)


class _JobListener:
    """Passes on what a worker tells of one job: what decides something to the loop, the rest to the listeners."""

    def __init__(self, node: str, arrived: "SimpleQueue[Stimulus | _Taken | _Bug]", emit: Listener) -> None:
        self._node = node
        self._arrived = arrived
        self._emit = emit

    def started(self) -> None:
        self._arrived.put(JobStarted(self._node))

    def paused(self) -> None:
        self._arrived.put(JobPaused(self._node))

    def log(self, chunk: LogChunk) -> None:
        self._emit(LogArrived(self._node, chunk.stream, chunk.data))

    def metric(self, event: MetricEvent) -> None:
        self._emit(MetricsArrived(self._node, event.values))

    def limit(self, reason: Reason) -> None:
        self._arrived.put(LimitReached(self._node, reason))

    def taken(self, file: OutputFile) -> None:
        taken = _Taken(self._node, file)
        self._arrived.put(taken)
        taken.recorded.wait(_RECORDED_WITHIN)


def _ended(actions: Sequence[Action]) -> list[str]:
    """The nodes that came to their end."""
    return [action.node for action in actions if isinstance(action, Move) and action.state in FINAL]


def _sentence(error: MlrunError) -> str:
    where = f"{error.location}: " if error.location else ""
    return _with_hint(f"{where}{error.message}", error.hint)


def _with_hint(sentence: str, hint: str | None) -> str:
    return f"{sentence} ({hint})" if hint else sentence
