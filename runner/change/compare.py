"""Two items of one kind → what differs, one detail for each thing. Pure; never raises, whatever the file says."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from runner.change.discretion import is_secret_name
from runner.change.model import Detail, Kind, Part
from runner.change.shape import DESCRIPTIVE, Body, Field, Shape
from runner.change.value import cut, edits, frozen, pair, shown

Path = tuple[Part, ...]

Group = Callable[[object], tuple[str, str] | None]

_OTHER = Field("")


@dataclass(slots=True)
class Comparison:
    """What two items differ in; `remarks` are keys that only describe."""

    details: list[Detail] = field(default_factory=list)
    remarks: dict[str, None] = field(default_factory=dict)

    def compare(self, shape: Shape, before: Body, after: Body, path: Path = (), hidden: bool = False) -> None:
        """Note everything in which two objects of a shape differ but their names."""
        before, after = shape.prepare(before), shape.prepare(after)
        for key in dict.fromkeys([*shape.fields, *before, *after]):
            if before.get(key) is after.get(key):
                continue
            if key in DESCRIPTIVE:
                if frozen(before.get(key)) != frozen(after.get(key)):
                    self.remarks[key] = None
                continue
            self._field(shape.fields.get(key, _OTHER), key, before.get(key), after.get(key), path, hidden)

    def _field(self, kind: Field, key: str, before: object, after: object, path: Path, hidden: bool) -> None:
        before, after = _read(kind, before), _read(kind, after)
        if frozen(before) == frozen(after):
            return
        rows = isinstance(before, list) and isinstance(after, list)
        if kind.by is not None and rows:
            self._named(kind, key, before, after, path)
        elif (kind.listed or kind is _OTHER) and rows:
            self._listed(kind, key, before, after, path)
        elif kind.shape is not None and _is_mapping(before, after):
            self.compare(kind.shape, before or {}, after or {}, (*path, Part(kind.noun)))  # type: ignore[arg-type]
        elif _is_mapping(before, after):
            for inner in dict.fromkeys([*(before or {}), *(after or {})]):  # type: ignore[misc]
                one, other = (side.get(inner) if isinstance(side, Mapping) else None for side in (before, after))
                self._field(_OTHER, f"{key}.{inner}", one, other, path, hidden)
        else:
            self._changed(path, key, before, after, hidden or kind.hidden)

    def _changed(self, path: Path, key: str | None, before: object, after: object, hidden: bool) -> None:
        kind = Kind.ADDED if before is None else Kind.REMOVED if after is None else Kind.CHANGED
        if hidden or (path and is_secret_name(path[-1].name or "") and key in _VALUED) or is_secret_name(key or ""):
            self.details.append(Detail(kind, path, key))
        else:
            self.details.append(Detail(kind, path, key, *pair(before, after)))

    def _named(self, kind: Field, key: str, before: object, after: object, path: Path) -> None:
        old, new = _by_name(kind.by or "", before), _by_name(kind.by or "", after)
        for name in dict.fromkeys([*old, *new]):
            here = (*path, Part(kind.noun, name))
            if name not in old:
                self.details.append(Detail(Kind.ADDED, here, after=_summary(kind, name, new[name])))
            elif name not in new:
                self.details.append(Detail(Kind.REMOVED, here))
            else:
                self._row(kind, old[name], new[name], here)
        if kind.ordered and list(old) != list(new) and old.keys() == new.keys():
            self.details.append(Detail(Kind.MOVED, path, key, cut(", ".join(old)), cut(", ".join(new))))

    def _row(self, kind: Field, before: object, after: object, path: Path) -> None:
        if isinstance(before, Mapping) and isinstance(after, Mapping) and kind.shape is not None:
            self.compare(kind.shape, before, after, path)
        elif frozen(before) != frozen(after):
            self._changed(path, None, before, after, hidden=False)

    def _listed(self, kind: Field, key: str, before: object, after: object, path: Path) -> None:
        assert isinstance(before, list)
        assert isinstance(after, list)
        here = (*path, Part(kind.noun)) if kind.noun else path
        own = None if kind.noun else key
        if path and is_secret_name(path[-1].name or "") and key in _VALUED:
            self.details.append(Detail(Kind.CHANGED, path, key))
            return
        if not kind.ordered:
            if kind.group is not None:
                self._moved(kind.group, kind.noun, before, after, path)
            before, after = (sorted(side, key=repr) for side in (before, after))
            gone = {frozen(item) for item in before}
            come = {frozen(item) for item in after}
            found: list[tuple[object, object]] = [(item, None) for item in before if frozen(item) not in come]
            found += [(None, item) for item in after if frozen(item) not in gone]
        else:
            found = edits(before, after)
        for one, other in found:
            word = Kind.ADDED if one is None else Kind.REMOVED if other is None else Kind.CHANGED
            self.details.append(Detail(word, here, own, *pair(one, other)))

    def _moved(self, group: Group, noun: str, before: Iterable[object], after: Iterable[object], path: Path) -> None:
        """Note the groups whose items, as far as both sides have them, come in another order."""
        common = {frozen(item) for item in before} & {frozen(item) for item in after}
        sides: tuple[dict[str, list[str]], dict[str, list[str]]] = ({}, {})
        for rows, found in zip((before, after), sides, strict=True):
            for item in rows:
                if frozen(item) in common and (place := group(item)) is not None:
                    found.setdefault(place[0], []).append(place[1])
        for name, items in sides[0].items():
            if items != sides[1][name]:
                texts = (cut(shown(", ".join(rows))) for rows in (items, sides[1][name]))
                self.details.append(Detail(Kind.MOVED, (*path, Part(f"{noun}s into", name)), None, *texts))


_VALUED = ("default", "value", "rules.value", "rules.items")
"""Keys that hold the value of a thing, which its name may declare a secret."""


def _summary(kind: Field, name: str, row: object) -> str | None:
    """What a thing that was added says of itself, in a few discreet words."""
    if not isinstance(row, Mapping):
        return None
    fields = kind.shape.fields if kind.shape else {}
    words = []
    for key, value in row.items():
        hidden = fields.get(key, _OTHER).hidden or (key in _VALUED and is_secret_name(name)) or is_secret_name(key)
        if key != kind.by and key not in DESCRIPTIVE and value is not None and not hidden:
            words.append(f"{key}: {shown(value)}")
    return cut(", ".join(words)) if words else None


def _read(kind: Field, value: object) -> object:
    return kind.absent if value is None else kind.read(value)


def _is_mapping(before: object, after: object) -> bool:
    """Whether both are mappings, or one is and the other is missing."""
    sides = [side for side in (before, after) if side is not None]
    return bool(sides) and all(isinstance(side, Mapping) for side in sides)


def _by_name(key: str, rows: object) -> dict[str, object]:
    """Rows by their names: of several with one name the last counts; one without a name is called by its place."""
    found: dict[str, object] = {}
    for index, row in enumerate(rows if isinstance(rows, list) else ()):
        name = row.get(key) if isinstance(row, Mapping) else None
        found[name if isinstance(name, str) else f"#{index + 1}"] = row
    return found


def features(shape: Shape, body: Body, skip: frozenset[str]) -> Iterator[object]:
    """What an item is made of, piece by piece, for telling how alike two items are."""
    body = shape.prepare(body)
    for key, raw in body.items():
        if key in skip or key in DESCRIPTIVE:
            continue
        kind = shape.fields.get(key, _OTHER)
        value = _read(kind, raw)
        for row in value if isinstance(value, list) else [value]:
            if kind.by is not None and isinstance(row, Mapping):
                yield (key, str(row.get(kind.by)))
            yield (key, frozen(row))
