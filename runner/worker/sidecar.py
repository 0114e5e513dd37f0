"""What a step says about its own outputs: `FILE.metadata.json` beside a file, and `valohai.metadata.jsonl`. Pure.

Nothing in them can fail a run: what cannot be understood is told in a sentence and left out. Values become strict JSON:
NaN and infinities are text, unpaired surrogates U+FFFD.
"""

import json
import math
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.digest import canonical_json
from runner.escape import printable
from runner.store.ref import CollectionKind, name_problem

SUFFIX = ".metadata.json"
"""Of the sidecar of one file, which lies beside it."""
LINES = "valohai.metadata.jsonl"
"""Directly in the outputs folder: one JSON object a line, with `file` and `metadata`."""

TAGS = "valohai.tags"
ALIAS = "valohai.alias"
_VERSIONS: dict[CollectionKind, str] = {"dataset": "valohai.dataset-versions", "model": "valohai.model-versions"}
_NOTES = {"dataset": ("packaging",), "model": ("model_version_tags", "model_release_note")}
_LISTS = (TAGS, *_VERSIONS.values())
"""Reserved keys whose values add up when several places give them."""

SIDECAR_BYTES = 1 << 20
LINES_BYTES = 64 << 20
_DEPTH = 32
_SURROGATE = re.compile("[\ud800-\udfff]")
_SHOWN = 80

Properties = dict[str, Any]
Warn = Callable[[str], None]


class BadProperties(ValueError):
    """Why something is no JSON object of properties, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class VersionRequest:
    """A version of a dataset or model that a file asks to be part of; `version` is empty when a number is to be found.

    `base` is the version whose files come along, `fresh` leaves them out, `exclude` some of them; `aliases` of the
    version are set; `notes` are said about it.
    """

    kind: CollectionKind
    name: str
    version: str
    base: tuple[str, str] | None = None
    fresh: bool = False
    exclude: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the reserved properties of one file ask for."""

    alias: str | None = None
    tags: tuple[str, ...] = ()
    versions: tuple[VersionRequest, ...] = ()


def described_name(name: str) -> str | None:
    """The output that a sidecar of this name describes; None for any other file."""
    described = name.removesuffix(SUFFIX)
    return described if described != name and not described.endswith("/") and described else None


def is_description(name: str) -> bool:
    """Whether an output of this name is a sidecar, or the file of lines."""
    return name == LINES or described_name(name) is not None


def read_sidecar(data: bytes) -> Properties:
    """The properties in a sidecar. Raises BadProperties."""
    if len(data) > SIDECAR_BYTES:
        raise BadProperties(f"is larger than {SIDECAR_BYTES:,} bytes")
    return _properties(_parsed(data))


def read_lines(data: bytes, warn: Warn) -> Iterator[tuple[str, Properties]]:
    """The files and properties in the file of lines; `warn` is told of each line that is left out."""
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            found = _parsed(line)
            if not isinstance(found, dict) or not isinstance(found.get("file"), str) or "metadata" not in found:
                raise BadProperties("is no object with `file` and `metadata`")
            yield posixpath.normpath(found["file"]), _properties(found["metadata"])
        except BadProperties as error:
            warn(f"line {number} {error}")


def merged(*layers: Mapping[str, Any]) -> Properties:
    """All of them; where they differ the later wins, but tags and versions add up. In linear time."""
    together: Properties = {}
    for layer in layers:
        together |= layer
    for key in _LISTS:
        given = [layer[key] for layer in layers if key in layer]
        if len(given) > 1:
            values = (value for one in given for value in _as_list(one))
            together[key] = list({canonical_json(value): value for value in values}.values())
    return together


def wishes(properties: Mapping[str, Any], warn: Warn) -> Wishes:
    """What the reserved properties ask for; `warn` is told of each that cannot be understood."""
    alias = properties.get(ALIAS)
    if alias is not None and (problem := _name_problem(alias)):
        warn(f"`{ALIAS}` {problem}")
        alias = None
    tags = [tag for tag in _as_list(properties.get(TAGS, [])) if isinstance(tag, str)]
    if len(tags) != len(_as_list(properties.get(TAGS, []))):
        warn(f"`{TAGS}` should be a list of texts")
    versions: list[VersionRequest] = []
    for kind, key in _VERSIONS.items():
        for asked in _as_list(properties.get(key, [])):
            try:
                versions.append(_version(kind, asked))
            except BadProperties as error:
                warn(f"`{key}`: {error}")
    return Wishes(alias, tuple(tags), tuple(versions))


def _split(kind: CollectionKind, uri: object) -> tuple[str, str]:
    """Name and version of `dataset://NAME/VERSION`; the version of a model may be missing. Raises BadProperties."""
    scheme = f"{kind}://"
    if not isinstance(uri, str) or not uri.startswith(scheme):
        raise BadProperties(f"{_shown(uri)} is not `{scheme}NAME/VERSION`")
    name, _, version = uri.removeprefix(scheme).partition("/")
    for part in (name, version):
        problem = name_problem(part)
        if problem and (part or kind == "dataset" or part is name):
            raise BadProperties(f"{_shown(uri)}: a name in it {problem}")
    return name, version


def _version(kind: CollectionKind, asked: object) -> VersionRequest:
    if isinstance(asked, str):
        return VersionRequest(kind, *_split(kind, asked))
    if not isinstance(asked, dict):
        raise BadProperties(f"{_shown(asked)} is neither a text nor an object")
    name, version = _split(kind, asked.get("uri", asked.get(f"{kind}_uri")))
    base = asked.get("from")
    exclude, aliases = (_texts(asked, key) for key in ("exclude", "targeting_aliases"))
    for alias in aliases:
        if problem := name_problem(alias):
            raise BadProperties(f"the alias {_shown(alias)} {problem}")
    notes = {key: asked[key] for key in _NOTES[kind] if key in asked}
    tags = _as_list(asked.get(TAGS, asked.get("tags", [])))
    return VersionRequest(
        kind,
        name,
        version,
        base=None if base is None else _split(kind, base),
        fresh=asked.get("start_fresh") is True,
        exclude=exclude,
        aliases=aliases,
        notes=notes | ({"tags": tags} if tags else {}),
    )


def _texts(asked: Mapping[str, Any], key: str) -> tuple[str, ...]:
    values = _as_list(asked.get(key) or [])
    if not all(isinstance(value, str) for value in values):
        raise BadProperties(f"`{key}` should be a list of texts")
    return tuple(values)


def _name_problem(name: object) -> str | None:
    if not isinstance(name, str):
        return "is no text"
    problem = name_problem(name)
    return f"{_shown(name)} {problem}" if problem else None


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _shown(value: object) -> str:
    text = printable(value if isinstance(value, str) else json.dumps(value))
    return f"`{text[:_SHOWN]}{'…' if len(text) > _SHOWN else ''}`"


def _parsed(data: bytes) -> object:
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise BadProperties("is not UTF-8") from None
    except RecursionError:
        raise BadProperties(f"is nested more than {_DEPTH} deep") from None
    except json.JSONDecodeError as error:
        raise BadProperties(f"is no JSON: {error.msg} at line {error.lineno}") from None
    except ValueError:
        raise BadProperties("holds a number that is too long") from None


def _properties(value: object) -> Properties:
    if not isinstance(value, dict):
        raise BadProperties("is no JSON object")
    strict: Properties = _strict(value, _DEPTH)
    return strict


def _strict(value: Any, depth: int) -> Any:
    """The same value with nothing in it that strict JSON in UTF-8 lacks."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict | list):
        if not depth:
            raise BadProperties(f"is nested more than {_DEPTH} deep")
        if isinstance(value, list):
            return [_strict(item, depth - 1) for item in value]
        return {_text(key): _strict(item, depth - 1) for key, item in value.items()}
    return value


def _text(text: str) -> str:
    return _SURROGATE.sub("\ufffd", text)
