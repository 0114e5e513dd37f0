"""Who starts together with whom, and for how long they are connected."""

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import cast

import pytest

from runner.app.gang import Gangs, Membership, check_gangs, free_gangs, run_of
from runner.errors import ExitCode, Location, MlrunError
from runner.executors.fake import FakeExecutor
from runner.job import Network
from runner.plan.model import Plan, PlannedNode
from runner.spec.model import Step, Task, TaskType
from runner.store.store import Store

HERE = Location("valohai.yaml", 1, 1)


def node(name: str, type: TaskType = TaskType.DISTRIBUTED, count: int | None = 3) -> PlannedNode:
    task = Task("blueprint", HERE, "train", type, execution_count=count)
    step = Step(name="train", location=HERE, image="image:1", command=())
    return PlannedNode(name, step, {}, {}, {}, kind="task", task=task)


def trial(number: int, of: str = "train") -> PlannedNode:
    return replace(node(f"{of}.{number}"), kind="execution", task=None, trial_of=of)


@pytest.fixture
def executor() -> FakeExecutor:
    return FakeExecutor()


def gangs(executor: FakeExecutor, **nodes: PlannedNode) -> Gangs:
    known: Mapping[str, PlannedNode] = nodes or {"train": node("train")}
    return Gangs(executor, known, "run")


def join(gangs: Gangs, *numbers: int, of: str = "train") -> list[Membership]:
    found = [gangs.join(trial(number, of), Network.DEFAULT) for number in numbers]
    assert None not in found
    return [one for one in found if one is not None]


def test_the_trials_of_a_distributed_task_are_one_gang(executor: FakeExecutor) -> None:
    found = join(gangs(executor), 2, 1, 3)

    assert len({one.gang.id for one in found}) == 1
    assert len({one.gang.addresses for one in found}) == 1
    assert [one.gang.index for one in found] == [1, 0, 2]
    assert len({one.executions for one in found}) == 1
    assert len({one.execution for one in found}) == 3
    assert executor.connected() == {found[0].gang.id}
    assert run_of(found[0].gang.id) == "run"


def test_members_that_join_at_the_same_moment_are_one_gang(executor: FakeExecutor) -> None:
    together = gangs(executor, train=node("train", count=16))
    barrier = threading.Barrier(16)

    def join_one(number: int) -> Membership:
        barrier.wait(30)
        return join(together, number)[0]

    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(join_one, range(1, 17)))
    assert len({one.gang.id for one in found}) == 1
    assert sorted(one.gang.index for one in found) == list(range(16))


def test_two_tasks_are_two_gangs(executor: FakeExecutor) -> None:
    both = gangs(executor, one=node("one"), two=node("two"))

    (first,), (second,) = join(both, 1, of="one"), join(both, 1, of="two")
    assert first.gang.id != second.gang.id
    assert not set(first.gang.addresses) & set(second.gang.addresses)


@pytest.mark.parametrize("type", [one for one in TaskType if one is not TaskType.DISTRIBUTED])
def test_trials_of_other_tasks_and_nodes_that_are_no_trials_are_on_their_own(
    executor: FakeExecutor, type: TaskType
) -> None:
    found = gangs(executor, train=node("train", type))

    assert found.join(trial(1), Network.DEFAULT) is None
    assert found.join(replace(trial(1), trial_of=None), Network.DEFAULT) is None
    assert executor.connected() == frozenset()


def test_a_gang_is_disconnected_when_the_last_member_has_left_however_often_one_says_so(executor: FakeExecutor) -> None:
    first, second, third = join(gangs(executor), 1, 2, 3)
    for one in (first, first, second):
        one.leave()
    assert executor.connected() == {first.gang.id}

    third.leave()
    assert executor.connected() == frozenset()


def test_a_gang_is_disconnected_at_the_end_if_not_all_members_came(executor: FakeExecutor) -> None:
    together = gangs(executor)
    join(together, 1, 2)[0].leave()

    together.close()
    together.close()
    assert executor.connected() == frozenset()


def test_who_is_tried_again_begins_another_gang_which_the_others_join(executor: FakeExecutor) -> None:
    together = gangs(executor)
    before = join(together, 1, 2, 3)
    for one in before:
        one.leave()
    after = join(together, 3, 1, 2)

    assert {one.gang.id for one in before}.isdisjoint(one.gang.id for one in after)
    assert len({one.gang.id for one in after}) == 1
    assert {one.execution for one in before}.isdisjoint(one.execution for one in after)


def test_members_without_a_network_are_refused_before_anything_starts() -> None:
    plan = Plan("task", "train", {"train": node("train")})

    check_gangs(plan, Network.DEFAULT)
    check_gangs(Plan("task", "grid", {"grid": node("grid", TaskType.GRID_SEARCH)}), Network.NONE)
    with pytest.raises(MlrunError, match="`train` is a distributed task") as raised:
        check_gangs(plan, Network.NONE)
    assert raised.value.code is ExitCode.EXECUTOR


class Runs:
    """A store with one run that has ended."""

    def ended_runs(self) -> set[str]:
        return {"ended"}


def test_what_gangs_of_ended_runs_took_is_freed_and_nothing_of_others(executor: FakeExecutor) -> None:
    for gang in ("ended.1", "ended.2", "running.1"):
        executor.connect(gang, 2, Network.DEFAULT)
    free_gangs(executor, cast("Store", Runs()))

    assert executor.connected() == {"running.1"}
