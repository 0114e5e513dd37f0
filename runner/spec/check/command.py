"""Placeholders in commands and in the addresses of inputs. Pure."""

from collections.abc import Iterator, Sequence

from runner.errors import Location
from runner.spec.check.sheet import Findings
from runner.spec.command import Placeholder, nearest_word, placeholders, unknown_placeholders
from runner.spec.model import CommandItem, Step
from runner.spec.shell import Quoting
from runner.spec.tree import entries, shorten, tables

Text = tuple[str, Location]
"""A text and where it begins."""


def check_command(findings: Findings, step: Step, command: Sequence[CommandItem]) -> None:
    """A step's command, or that of a node's override with the step's parameters."""
    _check_unknown(findings, step, [(item.text, item.location) for item in command])
    for found in placeholders(step, command) if any("{" in item.text for item in command) else ():
        if found.risky:
            _check_place(findings, found, command[found.item])


def check_addresses(findings: Findings, step: Step) -> None:
    """The addresses of a step's inputs."""
    _check_unknown(findings, step, list(_addresses(findings, step)))


def _addresses(findings: Findings, step: Step) -> Iterator[Text]:
    """Every default of a step's inputs that has braces, with its place."""
    if any("{" in uri for item in step.inputs for uri in item.default):
        for row in tables(step.source.get("inputs")):
            value = row.get("default")
            if isinstance(value, str):
                yield value, findings.sheet.text(row.values_at["default"])
            for uri, place in entries(value):
                if isinstance(uri, str):
                    yield uri, findings.sheet.text(place)


def _check_unknown(findings: Findings, step: Step, texts: Sequence[Text]) -> None:
    names = [parameter.name for parameter in step.parameters]
    for number, offset, placeholder in unknown_placeholders(step, [text for text, _ in texts]):
        inside = placeholder[1:-1]
        hint: str | None
        if inside == "source-path":
            message = f"`{placeholder}` names nothing, as step `{shorten(step.name)}` has no `source-path`,"
            hint = "add `source-path:` to it"
        elif inside.startswith(("parameter:", "parameter-value:")):
            message = f"`{shorten(placeholder)}` names no parameter of step `{shorten(step.name)}`"
            hint = findings.sheet.guess(inside.partition(":")[2], names, "it has no parameters")
        elif inside.strip(" {") in names:
            message = f"`{shorten(placeholder)}` is no placeholder"
            hint = f"write `{shorten('{parameter-value:' + inside.strip(' {') + '}')}` for the value of the parameter"
        else:
            message, hint = f"`{shorten(placeholder)}` is no placeholder", f"did you mean `{_mended(inside)}`?"
        text, start = texts[number]
        place = findings.sheet.within(start, text, offset, placeholder)
        findings.warn("unknown-placeholder", f"{message} and stays as it is", place, hint)


def _mended(inside: str) -> str:
    """The placeholder that one with a slip of the pen probably is."""
    kind, colon, name = inside.strip(" {").partition(":")
    near = nearest_word(kind) or kind
    if "value" in near or (colon and near != "source-path"):
        near = f"parameter{'-value' if 'value' in near else ''}:{name or 'NAME'}"
    return shorten("{" + ("parameters" if near == "parameter" else near) + "}")


_PORTABLE = 'leave the quotes out around it, as in `"text "{placeholder}" text"`: a value is quoted by itself'


def _check_place(findings: Findings, found: Placeholder, item: CommandItem) -> None:
    """Where no quoting helps, and where it helps only here."""
    shown = shorten(found.text)
    match found.context.quoting:
        case Quoting.SINGLE | Quoting.DOUBLE as quoting:
            code, hint = "quoted-placeholder", _PORTABLE.format(placeholder=shown)
            message = (
                f"`{shown}` stands inside {quoting} quotes: mlrun keeps its value data, "
                "Valohai's own runner lets the shell split or execute it"
            )
        case Quoting.OTHER:
            code, hint = "unsafe-placeholder", "pass it as an argument or an environment variable of its own"
            message = (
                f"`{shown}` stands in {found.context.reason}: a value with anything but "
                "`A-Z a-z 0-9 _@%+=:,./-` refuses the run"
            )
        case _:
            return
    findings.warn(code, message, findings.sheet.within(item.location, item.text, found.start, found.text), hint)
