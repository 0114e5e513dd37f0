"""What a run is likely to take, and which nodes it depends on."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from runner.app.forecast import Depends, Fate, Runs, Stands, estimate, forecast, known
from runner.app.reuse import Reuser
from runner.engine.callback import Past, Stand
from runner.engine.node import Restored
from runner.job import Job
from runner.plan.bind import Left
from runner.plan.compile import compile_pipeline
from runner.plan.model import Arguments, Plan, PlannedNode
from runner.reuse.decide import Miss
from runner.spec.project import parse_project
from runner.state import State
from runner.store.record import Reused
from runner.store.store import Store

YAML = """\
- step: {name: make, image: a, command: "true"}
- step: {name: use, image: a, command: "true"}
- pipeline:
    name: p
    nodes:
      - {name: a, type: execution, step: make}
      - {name: b, type: execution, step: use}
      - {name: c, type: execution, step: use}
      - {name: d, type: execution, step: use}
    edges:
      - [a.dependency.x, b.dependency.x]
      - [a.dependency.x, c.dependency.x]
      - [b.dependency.x, d.dependency.x]
"""
STANDS = Stands(Stand(Reused("id", 4, "run"), Left(), "execution 4 of run 2", 60.0))
RUNS = Runs(Miss(()))


class History:
    """A store that knows what steps took: seconds, bytes of memory and of outputs of each execution, newest first."""

    def __init__(self, **steps: Sequence[tuple[float, int | None, int]]) -> None:
        self.steps = steps

    def of_step(self, project: str, step: str, limit: int) -> list[tuple[str, str]]:
        return [(f"{step}{number}", "run") for number, _ in enumerate(self.steps.get(step, ()))][:limit]

    def rows_of(self, kind: str, ids: list[str]) -> list[dict[str, Any]]:
        rows = {
            f"{step}{number}": {"duration": seconds, "peak_memory": memory, "output_bytes": size}
            for step, took in self.steps.items()
            for number, (seconds, memory, size) in enumerate(took)
        }
        return [{"id": id, **rows[id]} for id in ids]


@pytest.fixture
def plan() -> Plan:
    project = parse_project(YAML.encode(), "valohai.yaml")
    return compile_pipeline(project, project.pipelines["p"], Arguments("/"), "/")


class Nobody:
    """Knows no execution that could stand for anything."""

    def never(self, node: PlannedNode) -> None:
        return None

    def stand(self, name: str, job: Job) -> None:
        return None


def test_what_a_run_has_behind_it_has_no_fate_and_those_below_get_what_it_left(plan: Plan) -> None:
    given: dict[str, Mapping[str, Left]] = {}

    def draft(node: PlannedNode, upstream: Mapping[str, Left]) -> Job:
        given[node.name] = upstream
        return cast("Job", None)

    left = Left(metrics={"n": 1})
    nodes = {"a": Restored(State.SUCCEEDED), "b": Restored(State.FAILED, tolerated=True)}
    past = Past(nodes=nodes, left={"a": left})
    fates = forecast(plan, draft, cast("Reuser", Nobody()), lambda node: (), explain=False, past=past)
    assert (list(fates), given) == (["c", "d"], {"c": {"a": left}, "d": {"b": Left()}})
    store = cast("Store", History(make=[(10.0, 100, 5)], use=[(4.0, 30, 1)]))
    assert estimate(store, "", plan, fates, 2).seconds == 4.0


def test_the_longest_path_or_all_of_it_shared_out_is_how_long_it_takes(plan: Plan) -> None:
    store = cast("Store", History(make=[(10.0, 100, 5)], use=[(4.0, 30, 1)]))
    fates: dict[str, Fate] = {"a": RUNS, "b": Depends(("a",)), "c": Depends(("a",)), "d": Depends(("b",))}
    assert estimate(store, "", plan, fates, 4).seconds == 18.0
    assert estimate(store, "", plan, fates, 1).seconds == 22.0


def test_reused_nodes_take_nothing(plan: Plan) -> None:
    store = cast("Store", History(use=[(4.0, 30, 1)]))
    fates: dict[str, Fate] = {"a": STANDS, "b": STANDS, "c": RUNS, "d": STANDS}
    told = estimate(store, "", plan, fates, 2)
    assert (told.nodes, told.reused, told.seconds, told.memory, told.output_bytes) == (4, 3, 4.0, 30, 1)
    assert list(known(fates)) == ["a", "b", "d"]


def test_memory_is_that_of_as_many_as_run_at_the_same_time_the_largest_ones(plan: Plan) -> None:
    store = cast("Store", History(make=[(1.0, 100, 5)], use=[(1.0, 30, 1)]))
    fates: dict[str, Fate] = dict.fromkeys("abcd", RUNS)
    assert [estimate(store, "", plan, fates, slots).memory for slots in (1, 2, 9)] == [100, 130, 190]


def test_what_was_never_measured_is_not_guessed(plan: Plan) -> None:
    fates: dict[str, Fate] = dict.fromkeys("abcd", RUNS)
    told = estimate(cast("Store", History(use=[(4.0, 30, 1)])), "", plan, fates, 2)
    assert (told.seconds, told.memory, told.output_bytes) == (None, None, None)
    told = estimate(cast("Store", History(make=[(1.0, None, 5)], use=[(4.0, 30, 1)])), "", plan, fates, 2)
    assert (told.seconds, told.memory, told.output_bytes) == (9.0, None, 8)


def test_the_median_of_the_newest_five_counts(plan: Plan) -> None:
    took = [(2.0, 10, 1), (4.0, 30, 3), (3.0, 20, 2), (9.0, 90, 9), (1.0, 0, 0), (100.0, 999, 999)]
    told = estimate(cast("Store", History(make=took)), "", plan, {"a": RUNS}, 2)
    assert (told.seconds, told.memory, told.output_bytes) == (3.0, 20, 2)
