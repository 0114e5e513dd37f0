"""The language of `--where`: Valohai's own for stop conditions (`leval`), over one row at a time. Pure.

It is weakly typed (`"2" > 1` holds); names may have dashes (`val-loss`) and dots (`param.C`); one comparison at a time.
`metric("val/acc")` and `param("learning rate")` reach names that cannot be written otherwise.
"""

import ast
import re
import time
from collections.abc import Callable, Iterable
from typing import Any

from leval.excs import EvaluatorError, NoSuchValue
from leval.extras.common_boolean_evaluator import DASH_SEP, KEYWORD_PREFIX, CommonBooleanEvaluator
from leval.universe.weakly_typed import WeaklyTypedSimpleUniverse

from runner.cli.cell import shorten
from runner.cli.terminal import clean_line
from runner.errors import MlrunError, did_you_mean, usage_error

Lookup = Callable[[str], object]
"""Gives the value of a name, dots included; raises KeyError for a name that the row does not have."""

_MAX_LENGTH = 10_000
_MAX_SHOWN = 100
_MAX_DEPTH = 32
_MAX_SECONDS = 0.2
_FUNCTIONS: dict[str, Callable[..., object]] = {"abs": abs, "min": min, "max": max}
_BY_NAME = ("metric", "param")
_PYTHON_WORDS = {"true": "True", "false": "False", "null": "None", "none": "None"}
_PYTHON_OBJECT = re.compile(r" \(?<[^>]*>\)?")
_HINT = "write it like `--where 'loss < 0.3 and param.model == \"svm\"'`"


class Condition:
    """A condition that was understood. Not for several threads at once."""

    def __init__(self, text: str) -> None:
        """Read `text`. Raises MlrunError (USAGE) with the position of what cannot be understood."""
        text = " ".join(text.splitlines())
        self._universe = _Universe()
        self._evaluator = CommonBooleanEvaluator.evaluator_class(
            self._universe, max_depth=_MAX_DEPTH, max_time=_MAX_SECONDS, max_length=_MAX_LENGTH
        )
        self._visit: Callable[[ast.AST], object] = self._evaluator.visit
        self._tree = self._read(text)
        self.names = frozenset(_names(self._tree))
        """Every name of a value in it."""

    def matches(self, lookup: Lookup) -> bool:
        """Whether the condition holds; it does not where a name is missing or a value does not fit its operator."""
        self._universe.lookup = lookup
        self._evaluator.depth = 0
        self._evaluator.start_time = time.time()
        try:
            return bool(self._visit(self._tree))
        except (EvaluatorError, TypeError, ValueError, ArithmeticError):
            return False

    def _read(self, text: str) -> ast.AST:
        if len(text) > _MAX_LENGTH:
            raise usage_error(f"`--where` has more than {_MAX_LENGTH} characters")
        if not text.strip():
            raise usage_error("`--where` is empty", hint=_HINT)
        try:
            tree = self._evaluator.parse(text.strip())
        except SyntaxError as error:
            raise _not_understood(text, error.msg, error.text, error.offset) from None
        except (ValueError, RecursionError, MemoryError) as error:
            raise _not_understood(text, str(error), None, None) from None
        self._check(text, tree)
        return tree

    def _check(self, text: str, tree: ast.AST) -> None:
        """Refuse what no row could ever satisfy."""
        written = self._evaluator.rewrite_expression(text.strip())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                _check_function(node.func.id)
            elif isinstance(node, ast.BinOp) and type(node.op) not in self._universe.ops:
                reason = f"the operator {type(node.op).__name__.lower()} is not part of the language"
                raise _not_understood(text, reason, written, _offset(written, node))
        verifier = CommonBooleanEvaluator.evaluator_class(
            CommonBooleanEvaluator.verifier_universe_class(), max_depth=_MAX_DEPTH
        )
        try:
            verifier.evaluate_expression(text.strip())
        except EvaluatorError as error:
            raise _not_understood(text, _reason(error), written, _offset(written, error.node)) from None
        except (TypeError, ValueError) as error:
            raise _not_understood(text, str(error), None, None) from None


def _check_function(name: str) -> None:
    known = [*_FUNCTIONS, *_BY_NAME]
    if name not in known:
        raise usage_error(f"`--where`: there is no function `{clean_line(name)}`", hint=did_you_mean(name, known))


def _offset(written: str, node: ast.AST | None) -> int | None:
    """Where a node begins, in characters from 1; the parser counts bytes from 0."""
    column = getattr(node, "col_offset", None)
    return None if column is None else len(written.encode()[:column].decode("utf-8", "replace")) + 1


class _Universe(WeaklyTypedSimpleUniverse):
    """The values of one row."""

    def __init__(self) -> None:
        super().__init__(functions=_FUNCTIONS, values={})
        self.lookup: Lookup = _nothing

    def get_value(self, name: Any) -> object:
        return self._value(_plain_name(name))

    def evaluate_function(self, name: str, arg_getters: list[Callable[[], Any]]) -> object:
        arguments = [getter() for getter in arg_getters]
        if name in _BY_NAME:
            return self._value(".".join([name, *map(str, arguments)]))
        return _FUNCTIONS[name](*arguments)

    def _value(self, name: str) -> object:
        try:
            return self.lookup(name)
        except KeyError:
            raise NoSuchValue(name) from None


def _nothing(name: str) -> object:
    raise KeyError(name)


def _plain_name(name: str | Iterable[str]) -> str:
    """A name as the user wrote it: leval has replaced dashes and keywords, which Python's grammar does not have."""
    text = name if isinstance(name, str) else ".".join(name)
    return text.replace(DASH_SEP, "-").replace(KEYWORD_PREFIX, "")


def _names(tree: ast.AST) -> Iterable[str]:
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


def _reason(error: EvaluatorError) -> str:
    message = str(error)
    if "Only simple comparisons" in message:
        return "one comparison at a time, join them with `and`"
    if message.startswith("Operation "):
        return f"{message.split()[1].lower()} is not part of the language"
    message = _PYTHON_OBJECT.sub("", message)
    return message[:1].lower() + message[1:]


def _not_understood(text: str, reason: str, written: str | None, offset: int | None) -> MlrunError:
    """A usage error that names the character of `text`; `offset` counts from 1 in the rewritten text `written`."""
    where = ""
    if written is not None and offset is not None:
        before = _plain_name(written[: max(0, offset - 1)])
        # At its end a text has no character to point at; leval's parser then says 0 or points behind it.
        at = len(text.rstrip()) if offset <= 0 else min(len(before) + len(text) - len(text.lstrip()), len(text))
        where = f" at character {at + 1}" if at < len(text.rstrip()) else " at its end"
    shown = shorten(clean_line(text), _MAX_SHOWN)
    return usage_error(f"`--where` is not understood{where}: {clean_line(reason)}: `{shown}`", hint=_HINT)


def missing_name_note(name: str, known: Iterable[str]) -> str:
    """What to say about a name that no row has."""
    if name in _PYTHON_WORDS:
        return f"`{name}` is taken for a name; write `{_PYTHON_WORDS[name]}`"
    words = set(known)
    for prefix in ("param.", "metric."):
        if prefix + name in words:
            return f"nothing here has `{clean_line(name)}`: did you mean `{clean_line(prefix + name)}`?"
    hint = did_you_mean(name, map(clean_line, words))
    return f"nothing here has `{clean_line(name)}`" + (f": {clean_line(hint)}" if hint and "mean" in hint else "")
