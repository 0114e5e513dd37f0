"""Tree → typed steps. Lenient: an item with an error is put aside with its first problem, all others stay usable.

Like the modules of the other kinds of item (`pipeline`, `task`, `endpoint`, `policy`) it checks what running needs to
know; what is merely odd is found by the schema. Pure.
"""

import re
from collections.abc import Iterator, Mapping
from typing import TypeVar

from runner.errors import Location
from runner.spec import field
from runner.spec.model import (
    EnvironmentVariable,
    Input,
    KeepDirectories,
    Parameter,
    Range,
    Resources,
    Step,
)
from runner.spec.parameter import parse_parameter
from runner.spec.reader import Reader, named
from runner.spec.tree import Place, Table, shorten, tables

IGNORED = (
    "cache-volumes",
    "environment",
    "runtime-config-preset",
    "environment-variable-groups",
    "autorestart",
    "upload-store",
)
"""Fields of a step that somebody would expect to act, and that do not in this version."""


def parse_step(body: Table, reader: Reader) -> Step:
    """The step that a mapping describes; worth something only if the reader met no error."""
    noun = named(body.get("name"), "step")
    if body.get("command") is None:
        reader.error("missing-key", f"{noun} has no `command`", body.values_at.get("command", body.at))
    return Step(
        name=reader.text(body, "name", noun, required=True) or "",
        location=field.place_of(body, reader),
        image=reader.text(body, "image", noun, required=True) or "",
        command=field.command(body, "command", reader, noun),
        parameters=_unique(parse_parameter(table, reader, noun) for table in reader.tables(body, "parameters", noun)),
        inputs=_unique(_input(table, reader, noun) for table in reader.tables(body, "inputs", noun)),
        environment_variables=_unique(
            _variable(table, reader, noun) for table in reader.tables(body, "environment-variables", noun)
        ),
        mounts=field.mounts(body, reader, noun),
        resources=_resources(body, reader, noun),
        time_limit=field.duration(body, "time-limit", reader, noun),
        no_output_timeout=field.duration(body, "no-output-timeout", reader, noun),
        stop_condition=field.condition(body, "stop-condition", reader, noun),
        source_path=reader.text(body, "source-path", noun),
        description=field.remark(body),
        ignored=_ignored(body, reader),
        source=body,
    )


def _ignored(body: Table, reader: Reader) -> Mapping[str, Location]:
    """The fields without effect; an input whose files the program would fetch by itself gets them like any other."""
    found = dict(field.places(body, IGNORED, reader))
    for row in tables(body.get("inputs")):
        if row.get("download") == _ON_DEMAND:
            found.setdefault("download", reader.at(row.keys_at["download"]))
    return found


N = TypeVar("N", Parameter, Input, EnvironmentVariable)


def _unique(items: Iterator[N]) -> tuple[N, ...]:
    """Of several with one name the last counts, in the place of the first."""
    by_name: dict[str, N] = {}
    for item in items:
        by_name[item.name] = item
    return tuple(by_name.values())


MAX_INPUT_NAME = 64
_ON_DEMAND = "on-demand"


def _input(table: Table, reader: Reader, owner: str) -> Input:
    noun = f"{named(table.get('name'), 'input')} of {owner}"
    name = reader.text(table, "name", noun, required=True) or ""
    if name:
        _check_component(name, table.values_at["name"], reader, noun)
    return Input(
        name=name,
        location=field.place_of(table, reader),
        default=field.texts(table, "default", reader, noun),
        optional=reader.flag(table, "optional", noun, False),
        description=field.remark(table),
        filename=reader.text(table, "filename", noun),
        keep_directories=_keep_directories(table, reader, noun),
        on_demand=_on_demand(table, reader, noun),
    )


_MOVABLE = re.compile(r"\w[\w.-]*(/\w[\w.-]*)+")
"""A relative path of plain words."""


def _check_component(name: str, place: Place, reader: Reader, noun: str) -> None:
    """An input's name is the name of its folder: one component of a path."""
    if "/" in name or name in (".", "..") or not name.isprintable():
        hint = f"write it without `/`, as in `{shorten(name.replace('/', '-'))}`" if _MOVABLE.fullmatch(name) else None
        reader.error("bad-input-name", f"the name of {noun} cannot be the name of a folder", place, hint)
    elif len(name) > MAX_INPUT_NAME:
        reader.error("bad-input-name", f"the name of {noun} has more than {MAX_INPUT_NAME} characters", place)


def _keep_directories(table: Table, reader: Reader, noun: str) -> KeepDirectories:
    value = table.get("keep-directories")
    if isinstance(value, bool):
        return KeepDirectories.FULL if value else KeepDirectories.NONE
    return reader.word(table, "keep-directories", noun, KeepDirectories, KeepDirectories.NONE)


def _on_demand(table: Table, reader: Reader, noun: str) -> bool:
    value = reader.text(table, "download", noun)
    if value not in (None, "always", _ON_DEMAND):
        reader.error("wrong-value", f"the `download` of {noun} is none of `always`, `on-demand`",
                     table.values_at["download"])  # fmt: skip
    return value == _ON_DEMAND


def _variable(table: Table, reader: Reader, owner: str) -> EnvironmentVariable:
    noun = f"{named(table.get('name'), 'environment variable')} of {owner}"
    name = reader.text(table, "name", noun, required=True) or ""
    if "=" in name:
        reader.error("wrong-value", f"the name of {noun} has a `=`", table.values_at["name"])
    default = table.get("default")
    return EnvironmentVariable(
        name=name,
        location=field.place_of(table, reader),
        default=default if default == "" else reader.text(table, "default", noun),
        optional=reader.flag(table, "optional", noun, True),
    )


def _resources(body: Table, reader: Reader, noun: str) -> Resources:
    said = f"the `resources` of {noun}"
    table = reader.table(body, "resources", noun)
    if table is None:
        return Resources()
    return Resources(
        cpu=_range(table, "cpu", reader, said),
        memory=_range(table, "memory", reader, said),
        devices=_devices(table, reader, said),
    )


def _range(table: Table, key: str, reader: Reader, noun: str) -> Range:
    body = reader.table(table, key, noun)
    if body is None:
        return Range()
    said = f"the `{key}` in {noun}"
    least, most = reader.number(body, "min", said), reader.number(body, "max", said)
    if least is not None and most is not None and least > most:
        reader.error("wrong-value", f"the `min` of {said} is more than its `max`", body.values_at["min"])
    return Range(least, most)


def _devices(table: Table, reader: Reader, noun: str) -> Mapping[str, int] | None:
    body = reader.table(table, "devices", noun)
    if body is None:
        return None
    counts = {name: reader.count(body, name, f"the `devices` in {noun}") for name in body}
    return {name: count for name, count in counts.items() if count is not None}
