"""One node on its way, in the hands of several threads."""

from runner.digest import hash_bytes
from runner.engine.callback import Bound, Ticket
from runner.engine.course import Course
from runner.errors import Location
from runner.job import Job, Script
from runner.plan.model import PlannedNode
from runner.spec.model import CommandItem, Step

HERE = Location("valohai.yaml", 1, 1)
NODE = PlannedNode("a", Step("s", HERE, "image", (CommandItem("true", HERE),)), {}, {}, {})
JOB = Job("1", "s", "image", Script(("true",)), hash_bytes(b""), {}, (), {})


def begun() -> Course:
    course = Course(NODE)
    course.begin_again(Ticket(lambda: 1))
    return course


def test_what_is_bound_while_its_end_is_being_recorded_is_settled() -> None:
    course, settled = begun(), []
    settle = course.settling()
    course.bound = Bound(JOB, 1, settle=lambda: settled.append(1))
    assert course.ticket is not None
    assert not course.ticket.is_given_up
    settle()
    assert settled == [1]


def test_to_settle_one_attempt_leaves_the_next_alone() -> None:
    course, settled = begun(), []
    course.bound = Bound(JOB, 1, settle=lambda: settled.append(1))
    settle = course.settling()
    course.begin_again(Ticket(lambda: 2))
    course.bound = Bound(JOB, 2, settle=lambda: settled.append(2))
    settle()
    assert settled == [1]
    assert course.ticket is not None
    assert not course.ticket.is_given_up
