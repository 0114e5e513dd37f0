"""The states of a node and of an execution, and the only moves between them. Pure.

One vocabulary everywhere: engine, journal, index, terminal. Valohai's own words (created, started, complete, error,
stopped) appear only in `execution.json`, where its run-time contract asks for them.
"""

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """Where a node, an execution or a run is in its life."""

    WAITING = "waiting"
    """Its upstream nodes are not all done, or it failed and will be tried again. A run: it is parked until somebody
    approves or rejects what a node of it waits for."""
    AWAITING_APPROVAL = "awaiting-approval"
    """A person has to say whether it goes on: before it starts, or after it ended."""
    READY = "ready"
    """Its upstream nodes are done; its inputs are being resolved."""
    QUEUED = "queued"
    """It is bound to a job and waits for a free slot."""
    STARTING = "starting"
    """Its job has a slot; its folders are being made."""
    RUNNING = "running"
    """Its program runs; of a task, its trials do."""
    STOPPING = "stopping"
    """Somebody asked it to stop; its program may still save what it has."""
    SUCCEEDED = "succeeded"
    """Its program ended with 0 and its outputs are in the store."""
    FAILED = "failed"
    """Its program ended otherwise, or we could not run it; the reason tells."""
    STOPPED = "stopped"
    """It was stopped on purpose, or rejected."""
    INTERRUPTED = "interrupted"
    """Its runner or its machine went away while it ran; nothing can be said about its end."""
    REUSED = "reused"
    """It did not run: an earlier execution that was made of the same stands for it, with its outputs."""
    SKIPPED = "skipped"
    """It never started, because something it needs did not succeed or the run ended before."""


class Reason(StrEnum):
    """Why a state was reached, most of them final: a closed set."""

    EXIT = "exit"
    OOM = "oom"
    TIMEOUT = "timeout"
    NO_OUTPUT = "no-output"
    STOP_CONDITION = "stop-condition"
    KILLED = "killed"
    STOP = "stop"
    RUNTIME = "runtime-restarted"
    RUNNER_LOST = "runner-lost"
    IMAGE = "image"
    INPUT = "input"
    OUTPUT = "output"
    DISK = "disk"
    START = "start"
    UPSTREAM = "upstream"
    RETRY = "retry"
    """Not of a final state: it failed and will be tried again."""
    TRIAL = "trial"
    """Trials of the task failed."""
    PRUNED = "pruned"
    """A trial that was worse than others at the same point."""
    ACTION = "action"
    """An action of the pipeline ended it."""
    REJECTED = "rejected"
    """A person did not approve it."""


FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.STOPPED, State.INTERRUPTED, State.REUSED, State.SKIPPED})

DONE = frozenset({State.SUCCEEDED, State.REUSED})
"""Those whose outputs nodes downstream may have."""

UNBEGUN = frozenset({State.WAITING, State.READY, State.QUEUED, State.SKIPPED})
"""Those of a node that has not begun, unless it was tried before."""

TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.WAITING: frozenset({State.AWAITING_APPROVAL, State.READY, State.FAILED, State.SKIPPED}),
    State.AWAITING_APPROVAL: frozenset(
        {State.READY, State.SUCCEEDED, State.REUSED, State.FAILED, State.STOPPED, State.SKIPPED}
    ),
    State.READY: frozenset(
        {
            State.QUEUED,
            State.RUNNING,
            State.AWAITING_APPROVAL,
            State.REUSED,
            State.SUCCEEDED,
            State.FAILED,
            State.SKIPPED,
        }
    ),
    State.QUEUED: frozenset({State.STARTING, State.SKIPPED}),
    State.STARTING: frozenset(
        {State.RUNNING, State.WAITING, State.AWAITING_APPROVAL, State.FAILED, State.STOPPING, State.INTERRUPTED}
    ),
    State.RUNNING: frozenset(
        {
            State.SUCCEEDED,
            State.AWAITING_APPROVAL,
            State.WAITING,
            State.FAILED,
            State.STOPPED,
            State.STOPPING,
            State.INTERRUPTED,
        }
    ),
    State.STOPPING: frozenset(
        {State.STOPPED, State.WAITING, State.AWAITING_APPROVAL, State.FAILED, State.SUCCEEDED, State.INTERRUPTED}
    ),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.STOPPED: frozenset(),
    State.INTERRUPTED: frozenset(),
    State.REUSED: frozenset(),
    State.SKIPPED: frozenset(),
}
"""`interrupted` is written by whoever finds that the runner is gone; until then readers compute it from its lease."""


class BadTransition(AssertionError):
    """A move that the table does not have: a bug of ours. The message tells the whole story of the node."""

    def __init__(self, name: str, story: tuple[State, ...], target: State) -> None:
        path = " → ".join(story)
        super().__init__(f"node `{name}` cannot become {target}: it went {path}")
