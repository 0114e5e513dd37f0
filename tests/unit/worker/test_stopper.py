from collections.abc import Iterator

from runner.job import LogChunk, Outcome
from runner.state import Reason
from runner.worker.stopper import Stopper


class Told:
    """A handle that notes with how much grace it was stopped."""

    def __init__(self) -> None:
        self.graces: list[float] = []

    def logs(self) -> Iterator[LogChunk]:
        return iter(())

    def wait(self) -> Outcome:
        return Outcome(Reason.STOP, 143)

    def stop(self, grace: float) -> None:
        self.graces.append(grace)

    def close(self) -> None:
        pass


def test_nobody_asked() -> None:
    handle, stopper = Told(), Stopper()
    stopper.attach(handle)
    assert stopper.asked is None
    assert stopper.detach() is None
    assert handle.graces == []


def test_a_stop_reaches_the_running_job() -> None:
    handle, stopper = Told(), Stopper()
    stopper.attach(handle)
    stopper.stop(10)
    stopper.stop(0)
    assert handle.graces == [10, 0]
    assert stopper.detach() is Reason.STOP


def test_a_stop_before_the_start_takes_effect_at_the_start() -> None:
    handle, stopper = Told(), Stopper()
    stopper.stop(10)
    stopper.stop(0)
    stopper.stop(5)
    assert stopper.asked is Reason.STOP
    stopper.attach(handle)
    assert handle.graces == [0]


def test_the_first_reason_stays() -> None:
    stopper = Stopper()
    stopper.stop(10, Reason.TIMEOUT)
    stopper.stop(0)
    assert stopper.detach() is Reason.TIMEOUT


def test_a_job_that_is_over_is_left_alone() -> None:
    handle, stopper = Told(), Stopper()
    stopper.attach(handle)
    assert stopper.detach() is None
    stopper.stop(0)
    assert handle.graces == []
