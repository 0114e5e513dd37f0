"""The schema takes what the schema of the library `valohai-yaml` takes, and refuses what it refuses, but for a list.

Each object is compared by itself: a smallest valid one, with each of its keys left out, each key given each of many
odd values, and a key that nobody knows.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from runner.spec.schema import load_schema

pytest.importorskip("valohai_yaml", reason="valohai-yaml is not installed")
from valohai_yaml.schema_data import SCHEMATA

Object = Mapping[str, Any]

OBJECTS: Mapping[str, tuple[str, Object]] = {
    "step": ("step", {"name": "s", "image": "i", "command": "c"}),
    "param-item": ("parameter", {"name": "p"}),
    "input-item": ("input", {"name": "i"}),
    "output-item": ("output", {"name": "o"}),
    "environment-variable-item": ("environment-variable", {"name": "v"}),
    "mount-item": ("mount", {"source": "/a", "destination": "/b"}),
    "endpoint": ("endpoint", {"name": "ep", "image": "i", "wsgi": "a"}),
    "endpoint-shared-volume": ("shared-volume", {"pvc-name": "v", "mount-path": "/a"}),
    "endpoint-workspace-volume": ("workspace-volume", {"mount-path": "/a", "size": 1}),
    "workflow-resource-cpu": ("cpu", {}),
    "workflow-resource-memory": ("memory", {}),
    "workflow-resource-ephemeral-storage": ("ephemeral-storage", {}),
    "workflow-resource-devices": ("devices", {}),
    "file-item": ("endpoint-file", {"name": "f", "path": "p"}),
    "toleration": ("toleration", {"key": "k"}),
    "task": ("task", {"name": "t", "step": "s", "parameters": []}),
    "variant-param": ("task-parameter", {"name": "p", "style": "single", "rules": {}}),
    "variant-param-rule-item": ("rules", {}),
    "pipeline": ("pipeline", {"name": "p", "nodes": [], "edges": []}),
    "pipeline-param": ("pipeline-parameter", {"name": "p"}),
    "execution-node": ("execution-node", {"name": "n", "type": "execution", "step": "s"}),
    "task-node": ("task-node", {"name": "n", "type": "task", "step": "s"}),
    "deployment-node": ("deployment-node", {"name": "n", "type": "deployment", "deployment": "d"}),
    "node-action": ("action", {"when": "node-error", "then": "noop"}),
    "overridden-properties": ("override", {}),
    "deployment": ("deployment", {"name": "d"}),
}
"""Their name of an object: ours, and a smallest valid one."""

WITHIN_OTHERS = {"base", "node-edge-merge-mode"}
"""Their objects that are no mapping by themselves; the second is a value of nodes."""

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 1.5, 8000, 8000.5, 70000, 10**6),
    *("", "a", "A", "a=b", "/a:/b", "/a", "a" * 64, "a" * 65, "1h 30m", "pkg.mod:app"),
    *("string", "integer", "float", "flag", "none", "repeat", "separate", "suffix", "full", "always", "on-demand"),
    *("replace", "append", "stop-all", "stop-next", "continue", "retry", "execution", "task", "deployment"),
    *("Exists", "Equal", "NoSchedule", "PreferNoSchedule", "NoExecute", "single", "multiple", "linear", "logspace"),
    *("random", "grid_search", "Grid-Search", "optuna"),
    *([], ["a"], [1], [None], [["a", "b"]], [["a.output.b", "c.input.d"]], [["a"]], [["a", "b", "c"]], [[1, 2]], [{}]),
    *([{"name": "a"}], [{"source": "a", "target": "b"}], [{"source": "a"}], [{"source": "/a", "destination": "/b"}]),
    *([{"source": "a", "target": "b", "configuration": {}}], [{"name": "a", "type": "execution", "step": "s"}]),
    *([{"name": "a", "type": "task", "step": "s", "task": "t"}], [{"name": "a", "type": "deployment"}], ["/a:/b"]),
    *({}, {"a": 1}, {"a": 0}, {"type": "a"}, {"type": 1}, {"min": 1}, {"min": "1"}, {"target": "t"}, {"image": "i"}),
    *({"cpu": {"min": 1}}, {"gpu": 1}, {"devices": {}}, {"devices": {"g": 0}}, {"devices": {"g": 1.5}}),
    *({"mount-path": "/a", "size": 1}, {"target": "t", "more": 1}, {"value": 1}, {"value": "a"}, {"items": [1, "a"]}),
)

EDGE = "an edge has two ends; their parser refuses the others"
NAME = "a pipeline parameter has a name; their parser refuses one without"
AMOUNT = "an amount is not less than nothing, and no machine has so much"
KEY = "a toleration without a key tolerates everything only with the operator `Exists`, says Kubernetes"

DIFFERENCES: Mapping[tuple[str, str], str] = {
    ("pipeline", "edges=[['a']]"): EDGE,
    ("pipeline", "parameters=[{}]"): NAME,
    ("pipeline-parameter", "without name"): NAME,
    ("endpoint", "tolerations=[{}]"): KEY,
    ("toleration", "without key"): KEY,
    **{(name, f"{key}=-1"): AMOUNT for name in ("cpu", "memory", "ephemeral-storage") for key in ("min", "max")},
    **{("cpu", f"{key}=1000000"): AMOUNT for key in ("min", "max")},
}
"""What they take and we refuse, and why. There is nothing that we take and they refuse."""


@cache
def official(name: str) -> Draft202012Validator:
    """Their validator of one object."""
    pairs = [(uri, Resource(contents=schema, specification=DRAFT202012)) for uri, schema in SCHEMATA.items()]
    registry: Registry[Any] = Registry().with_resources(pairs)
    return Draft202012Validator({"$ref": f"https://valohai.com/schemas/{name}"}, registry=registry)


@cache
def ours(name: str) -> Draft202012Validator:
    """Our validator of one object."""
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": load_schema()["$defs"]})


def variants(smallest: Object, keys: set[str]) -> Iterator[tuple[str, Object]]:
    """Objects to try, each with what was done to the smallest one."""
    yield "nothing", smallest
    yield "a key that nobody knows", {**smallest, "no-such-key": 1}
    yield "snake case", {**smallest, "pass_as": "a"}
    for key in smallest:
        yield f"without {key}", {other: value for other, value in smallest.items() if other != key}
    for key in sorted(keys):
        for value in VALUES:
            yield f"{key}={value!r}", {**smallest, key: value}


def test_every_object_of_their_schema_is_compared() -> None:
    assert {uri.rpartition("/")[2] for uri in SCHEMATA} == set(OBJECTS) | WITHIN_OTHERS


@pytest.mark.parametrize("name", OBJECTS)
def test_both_schemas_take_and_refuse_the_same_objects(name: str) -> None:
    mine, smallest = OBJECTS[name]
    keys = set(load_schema()["$defs"][mine].get("properties", {})) | {"nvidia.com/gpu"}
    tried = dict(variants(smallest, keys))
    assert official(name).is_valid(smallest)
    different = {done for done, made in tried.items() if official(name).is_valid(made) != ours(mine).is_valid(made)}
    assert different == {done for other, done in DIFFERENCES if other == mine}
    for done in different:
        assert not ours(mine).is_valid(tried[done])


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_both_schemas_take_and_refuse_the_same_mounts(value: object) -> None:
    assert official("mount-item").is_valid(value) == ours("mount").is_valid(value)


OF_A_TOLERATION = [
    *({}, {"operator": "Equal"}, {"operator": "Exists"}, {"value": "v"}, {"effect": "NoExecute"}),
    *({"key": "k", "operator": "Exists"}, {"key": "k", "operator": "Equal", "value": "v"}, {"operator": "Like"}),
]


@pytest.mark.parametrize("toleration", OF_A_TOLERATION, ids=repr)
def test_a_toleration_without_a_key_needs_the_operator_exists(toleration: Object) -> None:
    tolerant = "key" not in toleration and "operator" not in toleration
    assert ours("toleration").is_valid(toleration) == (official("toleration").is_valid(toleration) and not tolerant)


ITEMS: list[tuple[Object, bool]] = [
    ({"deployment": {"name": "d"}}, True),
    ({"deployment": {"nam": "d"}}, False),
    ({"blueprint": {"name": "p", "nodes": [], "edges": []}}, True),
    ({"blueprint": {"name": "p"}}, False),
    ({"policy": {"step": "s"}}, True),
    ({"policy": {"step": "s", "retry": 1}}, False),
    ({"trigger": {"anything": 1}}, True),
    ({"map": {"anything": 1}}, True),
    ({"something": 1}, True),
]


@pytest.mark.parametrize(("item", "valid"), ITEMS, ids=repr)
def test_items_that_their_schema_takes_unseen_are_looked_at(item: Object, valid: bool) -> None:
    assert official("base").is_valid([item])
    assert Draft202012Validator(load_schema()).is_valid([item]) == valid
