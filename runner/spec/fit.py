"""Whether a value fits a JSON Schema: yes or no, quickly, without the schema library and without a reason. Pure.

Most objects of most files are sound. Only for one that does not fit is the library loaded, which says why. Knows that
part of draft 2020-12 which our schema uses; a schema with any other keyword is refused rather than misread.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Test = Callable[[Any], bool]
Schema = Mapping[str, Any] | bool


class UnknownKeyword(Exception):
    """A schema has a keyword that is not known here."""


class Fitness:
    """The tests of a document's `$defs`, each made when it is first asked for."""

    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self._definitions = definitions
        self._tests: dict[str, Test] = {}

    def fits(self, name: str, value: object) -> bool:
        """Whether a value fits the definition of that name. Raises UnknownKeyword."""
        return self._defined(name)(value)

    def _defined(self, name: str) -> Test:
        if name not in self._tests:
            # A definition may name itself: what stands inside it meets this one.
            self._tests[name] = lambda value: self._tests[name](value)
            self._tests[name] = self._test(self._definitions[name])
        return self._tests[name]

    def _test(self, schema: Schema) -> Test:
        if isinstance(schema, bool):
            return lambda value: schema
        tests = []
        for keyword, wanted in schema.items():
            if keyword in _ASSERTIONS:
                tests.append(_ASSERTIONS[keyword](wanted))
            elif keyword not in _REMARKS and (test := self._applied(keyword, wanted, schema)):
                tests.append(test)
        return tests[0] if len(tests) == 1 else lambda value: all(test(value) for test in tests)

    def _applied(self, keyword: str, wanted: Any, schema: Mapping[str, Any]) -> Test | None:
        """The test of a keyword that has schemas in it; None where the keyword beside it has it already."""
        match keyword:
            case "$ref" if wanted.startswith("#/$defs/"):
                return self._defined(wanted.removeprefix("#/$defs/"))
            case "properties":
                return self._properties(wanted, schema.get("additionalProperties", True))
            case "additionalProperties":
                return None if "properties" in schema else self._properties({}, wanted)
            case "items":
                test = self._test(wanted)
                return lambda value: not isinstance(value, list) or all(map(test, value))
            case "allOf":
                tests = [self._test(one) for one in wanted]
                return lambda value: all(test(value) for test in tests)
            case "anyOf":
                tests = [self._test(one) for one in wanted]
                return lambda value: any(test(value) for test in tests)
            case "oneOf":
                tests = [self._test(one) for one in wanted]
                return lambda value: sum(test(value) for test in tests) == 1
            case "not":
                test = self._test(wanted)
                return lambda value: not test(value)
            case "if":
                return self._branch(wanted, schema.get("then", True), schema.get("else", True))
            case "then" | "else":
                return None
        raise UnknownKeyword(keyword)

    def _properties(self, known: Mapping[str, Schema], others: Schema) -> Test:
        tests = {key: self._test(schema) for key, schema in known.items()}
        other = self._test(others)

        def test(value: Any) -> bool:
            return not isinstance(value, dict) or all(tests.get(key, other)(value[key]) for key in value)

        return test

    def _branch(self, condition: Schema, then: Schema, otherwise: Schema) -> Test:
        asked, yes, no = (self._test(schema) for schema in (condition, then, otherwise))
        return lambda value: yes(value) if asked(value) else no(value)


_REMARKS = frozenset({"$comment", "title", "description", "default", "examples", "deprecated"})


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: Mapping[str, Test] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: _is_number(value) and (isinstance(value, int) or value.is_integer()),
    "number": _is_number,
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def _type(wanted: str | Sequence[str]) -> Test:
    if isinstance(wanted, str):
        return _TYPES[wanted]
    tests = [_TYPES[name] for name in wanted]
    return lambda value: any(test(value) for test in tests)


def _enum(wanted: Sequence[object]) -> Test:
    if any(isinstance(word, list | dict) for word in wanted):
        raise UnknownKeyword("enum of lists or mappings")
    # 1 is 1.0 and is not true.
    words = {(isinstance(word, bool), word) for word in wanted}
    return lambda value: not isinstance(value, list | dict) and (isinstance(value, bool), value) in words


def _required(wanted: Sequence[str]) -> Test:
    return lambda value: not isinstance(value, dict) or all(key in value for key in wanted)


def _pattern(wanted: str) -> Test:
    found = re.compile(wanted).search
    return lambda value: not isinstance(value, str) or found(value) is not None


_ASSERTIONS: Mapping[str, Callable[[Any], Test]] = {
    "type": _type,
    "enum": _enum,
    "const": lambda wanted: _enum([wanted]),
    "required": _required,
    "pattern": _pattern,
    "minimum": lambda limit: lambda value: not _is_number(value) or value >= limit,
    "maximum": lambda limit: lambda value: not _is_number(value) or value <= limit,
    "exclusiveMinimum": lambda limit: lambda value: not _is_number(value) or value > limit,
    "exclusiveMaximum": lambda limit: lambda value: not _is_number(value) or value < limit,
    "minLength": lambda limit: lambda value: not isinstance(value, str) or len(value) >= limit,
    "maxLength": lambda limit: lambda value: not isinstance(value, str) or len(value) <= limit,
    "minItems": lambda limit: lambda value: not isinstance(value, list) or len(value) >= limit,
    "maxItems": lambda limit: lambda value: not isinstance(value, list) or len(value) <= limit,
}
