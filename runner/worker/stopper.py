"""How other threads stop a job that one thread runs."""

import threading
from typing import Protocol

from runner.state import Reason


class Stoppable(Protocol):
    """What can be asked to end: a `runner.job.Handle`, above all."""

    def stop(self, grace: float) -> None:
        """End within `grace` seconds. Called from any thread, any number of times; returns at once."""
        ...


class _Waker:
    """Stands for a job that has not begun, so that who waits hears that it is stopped."""

    def __init__(self) -> None:
        self.stopped = threading.Event()

    def stop(self, grace: float) -> None:
        self.stopped.set()


class Stopper:
    """Asks one job to stop, whatever it is doing: before its start it never starts, afterwards its handle is told.

    Every method may be called from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: Reason | None = None
        self._grace = 0.0
        self._handle: Stoppable | None = None

    @property
    def asked(self) -> Reason | None:
        """Why the job is to stop, None as long as nobody asked."""
        return self._asked

    def stop(self, grace: float, reason: Reason = Reason.STOP) -> None:
        """Ask the program to end within `grace` seconds; 0 kills it. Asked again, the first reason stays."""
        with self._lock:
            self._grace = grace if self._asked is None else min(grace, self._grace)
            self._asked = self._asked or reason
            if self._handle is not None:
                self._handle.stop(grace)

    def attach(self, handle: Stoppable) -> None:
        """The job runs; a stop that was asked for meanwhile takes effect. Called by the job's own thread."""
        with self._lock:
            self._handle = handle
            if self._asked is not None:
                handle.stop(self._grace)

    def wait(self, seconds: float) -> bool:
        """Whether the job, which has not begun, is to stop: so many seconds from now, or as soon as that is asked for.
        Called by the job's own thread."""
        waker = _Waker()
        self.attach(waker)
        waker.stopped.wait(seconds)
        return self.detach() is not None

    def detach(self) -> Reason | None:
        """The job is over and its handle is not called any more; what was asked for until then."""
        with self._lock:
            self._handle = None
            return self._asked
