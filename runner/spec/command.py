"""Placeholders: from a step's command list and its values to the script that runs. Pure.

Follows Valohai's interpolation (`docs/yaml.md`) with one difference: a value is data in every context. Bare, its words
are quoted; inside quotes these are closed and opened again around it; where quoting cannot help, a value with anything
but plain characters refuses the run.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from shlex import quote
from string import Formatter

from runner.errors import Location, MlrunError, spec_error
from runner.job import Scalar, Script, Value
from runner.spec.model import CommandItem, Multiple, Parameter, ParameterType, Step
from runner.spec.shell import Context, Quoting, contexts
from runner.spec.tree import shorten
from runner.spec.value import text_of

_PLACEHOLDER = re.compile(r"\{(.+?)\}")
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]*")
_SHELLS = re.compile(r"(ba|da|a|k|mk|z)?sh|busybox")

_REMEMBERED = 256
"""Scripts whose placeholders' surroundings are kept in memory."""

Values = Mapping[str, Value | None]
"""Values by parameter name; what nobody has set is absent, a flag too. None passes nothing."""


def build_script(step: Step, values: Values, *, stop_at_failure: bool = True) -> Script:
    """The script of a step.

    No default is applied here. Raises MlrunError (SPEC), located at the command, for a value that cannot be made data
    where its placeholder stands, and for a `pass-as` that cannot be filled in.
    """
    pieces = [_find(item.text, item.location, step, values) for item in step.command]
    places = _contexts(
        [item.text for item in step.command], [[(piece.start, piece.end) for piece in found] for found in pieces]
    )
    items = []
    for item, found in zip(step.command, pieces, strict=True):
        text = _replace(item.text, found, [next(places) for _ in found]).strip()
        if text:
            items.append(text)
    return Script(tuple(items), stop_at_failure)


def interpolate_uri(uri: str, step: Step, values: Values) -> str:
    """The URI of an input with `{parameter:NAME}` and `{parameter-value:NAME}` replaced by bare values.

    Unknown names and parameters without a value stay as they are written.
    """

    def replace(match: re.Match[str]) -> str:
        kind, _, name = match[1].partition(":")
        value = values.get(name) if kind in _NAMING else None
        return match[0] if value is None else text_of(value, _separator(step, name))

    return _PLACEHOLDER.sub(replace, uri)


ALL_PARAMETERS = frozenset({"parameters", "params"})
"""The placeholders that pass all parameters, as they stand in their braces."""


def find_braced(texts: Iterable[str]) -> frozenset[str]:
    """What stands in braces in some texts, and so may be a placeholder: `parameters`, `parameter:lr`."""
    return frozenset(inside for text in texts for inside in _PLACEHOLDER.findall(text))


def named_parameters(braced: Iterable[str]) -> set[str]:
    """The names that some placeholders give, whether a step has such parameters or not."""
    parts = (inside.partition(":") for inside in braced)
    return {name for kind, _, name in parts if name and kind in _NAMING}


_NAMING = ("parameter", "parameter-value")


def unknown_placeholders(step: Step, texts: Sequence[str]) -> list[tuple[int, int, str]]:
    """What looks like a placeholder in some texts and names nothing of the step: which text, the offset, and itself.

    Behind a `$` it is the shell's own. A parameter's mere name is found too, unless it may be Python's.
    """
    found, known = [], _by_name(step)
    for number, text in enumerate(texts):
        names = () if _PYTHON_FORMAT.search(text) else known
        for match in _PLACEHOLDER.finditer(text):
            inside = match[1].strip(" {")
            meant = is_placeholder(inside) or inside in names
            if meant and text[match.start() - 1 : match.start()] != "$" and _passes(step, match[1], known) is None:
                found.append((number, match.start(), match[0]))
    return found


_PYTHON_FORMAT = re.compile(r"\b[rR]?[fF][rR]?['\"]|\.format\b|\bawk\b")
"""Code in a command in which a word in braces has a meaning of its own."""

_MEANT = re.compile(r"parameters|params|source-path|param(eter)?s?([-_]values?)?:.+")
"""What stands in the braces of placeholders, right or nearly right."""

WORDS = ("parameters", "params", "parameter", "parameter-value", "source-path")


def is_placeholder(inside: str) -> bool:
    """Whether text in braces is, or was probably meant as, one that is replaced."""
    return _MEANT.fullmatch(inside) is not None or nearest_word(inside.partition(":")[0]) is not None


def nearest_word(said: str) -> str | None:
    """The word of a placeholder that is one slip of the pen away: a letter too many, too few, wrong or exchanged."""
    return next((word for word in WORDS if said == word or _is_slip(said.lower(), word)), None)


def _is_slip(said: str, word: str) -> bool:
    if abs(len(said) - len(word)) > 1:
        return False
    start = next((at for at, (one, other) in enumerate(zip(said, word, strict=False)) if one != other), len(word))
    left, right = said[start:], word[start:]
    return left in (right[1:], right[1:2] + right[:1] + right[2:]) or left[1:] in (right, right[1:])


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A placeholder that a run replaces: where it stands in which item of the command, its surroundings in the shell's
    eyes, and whether there are values that need quotes."""

    item: int
    start: int
    text: str
    context: Context
    risky: bool


def placeholders(step: Step, command: Sequence[CommandItem]) -> list[Placeholder]:
    """The placeholders of a command, in order, with the parameters of a step."""
    known = _by_name(step)
    pieces = []
    for item in command:
        passed = [(match, _passes(step, match[1], known)) for match in _PLACEHOLDER.finditer(item.text)]
        pieces.append([(match, parameters) for match, parameters in passed if parameters is not None])
    texts = [item.text for item in command]
    places = _contexts(texts, [[match.span() for match, _ in found] for found in pieces])
    return [
        Placeholder(number, match.start(), match[0], next(places), _needs_quotes(step, match[1], parameters))
        for number, found in enumerate(pieces)
        for match, parameters in found
    ]


_Known = Mapping[str, Parameter]


def _by_name(step: Step) -> _Known:
    return {parameter.name: parameter for parameter in step.parameters}


def _passes(step: Step, inside: str, known: _Known) -> tuple[Parameter, ...] | None:
    """The parameters that a placeholder passes; None when it is none of ours."""
    if inside in ALL_PARAMETERS:
        return step.parameters
    if inside == "source-path":
        return None if step.source_path is None else ()
    kind, _, name = inside.partition(":")
    return (known[name],) if kind in _NAMING and name in known else None


def _needs_quotes(step: Step, inside: str, parameters: tuple[Parameter, ...]) -> bool:
    """Whether a placeholder may stand for something else than plain words."""
    if inside == "source-path":
        return not _PLAIN.fullmatch(step.source_path or "")
    whole = not inside.startswith("parameter-value:")
    return any(_may_need_quotes(parameter, whole) for parameter in parameters)


_PLAIN_TYPES = (ParameterType.INTEGER, ParameterType.FLOAT, ParameterType.FLAG)


def _may_need_quotes(parameter: Parameter, whole: bool) -> bool:
    """Whether some value of a parameter, or with `whole` what it is passed as, is not plain."""
    choices = [str(choice) for choice in parameter.choices]
    if parameter.type not in _PLAIN_TYPES and not (choices and all(map(_PLAIN.fullmatch, choices))):
        return True
    texts = [parameter.separator] if parameter.multiple is Multiple.SEPARATE else []
    if whole:
        texts += [parameter.name, parameter.pass_as or "", parameter.pass_true_as or "", parameter.pass_false_as or ""]
    return not all(_PLAIN.fullmatch(re.sub(r"[{} ]", "", text)) for text in texts)


def check_template(parameter: Parameter, template: str) -> str | None:
    """Why a parameter can never be passed by a template of its, in one sentence; None when it can."""
    samples: Mapping[ParameterType, Scalar] = {
        ParameterType.STRING: "x",
        ParameterType.INTEGER: 1,
        ParameterType.FLOAT: 0.5,
        ParameterType.FLAG: True,
    }
    try:
        _fill(template, parameter, "x" if parameter.multiple is Multiple.SEPARATE else samples[parameter.type])
    except MlrunError as error:
        return error.message
    return None


@dataclass(frozen=True, slots=True)
class _Piece:
    """A placeholder of an item and the words that it stands for."""

    start: int
    end: int
    text: str
    words: tuple[str, ...]
    location: Location


def _find(text: str, location: Location, step: Step, values: Values) -> list[_Piece]:
    found = []
    for match in _PLACEHOLDER.finditer(text):
        words = _words(match[1], step, values)
        if words is not None:
            found.append(_Piece(match.start(), match.end(), match[0], tuple(words), location))
    return found


def _words(name: str, step: Step, values: Values) -> list[str] | None:
    """What a placeholder stands for; None when it is none of ours and stays as it is written."""
    if name == "source-path" and step.source_path is not None:
        return [step.source_path]
    if name in ("parameters", "params"):
        return [word for parameter in step.parameters for word in _format(parameter, values)]
    kind, _, key = name.partition(":")
    if kind == "parameter" and (parameter := step.parameter(key)):
        return _format(parameter, values)
    if kind == "parameter-value" and key in values:
        value = values[key]
        return [] if value is None else [text_of(value, _separator(step, key))]
    return None


def _separator(step: Step, name: str) -> str:
    parameter = step.parameter(name)
    return parameter.separator if parameter else ","


def _format(parameter: Parameter, values: Values) -> list[str]:
    """The words by which a parameter is passed."""
    value = values.get(parameter.name)
    template = None if value is None else _template(parameter, value)
    if template is None or value is None:
        return []
    if parameter.multiple is Multiple.NONE:
        if isinstance(value, list):
            raise spec_error(f"parameter `{parameter.name}` takes one value, not a list", parameter.location)
        return _fill(template, parameter, value)
    atoms = value if isinstance(value, list) else [value]
    if parameter.multiple is Multiple.REPEAT:
        return [word for atom in atoms for word in _fill(template, parameter, atom)]
    return _fill(template, parameter, text_of(atoms, parameter.separator)) if atoms else []


def _template(parameter: Parameter, value: Value) -> str | None:
    if parameter.type is not ParameterType.FLAG:
        return parameter.pass_as or "--{name}={value}"
    if parameter.pass_true_as or parameter.pass_false_as:
        return (parameter.pass_true_as if value else parameter.pass_false_as) or None
    return (parameter.pass_as or "--{name}") if value else None


_FORMAT = re.compile(r"(.?[<>=^])?[ +-]?#?0?\d{0,3}[,_]?(\.\d{1,3})?[a-zA-Z%]?")
"""The format specifications that cannot ask for a gigabyte of blanks."""

_CONVERSIONS: Mapping[str, Callable[[object], str]] = {"r": repr, "s": str, "a": ascii}


def _fill(template: str, parameter: Parameter, value: Scalar) -> list[str]:
    """The words of a template: it is split at blanks before the value is put in, so that the value never is."""
    fields: Mapping[str, Scalar] = {"name": parameter.name, "value": value, "v": value}
    try:
        return [_fill_word(word, fields) for word in template.split()]
    except (ValueError, KeyError) as error:
        said = shorten(f"unknown field `{error.args[0]}`" if isinstance(error, KeyError) else str(error))
        raise spec_error(
            f"`{shorten(template)}` of parameter `{shorten(parameter.name)}` cannot be filled in: {said}",
            parameter.location,
            "it may hold `{name}`, `{value}` and `{v}`; write other braces twice",
        ) from None


def _fill_word(word: str, fields: Mapping[str, Scalar]) -> str:
    parts = []
    for literal, name, form, conversion in Formatter().parse(word):
        parts.append(literal)
        if name is None:
            continue
        value = fields[name]
        if not _FORMAT.fullmatch(form or ""):
            raise ValueError(f"`{form}` is no plain format")
        if conversion and conversion not in _CONVERSIONS:
            raise ValueError(f"`!{conversion}` is no conversion")
        convert = _CONVERSIONS.get(conversion or "")
        parts.append(format(convert(value) if convert else value, form or ""))
    return "".join(parts)


def _contexts(texts: list[str], pieces: list[list[tuple[int, int]]]) -> Iterator[Context]:
    """The context of every placeholder of the joined script, in order; quotes may span items."""
    spans, offset = [], 0
    for text, found in zip(texts, pieces, strict=True):
        spans += [(offset + start, offset + end) for start, end in found]
        offset += len(text) + 1
    script = "\n".join(texts)
    other = _foreign(script)
    if other:
        return iter([Context(Quoting.OTHER, other)] * len(spans))
    return iter(_known_contexts(script, tuple(spans)) if spans else ())


@lru_cache(_REMEMBERED)
def _known_contexts(script: str, spans: tuple[tuple[int, int], ...]) -> tuple[Context, ...]:
    """Many nodes of a pipeline may run one step."""
    return tuple(contexts(script, spans))


def _foreign(script: str) -> str | None:
    """What a script is written in when its first line names another interpreter than a shell."""
    if not script.startswith("#!"):
        return None
    words = [word.rsplit("/", 1)[-1] for word in script[2:].partition("\n")[0].split()]
    while words and (words[0] == "env" or words[0].startswith("-") or "=" in words[0]):
        words.pop(0)
    if words and _SHELLS.fullmatch(words[0]):
        return None
    return f"a script for `{words[0] if words else '#!'}`"


_GLUE_BEFORE = re.compile(r"\$\w+\Z", re.ASCII)
"""The name of a variable, which a plain word behind it would lengthen; a digit before `<` or `>` is as bad."""


def _replace(text: str, pieces: list[_Piece], places: list[Context]) -> str:
    parts, done = [], 0
    for piece, place in zip(pieces, places, strict=True):
        glued = _GLUE_BEFORE.search(text, 0, piece.start) is not None or text[piece.end : piece.end + 1] in ("<", ">")
        parts += [text[done : piece.start], _quote(piece, place, glued)]
        done = piece.end
    return "".join([*parts, text[done:]])


def _quote(piece: _Piece, place: Context, glued: bool) -> str:
    """The words of a placeholder, quoted for its surroundings; `glued` ones even if they are plain."""
    joined = " ".join(piece.words)
    plain = all(_PLAIN.fullmatch(word) for word in piece.words)
    if place.expression and re.search(r"[$`]", joined):
        raise _refusal(piece, "an expression, where the shell would run it")
    match place.quoting:
        case Quoting.COMMENT:
            return piece.text
        case Quoting.BARE:
            return f"'{joined}'" if plain and glued and piece.words else " ".join(quote(word) for word in piece.words)
        case Quoting.DOUBLE:
            return joined if plain and not glued else f'"{quote(joined)}"'
        case Quoting.SINGLE:
            return joined if plain else f"'{quote(joined)}'"
    if not plain:
        raise _refusal(piece, place.reason)
    if place.delimiter is not None and joined in place.delimiter:
        raise _refusal(piece, f"a here-document, which it might end: its last line is `{place.delimiter}`")
    return joined


def _refusal(piece: _Piece, reason: str) -> MlrunError:
    return spec_error(
        f"the value of `{piece.text}` would not be plain data in {reason}",
        piece.location,
        "pass it as an argument or an environment variable of its own, or use only `A-Z a-z 0-9 _@%+=:,./-` in it",
    )
