"""What the jobs of a plan claim of the machine, and which of them the end of the run waits for longest."""

from pathlib import Path

import pytest

from runner.app import claim
from runner.app.claim import critical_paths, make_capacity, make_claims, unbounded
from runner.app.grant import EVERY, Granted, grant_plan
from runner.engine.slots import Capacity, Claim
from runner.errors import Location
from runner.plan.compile import compile_pipeline
from runner.plan.limit import Grant
from runner.plan.model import Arguments, Plan, PlannedNode
from runner.settings import Settings
from runner.share import Share
from runner.spec.model import Step
from runner.spec.project import parse_project
from tests.cost import steps

YAML = """\
- step: {name: plain, image: a, command: "true"}
- step: {name: least, image: a, command: "true", resources: {cpu: {min: 0.5, max: 8}, memory: {min: 10, max: 900}}}
- step: {name: most, image: a, command: "true", resources: {cpu: {max: 0.5}, memory: {max: 20}}}
- step:
    name: told
    image: a
    command: "true"
    resources: {cpu: {min: 0.25}}
    environment-variables: [{name: VH_CPU_LIMIT, default: "0.75"}]
- step:
    name: listed
    image: a
    command: "true"
    environment-variables: [{name: VH_CPU_LIMIT, default: "0,0"}]
- policy: {step: plain, pool: gpu, priority: 3}
- policy: {step: most, pool: disk}
- pipeline:
    name: p
    nodes:
      - {name: a, type: execution, step: plain}
      - {name: b, type: execution, step: least}
      - {name: c, type: execution, step: most}
      - {name: d, type: execution, step: told}
      - {name: e, type: execution, step: listed}
    edges:
      - [a.dependency.x, b.dependency.x]
      - [a.dependency.x, c.dependency.x]
      - [c.dependency.x, d.dependency.x]
"""
MB = 1_000_000
SHARE = Share(2.5, 4 * MB)


@pytest.fixture
def plan() -> Plan:
    project = parse_project(YAML.encode(), "valohai.yaml")
    return compile_pipeline(project, project.pipelines["p"], Arguments("/"), "/")


def test_a_node_claims_the_least_that_it_asks_for_else_the_most_that_it_may_have(plan: Plan, tmp_path: Path) -> None:
    found = make_claims(plan, grant_plan(plan, Settings(tmp_path)), {})
    assert found == {
        "a": Claim(pools=("gpu",), priority=3),
        "b": Claim(cpus=0.5, memory=10 * MB),
        "c": Claim(cpus=0.5, memory=20 * MB, pools=("disk",)),
        "d": Claim(cpus=0.75),
        "e": Claim(cpus=1),
    }


def test_a_path_is_the_longest_way_to_the_end_by_what_steps_took_before(plan: Plan) -> None:
    assert critical_paths(plan, {"plain": 1.0, "least": 50.0, "most": 20.0, "told": 31.0}) == {
        "a": 52.0,
        "b": 50.0,
        "c": 51.0,
        "d": 31.0,
        "e": 0.0,
    }
    assert set(critical_paths(plan, {}).values()) == {0.0}


def test_devices_are_claimed_as_far_as_they_are_granted(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "installed", {"nvidia.com/gpu": 4, "amd.com/gpu": 2}.__getitem__)
    grants = dict.fromkeys(plan.nodes, Grant()) | {
        "a": Grant(devices={"nvidia.com/gpu": 1}),
        "b": Grant(devices={"nvidia.com/gpu": EVERY, "amd.com/gpu": 1}),
    }
    found = make_claims(plan, Granted(grants, ()), {})
    assert [found[name].devices for name in "abc"] == [
        {"nvidia.com/gpu": 1},
        {"nvidia.com/gpu": 4, "amd.com/gpu": 1},
        {},
    ]
    capacity = make_capacity(Settings(Path("/s")), 1, SHARE, Granted(grants, ()))
    assert capacity.devices == {"nvidia.com/gpu": 4, "amd.com/gpu": 2}
    alone = make_capacity(Settings(Path("/s")), 1, SHARE, Granted({"a": grants["a"]}, ()))
    assert alone.devices == {"nvidia.com/gpu": 4}


def test_what_there_is_to_share_is_what_the_settings_say_or_the_share_of_the_machine() -> None:
    nothing = Granted({}, ())
    assert make_capacity(Settings(Path("/s")), 3, SHARE, nothing) == Capacity(3, cpus=2.5, memory=4 * MB)
    settings = Settings(Path("/s"), cpus=1.5, memory=MB, pools={"gpu": 2})
    assert make_capacity(settings, 3, SHARE, nothing) == Capacity(3, 1.5, MB, {}, {"gpu": 2})


def test_a_pool_without_a_size_is_told_of_once(plan: Plan) -> None:
    said = list(unbounded(plan, Settings(Path("/s"), pools={"gpu": 1})))
    assert said == ["pool `disk` bounds nothing: say how many places it has under `[pools]` in your settings"]


def test_ten_times_as_many_nodes_cost_ten_times_as_much() -> None:
    def work(count: int) -> int:
        step = Step("s", Location("f", 1, 1), "i", ())
        nodes = {}
        for number in range(count):
            upstream = tuple(f"n{above}" for above in range(max(0, number - 3), number))
            nodes[f"n{number}"] = PlannedNode(f"n{number}", step, {}, {}, {}, upstream=upstream)
        plan = Plan("pipeline", "p", nodes)
        return steps(lambda: critical_paths(plan, {"s": 1.0}))

    assert work(1000) < 11 * work(100)
