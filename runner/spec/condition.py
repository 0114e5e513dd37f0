"""Conditions: the language of `stop-condition`, `if` and `--where`, the only home of the library `leval`. Pure.

It is Valohai's own and weakly typed (`"2" > 1` holds). Names may have dashes (`val-loss`) and dots (`metadata.loss`);
one comparison at a time. What a name stands for is the caller's business.
"""

import ast
import re
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from leval.excs import EvaluatorError, NoSuchValue
from leval.extras.common_boolean_evaluator import DASH_SEP, KEYWORD_PREFIX, CommonBooleanEvaluator
from leval.universe.weakly_typed import WeaklyTypedSimpleUniverse

from runner.errors import did_you_mean
from runner.spec.tree import shorten

Lookup = Callable[[str], object]
"""Gives the value of a name, dots included; raises KeyError for a name that has none."""

MAX_DEPTH = 8
"""How deeply Valohai lets an expression be nested."""

MAX_LENGTH = 10_000
_MAX_SECONDS = 0.2
_FUNCTIONS: Mapping[str, Callable[..., object]] = {"abs": abs, "min": min, "max": max}
_PYTHON_OBJECT = re.compile(r" \(?<[^>]*>\)?")
_LINE_ENDS = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")

PYTHON_WORDS: Mapping[str, str] = {"true": "True", "false": "False", "null": "None", "none": "None"}
"""Words that look like values and are taken for names, with what was probably meant."""


_FOREIGN = (
    (re.compile(r"&&"), "write `and` for `&&`"),
    (re.compile(r"\|\|"), "write `or` for `||`"),
    (re.compile(r"!(?!=)"), "write `not` for `!`"),
    (re.compile(r"(?<![=<>!])=(?!=)"), "write `==` to compare"),
)
"""Operators of other languages, with the ones of this."""


class BadExpression(ValueError):
    """Text that is no expression: why, and at which character (from 0) if that is known."""

    def __init__(self, reason: str, at: int | None = None, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.at = at
        self.hint = hint


class Expression:
    """An expression that was understood. Not for several threads at once."""

    def __init__(self, text: str, *, by_name: tuple[str, ...] = (), max_depth: int = MAX_DEPTH) -> None:
        """Read `text`; `by_name` are functions whose argument is the rest of a name, so that `metric("a b")` reads
        `metric.a b`. Raises BadExpression."""
        self._text = _LINE_ENDS.sub(" ", text)
        self._by_name = by_name
        self._max_depth = max_depth
        self._universe = _Universe(by_name)
        self._evaluator = CommonBooleanEvaluator.evaluator_class(
            self._universe, max_depth=max_depth, max_time=_MAX_SECONDS, max_length=MAX_LENGTH
        )
        self._visit: Callable[[ast.AST], object] = self._evaluator.visit
        self._tree = self._read()
        self.names = frozenset(_names(self._tree))
        """Every name of a value in it."""

    def holds(self, lookup: Lookup) -> bool:
        """Whether it is true; it is not where a name is missing or a value does not fit its operator."""
        self._universe.lookup = lookup
        self._evaluator.depth = 0
        self._evaluator.start_time = time.time()
        try:
            return bool(self._visit(self._tree))
        except (EvaluatorError, TypeError, ValueError, ArithmeticError):
            return False

    def _read(self) -> ast.AST:
        if not self._text.strip():
            raise BadExpression("it is empty")
        if len(self._text) > MAX_LENGTH:
            raise BadExpression(f"it has more than {MAX_LENGTH} characters")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = self._evaluator.parse(self._text.strip())
        except SyntaxError as error:
            bad = self._bad(error.msg, error.text, error.offset)
            bad.hint = next((hint for foreign, hint in _FOREIGN if foreign.search(self._text)), None)
            raise bad from None
        except (ValueError, RecursionError, MemoryError) as error:
            raise BadExpression(str(error) or "it is nested too deeply") from None
        self._check(tree)
        return tree

    def _check(self, tree: ast.AST) -> None:
        """Refuse what no values could ever make true."""
        written = self._evaluator.rewrite_expression(self._text.strip())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                self._check_function(node.func, written)
            elif isinstance(node, ast.BinOp) and type(node.op) not in self._universe.ops:
                reason = f"the operator {type(node.op).__name__.lower()} is not part of the language"
                raise self._bad(reason, written, _offset(written, node))
        verifier = CommonBooleanEvaluator.evaluator_class(
            CommonBooleanEvaluator.verifier_universe_class(), max_depth=self._max_depth
        )
        try:
            verifier.evaluate_expression(self._text.strip())
        except EvaluatorError as error:
            raise self._bad(_reason(error, self._max_depth), written, _offset(written, error.node)) from None
        except (TypeError, ValueError) as error:
            raise BadExpression(str(error)) from None

    def _check_function(self, node: ast.Name, written: str) -> None:
        known = [*_FUNCTIONS, *self._by_name]
        if node.id not in known:
            name = shorten(_plain_name(node.id))
            bad = self._bad(f"there is no function `{name}`", written, _offset(written, node))
            bad.hint = did_you_mean(name, known)
            raise bad

    def _bad(self, reason: str, written: str | None, offset: int | None) -> BadExpression:
        """`offset` counts from 1 in the rewritten text `written`. Behind the last character a text has none to point
        at; leval's parser then says 0 or points behind it."""
        if written is None or offset is None:
            return BadExpression(reason)
        before = _plain_name(written[: max(0, offset - 1)])
        end = len(self._text.rstrip())
        at = end if offset <= 0 else min(len(before) + len(self._text) - len(self._text.lstrip()), end)
        return BadExpression(reason, at)


class _Universe(WeaklyTypedSimpleUniverse):
    """The values of one moment."""

    def __init__(self, by_name: tuple[str, ...]) -> None:
        super().__init__(functions=dict(_FUNCTIONS), values={})
        self._by_name = by_name
        self.lookup: Lookup = _nothing

    def get_value(self, name: Any) -> object:
        return self._value(_plain_name(name))

    def evaluate_function(self, name: str, arg_getters: list[Callable[[], Any]]) -> object:
        arguments = [getter() for getter in arg_getters]
        if name in self._by_name:
            return self._value(".".join([name, *map(str, arguments)]))
        return _FUNCTIONS[name](*arguments)

    def _value(self, name: str) -> object:
        try:
            return self.lookup(name)
        except KeyError:
            raise NoSuchValue(name) from None


def _nothing(name: str) -> object:
    raise KeyError(name)


def _offset(written: str, node: ast.AST | None) -> int | None:
    """Where a node begins, in characters from 1; the parser counts bytes from 0."""
    column = getattr(node, "col_offset", None)
    return None if column is None else len(written.encode()[:column].decode("utf-8", "replace")) + 1


def _plain_name(name: str | Iterable[str]) -> str:
    """A name as the user wrote it: leval has replaced dashes and keywords, which Python's grammar does not have."""
    text = name if isinstance(name, str) else ".".join(name)
    return text.replace(DASH_SEP, "-").replace(KEYWORD_PREFIX, "")


def _names(tree: ast.AST) -> Iterator[str]:
    """The names of values, without those of functions and without the parts of dotted ones."""
    if isinstance(tree, ast.Attribute):
        parts = [tree.attr]
        value = tree.value
        while isinstance(value, ast.Attribute):
            parts.append(value.attr)
            value = value.value
        if isinstance(value, ast.Name):
            yield _plain_name([value.id, *reversed(parts)])
    elif isinstance(tree, ast.Name):
        yield _plain_name(tree.id)
    elif isinstance(tree, ast.Call):
        for argument in tree.args:
            yield from _names(argument)
    else:
        for child in ast.iter_child_nodes(tree):
            yield from _names(child)


def _reason(error: EvaluatorError, max_depth: int) -> str:
    message = str(error)
    if "Only simple comparisons" in message:
        return "one comparison at a time, join them with `and`"
    if "too complex" in message:
        return f"it is nested more than {max_depth} deep"
    if message.startswith("Operation "):
        return f"{message.split()[1].lower()} is not part of the language"
    message = _PYTHON_OBJECT.sub("", message)
    return message[:1].lower() + message[1:]


def metric_of(name: str) -> str | None:
    """The metric that a name in a condition reads, with or without `metadata.` before it; None when it reads none."""
    prefix, dot, rest = name.partition(".")
    if prefix == "metadata":
        return rest if dot else None
    return None if prefix == "parameter" or name in PYTHON_WORDS else name


def parameter_of(name: str) -> str | None:
    """The parameter that a name in a condition reads, as `parameter.NAME`; None when it reads none."""
    prefix, _, rest = name.partition(".")
    return rest if prefix == "parameter" and rest else None


_STRING = re.compile(r"'[^']*'|\"[^\"]*\"")
_DIVISION = re.compile(r"(?<![\w./)])[A-Za-z_][\w.-]*(?:/[A-Za-z_][\w.-]*)+")


def divisions(text: str) -> list[tuple[int, str]]:
    """Divisions of names without blanks, which look like the name of one metric, such as `val/acc`, with offsets."""
    masked = _STRING.sub(lambda match: " " * len(match[0]), text)
    return [(match.start(), match[0]) for match in _DIVISION.finditer(masked)]
