"""Fields that several kinds of item share: names, commands, values, durations, conditions, mounts. Pure."""

from collections.abc import Iterator, Sequence
from typing import cast

from runner.errors import Location
from runner.job import Scalar, Value
from runner.spec.duration import parse_duration
from runner.spec.model import CommandItem, Condition, Mount
from runner.spec.reader import Reader
from runner.spec.tree import Place, Row, Table


def place_of(table: Table, reader: Reader, key: str = "name") -> Location:
    """Where a thing stands: at its name if it has one."""
    return reader.at(table.values_at.get(key, table.at))


def remark(table: Table) -> str | None:
    """The description, which is for people only."""
    value = table.get("description")
    return value if isinstance(value, str) else None


def command(table: Table, key: str, reader: Reader, noun: str) -> tuple[CommandItem, ...]:
    """A command or a list of them, edges stripped, empty ones left out."""
    items = [CommandItem(text.strip(), reader.start_of_text(at)) for text, at in reader.texts(table, key, noun)]
    return tuple(item for item in items if item.text)


def conditions(table: Table, key: str, reader: Reader, noun: str) -> tuple[Condition, ...]:
    """One expression or a list of them."""
    return tuple(Condition(text, reader.start_of_text(at)) for text, at in reader.texts(table, key, noun))


def condition(table: Table, key: str, reader: Reader, noun: str) -> Condition | None:
    """One expression; an empty one counts as absent."""
    text = reader.text(table, key, noun)
    return Condition(text, reader.start_of_text(table.values_at[key])) if text else None


def duration(table: Table, key: str, reader: Reader, noun: str) -> float | None:
    """A duration in seconds."""
    if key not in table:
        return None
    try:
        found = parse_duration(table.get(key))
    except ValueError as error:
        reader.error("bad-duration", f"the `{key}` of {noun}: {error}", table.values_at[key])
        return None
    if found and found.surprise:
        reader.warn("odd-duration", f"the `{key}` of {noun}: {found.surprise}", table.values_at[key])
    return found.seconds if found else None


def value(table: Table, key: str, reader: Reader, noun: str) -> Value | None:
    """The value of a parameter as written: a scalar or a list of scalars."""
    raw = table.get(key)
    if isinstance(raw, Row):
        if all(isinstance(item, str | int | float) for item in raw):
            return cast("list[Scalar]", list(raw))
    elif raw is None or isinstance(raw, str | int | float):
        return raw
    reader.error("wrong-type", f"the `{key}` of {noun} is not text, a number, a boolean or a list of them",
                 table.values_at[key])  # fmt: skip
    return None


def texts(table: Table, key: str, reader: Reader, noun: str) -> tuple[str, ...]:
    """One text or a list of them; empty ones are left out."""
    return tuple(text for text, _ in reader.texts(table, key, noun) if text)


def mounts(table: Table, reader: Reader, noun: str) -> tuple[Mount, ...]:
    """The mounts of a step or an override, each `/source:/destination` or a mapping."""
    rows = table.get("mounts")
    if rows is None:
        return ()
    if not isinstance(rows, Row):
        reader.error("wrong-type", f"the `mounts` of {noun} is not a list", table.values_at["mounts"])
        return ()
    return tuple(_mounts(rows, reader, f"a mount of {noun}"))


def _mounts(rows: Row, reader: Reader, noun: str) -> Iterator[Mount]:
    for row, at in zip(rows, rows.items_at, strict=True):
        if isinstance(row, Table):
            yield _mount(row, reader, noun)
        elif isinstance(row, str):
            yield _short_mount(row, at, reader, noun)
        else:
            reader.error("wrong-type", f"{noun} is neither text nor a mapping", at)


def _short_mount(text: str, at: Place, reader: Reader, noun: str) -> Mount:
    """Split where a colon stands before the destination's slash, so that a source may hold a colon."""
    source, colon, destination = text.partition(":/")
    if not (colon and source.startswith("/") and len(source) > 1 and destination):
        reader.error("wrong-value", f"{noun} is not of the form `/source:/destination`", at)
    return Mount(source, f"/{destination}", reader.at(at))


def _mount(table: Table, reader: Reader, noun: str) -> Mount:
    destination = reader.text(table, "destination", noun, required=True) or ""
    if destination and (not destination.startswith("/") or len(destination) == 1):
        reader.error("wrong-value", f"the `destination` of {noun} is not an absolute path below `/`",
                     table.values_at["destination"])  # fmt: skip
    kind = reader.text(table, "type", noun)
    options = reader.table(table, "options", noun)
    return Mount(
        source=reader.text(table, "source", noun, required=True) or "",
        destination=destination,
        location=reader.at(table.at),
        readonly=reader.flag(table, "readonly", noun, False),
        type=kind.lower() if kind else None,
        options={key: option for key, option in (options or {}).items() if option is not None},
    )


def places(table: Table, keys: Sequence[str], reader: Reader) -> Iterator[tuple[str, Location]]:
    """Those of the keys that ask for something, with the places of the keys."""
    return ((key, reader.at(table.keys_at[key])) for key in keys if table.get(key))
