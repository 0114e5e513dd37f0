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

from runner.errors import Location, Problem, Severity
from runner.spec.fit import Fitness
from runner.spec.normalise import KINDS, kind_of
from runner.spec.phrase import (
    AMOUNTS,
    DASHES,
    EDGE,
    END,
    MISSING,
    PATTERNS,
    as_fields,
    as_list,
    describe,
    meant_key,
    meant_text,
    meant_word,
    quoting,
    unquoting,
)
from runner.spec.report import end_column
from runner.spec.scalar import BadScalar, construct, resolve
from runner.spec.tree import Place, Row, Table, alike, locate, shorten, shown

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

Violation = Any
"""A `jsonschema.ValidationError`."""

Lines = Callable[[], Sequence[str]]

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


def validate(tree: Sequence[object], file: str, lines: Lines = tuple) -> list[Problem]:
    """Every violation of the schema in a normalised tree, as located errors, in the order of the file.

    `lines` gives the file's, which are only asked for when there is something to say.
    """
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
                for code, message, hint, below, key in _explain(error, _Place(tree, path, lines))
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


_A = {kind: f"{'an' if kind == 'endpoint' else 'a'} {kind}" for kind in KINDS}
"""What an item without a name is called."""


class _Place:
    """An object or field of a tree, for messages."""

    def __init__(self, tree: Row, path: Sequence[str | int], lines: Lines) -> None:
        self._tree = tree
        self._lines = lines
        self.path = path

    @property
    def owner(self) -> str:
        """The object itself, such as: step `train`, parameter `lr`; or `resources` of step `train`."""
        names, trail = self._parts()
        return f"{_trail(trail)} of {names}" if trail else names

    @property
    def field(self) -> str:
        """The field itself, such as: `resources.memory.min` of step `train`."""
        names, trail = self._parts()
        joined = ", " if isinstance(self.path[-1], int) else " of "
        return f"{_trail(trail)}{joined}{names}" if trail else names

    def describe(self, value: object) -> str:
        """The value at the place, with its text as the file has it."""
        return describe(value, _written_at(self._lines(), locate(self._tree, self.path), value))

    def _parts(self) -> tuple[str, list[str | int]]:
        """The named objects around the place, and the path from the innermost of them."""
        names: list[str] = []
        trail: list[str | int] = []
        value: object = self._tree
        noun = ""
        for position, part in enumerate(self.path):
            value = value[part]  # type: ignore[index]
            trail.append(part)
            if isinstance(part, str) and (position == 1 or part in _NOUNS or part == "override"):
                noun = _NOUNS.get(part, part)
            if isinstance(value, Table) and noun and part not in _NOUNS:
                name = value.get("name")
                unnamed = f"{noun} {part + 1}" if isinstance(part, int) else _A.get(noun, noun)
                names.append(f"{noun} `{shorten(name)}`" if isinstance(name, str) and name else unnamed)
                noun, trail = "", []
        return ", ".join(names), trail


def _written_at(lines: Sequence[str], place: Place, value: object) -> str | None:
    """The text of a number or boolean at a place of a file; None if something else stands there, such as an alias."""
    line, column = place
    if line > len(lines) or not isinstance(value, bool | int | float):
        return None
    word = lines[line - 1][column - 1 : end_column(lines[line - 1], column) - 1]
    try:
        read, _ = construct(resolve(word), word)
    except (BadScalar, KeyError):
        return None
    return shorten(word) if alike(read, value) else None


def _trail(parts: Sequence[str | int]) -> str:
    """A path for people: `memory.min`, or entry 1 of `command`."""
    if parts and isinstance(parts[-1], int):
        return f"entry {parts[-1] + 1} of {_trail(parts[:-1])}"
    return f"`{'.'.join(shorten(str(part)) for part in parts)}`"


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
    title = str(error.schema.get("title", ""))
    unknown = [key for key in error.instance if key not in properties]
    for number, key in enumerate(unknown):
        hint = meant_key(title, key, properties) if number < _MOST_HINTS else None
        yield "unknown-key", f"`{shorten(key)}` is not a key of {place.owner}", hint, [key], True


def _explain_missing(error: Violation, place: _Place) -> Iterator[Finding]:
    for key in error.validator_value:
        if key not in error.instance and f"'{key}'" in error.message:
            hint = MISSING.get((str(error.schema.get("title", "")), key))
            yield "missing-key", f"{place.owner} has no `{key}`", hint, [], False


_TYPES = {
    "string": "text",
    "array": "a list",
    "object": "a mapping",
    "integer": "an integer",
    "number": "a number",
    "boolean": "`true` or `false`",
}


def _explain_type(error: Violation, place: _Place) -> Iterator[Finding]:
    if "enum" in error.schema:
        # What lists the words says it all.
        return
    if error.schema.get("title") == "edge":
        yield "wrong-type", EDGE, None, [], False
        return
    if list(place.path[-3:-2]) == ["edges"]:
        yield "wrong-type", END, None, [], False
        return
    wanted = [error.validator_value] if isinstance(error.validator_value, str) else error.validator_value
    said = " or ".join(_TYPES[name] for name in wanted)
    value = error.instance
    hint = _remove(place) if value is None else quoting(value) if "string" in wanted else None
    if "array" in wanted and isinstance(value, Table):
        hint = _listed(place.path[-1])
    elif "object" in wanted and isinstance(value, Row):
        hint = "write them below it as `items: […]`" if place.path[-1] == "rules" else DASHES
    elif place.path[-1] in AMOUNTS and isinstance(value, str | int | float):
        hint = AMOUNTS[str(place.path[-1])]
    elif wanted == ["array"] and isinstance(value, str | int | float):
        hint = _listed(place.path[-1]) if place.path[-1] in _NOUNS else as_list(shown(value))
    elif "object" in wanted and isinstance(value, str) and place.path[-2] in _NOUNS:
        hint = as_fields(value)
    elif isinstance(value, str) and {"number", "integer", "boolean"}.intersection(wanted):
        hint = unquoting(value, wanted, "memory" in place.path)
    yield "wrong-type", f"{place.field} is {place.describe(value)}, not {said}", hint, [], False


def _listed(key: str | int) -> str:
    """The hint for one mapping or scalar in the place of a list."""
    if key == "command":
        return "write text, or a list of texts: `- python train.py`"
    return "write a list: `- name: …` for each" if key in _NOUNS else "begin each entry with `- `"


def _remove(place: _Place) -> str:
    return f"write a value or remove the {'dash' if isinstance(place.path[-1], int) else 'key'}"


def _explain_enum(error: Violation, place: _Place) -> Iterator[Finding]:
    allowed = [error.validator_value] if error.validator == "const" else error.validator_value
    words = [shown(word) for word in allowed]
    said = ", ".join(f"`{word}`" for word in words)
    hint = _remove(place) if error.instance is None else meant_word(error.instance, words)
    yield "wrong-value", f"{place.field} is {place.describe(error.instance)}, not one of {said}", hint, [], False


def _explain_limit(error: Violation, place: _Place) -> Iterator[Finding]:
    limit = error.validator_value
    said = {
        "minimum": f"is less than {limit}",
        "maximum": f"is more than {limit}",
        "maxLength": f"has more than {limit} characters",
    }[str(error.validator)]
    yield "wrong-value", f"{place.field} {said}", None, [], False


def _explain_pattern(error: Violation, place: _Place) -> Iterator[Finding]:
    pattern, value = error.validator_value, error.instance
    yield "wrong-value", f"{place.field} {PATTERNS[pattern]}", meant_text(pattern, value), [], False


def _explain_pair(error: Violation, place: _Place) -> Iterator[Finding]:
    """Only edges are lists of a certain length."""
    yield "wrong-value", EDGE, None, [], False


def _explain_not(error: Violation, place: _Place) -> Iterator[Finding]:
    if not isinstance(error.instance, Table):
        # It has none of the keys, which a schema counts as having all of them.
        return
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
    "minItems": _explain_pair,
    "maxItems": _explain_pair,
    "pattern": _explain_pattern,
    "not": _explain_not,
}
