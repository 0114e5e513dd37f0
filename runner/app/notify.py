"""Telling somebody of a run that nobody watches: listens to its events, and lets the user's notifiers send.

A notifier that fails is one notice, and changes nothing else. Sending has a thread of its own: no program that runs and
no decision of the engine waits for it. When the run is over, what is still to be told is waited for.
"""

import platform
import shlex
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from runner import notice
from runner.errors import MlrunError
from runner.escape import printable
from runner.events import (
    ApprovalAsked,
    ApprovalDecided,
    Event,
    Listener,
    NodeChanged,
    Noticed,
    RunEnded,
    RunParked,
    RunStarted,
)
from runner.notice.message import Message, NotTold, Trouble
from runner.notifier import Notifier, Occasion
from runner.quantity import duration_text
from runner.spec.phrase import counted
from runner.state import Reason, State

PATIENCE = 60.0
"""Seconds that are waited at most, at the end, for what is being sent."""
_NAMED = 3
"""Nodes that are named in a sentence."""

Send = Callable[[Notifier, Message], None]


@contextmanager
def notifying(
    notifiers: Sequence[Notifier], project: str, emit: Listener, send: Send = notice.send
) -> Iterator[Listener]:
    """A listener that passes every event on to `emit`, and tells the notifiers what they are to know; when it is left,
    everything was told. Who watches is asked here: nobody does where standard error is no terminal."""
    if not notifiers:
        yield emit
        return
    herald = Herald(notifiers, project, emit, send, is_watched=sys.stderr.isatty())
    try:
        yield herald
    except Exception as error:
        herald.break_off(error.message if isinstance(error, MlrunError) else f"a bug in mlrun: {type(error).__name__}")
        raise
    finally:
        herald.close()


class Herald:
    """Knows what happened to a run, and tells those who are to know. Events but those of programs come from one
    thread."""

    def __init__(
        self, notifiers: Sequence[Notifier], project: str, emit: Listener, send: Send, *, is_watched: bool
    ) -> None:
        self._notifiers = notifiers
        self._project = project
        self._emit = emit
        self._send = send
        self._is_watched = is_watched
        self._run: RunStarted | None = None
        self._began = time.monotonic()
        self._failed: dict[str, Trouble] = {}
        self._asked: set[str] = set()
        self._waiting: deque[Message] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def __call__(self, event: Event) -> None:
        """Pass the event on, and note what it means."""
        self._emit(event)
        match event:
            case RunStarted():
                self._run, self._began = event, time.monotonic()
            case NodeChanged(node, state, reason, detail):
                self._note(node, state, reason, detail)
            case ApprovalAsked(node, point):
                self._asked.add(node)
                self._tell_approval([Trouble(node, State.AWAITING_APPROVAL, detail=point)])
            case ApprovalDecided(node):
                self._withdraw(node)
            case RunParked(_, _, nodes):
                unknown = [node for node in nodes if node not in self._asked]
                self._tell_approval([Trouble(node, State.AWAITING_APPROVAL) for node in unknown])
            case RunEnded(_, _, state, reason, duration):
                self._tell_end(state, reason, duration or 0.0)
            case _:
                pass

    def break_off(self, why: str) -> None:
        """The run cannot be driven any further: tell that, unless its end was told."""
        if self._run is not None:
            trouble = Trouble("", State.INTERRUPTED, detail=why)
            self._failed = {"": trouble}
            self._tell_end(State.INTERRUPTED, Reason.RUNNER_LOST, time.monotonic() - self._began)

    def close(self) -> None:
        """Wait until everything was told, but not for ever."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(PATIENCE)
            if self._thread.is_alive():
                self._emit(Noticed(f"somebody could not be told within {PATIENCE:g} s"))

    def _note(self, node: str, state: State, reason: Reason | None, detail: str | None) -> None:
        """A node that is tried again, or goes on after all, has not failed."""
        if state in (State.FAILED, State.INTERRUPTED):
            self._failed[node] = Trouble(node, state, reason, detail)
        else:
            self._failed.pop(node, None)

    def _tell_end(self, state: State, reason: Reason | None, duration: float) -> None:
        is_failure = state in (State.FAILED, State.INTERRUPTED)
        occasions = [Occasion.ENDED, *([Occasion.FAILED] if is_failure else [])]
        occasions += [Occasion.VALIDATION] if reason is Reason.ACTION else []
        self._tell(occasions, state, reason, duration, tuple(self._failed.values()))
        self._run = None

    def _tell_approval(self, nodes: Sequence[Trouble]) -> None:
        if nodes:
            self._tell([Occasion.APPROVAL], State.WAITING, None, time.monotonic() - self._began, tuple(nodes))

    def _tell(
        self,
        occasions: Sequence[Occasion],
        state: State,
        reason: Reason | None,
        duration: float,
        nodes: tuple[Trouble, ...],
    ) -> None:
        run = self._run
        if run is None:
            return
        message = Message(
            event=occasions[-1],
            occasions=tuple(occasions),
            title=f"mlrun: run {run.counter} {_verdict(occasions[-1], state)}",
            text="",
            run=run.id,
            number=run.counter,
            kind=run.kind,
            name=run.name,
            project=self._project,
            host=platform.node(),
            state=state,
            reason=reason,
            duration=duration,
            nodes=nodes,
        )
        with self._changed:
            self._waiting.append(message)
            self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._send_all, name="notifier", daemon=True)
            self._thread.start()

    def _withdraw(self, node: str) -> None:
        """Somebody has decided before it was told that somebody has to."""
        with self._changed:
            for place, message in enumerate(self._waiting):
                if Occasion.APPROVAL in message.occasions:
                    left = tuple(one for one in message.nodes if one.node != node)
                    self._waiting[place] = replace(message, nodes=left)
            self._waiting = deque(one for one in self._waiting if one.nodes or Occasion.APPROVAL not in one.occasions)

    def _send_all(self) -> None:
        while (message := self._next()) is not None:
            for notifier in self._notifiers:
                if is_for(notifier, message, is_watched=self._is_watched):
                    self._send_one(notifier, message)

    def _next(self) -> Message | None:
        """The next message, approvals that wait together as one; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            if not self._waiting:
                return None
            message = self._waiting.popleft()
            while self._waiting and message.event == self._waiting[0].event == Occasion.APPROVAL:
                message = replace(message, nodes=(*message.nodes, *self._waiting.popleft().nodes))
        return replace(message, text=sentence(message))

    def _send_one(self, notifier: Notifier, message: Message) -> None:
        try:
            self._send(notifier, message)
        except NotTold as error:
            self._emit(Noticed(f"nobody was told by the {printable(notifier.shown)}: {error}"))
        except Exception as error:  # noqa: BLE001 - whatever a way to tell does, the run goes on
            self._emit(Noticed(f"nobody was told by the {printable(notifier.shown)}: {type(error).__name__}"))


def is_for(notifier: Notifier, message: Message, *, is_watched: bool) -> bool:
    """Whether a notifier is to tell: what it is set for, of a run that took as long as it says. One that says nothing
    of that tells of runs that nobody watches."""
    if not notifier.on & {Occasion(one) for one in message.occasions}:
        return False
    return not is_watched if notifier.after is None else message.duration >= notifier.after


def sentence(message: Message) -> str:
    """`pipeline train of iris failed after 3 min 05 s: node fit failed (oom)`; clean, on one line."""
    kind = "step" if message.kind == "exec" else message.kind
    who = f"{kind} {message.name} of {message.project}"
    if message.event == Occasion.APPROVAL:
        which = f" {shlex.quote(message.nodes[0].node)}" if len(message.nodes) == 1 else ""
        said = f"{who} waits for approval of {_names(message.nodes)}: `mlrun approve run:{message.number}{which}`"
    else:
        verdict = _verdict(Occasion(message.event), State(message.state))
        said = f"{who} {verdict} after {duration_text(message.duration)}"
        said += f": {_reasons(message.nodes)}" if message.nodes else ""
    return printable(said)


def _verdict(occasion: Occasion, state: State) -> str:
    if occasion is Occasion.APPROVAL:
        return "waits for approval"
    return f"was ended by an action ({state})" if occasion is Occasion.VALIDATION else str(state)


def _names(nodes: Sequence[Trouble]) -> str:
    more = f" and {len(nodes) - _NAMED} more" if len(nodes) > _NAMED else ""
    noun = "node" if len(nodes) == 1 else "nodes"
    return f"{noun} {', '.join(one.node for one in nodes[:_NAMED])}{more}"


def _reasons(nodes: Sequence[Trouble]) -> str:
    said = "; ".join(_reason(one) for one in nodes[:_NAMED])
    return said + (f"; {counted(len(nodes) - _NAMED, 'more node')}" if len(nodes) > _NAMED else "")


def _reason(one: Trouble) -> str:
    why = one.detail or one.reason
    if not one.node:
        return str(why)
    return f"node {one.node} {one.state}" + (f" ({why})" if why else "")


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a test: `failure` is None where somebody was told."""

    notifier: Notifier
    failure: str | None


def try_out(notifiers: Sequence[Notifier]) -> Iterator[Tried]:
    """Send a message to each notifier, whatever it is set for."""
    message = Message(
        event=Occasion.ENDED,
        occasions=(Occasion.ENDED,),
        title="mlrun: a test",
        text="this is what a message from mlrun looks like",
        run="00000000-0000-7000-8000-000000000000",
        number=0,
        kind="pipeline",
        name="test",
        project="test",
        host=platform.node(),
        state=State.SUCCEEDED,
        reason=None,
        duration=0.0,
    )
    for notifier in notifiers:
        try:
            notice.send(notifier, message)
            yield Tried(notifier, None)
        except NotTold as error:
            yield Tried(notifier, str(error))
