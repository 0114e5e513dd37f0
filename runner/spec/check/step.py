"""Steps: their parameters, and what stands beside what. Pure."""

import re
from collections.abc import Iterator, Sequence

from runner.spec.check.sheet import Findings
from runner.spec.command import check_template
from runner.spec.model import Multiple, Parameter, ParameterType, Step
from runner.spec.tree import Table, shorten, tables
from runner.spec.value import check_default


def check_step(findings: Findings, step: Step) -> None:
    """The parameters of a step."""
    by_name = {row.get("name"): row for row in tables(step.source.get("parameters"))}
    for parameter in step.parameters:
        table = by_name.get(parameter.name, Table(parameter.location.place))
        noun = f"parameter `{shorten(parameter.name)}` of step `{shorten(step.name)}`"
        for code, key, message in _parameter_findings(parameter):
            hint = _default_hint(parameter) if code == "bad-default" else _HINTS.get(code)
            findings.warn(code, f"{noun}: {message}", findings.sheet.value(table, key), hint)


_HINTS = {
    "bad-pass-as": "write `{v}` where the value belongs, and other braces twice",
    "wrong-value": "write the least as `min`, the greatest as `max`",
}


_NOTHING = frozenset({"none", "null", "nil", "nan", "~", "undefined", "n/a", ""})
"""What people write for a default that there is not."""


_WITH_COMMA = re.compile(r"[-+]?\d{1,20},\d{1,20}")


def _default_hint(parameter: Parameter) -> str | None:
    """What to do about a default that does not fit: text for a number may mean that there is none."""
    value = parameter.default
    if isinstance(value, str) and value.strip().lower() in _NOTHING:
        return "remove `default:` to have none"
    if isinstance(value, str) and parameter.type is ParameterType.FLOAT and _WITH_COMMA.fullmatch(value.strip()):
        return f"write `{value.strip().replace(',', '.')}`: numbers have a dot"
    if isinstance(value, list):
        listed = parameter.multiple is not Multiple.NONE
        return None if listed else "write `multiple: repeat` beside it to take several values"
    if parameter.type is ParameterType.STRING and not isinstance(value, str):
        kind = "flag" if isinstance(value, bool) else "integer" if isinstance(value, int) else "float"
        return f"put quotes around it, or write `type: {kind}`"
    return None


_NUMBERS = (ParameterType.INTEGER, ParameterType.FLOAT)


def _parameter_findings(parameter: Parameter) -> Iterator[tuple[str, str, str]]:
    """What is odd about a parameter, as code, key and sentence."""
    said = check_default(parameter)
    if said:
        yield "bad-default", "default", f"the default: {said}"
    elif parameter.type is ParameterType.STRING and parameter.default:
        atoms = parameter.default if isinstance(parameter.default, list) else [parameter.default]
        for atom in atoms:
            if not isinstance(atom, str):
                kind = "a boolean" if isinstance(atom, bool) else "a number"
                yield "bad-default", "default", f"the default is {kind}, not text"
    least, greatest = parameter.minimum, parameter.maximum
    if parameter.type in _NUMBERS and least is not None and greatest is not None and least > greatest:
        yield "wrong-value", "min", "`min` is more than `max`, so that no value fits"
    for key, template in (
        ("pass-as", parameter.pass_as),
        ("pass-true-as", parameter.pass_true_as),
        ("pass-false-as", parameter.pass_false_as),
    ):
        if template and (message := check_template(parameter, template)):
            yield "bad-pass-as", key, message
    flag = parameter.type is ParameterType.FLAG
    if flag and parameter.optional:
        yield "no-effect", "optional", "`optional` has no effect on a flag"
    templates = parameter.pass_true_as or parameter.pass_false_as
    if flag and templates and parameter.pass_as:
        yield "no-effect", "pass-as", "`pass-as` has no effect beside `pass-true-as` or `pass-false-as`"
    if not flag and templates:
        key = "pass-true-as" if parameter.pass_true_as else "pass-false-as"
        yield "no-effect", key, "`pass-true-as` and `pass-false-as` have no effect on anything but a flag"


def check_preset(findings: Findings, body: Table) -> None:
    """A preset of a step, or of a node's override, without an environment."""
    if body.get("runtime-config-preset") and not body.get("environment"):
        message = "`runtime-config-preset` needs an `environment` beside it"
        place = findings.sheet.value(body, "runtime-config-preset")
        findings.error("preset-without-environment", message, place, "add `environment:`")


_LISTS = (("parameters", "a parameter"), ("inputs", "an input"), ("environment-variables", "a variable"))


def check_names(findings: Findings, body: Table) -> None:
    """Parameters, inputs and variables of one step that share a name."""
    for key, noun in _LISTS:
        _check_same(findings, tables(body.get(key)), noun)


def _check_same(findings: Findings, rows: Sequence[Table], noun: str) -> None:
    seen: dict[str, int] = {}
    for row in rows:
        name = row.get("name")
        if not isinstance(name, str):
            continue
        location = findings.sheet.value(row, "name")
        if name in seen:
            message = f"there is {noun} `{shorten(name)}` on line {seen[name]} too; this one counts"
            findings.warn("duplicate-name", message, location, "give it another name")
        seen[name] = location.line
