"""What a parameter may be, and what it becomes."""

import pytest

from runner.errors import ExitCode, Location, MlrunError
from runner.spec.model import Multiple, Parameter, ParameterType
from runner.spec.value import check_default, coerce, describe

HERE = Location("f", 1, 1)


def parameter(type_: ParameterType = ParameterType.STRING, **more: object) -> Parameter:
    return Parameter("p", HERE, type_, **more)  # type: ignore[arg-type]


INTEGER, FLOAT, FLAG, STRING = (
    ParameterType.INTEGER,
    ParameterType.FLOAT,
    ParameterType.FLAG,
    ParameterType.STRING,
)


@pytest.mark.parametrize(
    ("type_", "raw", "value"),
    [
        (INTEGER, "3", 3),
        (INTEGER, 3, 3),
        (INTEGER, "-07", -7),
        (FLOAT, "1e3", 1000.0),
        (FLOAT, "0.5", 0.5),
        (FLOAT, 3, 3),
        (FLOAT, "3", 3),
        (STRING, "text", "text"),
        (STRING, "", ""),
        (STRING, 5, 5),
        (STRING, True, True),
        (FLAG, True, True),
        (FLAG, 0, False),
        *[(FLAG, word, True) for word in ("true", "True", "yes", "on", "1")],
        *[(FLAG, word, False) for word in ("false", "NO", "off", "0")],
    ],
)
def test_a_value_is_converted_to_its_type(type_: ParameterType, raw: object, value: object) -> None:
    result = coerce(parameter(type_), raw, "--p")
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("type_", "raw"),
    [
        *[(INTEGER, raw) for raw in ("abc", "3.0", 3.0, "0x10", True, "", None, [1], {}, "9" * 5000)],
        *[(FLOAT, raw) for raw in ("abc", True, "", None, "nan", "inf", float("nan"), "1e999", "9" * 5000, [1.0])],
        *[(FLAG, raw) for raw in ("maybe", "", 2, None, [True])],
        *[(STRING, raw) for raw in (None, ["a"], {"a": 1}, "a\0b", "a\udc80")],
    ],
)
def test_a_value_that_does_not_fit_is_a_usage_error(type_: ParameterType, raw: object) -> None:
    with pytest.raises(MlrunError, match=r"^--p: ") as caught:
        coerce(parameter(type_), raw, "--p")
    assert caught.value.code is ExitCode.USAGE
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("`p` takes ")


def test_ranges_and_choices_hold() -> None:
    ranged = parameter(INTEGER, minimum=1, maximum=10)
    assert coerce(ranged, "10", "--p") == 10
    for raw in ("0", "11"):
        with pytest.raises(MlrunError):
            coerce(ranged, raw, "--p")
    chosen = parameter(choices=("a", 1))
    assert coerce(chosen, "a", "--p") == "a"
    assert coerce(chosen, "1", "--p") == 1
    with pytest.raises(MlrunError):
        coerce(chosen, "b", "--p")


def test_lists() -> None:
    separate = parameter(INTEGER, multiple=Multiple.SEPARATE)
    assert coerce(separate, "1,2", "--p") == [1, 2]
    assert coerce(separate, ["1", 2], "--p") == [1, 2]
    assert coerce(separate, "", "--p") == []
    repeat = parameter(multiple=Multiple.REPEAT)
    assert coerce(repeat, "x,y", "--p") == ["x,y"]
    assert coerce(repeat, [], "--p") == []
    for bad in ([["a"]], [None]):
        with pytest.raises(MlrunError):
            coerce(repeat, bad, "--p")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (parameter(INTEGER, minimum=1, maximum=10), "an integer from 1 to 10"),
        (parameter(FLOAT, minimum=0.5), "a number of at least 0.5"),
        (parameter(FLOAT, maximum=2), "a number of at most 2"),
        (parameter(choices=("a", "b")), "text out of `a`, `b`"),
        (parameter(FLAG), "true or false"),
        (parameter(multiple=Multiple.REPEAT), "text (several)"),
    ],
)
def test_a_parameter_is_described_in_words(given: Parameter, said: str) -> None:
    assert describe(given) == said


def test_a_default_can_be_checked_without_an_exception() -> None:
    assert check_default(Parameter("a", HERE, INTEGER, default="x")) == "`x` is not an integer"
    assert check_default(Parameter("a", HERE, INTEGER, default=1)) is None
    assert check_default(Parameter("a", HERE)) is None
