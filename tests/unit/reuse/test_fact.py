"""What counts of an execution, and that the key and the explanation never disagree."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.digest import Digest, hash_bytes
from runner.engine.entry import job_from_json, job_to_json
from runner.job import Allowance, Gang, HostMount, InputFile, Job, JobInput, Network, Script, View
from runner.plan.document import RunContext, identities
from runner.reuse.fact import NO_FACTS, Kind, Made, base_key, canonical, compare, facts, why_never
from runner.worker.stage import environment
from tests.cost import steps

A, B = hash_bytes(b"a"), hash_bytes(b"b")

JOB = Job(
    id="e1",
    step="train",
    image="python:3.11",
    script=Script(("pip list", "python train.py")),
    snapshot=A,
    parameters={"rate": 1, "name": "x"},
    inputs=(
        JobInput("data", (InputFile("a.csv", A, 1, "file:a.csv", {"k": [1]}), InputFile("b.csv", B, 1, "file:b.csv"))),
        JobInput("more", ()),
    ),
    environment={"MODE": "fast", "VH_EXECUTION_ID": "e1"},
    allowance=Allowance(cpus=2.0, memory=1 << 30, shm=1 << 20, devices={"nvidia.com/gpu": 1}),
    stop_condition="accuracy > 0.9",
    secrets=("TOKEN",),
)
MADE = Made(JOB, "sha256:1", "docker", A)


def key(made: Made) -> Digest:
    return base_key(facts(made))


def of_job(**changes: Any) -> Callable[[Made], Made]:
    return lambda made: replace(made, job=replace(made.job, **changes))


def files(*given: InputFile) -> Callable[[Made], Made]:
    return of_job(inputs=(JobInput("data", given), JOB.inputs[1]))


FIRST, SECOND = JOB.inputs[0].files

COUNTS: dict[str, Callable[[Made], Made]] = {
    "the command": of_job(script=Script(("pip list", "python train.py --fast"))),
    "where an item of the command ends": of_job(script=Script(("pip list\npython train.py",))),
    "whether the first failure ends it": of_job(script=replace(JOB.script, stop_at_failure=False)),
    "no command": of_job(script=Script(())),
    "a parameter's value": of_job(parameters={"rate": 2, "name": "x"}),
    "a parameter's type": of_job(parameters={"rate": 1.0, "name": "x"}),
    "a parameter that is a list": of_job(parameters={"rate": [1], "name": "x"}),
    "a parameter's name": of_job(parameters={"speed": 1, "name": "x"}),
    "a parameter more": of_job(parameters={"rate": 1, "name": "x", "more": 1}),
    "the order of parameters": of_job(parameters={"name": "x", "rate": 1}),
    "a variable": of_job(environment={"MODE": "slow"}),
    "a variable more": of_job(environment={"MODE": "fast", "MORE": ""}),
    "a variable that begins like ours": of_job(environment={"MODE": "fast", "VH_MODE": "1"}),
    "the bound of processors that a variable sets": of_job(environment={"MODE": "fast", "VH_CPU_LIMIT": "1"}),
    "a secret's name": of_job(secrets=("TOKEN2",)),
    "a variable that becomes a secret": of_job(environment={}, secrets=("MODE", "TOKEN")),
    "the image": lambda made: replace(made, identity="sha256:2"),
    "the executor": lambda made: replace(made, executor="sandbox"),
    "the bytes of an input": files(replace(FIRST, digest=B), SECOND),
    "the name of an input's file": files(replace(FIRST, name="c.csv"), SECOND),
    "the folder of an input's file": files(replace(FIRST, name="x/a.csv"), SECOND),
    "the properties of an input's file": files(replace(FIRST, metadata={"k": [2]}), SECOND),
    "the type of a property": files(replace(FIRST, metadata={"k": ["1"]}), SECOND),
    "the order of an input's files": files(SECOND, FIRST),
    "a file of an input twice": files(FIRST, SECOND, FIRST),
    "a file of an input less": files(FIRST),
    "to which input a file belongs": of_job(inputs=(JobInput("data", (FIRST,)), JobInput("more", (SECOND,)))),
    "an input more": of_job(inputs=(*JOB.inputs, JobInput("other", ()))),
    "the order of inputs": of_job(inputs=JOB.inputs[::-1]),
    "the names of the files of the code": lambda made: replace(made, names=B),
    "the network": of_job(network=Network.NONE),
    "the number of processors": of_job(allowance=replace(JOB.allowance, cpus=1.0)),
    "which processors": of_job(allowance=replace(JOB.allowance, cpus=None, cpu_set=(0, 1))),
    "the number of devices": of_job(allowance=replace(JOB.allowance, devices={"nvidia.com/gpu": 2})),
    "the kind of device": of_job(allowance=replace(JOB.allowance, devices={"amd.com/gpu": 1})),
    "a device called like processors": of_job(allowance=replace(JOB.allowance, devices={"cpus": 1})),
    "the stop-condition": of_job(stop_condition=None),
}

DOES_NOT_COUNT: dict[str, Callable[[Made], Made]] = {
    "the id": of_job(id="e2"),
    "the name of the step": of_job(step="fit"),
    "the name of the image": of_job(image="python:latest"),
    "the tree": of_job(snapshot=B),
    "our own variables": of_job(environment={"MODE": "fast", "VH_EXECUTION_ID": "e2", "VH_PIPELINE_ID": "p"}),
    "where an input came from": files(replace(FIRST, origin="datum://1"), SECOND),
    "the time limit": of_job(time_limit=5.0),
    "the limit of silence": of_job(no_output_timeout=5.0),
    "the bound of memory": of_job(allowance=replace(JOB.allowance, memory=None, shm=None)),
    "the documents": of_job(documents={"execution": {"valohai.execution-id": "e2"}}),
    "the order of variables": of_job(environment={"VH_EXECUTION_ID": "e1", "MODE": "fast"}),
    "what the runner sets by itself": of_job(defaults={"OMP_NUM_THREADS": "1"}),
    "that it was recorded": lambda made: replace(
        made, job=job_from_json("e2", json.loads(json.dumps(job_to_json(made.job))))
    ),
}


@pytest.mark.parametrize("what", COUNTS)
def test_a_change_of_what_counts_gives_another_key_and_is_explained(what: str) -> None:
    other = COUNTS[what](MADE)
    assert key(other) != key(MADE)
    assert compare(facts(MADE), facts(other))
    assert compare(facts(other), facts(MADE))


def test_every_field_of_a_job_either_counts_or_is_known_not_to() -> None:
    told = {field for change in (*COUNTS.values(), *DOES_NOT_COUNT.values()) for field in _changed_fields(change)}
    # What has one of these is never reused.
    assert told == set(Job.__dataclass_fields__) - {"mounts", "gang"}


def _changed_fields(change: Callable[[Made], Made]) -> set[str]:
    after = change(MADE).job
    return {name for name in Job.__dataclass_fields__ if getattr(after, name) != getattr(JOB, name)}


@pytest.mark.parametrize("what", DOES_NOT_COUNT)
def test_a_change_of_what_does_not_count_gives_the_same_key(what: str) -> None:
    other = DOES_NOT_COUNT[what](MADE)
    assert repr(other) != repr(MADE)
    assert key(other) == key(MADE)
    assert compare(facts(MADE), facts(other)) == ()


def test_the_variables_that_are_no_facts_are_those_that_we_set_and_those_that_ask_for_fetching_again() -> None:
    context = RunContext("r", 1, "p", "name", "c", "docker", "me", {"hostname": "h"}, None, (), "pipeline")
    gang = Gang("g", 0, ("127.0.0.1",))
    ours = {*identities(context, "e", "n", "t", gang), *environment(replace(JOB, environment={}), View())} - {
        "PYTHONUNBUFFERED"
    }
    assert ours == {name for name in NO_FACTS if name not in {"VH_NO_DATA_CACHE", "VH_NO_IMAGE_CACHE", "VH_CLEAN"}}


def test_a_name_that_comes_is_told_once_and_not_as_another_order_too() -> None:
    (difference,) = compare(facts(MADE), facts(COUNTS["a parameter more"](MADE)))
    assert (difference.fact.kind, difference.fact.name, difference.before) == (Kind.PARAMETER, "more", None)
    (difference,) = compare(facts(MADE), facts(COUNTS["the order of parameters"](MADE)))
    assert (difference.fact.kind, difference.fact.name) == (Kind.ORDER, "parameters")


def test_a_secret_counts_by_its_name_and_its_value_is_nowhere() -> None:
    assert [fact.value for fact in facts(MADE) if fact.kind is Kind.SECRET] == [None]


def test_a_key_takes_time_linear_in_what_an_execution_is_made_of() -> None:
    def cost(count: int) -> int:
        many = tuple(InputFile(f"{number:06}.csv", A, 1, "") for number in range(count))
        job = replace(JOB, inputs=(JobInput("data", many),), environment={file.name: "x" for file in many})
        return steps(lambda: key(replace(MADE, job=job)))

    hundred, thousand, ten_thousand = map(cost, (100, 1_000, 10_000))
    assert ten_thousand - thousand == pytest.approx(10 * (thousand - hundred), rel=0.02)


def test_what_sees_a_folder_of_this_machine_is_never_reused() -> None:
    mounted = replace(JOB, mounts=(HostMount("/data", "/data", True),))
    assert "`/data`" in (why_never(mounted) or "")
    assert why_never(JOB) is None


def test_a_member_of_a_gang_is_never_reused() -> None:
    assert "one of 2 members" in (why_never(replace(JOB, gang=Gang("g", 0, ("127.0.0.1", "127.0.0.2")))) or "")


TEXT = st.text(
    st.one_of(st.sampled_from('ab\u00e9\u0301e/\0"\\,[]\U0001f600'), st.characters(categories=["Cs"])), max_size=4
)
SCALARS = st.one_of(
    TEXT,
    st.booleans(),
    st.integers(-2, 2),
    st.integers(),
    st.sampled_from([0.0, -0.0, 1.0, float("inf"), float("-inf"), 1e22]),
    st.floats(allow_nan=False),
)
JSON = st.recursive(
    st.one_of(st.none(), SCALARS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=6,
)


def told(value: Any) -> Any:
    """A value as something that Python takes for equal only where a program does, too."""
    if isinstance(value, dict):
        return ("dict", tuple((name, told(item)) for name, item in value.items()))
    if isinstance(value, list):
        return ("list", tuple(map(told, value)))
    return (type(value), repr(value))


@given(JSON, JSON)
def test_two_values_have_the_same_bytes_only_if_they_are_the_same(one: Any, other: Any) -> None:
    assert (canonical(one) == canonical(other)) is (told(one) == told(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["a", "bc"], ["ab", "c"]),
        (["a", "b"], ["a,b"]),
        (1, 1.0),
        (1, True),
        (1, "1"),
        (None, "null"),
        (True, "true"),
        (0.0, -0.0),
        (float("nan"), "NaN"),
        ("\u00e9", "e\u0301"),
        ("\u00e9", "\udcc3\udca9"),
        ("\U0001f600", "\ud83d\ude00"),
        ([], [[]]),
        ({}, []),
    ],
)
def test_values_that_are_often_mixed_up_are_told_apart(one: Any, other: Any) -> None:
    assert canonical(one) != canonical(other)
    before, after = (replace(MADE, job=replace(JOB, parameters={"p": value})) for value in (one, other))
    assert key(before) != key(after)
    assert compare(facts(before), facts(after))


def test_a_number_that_is_none_is_itself() -> None:
    made = replace(MADE, job=replace(JOB, parameters={"p": float("nan")}))
    assert key(made) == key(made)
    assert compare(facts(made), facts(made)) == ()


NAMES = st.sampled_from(["cpus", "cpu-set", "parameters", "inputs", "", "VH_X", "a", "b"])
FILES = st.builds(InputFile, NAMES, st.sampled_from([A, B]), st.just(1), TEXT, st.dictionaries(TEXT, JSON, max_size=2))
JOBS = st.builds(
    Job,
    id=TEXT,
    step=NAMES,
    image=TEXT,
    script=st.builds(Script, st.lists(TEXT, max_size=3).map(tuple), st.booleans()),
    snapshot=st.sampled_from([A, B]),
    parameters=st.dictionaries(NAMES, st.one_of(SCALARS, st.lists(SCALARS, max_size=2)), max_size=3),
    inputs=st.lists(
        st.builds(JobInput, NAMES, st.lists(FILES, max_size=2).map(tuple)), max_size=2, unique_by=lambda one: one.name
    ).map(tuple),
    environment=st.dictionaries(st.sampled_from(["VH_EXECUTION_ID", "VH_X", "a", "cpus"]), TEXT, max_size=3),
    network=st.sampled_from(Network),
    stop_condition=st.one_of(st.none(), TEXT),
    allowance=st.builds(
        Allowance,
        cpus=st.one_of(st.none(), st.sampled_from([1.0, 2.0])),
        cpu_set=st.lists(st.integers(0, 3), max_size=2).map(tuple),
        devices=st.dictionaries(NAMES, st.integers(-1, 2), max_size=2),
    ),
    secrets=st.lists(NAMES, unique=True, max_size=2).map(tuple),
)
MADES = st.builds(Made, JOBS, st.sampled_from(["1", "2"]), st.sampled_from(["docker", "sandbox"]), st.just(A))


@given(MADES, MADES)
def test_nothing_differs_exactly_if_the_keys_are_the_same(one: Made, other: Made) -> None:
    assert (compare(facts(one), facts(other)) == ()) is (key(one) == key(other))
    assert compare(facts(one), facts(one)) == ()


@given(MADES)
def test_no_fact_is_told_twice(made: Made) -> None:
    labels = [(fact.kind, fact.name) for fact in facts(made)]
    assert len(labels) == len(set(labels))
