"""The bounds of a step, from its file, its variables and what the user grants."""

import pytest

from runner.errors import ExitCode, MlrunError
from runner.job import Allowance, HostMount, Network
from runner.plan.bind import make_job, resolve
from runner.plan.compile import compile_pipeline, compile_step
from runner.plan.limit import Grant, allowance, check_limits
from runner.plan.model import Arguments
from runner.spec.model import Project, Step
from runner.spec.project import parse_project


def project(fields: str) -> Project:
    text = (
        f"- step:\n    name: a\n    image: b\n    command: c\n    parameters: [{{name: n, default: x}}]\n    {fields}\n"
    )
    return parse_project(text.encode(), "valohai.yaml")


def step(fields: str = "") -> Step:
    return project(fields).steps["a"]


def test_a_step_that_asks_for_nothing_has_no_bounds() -> None:
    assert allowance(step(), {}, Grant()) == Allowance()


def test_max_is_the_bound_and_min_only_a_request() -> None:
    found = allowance(step("resources: {cpu: {min: 1, max: 2.5}, memory: {min: 1000, max: 4000}}"), {}, Grant())
    assert (found.cpus, found.memory) == (2.5, 4_000_000_000)
    assert allowance(step("resources: {cpu: {min: 1}, memory: {min: 1}}"), {}, Grant()) == Allowance()


def test_half_of_the_memory_may_be_shared_unless_the_user_says_otherwise() -> None:
    bounded = step("resources: {memory: {max: 100}}")
    assert allowance(bounded, {}, Grant()).shm == 50_000_000
    assert allowance(bounded, {}, Grant(shm=7)).shm == 7
    assert allowance(step(), {}, Grant(shm=7)).shm == 7


@pytest.mark.parametrize(
    ("text", "cpus", "numbers"),
    [
        ("2", 2.0, ()),
        (" 0.5 ", 0.5, ()),
        ("0,2,4", None, (0, 2, 4)),
        ("4, 0,0", None, (0, 4)),
        ("1-3", None, (1, 2, 3)),
        ("0,2-3", None, (0, 2, 3)),
        ("", 8.0, ()),
    ],
)
def test_the_agents_variable_is_a_count_or_a_list_and_takes_the_place_of_the_files_bound(
    text: str, cpus: float | None, numbers: tuple[int, ...]
) -> None:
    found = allowance(step("resources: {cpu: {max: 8}}"), {"VH_CPU_LIMIT": text}, Grant())
    assert (found.cpus, found.cpu_set) == (cpus, numbers)


@pytest.mark.parametrize("text", ["many", "0", "-1", "nan", "inf", "1e9", "1,", ",", "1,a", "3-", "0-999999", "1;2"])
def test_another_value_of_the_agents_variable_is_refused(text: str) -> None:
    with pytest.raises(MlrunError, match="neither a number of processors nor a list") as caught:
        allowance(step(), {"VH_CPU_LIMIT": text}, Grant())
    assert caught.value.code is ExitCode.USAGE


def test_a_wrong_value_in_the_file_has_its_place() -> None:
    odd = step("environment-variables: [{name: VH_CPU_LIMIT, default: many}]")
    with pytest.raises(MlrunError) as caught:
        check_limits(odd, {"VH_CPU_LIMIT": "many"})
    assert (caught.value.code, str(caught.value.location)) == (ExitCode.SPEC, "valohai.yaml:6:36")


@pytest.mark.parametrize(
    "field", ["cpu: {max: 0}", "cpu: {max: 0.001}", "cpu: {max: 1.0e+9}", "memory: {max: 0}", "memory: {max: 6}",
              "memory: {max: -1}", "memory: {max: 1.0e+12}"]
)  # fmt: skip
def test_bounds_that_no_step_could_keep_are_refused(field: str) -> None:
    with pytest.raises(MlrunError, match="a step cannot run with at most") as caught:
        check_limits(step(f"resources: {{{field}}}"), {})
    assert caught.value.code is ExitCode.SPEC
    assert caught.value.location is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("loss <", "not understood"),
        ("loss < 1 < 2", "one comparison at a time"),
        ("import os", "not understood"),
        ("foo(loss)", "there is no function `foo`"),
        ("1 < 2", "reads no metric"),
        ("'true'", "reads no metric"),
        ("parameter.n == 'x'", "reads no metric"),
        ("loss < parameter.m", "reads parameter `m`, which the step lacks"),
    ],
)
def test_a_stop_condition_that_could_never_hold_is_refused_before_the_start(text: str, said: str) -> None:
    odd = project(f"stop-condition: {text}")
    with pytest.raises(MlrunError, match=said) as caught:
        compile_step(odd.steps["a"], Arguments("/"), "/")
    assert caught.value.code is ExitCode.SPEC
    assert str(caught.value.location).startswith("valohai.yaml:6:")


@pytest.mark.parametrize("text", ["loss < 1", "metadata.loss < parameter.n", "val/acc > 1", "a-b < 1 or c is None"])
def test_a_stop_condition_that_may_hold_is_taken(text: str) -> None:
    check_limits(step(f"stop-condition: {text}"), {})


def test_limits_and_grants_reach_the_job() -> None:
    fields = "stop-condition: loss < 1\n    time-limit: 2h\n    no-output-timeout: 90\n    resources: {cpu: {max: 2}}"
    node = compile_step(step(fields), Arguments("/"), "/").nodes["a"]
    mount = HostMount("/data", "/mnt/data", True)
    job = make_job(
        node,
        resolve(node, {}),
        {},
        snapshot="0",
        network=Network.NONE,
        grant=Grant((mount,), {"nvidia.com/gpu": 1}, 9),
    )
    assert (job.time_limit, job.no_output_timeout, job.stop_condition) == (7200, 90, "loss < 1")
    assert job.allowance == Allowance(2.0, (), None, 9, {"nvidia.com/gpu": 1})
    assert job.mounts == (mount,)


def test_a_nodes_mounts_take_the_place_of_those_of_its_step() -> None:
    text = """
- step: {name: s, image: b, command: c, mounts: ["/a:/b"]}
- pipeline:
    name: p
    edges: []
    nodes:
      - {name: own, type: execution, step: s, override: {mounts: ["/c:/d"]}}
      - {name: same, type: execution, step: s, override: {image: x}}
"""
    found = parse_project(text.encode(), "valohai.yaml")
    nodes = compile_pipeline(found, found.pipelines["p"], Arguments("/"), "/").nodes
    assert [mount.source for mount in nodes["own"].step.mounts] == ["/c"]
    assert [mount.source for mount in nodes["same"].step.mounts] == ["/a"]
