"""Outputs in the loop: those that are taken while a job runs, and the names that a finished one asks for."""

from collections.abc import Mapping, Sequence

from runner.digest import hash_bytes
from runner.engine.action import EndRun
from runner.engine.callback import Bound, Ticket
from runner.events import NodeChanged, Noticed
from runner.job import Job
from runner.plan.bind import Left
from runner.plan.model import PlannedNode
from runner.state import State
from runner.store.record import OutputFile
from runner.worker.report import Finished, JobListener
from runner.worker.stopper import Stopper

from .test_loop import Journal, finished, job_of, loop_of, plan_of

FILE = OutputFile("model\udcff", hash_bytes(b"x"), 1, {"k": 1})


def test_a_file_taken_while_a_job_runs_is_recorded_before_the_taker_goes_on() -> None:
    journal = Journal()
    before: list[list[str]] = []

    def work(job: Job, stopper: Stopper, listener: JobListener) -> Finished:
        listener.started()
        listener.taken(FILE)
        before.append(journal.types())
        return finished()

    loop, _ = loop_of(plan_of(a=()), journal, work)
    assert loop.run() == EndRun(State.SUCCEEDED, None)
    (types,) = before
    assert types.index("execution-created") < types.index("output-taken")
    (entry,) = [entry for turn in journal.turns for entry in turn if entry["type"] == "output-taken"]
    output = {"name": FILE.name, "digest": FILE.digest, "size": 1, "metadata": {"k": 1}, "version": 1}
    assert entry == {"type": "output-taken", "id": "id-a", "output": output}
    assert journal.types().index("output-taken") < journal.types().index("execution-finished")


def test_names_are_set_after_the_record_and_before_anything_downstream_is_bound() -> None:
    journal = Journal()
    told: list[str] = []

    def publish(job: Job, done: Finished) -> Sequence[str]:
        told.append(f"publish {job.id} after {journal.types().count('execution-finished')}")
        return [f"about {job.id}"]

    def bind(node: PlannedNode, upstream: Mapping[str, Left], ticket: Ticket) -> Bound:
        told.append(f"bind {node.name}")
        return Bound(job_of(node), ticket.number())

    loop, events = loop_of(plan_of(a=(), b=("a",)), journal, bind=bind, publish=publish)
    loop.run()
    assert told == ["bind a", "publish id-a after 1", "bind b", "publish id-b after 2"]
    notices = [(event.node, event.text) for event in events if isinstance(event, Noticed)]
    assert notices == [("a", "about id-a"), ("b", "about id-b")]
    assert any(isinstance(event, NodeChanged) for event in events)
