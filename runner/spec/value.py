"""Values of parameters: from what a file, a command line or an edge gives to what a program receives. Pure."""

import math
from collections.abc import Sequence

from runner.errors import MlrunError, usage_error
from runner.job import Scalar, Value
from runner.spec.model import Multiple, Parameter, ParameterType
from runner.spec.tree import shorten, shown

_TRUE_WORDS = frozenset({"true", "yes", "on", "1", "t", "y"})
_FALSE_WORDS = frozenset({"false", "no", "off", "0", "f", "n"})


class _Bad(ValueError):
    """A value that its parameter cannot have; the message says why."""


def coerce(parameter: Parameter, raw: object, source: str) -> Value:
    """The value of `parameter` that `raw` means; `source` says where it comes from, such as `--epochs`.

    Text becomes a number or a boolean where the type asks for one; a YAML scalar for a `string` keeps its type. One
    text for a parameter with `multiple: separate` is split at its separator. Raises MlrunError (USAGE) that names the
    parameter, its type and what it allows.
    """
    try:
        return _coerce(parameter, raw)
    except _Bad as error:
        raise usage_error(f"{source}: {error}", f"`{parameter.name}` takes {describe(parameter)}") from None


def _coerce(parameter: Parameter, raw: object) -> Value:
    if raw is None:
        raise _Bad("no value")
    if parameter.multiple is Multiple.NONE:
        if isinstance(raw, list | tuple):
            raise _Bad("takes one value, not a list")
        return _coerce_one(parameter, raw)
    if isinstance(raw, str) and parameter.multiple is Multiple.SEPARATE:
        raw = raw.split(parameter.separator) if raw else []
    atoms: Sequence[object] = raw if isinstance(raw, list | tuple) else [raw]
    return [_coerce_one(parameter, atom) for atom in atoms]


def _coerce_one(parameter: Parameter, raw: object) -> Scalar:
    if not isinstance(raw, str | int | float):
        raise _Bad("no value" if raw is None else "takes text, numbers or booleans")
    _check_text(raw)
    value = _CONVERT[parameter.type](raw)
    if parameter.type in (ParameterType.INTEGER, ParameterType.FLOAT):
        _check_range(parameter, value)
    return _choose(parameter, value)


def _check_text(raw: Scalar) -> None:
    if not isinstance(raw, str):
        return
    if "\0" in raw:
        raise _Bad("text with a NUL cannot be given to a program")
    try:
        raw.encode()
    except UnicodeEncodeError:
        raise _Bad("not valid UTF-8") from None


def _integer(raw: Scalar) -> int:
    try:
        return int(str(raw), 10)
    except ValueError:
        raise _Bad(f"`{shown(raw)}` is not an integer" if raw != "" else "no value") from None


def _float(raw: Scalar) -> int | float:
    """An integer stays one, so that `3` is passed on as `3`."""
    if isinstance(raw, bool):
        raise _Bad(f"`{shown(raw)}` is not a number")
    for convert in (int, float):
        try:
            number = convert(str(raw))
        except ValueError:
            continue
        if math.isinf(_as_float(number)) or math.isnan(number):
            raise _Bad(f"`{shorten(str(raw))}` is not a finite number, which JSON files cannot hold")
        return number
    raise _Bad(f"`{shorten(str(raw))}` is not a number" if raw != "" else "no value")


def _as_float(number: int | float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _flag(raw: Scalar) -> bool:
    if isinstance(raw, str):
        word = raw.strip().lower()
        if word in _TRUE_WORDS | _FALSE_WORDS:
            return word in _TRUE_WORDS
    elif raw in (True, False):
        return bool(raw)
    raise _Bad(f"`{shorten(str(raw))}` is not true or false")


def _string(raw: Scalar) -> Scalar:
    return raw


_CONVERT = {
    ParameterType.STRING: _string,
    ParameterType.INTEGER: _integer,
    ParameterType.FLOAT: _float,
    ParameterType.FLAG: _flag,
}


def _check_range(parameter: Parameter, value: Scalar) -> None:
    if isinstance(value, str):
        return
    if parameter.minimum is not None and value < parameter.minimum:
        raise _Bad(f"{shorten(str(value))} is less than {_number(parameter.minimum)}")
    if parameter.maximum is not None and value > parameter.maximum:
        raise _Bad(f"{shorten(str(value))} is more than {_number(parameter.maximum)}")


def _choose(parameter: Parameter, value: Scalar) -> Scalar:
    """The choice that a value means: text matches a choice that is written the same, whatever its type is."""
    if parameter.type is ParameterType.FLAG or not parameter.choices or value in parameter.choices:
        return value
    for choice in parameter.choices:
        if isinstance(value, str) and not isinstance(choice, list) and str(choice) == value:
            return choice
    raise _Bad(f"`{shown(value)}` is not one of the choices")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def describe(parameter: Parameter) -> str:
    """What a parameter takes, for people: `an integer from 1 to 10`."""
    nouns = {
        ParameterType.STRING: "text",
        ParameterType.INTEGER: "an integer",
        ParameterType.FLOAT: "a number",
        ParameterType.FLAG: "true or false",
    }
    words = [nouns[parameter.type]]
    if parameter.minimum is not None:
        words.append(f"from {_number(parameter.minimum)}" if parameter.maximum is not None else
                     f"of at least {_number(parameter.minimum)}")  # fmt: skip
    if parameter.maximum is not None:
        words.append(f"to {_number(parameter.maximum)}" if parameter.minimum is not None else
                     f"of at most {_number(parameter.maximum)}")  # fmt: skip
    if parameter.choices and parameter.type is not ParameterType.FLAG:
        words.append("out of " + ", ".join(f"`{shown(choice)}`" for choice in parameter.choices[:12]))
    if parameter.multiple is not Multiple.NONE:
        words.append("(several)")
    return " ".join(words)


def check_default(parameter: Parameter) -> str | None:
    """Why a default cannot be used, in one sentence; None when it can."""
    if parameter.default is None:
        return None
    try:
        coerce(parameter, parameter.default, "default")
    except MlrunError as error:
        return error.message.removeprefix("default: ")
    return None


def text_of(value: Value, separator: str = ",") -> str:
    """A value as one piece of text; a list is joined by the separator."""
    return separator.join(str(item) for item in value) if isinstance(value, list) else str(value)
