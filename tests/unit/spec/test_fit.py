"""The quick test of a value against the schema says what the schema library says."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from runner.spec.fit import Fitness, UnknownKeyword
from runner.spec.schema import load_schema

DEFINITIONS = load_schema()["$defs"]
FITNESS = Fitness(DEFINITIONS)

SCALARS = st.sampled_from([None, True, False, 0, 1, 1.0, 0.5, -1, "", "a", "execution", "integer", "string", "x" * 300])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "type", "a"]), inner),
    max_leaves=8,
)


def agrees(schema: Any, value: object) -> bool:
    """What both say of a value, which has to be the same."""
    quick = Fitness({**DEFINITIONS, "this": schema}).fits("this", value)
    assert quick == Draft202012Validator({"$defs": DEFINITIONS, **schema}).is_valid(value)
    return quick


def test_every_object_of_our_schema_is_understood() -> None:
    for name in DEFINITIONS:
        assert agrees({"$ref": f"#/$defs/{name}"}, {}) == FITNESS.fits(name, {})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer"},
        {"type": "number"},
        {"type": ["string", "null"]},
        {"type": "boolean"},
        {"enum": [1, "a", False, None]},
        {"const": True},
        {"const": 1},
        {"minimum": 0.5, "maximum": 1},
        {"exclusiveMinimum": 0, "exclusiveMaximum": 1},
        {"minLength": 1, "maxLength": 2},
        {"pattern": "^ex"},
        {"minItems": 1, "maxItems": 2, "items": {"type": "string"}},
        {"required": ["name"], "properties": {"name": {"type": "string"}}, "additionalProperties": False},
        {"additionalProperties": {"type": "integer"}},
        {"properties": {"a": False}},
        {"not": {"required": ["a", "name"]}},
        {"allOf": [{"type": "object"}, {"required": ["a"]}]},
        {"anyOf": [{"type": "object"}, {"type": "array"}]},
        {"oneOf": [{"type": "integer"}, {"type": "number"}]},
        {"if": {"type": "object"}, "then": {"required": ["a"]}, "else": {"type": "string"}},
        {"if": {"required": ["a"]}, "then": {"properties": {"a": {"type": "integer"}}}},
    ],
    ids=str,
)
@given(value=VALUES)
def test_a_keyword_means_what_it_means_to_the_library(schema: Any, value: object) -> None:
    agrees(schema, value)


def test_a_definition_may_stand_inside_itself() -> None:
    fitness = Fitness({"tree": {"type": "array", "items": {"$ref": "#/$defs/tree"}}})
    assert fitness.fits("tree", [[], [[]]])
    assert not fitness.fits("tree", [[], [[1]]])


@pytest.mark.parametrize(
    "schema",
    [{"patternProperties": {"a": True}}, {"items": {"uniqueItems": True}}, {"enum": [[]]}, {"$ref": "other.json"}],
    ids=str,
)
def test_a_schema_that_is_not_understood_is_refused(schema: Any) -> None:
    with pytest.raises(UnknownKeyword):
        Fitness({"this": schema}).fits("this", [])


STEP: dict[str, Any] = {
    "name": "train",
    "image": "python:3.12",
    "command": ["python train.py"],
    "parameters": [{"name": "lr", "type": "float", "default": 0.1, "min": 0, "optional": True}],
    "inputs": [{"name": "data", "default": "s3://bucket/data", "keep-directories": "suffix"}],
    "environment-variables": [{"name": "SEED", "default": "7"}],
    "time-limit": 90,
    "resources": {"cpu": {"min": 1}, "memory": {"min": 1}},
}
PIPELINE: dict[str, Any] = {
    "name": "all",
    "nodes": [{"name": "a", "type": "execution", "step": "train"}, {"name": "b", "type": "task", "task": "sweep"}],
    "edges": [["a.output.*", "b.input.data"], {"source": "a.output.*", "target": "b.input.data"}],
}


def mutants(value: Any) -> Iterator[Any]:
    """Copies of a value in which one place differs."""
    for place in (*paths(value),):
        for other in (None, True, 1, 0.5, "text", [], {}, ["a"], {"name": 1}):
            mutant = copy.deepcopy(value)
            holder = mutant
            for part in place[:-1]:
                holder = holder[part]
            holder[place[-1]] = other
            yield mutant
    for key in value:
        yield {name: inner for name, inner in value.items() if name != key}
    yield {**value, "colour": "red"}


def paths(value: Any) -> Iterator[tuple[Any, ...]]:
    """Every place below a value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield (key,)
        yield from ((key, *below) for below in paths(inner))


@pytest.mark.parametrize(("kind", "value"), [("step", STEP), ("pipeline", PIPELINE)])
def test_mutants_of_an_object_are_judged_as_the_library_judges_them(kind: str, value: Any) -> None:
    validator = Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": DEFINITIONS})
    assert FITNESS.fits(kind, value)
    said = [(FITNESS.fits(kind, mutant), validator.is_valid(mutant), mutant) for mutant in mutants(value)]
    assert [mutant for quick, slow, mutant in said if quick != slow] == []
    assert {quick for quick, _, _ in said} == {True, False}
