"""A shell in the place of a step whose program has just failed, and what is said to whoever enters a place."""

import os
from collections.abc import Callable
from dataclasses import replace

from runner.escape import printable
from runner.events import Listener, Noticed
from runner.job import Executor, Outcome, Staged, View
from runner.store.identity import new_id
from runner.worker.run import Pause
from runner.worker.stopper import Stopper


class Ender:
    """Lets a `Stopper` end an interactive program: `until` becomes readable. Any thread may stop it."""

    def __init__(self) -> None:
        self.until, self._tell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def stop(self, grace: float) -> None:
        """End the program; a shell at which somebody sits needs no grace."""
        os.write(self._tell, b"x")

    def close(self) -> None:
        """Called once, when nobody stops it any more."""
        os.close(self.until)
        os.close(self._tell)


def make_pause(executor: Executor, settle: Callable[[], None], emit: Listener) -> Pause:
    """What opens a shell in the place of a job that has failed; `settle` waits until everything told was shown."""

    def pause(staged: Staged, outcome: Outcome, stopper: Stopper) -> None:
        view = executor.view(staged.workspace)
        where = "in a new container over its folders" if executor.name == "docker" else "in its place"
        emit(Noticed(f"`{staged.job.step}` has failed: {outcome.detail or outcome.reason}; a shell opens {where}"))
        for line in introduction(staged, view):
            emit(Noticed(line))
        emit(Noticed("the execution ends, failed as it is, when you leave with `exit` or Ctrl-D"))
        settle()
        ender = Ender()
        try:
            stopper.attach(ender)
            # Another id than that of the execution, whose own container or processes are not cleared away yet.
            executor.interact(replace(staged, job=replace(staged.job, id=new_id())), (), ender.until)
        finally:
            stopper.detach()
            ender.close()

    return pause


def introduction(staged: Staged, view: View) -> list[str]:
    """Where somebody is who enters a place, and how its command is run."""
    first, *more = "\n".join(staged.job.script.items).strip().splitlines() or [""]
    return [
        f"you are in its copy of the repository, {view.repository}",
        f"`$MLRUN_STEP` runs its command: {printable(first)}{' …' if more else ''}",
    ]
