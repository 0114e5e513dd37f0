"""The JSON Schema of the file, and what it says about a tree. The only home of `jsonschema`, which is loaded on use.

Which object a mapping is, is chosen by its key and its `type`, never by trying alternatives; so every message speaks
of the object that was meant.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from runner.errors import Location, Problem, Severity, did_you_mean
from runner.spec.fit import Fitness
from runner.spec.normalise import kind_of
from runner.spec.tree import Row, Table, locate, shorten

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

Violation = Any
"""A `jsonschema.ValidationError`."""

SCHEMA_NAME = "valohai.schema.json"


def schema_text() -> str:
    """The schema's text: from the installed package, else from the source checkout."""
    packaged = resources.files("runner").joinpath("_data", "schemas", SCHEMA_NAME)
    if packaged.is_file():
        return packaged.read_text("utf-8")
    return (Path(__file__).parents[2] / "schemas" / SCHEMA_NAME).read_text("utf-8")


@cache
def load_schema() -> Mapping[str, Any]:
    """The schema as data."""
    return cast("Mapping[str, Any]", json.loads(schema_text()))


@cache
def _fitness() -> Fitness:
    return Fitness(load_schema()["$defs"])


@cache
def _validator(kind: str) -> "Draft202012Validator":
    from jsonschema import Draft202012Validator

    schema = {"$schema": load_schema()["$schema"], "$ref": f"#/$defs/{kind}", "$defs": load_schema()["$defs"]}
    return Draft202012Validator(schema)


def validate(tree: Sequence[object], file: str) -> list[Problem]:
    """Every violation of the schema in a normalised tree, as located errors, in the order of the file."""
    if not isinstance(tree, Row):
        return []
    problems = []
    for index, item in enumerate(tree):
        kind = kind_of(item)
        if kind is None or not isinstance(item, Table) or not isinstance(item[kind], Table):
            continue
        # The library takes far longer, to load and to work, and is only needed to say what is wrong.
        if _fitness().fits(kind, item[kind]):
            continue
        for error in _validator(kind).iter_errors(item[kind]):
            path = [index, kind, *error.absolute_path]
            problems += [
                Problem(Severity.ERROR, code, message, Location(file, *locate(tree, [*path, *below], key)), hint)
                for code, message, hint, below, key in _explain(error, _Place(tree, path))
            ]
    return sorted(problems, key=lambda problem: (problem.location, problem.code, problem.message))


Finding = tuple[str, str, str | None, list[str | int], bool]
"""Code, message, hint, the path below the error's own, and whether the key is meant, not the value."""

_NOUNS = {
    "inputs": "input",
    "parameters": "parameter",
    "outputs": "output",
    "mounts": "mount",
    "environment-variables": "environment variable",
    "nodes": "node",
    "edges": "edge",
    "actions": "action",
    "files": "file",
    "tolerations": "toleration",
    "shared-volumes": "shared volume",
}


class _Place:
    """An object or field of a tree, for messages."""

    def __init__(self, tree: Row, path: Sequence[str | int]) -> None:
        self._tree = tree
        self.path = path

    @property
    def owner(self) -> str:
        """The nearest named objects around the place, such as: step `train`, parameter `lr`."""
        names: list[str] = []
        value: object = self._tree
        noun = ""
        for position, part in enumerate(self.path):
            value = value[part]  # type: ignore[index]
            if isinstance(part, str) and (position == 1 or part in _NOUNS or part == "override"):
                noun = _NOUNS.get(part, part)
            if isinstance(value, Table) and noun and part not in _NOUNS:
                name = value.get("name")
                names.append(f"{noun} `{shorten(name)}`" if isinstance(name, str) and name else noun)
                noun = ""
        return ", ".join(names)

    @property
    def field(self) -> str:
        """The field itself, such as: `image` of step `train`."""
        last = self.path[-1]
        if isinstance(last, int):
            return f"entry {last + 1} of `{self.path[-2]}`, {self.owner}" if len(self.path) > 1 else "an entry"
        return f"`{shorten(last)}` of {self.owner}"


def _explain(error: Violation, place: _Place) -> Iterator[Finding]:
    explain = _EXPLANATIONS.get(str(error.validator))
    if explain:
        yield from explain(error, place)
    else:
        yield "wrong-value", f"{place.field}: {shorten(error.message, 200)}", None, [], False


_MOST_HINTS = 20
"""Looking for close names is the slow part of a message; nobody reads so many of one object."""


def _explain_unknown(error: Violation, place: _Place) -> Iterator[Finding]:
    properties = error.schema.get("properties", {})
    owner = place.owner or "this"
    unknown = [key for key in error.instance if key not in properties]
    for number, key in enumerate(unknown):
        hint = did_you_mean(key.replace("_", "-"), properties) if number < _MOST_HINTS else None
        yield "unknown-key", f"`{shorten(key)}` is not a key of {owner}", hint, [key], True


def _explain_missing(error: Violation, place: _Place) -> Iterator[Finding]:
    for key in error.validator_value:
        if key not in error.instance and f"'{key}'" in error.message:
            yield "missing-key", f"{place.owner} has no `{key}`", None, [], False


_TYPES = {
    "string": "text",
    "array": "a list",
    "object": "a mapping",
    "integer": "an integer",
    "number": "a number",
    "boolean": "`true` or `false`",
}


def _explain_type(error: Violation, place: _Place) -> Iterator[Finding]:
    wanted = [error.validator_value] if isinstance(error.validator_value, str) else error.validator_value
    said = " or ".join(_TYPES[name] for name in wanted)
    value = error.instance
    hint = None
    if value is None:
        yield "wrong-type", f"{place.field} is empty, not {said}", "write a value or remove the key", [], False
        return
    if "string" in wanted and isinstance(value, bool | int | float):
        hint = "put quotes around it"
    yield "wrong-type", f"{place.field} is {_describe(value)}, not {said}", hint, [], False


def _describe(value: object) -> str:
    if isinstance(value, bool):
        return f"the boolean `{str(value).lower()}`"
    if isinstance(value, int | float):
        return f"the number `{shorten(str(value))}`"
    if isinstance(value, str):
        return f"the text `{shorten(value)}`"
    return "a mapping" if isinstance(value, Table) else "a list"


def _explain_enum(error: Violation, place: _Place) -> Iterator[Finding]:
    allowed = [error.validator_value] if error.validator == "const" else error.validator_value
    words = [str(word).lower() if isinstance(word, bool) else str(word) for word in allowed]
    said = ", ".join(f"`{word}`" for word in words)
    hint = did_you_mean(error.instance, words) if isinstance(error.instance, str) else None
    hint = hint if hint and hint.startswith("did you mean") else None
    value = "empty" if error.instance is None else _describe(error.instance)
    yield "wrong-value", f"{place.field} is {value}, not one of {said}", hint, [], False


def _explain_limit(error: Violation, place: _Place) -> Iterator[Finding]:
    limit = error.validator_value
    said = {
        "minimum": f"is less than {limit}",
        "maximum": f"is more than {limit}",
        "maxLength": f"has more than {limit} characters",
        "minItems": f"has fewer than {limit} entries",
        "maxItems": f"has more than {limit} entries",
        "pattern": f"does not match `{limit}`",
    }[str(error.validator)]
    yield "wrong-value", f"{place.field} {said}", None, [], False


def _explain_not(error: Violation, place: _Place) -> Iterator[Finding]:
    keys = error.validator_value.get("required", ())
    said = " and ".join(f"`{key}`" for key in keys)
    yield "ambiguous-item", f"{place.owner} has both {said}", "keep one of them", list(keys[-1:]), True


_EXPLANATIONS: Mapping[str, Callable[[Violation, _Place], Iterable[Finding]]] = {
    "additionalProperties": _explain_unknown,
    "required": _explain_missing,
    "type": _explain_type,
    "enum": _explain_enum,
    "const": _explain_enum,
    "minimum": _explain_limit,
    "maximum": _explain_limit,
    "maxLength": _explain_limit,
    "minItems": _explain_limit,
    "maxItems": _explain_limit,
    "pattern": _explain_limit,
    "not": _explain_not,
}
