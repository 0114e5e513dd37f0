"""What is put right before a run starts."""

from collections.abc import Iterator
from typing import Any, cast

from runner.app.ground import end_lost
from runner.events import Event, Noticed
from runner.job import Executor, LogChunk, Outcome
from runner.state import Reason, State
from runner.store.record import Run
from runner.store.store import Store


class Leftover:
    """A handle of a job whose runner is gone; notes what is done to it."""

    def __init__(self, done: list[str]) -> None:
        self._done = done

    def stop(self, grace: float) -> None:
        self._done.append(f"stop {grace:g}")

    def logs(self) -> Iterator[LogChunk]:
        self._done.append("logs")
        yield LogChunk("stdout", b"still here")

    def wait(self) -> Outcome:
        self._done.append("wait")
        return Outcome(Reason.KILLED, 137)

    def close(self) -> None:
        self._done.append("close")


class Machine:
    """An executor on whose machine three jobs exist: one over, one running, one of another store."""

    name = "docker"

    def __init__(self, existing: set[str]) -> None:
        self.existing = existing
        self.done: list[str] = []
        self.reattached: list[str] = []

    def mine(self) -> frozenset[str]:
        return frozenset(self.existing)

    def reattach(self, id: str) -> Leftover:
        self.reattached.append(id)
        return Leftover(self.done)


class Rows:
    """A store with one execution that is over and one that runs."""

    def reconcile(self, goes_on: object) -> tuple[str, ...]:
        return ()

    def lost_runs(self) -> list[Run]:
        return []

    def executions(self) -> list[dict[str, Any]]:
        return [{"id": "over", "state": State.INTERRUPTED}, {"id": "running", "state": State.RUNNING}]


def ended(machine: Machine) -> list[Event]:
    told: list[Event] = []
    end_lost(cast("Executor", machine), cast("Store", Rows()), told.append)
    return told


def test_a_job_that_outlived_its_record_is_ended_and_told() -> None:
    machine = Machine({"over", "running", "of another store"})
    told = ended(machine)
    assert machine.reattached == ["over"]
    assert machine.done == ["stop 0", "logs", "wait", "close"]
    assert told == [Noticed("ended what was left on this machine of execution over")]


def test_where_nothing_was_left_nothing_is_done() -> None:
    machine = Machine({"running"})
    assert ended(machine) == []
    assert machine.reattached == []
