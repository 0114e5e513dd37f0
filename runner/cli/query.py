"""The language of `--where` and `--metric`: that of conditions (`runner.spec.condition`), over one row at a time. Pure.

`metric("val/acc")` and `param("learning rate")` reach names that cannot be written otherwise.
"""

from collections.abc import Iterable

from runner.cli.cell import shorten
from runner.errors import MlrunError, did_you_mean, usage_error
from runner.escape import printable
from runner.spec.condition import MAX_LENGTH, PYTHON_WORDS, BadExpression, Expression, Lookup

_MAX_SHOWN = 100
_MAX_DEPTH = 32
_BY_NAME = ("metric", "param")
_HINT = "write it like `{} 'loss < 0.3 and param.model == \"svm\"'`"


class Condition:
    """A condition that was understood. Not for several threads at once."""

    def __init__(self, text: str, option: str = "--where") -> None:
        """Read `text`, which was given to this option. Raises MlrunError (USAGE) with the position of what cannot be
        understood."""
        text = " ".join(text.splitlines())
        if len(text) > MAX_LENGTH:
            raise usage_error(f"`{option}` has more than {MAX_LENGTH} characters")
        if not text.strip():
            raise usage_error(f"`{option}` is empty", hint=_HINT.format(option))
        try:
            self._expression = Expression(text, by_name=_BY_NAME, max_depth=_MAX_DEPTH)
        except BadExpression as error:
            raise _not_understood(text, option, error) from None
        self.names = self._expression.names
        """Every name of a value in it."""

    def matches(self, lookup: Lookup) -> bool:
        """Whether the condition holds; it does not where a name is missing or a value does not fit its operator."""
        return self._expression.holds(lookup)


def _not_understood(text: str, option: str, error: BadExpression) -> MlrunError:
    """A usage error that names the character of `text`, from 1."""
    where = ""
    if error.at is not None:
        where = f" at character {error.at + 1}" if error.at < len(text.rstrip()) else " at its end"
    shown = shorten(printable(text), _MAX_SHOWN)
    return usage_error(
        f"`{option}` is not understood{where}: {printable(error.reason)}: `{shown}`",
        hint=error.hint or _HINT.format(option),
    )


def missing_name_note(name: str, known: Iterable[str]) -> str:
    """What to say about a name that no row has."""
    if name in PYTHON_WORDS:
        return f"`{name}` is taken for a name; write `{PYTHON_WORDS[name]}`"
    words = set(known)
    for prefix in ("param.", "metric."):
        if prefix + name in words:
            return f"nothing here has `{printable(name)}`: did you mean `{printable(prefix + name)}`?"
    hint = did_you_mean(name, map(printable, words))
    return f"nothing here has `{printable(name)}`" + (f": {printable(hint)}" if hint and "mean" in hint else "")
