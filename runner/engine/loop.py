"""The loop: gives the machine its stimuli, makes its decisions durable, then carries them out. Time and threads.

One turn: take every stimulus that has arrived, ask the machine, append all moves to the journal in one durable write,
tell the listeners, act. Nothing is shown or started before it is recorded. Each job has a thread to itself until its
end, because a sandbox dies with the thread that started it.
"""

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from queue import Empty, SimpleQueue
from threading import Event as ThreadEvent
from typing import Any, TypeGuard, TypeVar

from runner.crew import Crew, affordable
from runner.engine import entry
from runner.engine.account import Account
from runner.engine.action import (
    Action,
    Adopt,
    Ask,
    AskApproval,
    Bind,
    Check,
    Conclude,
    EndRun,
    Move,
    Park,
    Purpose,
    SetTimer,
    Start,
    Stop,
    Tell,
    Timer,
)
from runner.engine.callback import NO_PAST, Callbacks, Deployed, GivenUp, Past, Recorder, Stand, Sweep, Ticket, Worker
from runner.engine.course import Bug, CourseListener, Measured, Message, Taken
from runner.engine.machine import Machine
from runner.engine.roster import Roster
from runner.engine.slots import Capacity, Claim
from runner.engine.stimulus import (
    Approved,
    Begun,
    JobEnded,
    NodeBound,
    NodeGathered,
    NodeReused,
    NodeUnbindable,
    Rejected,
    Stimulus,
    StopAsked,
    TaskBound,
    TimerFired,
)
from runner.errors import ExitCode, MlrunError
from runner.events import (
    Listener,
    Noticed,
)
from runner.job import Identity
from runner.plan.bind import Left
from runner.plan.model import Plan, PlannedNode
from runner.state import FINAL, Reason, State
from runner.worker.report import clear

_POLL = 0.25
"""Seconds between two looks into the inbox, where other processes leave requests."""

_BINDERS = 64
"""How many nodes are bound at the same time, at most: some of them wait for other machines, or for work under way
elsewhere."""

_REASONS = {ExitCode.DISK: Reason.DISK, ExitCode.IMAGE: Reason.IMAGE}


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a run is driven: what its jobs share out and claim (`runner.engine.slots`), the seconds that a
    program gets to end when it is stopped, those before a failed node is tried again (`runner.engine.machine`), whether
    the run parks when only approvals are missing, and in whose name all of them are given."""

    capacity: Capacity
    claims: Mapping[str, Claim] = field(default_factory=dict)
    grace: float = 10.0
    delay: float = 1.0
    parks: bool = False
    approver: str | None = None


class Loop:
    """Drives one plan to its end. Used once: make it, `run` it on the main thread; `stop` and `decide` from any."""

    def __init__(
        self,
        plan: Plan,
        calls: Callbacks,
        *,
        terms: Terms,
        recorder: Recorder,
        identities: Mapping[str, Identity],
        executor: str,
        emit: Listener,
        past: Past = NO_PAST,
    ) -> None:
        """Jobs run by the executor of that name, in what `identities` has by image; `past` is what a run has behind it
        that goes on."""
        self._plan = plan
        self._machine = Machine(plan, terms.capacity, terms.claims, terms.delay, terms.parks, past.nodes)
        self._terms = terms
        self._recorder = recorder
        self._calls = calls
        self._identities = identities
        self._executor = executor
        self._emit = emit
        self._arrived: SimpleQueue[Message] = SimpleQueue()
        self._timers: list[tuple[float, int, Timer]] = []
        self._ticks = count()
        self._looks = 0.0
        self._binders = Crew(affordable(_BINDERS))
        self._workers = Crew()
        self._roster = Roster(plan, past, calls.leave, self._machine.state)
        self._jobs: list[ThreadEvent] = []
        """Those that may not be over yet; each is told when it is."""
        self._exits: dict[str, ExitCode] = {}
        """What the command is to end with if such a node fails the run."""
        self._signal: int | None = None
        """The first that asked for an end."""
        self._exit: int = ExitCode.OK
        self._began = time.monotonic()
        # Before anything that others ask for: what is decided before the run goes on is about what it finds then.
        self._arrived.put(Begun())

    def stop(self, *, kill: bool = False, signal: int | None = None) -> None:
        """Ask the run to end; safe in a handler of `signal`. Without `kill` the programs get their grace."""
        self._signal = self._signal or signal
        self._arrived.put(StopAsked(kill))

    def decide(self, node: str, approved: bool, by: str) -> None:
        """Let a node that awaits approval go on, or not; nothing happens to one that does not."""
        self._arrived.put(Approved(node, by) if approved else Rejected(node, by))

    @property
    def exit(self) -> int:
        """What the command ends with, once the run has ended or is parked. It is recorded with the end."""
        return self._exit

    def run(self) -> EndRun | Park:
        """Drive the plan until it ends or is parked. Raises MlrunError when the store cannot be written; nothing is
        left running."""
        self._began = time.monotonic()
        self._looks = self._began + _POLL
        try:
            while True:
                end = self._turn(self._receive())
                if end is not None:
                    return end
        finally:
            self._abandon()

    # What arrives --------------------------------------------------------------------------------------------------

    def _receive(self) -> list[Message]:
        """Block until something arrives, then take all of it; timers and other processes are heard all the while."""
        batch: list[Message] = []
        while not batch:
            with suppress(Empty):
                batch.append(self._take(timeout=self._patience()))
            batch += self._due()
            if self._looks <= time.monotonic():
                self._looks = time.monotonic() + _POLL
                batch += [stimulus for request in self._recorder.inbox() for stimulus in self._asked(request)]
        while not self._arrived.empty():
            batch.append(self._take(timeout=None))
        return batch

    def _take(self, timeout: float | None) -> Message:
        message = self._arrived.get(timeout=timeout)
        if isinstance(message, Bug):
            raise message.__cause__ or message
        return message

    def _patience(self) -> float:
        until = min(self._looks, self._timers[0][0]) if self._timers else self._looks
        return max(0.0, until - time.monotonic())

    def _due(self) -> list[Stimulus]:
        due: list[Stimulus] = []
        while self._timers and self._timers[0][0] <= time.monotonic():
            due.append(TimerFired(heapq.heappop(self._timers)[2]))
        return due

    def _asked(self, request: Mapping[str, Any]) -> list[Stimulus]:
        """What a request of another process asks for."""
        if request["type"] in ("stop", "kill"):
            return [StopAsked(kill=request["type"] == "kill")]
        chosen = Approved if request["type"] == "approve" else Rejected
        waiting = [name for name in self._plan.nodes if self._machine.state(name) is State.AWAITING_APPROVAL]
        names = [request["node"]] if request.get("node") is not None else waiting
        return [chosen(name, str(request.get("by", "?"))) for name in names]

    # One turn ------------------------------------------------------------------------------------------------------

    def _turn(self, batch: Sequence[Message]) -> EndRun | Park | None:
        taken = [one for one in batch if isinstance(one, Taken)]
        actions = self._decide(batch)
        end = next((action for action in actions if isinstance(action, EndRun | Park)), None)
        if end is not None:
            self._exit = self._exit_code(end)
        account = Account(
            self._roster,
            self._identities,
            self._executor,
            attended=self._terms.approver is None,
            began=self._began,
            exit=self._exit,
        )
        account.entries += (entry.output_taken(_known(self._roster[one.node].job), one.file) for one in taken)
        for action in actions:
            account.tell(action)
        over = [self._roster[action.node].settling() for action in actions if _is_over(action)]
        if account.entries:
            self._recorder.append(account.entries, partial(_call_all, over))
        for one in taken:
            one.recorded.set()
        # Before anything is shown or bound: a node downstream may ask for a name that this one sets.
        account.events += (
            Noticed(said, name) for name in map(_names_set_by, actions) if name for said in self._published(name)
        )
        for written in account.entries:
            if written["type"] == "execution-finished" and "log" in written:
                self._recorder.drop_log(written["id"])
        for event in account.events:
            self._emit(event)
        for action in actions:
            self._carry_out(action)
        return end

    def _exit_code(self, end: EndRun | Park) -> int:
        """0 for success, that of a parked run, 128 + n for a run that signal n stopped, 1 for one that was stopped
        otherwise, else the code of the first node that failed and was not to be passed over."""
        if isinstance(end, Park):
            return ExitCode.APPROVAL
        if end.state is State.SUCCEEDED:
            return ExitCode.OK
        if end.state is State.STOPPED:
            return 128 + self._signal if self._signal else ExitCode.STEP_FAILED
        # Nodes that nobody waits for any more may still be found unbindable meanwhile.
        codes = (code for name, code in tuple(self._exits.items()) if self._machine.fails(name))
        return next(codes, ExitCode.STEP_FAILED)

    def _decide(self, batch: Sequence[Message]) -> list[Action]:
        """What the machine says, and what follows from it at once: a chain of nodes for which others are known to stand
        takes one turn, not one each."""
        actions: list[Action] = []
        waiting: deque[Stimulus] = deque()
        for message in batch:
            if isinstance(message, TaskBound):
                self._roster.begin_sweep(message.node)
            if isinstance(message, Measured):
                waiting += self._roster.weigh(message)
            elif not isinstance(message, Taken | Bug):
                waiting.append(message)
        while waiting:
            answers: list[Stimulus] = []
            for action in self._machine.handle(waiting.popleft()):
                answer = self._answer(action)
                answers += [answer] if answer is not None else []
                if answer is None or not isinstance(action, Bind):
                    actions.append(action)
            waiting.extendleft(reversed(answers))
            if waiting and actions and isinstance(actions[-1], Park):
                # What arrived meanwhile may be the very approval that is waited for.
                actions.pop()
        return actions

    def _answer(self, action: Action) -> Stimulus | None:
        """The stimulus that an action asks for, where it is known without waiting."""
        match action:
            case Bind(name) if (stand := self._calls.known.get(name)) is not None:
                self._roster[name].stand = stand
                return NodeReused(name, stand.detail)
            case Check(name, point):
                return self._roster.check(name, point)
            case AskApproval(name) if self._terms.approver is not None:
                return Approved(name, self._terms.approver)
            case Ask(name, number):
                return self._roster.propose(name, number)
            case Tell(name, trial, state):
                self._roster.tell_sampler(name, trial, state)
        return None

    def _published(self, name: str) -> Sequence[str]:
        course = self._roster[name]
        if course.stand is not None:
            return [said for reused in course.stand.all_reused() for said in self._calls.republish(reused)]
        return self._calls.publish(course.job, course.finished) if course.job and course.finished else ()

    # What is done --------------------------------------------------------------------------------------------------

    def _carry_out(self, action: Action) -> None:
        match action:
            case Bind(name):
                course = self._roster[name]
                ticket = Ticket(self._recorder.new_execution_counter)
                course.begin_again(ticket)
                bind = partial(self._bind_node, course.node, self._roster.upstream(course.node), ticket)
                self._binders.do(self._guarded(bind))
            case Start(name):
                self._begin_job(name, self._calls.work)
            case Adopt(name):
                self._begin_job(name, _known(self._calls.adopt))
                bound = self._roster[name].bound
                if bound is not None and bound.job.time_limit is not None:
                    self._set_timer(Timer(name, 1, Purpose.LIMIT), max(0.0, bound.job.time_limit - bound.elapsed))
            case Stop(name, kill, reason):
                self._roster[name].stopper.stop(0 if kill else self._terms.grace, reason)
            case SetTimer(timer, seconds):
                self._set_timer(timer, seconds)
            case _:
                pass

    def _set_timer(self, timer: Timer, seconds: float) -> None:
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._ticks), timer))

    def _begin_job(self, name: str, work: Worker) -> None:
        done = ThreadEvent()
        self._jobs = [job for job in self._jobs if not job.is_set()]
        self._workers.do(self._guarded(partial(self._run_job, name, work), done))
        self._jobs.append(done)

    def _guarded(self, target: Callable[[], None], done: ThreadEvent | None = None) -> Callable[[], None]:
        """The same for a thread that may not end by it; `done` is set at its end."""

        def guarded() -> None:
            try:
                target()
            except BaseException as error:  # noqa: BLE001 - any bug there must end the run here
                bug = Bug()
                bug.__cause__ = error
                self._arrived.put(bug)
            finally:
                if done is not None:
                    done.set()

        return guarded

    def _bind_node(self, node: PlannedNode, upstream: Mapping[str, Left], ticket: Ticket) -> None:
        name, course = node.name, self._roster[node.name]
        try:
            found = self._calls.bind(node, upstream, ticket)
        except GivenUp:
            return
        except MlrunError as error:
            self._exits[name] = error.code
            reason = _REASONS.get(error.code, Reason.INPUT)
            self._arrived.put(NodeUnbindable(name, reason, _sentence(error)))
            return
        match found:
            case Stand():
                course.stand = found
                self._arrived.put(NodeReused(name, found.detail))
            case Sweep():
                course.sweep = found
                self._arrived.put(TaskBound(name, found.sampler.size))
            case Deployed():
                course.deployed = found
                self._arrived.put(NodeGathered(name, found.detail))
            case _:
                # In this order, the reverse of that in `Course.settling`.
                course.bound = found
                if ticket.is_given_up:
                    found.settle()
                self._arrived.put(NodeBound(name, found.job.time_limit))

    def _run_job(self, name: str, work: Worker) -> None:
        course = self._roster[name]
        listener = CourseListener(
            name, self._arrived, self._emit, measures=self._roster.is_watched(course.node.trial_of)
        )
        finished = work(_known(course.job), course.stopper, listener)
        course.finished = finished
        outcome = finished.outcome
        self._exits.pop(name, None)
        if not outcome.succeeded and finished.asked not in (Reason.STOP, Reason.PRUNED):
            self._exits[name] = finished.exit
        detail = _with_hint(outcome.detail, finished.hint) if outcome.detail else None
        end = JobEnded(name, outcome.succeeded, outcome.reason, detail)
        lacks_room = outcome.reason is Reason.DISK
        if not lacks_room:
            self._arrived.put(end)
        complaint = clear(finished)
        if complaint:
            self._emit(Noticed(complaint, name))
        if lacks_room:
            # Those who begin after it need the room that its folder takes.
            self._arrived.put(end)

    def _abandon(self) -> None:
        """Leave nothing behind, however the loop ended: a binding node may be given up, a running job may not."""
        for course in self._roster:
            course.stopper.stop(0)
        for job in self._jobs:
            job.wait(timeout=self._terms.grace)
        for course in self._roster:
            course.settle()


T = TypeVar("T")


def _known(value: T | None) -> T:
    assert value is not None, "the machine starts and adopts only what is bound"
    return value


def _is_over(action: Action) -> TypeGuard[Conclude | Move]:
    """Whether a node, or its attempt, is over."""
    return isinstance(action, Conclude) or (isinstance(action, Move) and action.state in FINAL)


def _call_all(calls: Iterable[Callable[[], None]]) -> None:
    for call in calls:
        call()


def _names_set_by(action: Action) -> str | None:
    """The node whose execution, or what stands for it, may set names from now on."""
    if isinstance(action, Conclude) or (isinstance(action, Move) and action.state is State.REUSED):
        return action.node
    return None


def _sentence(error: MlrunError) -> str:
    where = f"{error.location}: " if error.location else ""
    return _with_hint(f"{where}{error.message}", error.hint)


def _with_hint(sentence: str, hint: str | None) -> str:
    return f"{sentence} ({hint})" if hint else sentence
