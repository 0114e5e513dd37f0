"""Who is told of what: the end of a run, approvals, actions; after the last attempt; once."""

import threading
from collections.abc import Callable

import pytest

from runner.app import notify
from runner.app.notify import Herald, is_for, notifying, sentence
from runner.errors import ExitCode, MlrunError
from runner.events import (
    ApprovalAsked,
    ApprovalDecided,
    Event,
    NodeChanged,
    Noticed,
    RunEnded,
    RunParked,
    RunStarted,
)
from runner.notice.message import Message, NotTold
from runner.notifier import Notifier, Occasion
from runner.state import Reason, State
from tests.patience import PATIENCE

STARTED = RunStarted("0198", 7, "pipeline", "train", "sandbox", ())
SUCCEEDED = RunEnded("0198", 7, State.SUCCEEDED, None, 185.0)
ANY = Notifier(command=("x",))


def told(*events: Event, notifier: Notifier = ANY, is_watched: bool = False) -> list[Message]:
    """What is sent of a run with these events, after all of them."""
    sent: list[Message] = []
    herald = Herald([notifier], "iris", lambda event: None, lambda _, message: sent.append(message),
                    is_watched=is_watched)  # fmt: skip
    for event in (STARTED, *events):
        herald(event)
    herald.close()
    return sent


def test_the_end_of_a_run_is_told_once() -> None:
    (message,) = told(SUCCEEDED)
    assert (message.event, message.occasions) == ("ended", ("ended",))
    assert (message.run, message.number, message.state, message.duration) == ("0198", 7, "succeeded", 185.0)
    assert message.title == "mlrun: run 7 succeeded"
    assert message.text == "pipeline train of iris succeeded after 3 min 05 s"


def test_a_failure_says_which_nodes_failed_after_their_last_attempt() -> None:
    (message,) = told(
        NodeChanged("again", State.FAILED, Reason.EXIT),
        NodeChanged("again", State.WAITING, Reason.RETRY),
        NodeChanged("again", State.SUCCEEDED),
        NodeChanged("fit", State.FAILED, Reason.OOM),
        NodeChanged("late", State.SKIPPED, Reason.UPSTREAM),
        RunEnded("0198", 7, State.FAILED, Reason.EXIT, 2.0),
    )
    assert message.event == "failed"
    assert [(one.node, one.reason) for one in message.nodes] == [("fit", "oom")]
    assert message.text == "pipeline train of iris failed after 2.0 s: node fit failed (oom)"


@pytest.mark.parametrize("state", [State.STOPPED, State.FAILED])
def test_a_run_that_an_action_ended_is_a_validation(state: State) -> None:
    (message,) = told(RunEnded("0198", 7, state, Reason.ACTION, 2.0))
    assert message.event == "validation"
    assert ("failed" in message.occasions) == (state is State.FAILED)
    assert message.title == f"mlrun: run 7 was ended by an action ({state})"


def test_a_node_that_awaits_approval_is_told_once_though_the_run_is_parked_then() -> None:
    (message,) = told(ApprovalAsked("deploy", "node-starting"), RunParked("0198", 7, ("deploy",)))
    assert (message.event, message.state, [one.node for one in message.nodes]) == ("approval", "waiting", ["deploy"])
    assert message.text == "pipeline train of iris waits for approval of node deploy: `mlrun approve run:7 deploy`"


def test_a_run_that_is_parked_again_is_told() -> None:
    (message,) = told(RunParked("0198", 7, ("deploy",)))
    assert [one.node for one in message.nodes] == ["deploy"]


def test_approvals_that_wait_together_are_one_message_and_one_that_was_given_is_none() -> None:
    sent: list[Message] = []
    held = threading.Event()

    def send(_: Notifier, message: Message) -> None:
        sent.append(message)
        assert held.wait(PATIENCE)

    herald = Herald([ANY], "iris", lambda event: None, send, is_watched=False)
    herald(STARTED)
    # While the first is being sent, the others wait.
    for name in ("a", "b", "c", "d"):
        herald(ApprovalAsked(name, "node-starting"))
        if name == "a":
            _until(lambda: len(sent) == 1)
    herald(ApprovalDecided("c", "node-starting", True, "anna"))
    held.set()
    herald.close()
    assert [[one.node for one in message.nodes] for message in sent] == [["a"], ["b", "d"]]


def _until(condition: Callable[[], bool]) -> None:
    from tests.patience import wait_for

    wait_for(condition, "message")


@pytest.mark.parametrize(
    ("notifier", "is_watched", "expected"),
    [
        (ANY, False, True),
        (ANY, True, False),
        (Notifier(command=("x",), after=60.0), False, True),
        (Notifier(command=("x",), after=60.0), True, True),
        (Notifier(command=("x",), after=600.0), False, False),
        (Notifier(command=("x",), after=600.0), True, False),
        (Notifier(command=("x",), on=frozenset({Occasion.FAILED})), False, False),
        (Notifier(command=("x",), on=frozenset({Occasion.APPROVAL, Occasion.ENDED})), False, True),
    ],
)
def test_the_settings_decide_who_is_told(notifier: Notifier, is_watched: bool, expected: bool) -> None:
    assert bool(told(SUCCEEDED, notifier=notifier, is_watched=is_watched)) == expected
    (message,) = told(SUCCEEDED)
    assert is_for(notifier, message, is_watched=is_watched) == expected


@pytest.mark.parametrize("failure", [NotTold("the server answered 404"), RuntimeError("https://key@x")])
def test_a_notifier_that_fails_is_one_notice_and_the_next_one_is_told(failure: Exception) -> None:
    shown: list[Event] = []
    reached: list[Message] = []

    def send(notifier: Notifier, message: Message) -> None:
        if notifier.webhook:
            raise failure
        reached.append(message)

    notifiers = [Notifier(webhook="https://example.com/key"), ANY]
    with notifying(notifiers, "iris", shown.append, send) as listener:
        listener(STARTED)
        listener(SUCCEEDED)
    notices = [event.text for event in shown if isinstance(event, Noticed)]
    why = str(failure) if isinstance(failure, NotTold) else "RuntimeError"
    assert notices == [f"nobody was told by the webhook at example.com: {why}"]
    assert len(reached) == 1
    assert shown[:2] == [STARTED, SUCCEEDED]


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (MlrunError("no room on the disk", code=ExitCode.DISK), "no room on the disk"),
        (RuntimeError("https://key@x"), "a bug in mlrun: RuntimeError"),
    ],
)
def test_a_run_that_cannot_go_on_is_told_as_interrupted(error: Exception, why: str) -> None:
    sent: list[Message] = []
    with (
        pytest.raises(type(error)),
        notifying([ANY], "iris", lambda event: None, lambda _, m: sent.append(m)) as listener,
    ):
        listener(STARTED)
        raise error
    assert [(one.event, one.state) for one in sent] == [("failed", "interrupted")]
    assert sent[0].text.endswith(why)


def test_a_notifier_that_never_returns_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "PATIENCE", 0.05)
    shown: list[Event] = []
    held = threading.Event()
    with notifying([ANY], "iris", shown.append, lambda _, message: held.wait(PATIENCE) and None) as listener:
        listener(STARTED)
        listener(SUCCEEDED)
    held.set()
    assert [event.text for event in shown if isinstance(event, Noticed)] == ["somebody could not be told within 0.05 s"]


def test_without_notifiers_nothing_is_between() -> None:
    def emit(event: Event) -> None:
        pass

    with notifying((), "iris", emit) as listener:
        assert listener is emit


def test_what_nodes_are_called_stays_on_one_line() -> None:
    ended = RunEnded("0198", 7, State.FAILED, None, 1.0)
    (message,) = told(NodeChanged("a\nb\x1b[2J", State.FAILED, None, "wh\u202ey"), ended)
    assert message.text.isprintable()
    assert sentence(message) == message.text
