"""Tree → the parameters of a step. Pure."""

from typing import cast

from runner.job import Scalar
from runner.spec import field
from runner.spec.model import Multiple, Parameter, ParameterType
from runner.spec.reader import Reader, named
from runner.spec.tree import Row, Table


def parse_parameter(table: Table, reader: Reader, owner: str) -> Parameter:
    """The parameter that a mapping describes; worth something only if the reader met no error."""
    noun = f"{named(table.get('name'), 'parameter')} of {owner}"
    name = reader.text(table, "name", noun, required=True) or ""
    type_ = reader.word(table, "type", noun, ParameterType, ParameterType.STRING)
    multiple = reader.word(table, "multiple", noun, Multiple, Multiple.NONE)
    if type_ is ParameterType.FLAG and multiple is not Multiple.NONE:
        reader.error("wrong-value", f"{noun} is a flag, which cannot be `multiple`", table.values_at["multiple"])
    default = field.value(table, "default", reader, noun)
    if multiple is not Multiple.NONE and not isinstance(default, list):
        default = [] if default is None else [default]
    return Parameter(
        name=name,
        location=field.place_of(table, reader),
        type=type_,
        default=default,
        optional=reader.flag(table, "optional", noun, False),
        description=field.remark(table),
        minimum=reader.number(table, "min", noun),
        maximum=reader.number(table, "max", noun),
        choices=_choices(table, reader, noun),
        pass_as=reader.text(table, "pass-as", noun),
        pass_true_as=reader.text(table, "pass-true-as", noun),
        pass_false_as=reader.text(table, "pass-false-as", noun),
        multiple=multiple,
        separator=reader.text(table, "multiple-separator", noun) or ",",
    )


def _choices(table: Table, reader: Reader, noun: str) -> tuple[Scalar, ...]:
    value = table.get("choices")
    if value is None:
        return ()
    if not isinstance(value, Row) or not all(isinstance(item, str | int | float) for item in value):
        reader.error("wrong-type", f"the `choices` of {noun} are not a list of texts or numbers",
                     table.values_at["choices"])  # fmt: skip
        return ()
    return cast("tuple[Scalar, ...]", tuple(value))
