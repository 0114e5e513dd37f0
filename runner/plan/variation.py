"""The values of a parameter that a task varies: from its rules to what trials may have. Pure.

Numbers are computed as fractions of what the file says, so that 0.1 to 0.5 in steps of 0.1 is five clean values.
"""

import math
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from runner.errors import Location, MlrunError, spec_error
from runner.job import Value
from runner.spec.model import Parameter, ParameterType, Style, Task, Variation
from runner.spec.rule import DISTRIBUTIONS, MOST_VALUES, plain_word
from runner.spec.tree import Table, shorten, shown
from runner.spec.value import coerce

_SIGNIFICANT = 6
"""Digits of a random number, which people read on command lines."""


@dataclass(frozen=True, slots=True)
class Choices:
    """The values out of which a trial gets one; `ordered` are those of a scale, on which neighbours are alike."""

    values: tuple[Value, ...]
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """Any number from `low` to `high`, both of them too; with `log` as many below as above their geometric mean."""

    low: float
    high: float
    integer: bool = False
    log: bool = False

    def draw(self, source: random.Random) -> int | float:
        """One number of it."""
        if self.integer and not self.log:
            return source.randint(int(self.low), int(self.high))
        if self.log:
            number = math.exp(source.uniform(math.log(self.low), math.log(self.high)))
        else:
            number = source.uniform(self.low, self.high)
        number = round(number) if self.integer else float(f"{number:.{_SIGNIFICANT}g}")
        return min(max(number, self.low), self.high)


Axis = Choices | Span


def axis_of(variation: Variation, parameter: Parameter) -> Axis:
    """What the rules leave to be chosen: values, or every number between two. Raises MlrunError (code SPEC)."""
    return _Rules(variation, parameter).axis()


def values(variation: Variation, parameter: Parameter, seed: str, count: int | None) -> tuple[Value, ...]:
    """All values that the rules mean, each once, in order. Of the style `random` they are drawn by `seed` if the rules
    have none, `count` of them if the rules do not say how many. Raises MlrunError (code SPEC)."""
    rules = _Rules(variation, parameter)
    axis = rules.axis()
    if isinstance(axis, Choices):
        return axis.values
    if variation.style is Style.LOGSPACE:
        raise rules.bad("count", "the style `logspace` needs the rule `count` here", "add `count:` to `rules`")
    source = random.Random(own_seed(variation, seed))
    return rules.typed(axis.draw(source) for _ in range(rules.count(count)))


def own_seed(variation: Variation, seed: str) -> str:
    """What the random values of a parameter are made from: its own seed, or else that of its task."""
    told = variation.rules.get("seed")
    return f"{seed if told is None else told}\0{variation.name}"


def varied(task: Task) -> frozenset[str]:
    """The parameters for which the task has values."""
    return frozenset([*(one.name for one in task.variations), *(name for row in task.parameter_sets for name in row)])


def vary(task: Task, name: str, items: Iterable[object], location: Location) -> Task:
    """The task with this parameter going through these values, whatever it says of it itself."""
    variation = Variation(name, location, Style.MULTIPLE, {"items": list(items)})
    return replace(task, variations=_put(task, variation), parameter_sets=_without(task, name))


def forget(task: Task, name: str) -> Task:
    """The task without what it says of a parameter."""
    others = tuple(one for one in task.variations if one.name != name)
    return replace(task, variations=others, parameter_sets=_without(task, name))


def _without(task: Task, name: str) -> tuple[Mapping[str, Value], ...]:
    """The task's parameter sets without a parameter."""
    return tuple({key: item for key, item in row.items() if key != name} for row in task.parameter_sets)


def _put(task: Task, variation: Variation) -> tuple[Variation, ...]:
    """The variations with this one in the place of that of its parameter, or behind the others."""
    if any(one.name == variation.name for one in task.variations):
        return tuple(variation if one.name == variation.name else one for one in task.variations)
    return (*task.variations, variation)


class _Rules:
    """The rules of one varied parameter."""

    def __init__(self, variation: Variation, parameter: Parameter) -> None:
        self._variation = variation
        self._parameter = parameter
        self._rules = variation.rules

    def axis(self) -> Axis:
        match self._variation.style:
            case Style.SINGLE:
                return Choices(self.typed([self._needed("value")]))
            case Style.MULTIPLE:
                return Choices(self.typed(self._items()))
            case Style.LINEAR:
                return Choices(self.typed(self._linear()), ordered=True)
            case Style.LOGSPACE if self._rules.get("count") is None:
                return self._log_span()
            case Style.LOGSPACE:
                return Choices(self.typed(self._logspace()), ordered=True)
            case Style.RANDOM:
                return self._random()

    def bad(self, key: str, said: str, hint: str | None = None) -> MlrunError:
        """An error at a rule, or at the parameter's name where the rule is missing."""
        location = self._variation.location
        if isinstance(self._rules, Table) and key in self._rules:
            location = Location(location.file, *self._rules.values_at[key])
        return spec_error(f"parameter `{shorten(self._variation.name)}`: {said}", location, hint)

    def typed(self, raws: Iterable[object]) -> tuple[Value, ...]:
        """The values as the parameter's type has them, each once."""
        found: dict[str, Value] = {}
        for raw in raws:
            value = self._typed(raw)
            found.setdefault(repr(value), value)
        return tuple(found.values())

    def _typed(self, raw: object) -> Value:
        try:
            return coerce(self._parameter, raw, f"parameter `{shorten(self._variation.name)}`")
        except MlrunError as error:
            whole = self._parameter.type is ParameterType.INTEGER and isinstance(raw, float)
            hint = f"{error.hint}; `integerify: true` rounds" if whole else error.hint
            raise spec_error(error.message, self._variation.location, hint) from None

    def _needed(self, key: str) -> object:
        value = self._rules.get(key)
        if value is None:
            raise self.bad(
                key, f"the style `{self._variation.style}` needs the rule `{key}`", f"add `{key}:` to `rules`"
            )
        return self._numberified(value)

    def _numberified(self, value: object) -> object:
        if not (self._rules.get("numberify") is True and isinstance(value, str)):
            return value
        for convert in (int, float):
            try:
                return convert(value)
            except ValueError:
                continue
        return value

    def _items(self) -> Iterator[object]:
        items = self._needed("items")
        if not isinstance(items, list):
            raise self.bad("items", "`items` is not a list", "write `items: [1, 2]`")
        if not items:
            raise self.bad(
                "items", "there is nothing in `items`, so that nothing would run", "write at least one value"
            )
        self._check_size("items", len(items))
        return (self._numberified(item) for item in items)

    def _linear(self) -> Iterator[object]:
        start, end, step = self._number("start"), self._number("end"), self._number("step")
        if step == 0:
            raise self.bad("step", "a `step` of 0 never reaches the end")
        if (end - start) * step < 0:
            said = f"from {shown(_plain(start))} to {shown(_plain(end))} in steps of {shown(_plain(step))}"
            raise self.bad("step", f"{said} there is nothing", "change the step's sign")
        size = (end - start) // step + 1
        self._check_size("step", size)
        return (self._finished(start + step * index) for index in range(int(size)))

    def _logspace(self) -> Iterator[object]:
        count = self.count(None)
        first, last = self._number("start", "min"), self._number("end", "max")
        gap = (last - first) / (count - 1) if count > 1 else Fraction(0)
        return (self._finished(self._power(first + gap * index)) for index in range(count))

    def _log_span(self) -> Span:
        ends = (self._power(self._number("start", "min")), self._power(self._number("end", "max")))
        return self._span(min(ends), max(ends), log=True)

    def _power(self, exponent: Fraction) -> Fraction:
        """The base to this power: exact for whole numbers, as near as a float can be else."""
        base = self._number("base", default=Fraction(10))
        if base <= 0:
            raise self.bad("base", "the `base` must be more than 0")
        try:
            near = float(base) ** float(exponent)
        except OverflowError:
            near = math.inf
        if math.isinf(near) or near == 0:
            said = f"{shown(_plain(base))} to the power of {shown(_plain(exponent))}"
            raise self.bad("base", f"{said} is no number that a program could read")
        # A float that is neither infinite nor 0 has exponents of at most about 1,100: quickly computed.
        exact = base.denominator == exponent.denominator == 1 and base > 1
        return base ** int(exponent) if exact else Fraction(repr(near))

    def _random(self) -> Span:
        word = self._rules.get("distribution")
        distribution = plain_word(str(word or DISTRIBUTIONS[0]))
        if distribution not in DISTRIBUTIONS:
            known = " or ".join(f"`{name}`" for name in DISTRIBUTIONS)
            raise self.bad("distribution", f"there is no distribution `{shorten(str(word))}`", f"write {known}")
        least, most = self._number("min"), self._number("max")
        if least > most:
            said = f"`min` is {shown(_plain(least))} and `max` is {shown(_plain(most))}"
            raise self.bad("min", f"{said}, so that nothing lies between", "exchange them")
        log = distribution == DISTRIBUTIONS[1]
        if log and least <= 0:
            raise self.bad(
                "min", f"a `min` of {shown(_plain(least))} has no place on a logarithmic scale", "start above 0"
            )
        return self._span(least, most, log=log)

    def _span(self, low: Fraction, high: Fraction, *, log: bool) -> Span:
        if self._parameter.type is ParameterType.FLAG or self._parameter.choices:
            hint = "list its values: `style: multiple` with `items`"
            raise self.bad("min", "no number between two can be chosen for it", hint)
        integer = self._rules.get("integerify") is True or self._parameter.type is ParameterType.INTEGER
        if integer:
            low, high = Fraction(math.ceil(low)), Fraction(math.floor(high))
            if low > high:
                raise self.bad("min", "there is no integer between `min` and `max`")
        try:
            first, last = float(low), float(high)
        except OverflowError:
            raise self.bad("max", "its numbers are too large for a program to read") from None
        span = Span(int(low), int(high), True, log) if integer else Span(first, last, False, log)
        self.typed((span.low, span.high))
        return span

    def count(self, default: int | None) -> int:
        """How many values there are."""
        if self._rules.get("count") is None and default is not None:
            return default
        count = self._number("count")
        if count < 1 or count.denominator != 1:
            raise self.bad("count", f"a `count` of {shown(_plain(count))} is no number of values", "write 1 or more")
        self._check_size("count", count)
        return int(count)

    def _check_size(self, key: str, size: int | Fraction) -> None:
        if size > MOST_VALUES:
            exactly = f"{int(size):,} values, " if size < 1e15 else ""
            raise self.bad(key, f"these are {exactly}more than {MOST_VALUES:,}", "take fewer of them")

    def _number(self, *keys: str, default: Fraction | None = None) -> Fraction:
        """The first of these rules, which are names for one thing, as a fraction."""
        key = next((key for key in keys if self._rules.get(key) is not None), keys[0])
        if self._rules.get(key) is None and default is not None:
            return default
        value = self._needed(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.bad(key, f"`{key}` is `{shown(value)}`, which is no number")
        return Fraction(value) if isinstance(value, int) else Fraction(repr(value))

    def _finished(self, number: Fraction) -> int | float:
        """A number as a program gets it."""
        if self._rules.get("integerify") is True:
            return round(number)
        try:
            return _plain(number)
        except OverflowError:
            raise self.bad("end", "its numbers are too large for a program to read") from None


def _plain(number: Fraction) -> int | float:
    """A fraction as a file would say it: an integer where it is one."""
    return int(number) if number.denominator == 1 else float(number)
