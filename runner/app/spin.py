"""A quick run of one step that nobody records: with all that a run has but the record, in a scratch folder."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from runner.app import scratch
from runner.app.binding import make_binder, make_drafter, make_identifier
from runner.app.device import make_allotter
from runner.app.ground import lay_ground
from runner.app.overlay import Overlay, Take
from runner.app.request import Request
from runner.app.run import (
    leave,
    make_context,
    make_loop,
    make_worker,
    run_started,
    stopped_by_signals,
)
from runner.engine.callback import Callbacks
from runner.events import Listener
from runner.job import Job
from runner.store.identity import new_id
from runner.worker.report import Finished, JobListener
from runner.worker.stopper import Stopper


@dataclass(frozen=True, slots=True)
class Spun:
    """A quick run that is over: how its job ended, None if it never began, and the exit code of the command."""

    finished: Finished | None
    exit: int


class Unrecorded:
    """The recorder of a run that leaves no trace (see `runner.engine.callback.Recorder`)."""

    def append(self, entries: Sequence[Mapping[str, Any]], then: Callable[[], None]) -> None:
        """Forget them."""
        then()

    def new_execution_counter(self) -> int:
        """Nothing is counted."""
        return 0

    def inbox(self) -> list[dict[str, Any]]:
        """Nobody can name this run, and so ask it for anything."""
        return []

    def drop_log(self, execution_id: str) -> None:
        """The log goes with the scratch folder."""


def spin(request: Request, emit: Listener, take: Take) -> Spun:
    """Run the plan of one step without recording it; `take` gets what it left in its outputs, also when it failed.

    Raises MlrunError when it cannot start, and what `take` raises.
    """
    ground = lay_ground(request, emit)
    id, ended = new_id(), list[Finished]()
    unlink = ground.store.objects.unlink
    with ground.store, scratch.scratch_folder(ground.store.layout.work, unlink) as folder:
        overlay = Overlay(ground.store.objects, folder / "objects")
        allotter = make_allotter(ground.store.layout.cache)
        run = allotter.bound(make_worker(request, ground, folder, lambda job: folder / "log", emit, overlay), emit)

        def work(job: Job, stopper: Stopper, listener: JobListener) -> Finished:
            ended.append(run(job, stopper, listener))
            # The scratch folder goes as a whole, and nobody is told of what is in it.
            return replace(ended[-1], work=None, leftover=None)

        emit(run_started(request.plan, id, 0, ground.executor))
        identify = make_identifier(ground, make_context(request, ground, id, 0))
        binder = make_binder(make_drafter(request, ground, emit), identify, None, emit)
        loop = make_loop(request, ground, Unrecorded(), Callbacks(binder, work, leave), emit)
        with stopped_by_signals(loop), closing(allotter):
            loop.run()
        finished = ended[0] if ended else None
        if finished is not None and finished.outputs:
            take(overlay, finished.outputs)
        return Spun(finished, loop.exit)
