"""Plain data that remembers where everything stands in its file. Pure."""

from collections.abc import Iterator, Sequence

Place = tuple[int, int]
"""Line and column, both from 1, in characters."""

Path = Sequence[str | int]


class Table(dict[str, object]):
    """A mapping that knows where it stands (`at`), and where its keys (`keys_at`) and values (`values_at`) do."""

    __slots__ = ("at", "keys_at", "values_at")

    def __init__(self, at: Place) -> None:
        super().__init__()
        self.at = at
        self.keys_at: dict[str, Place] = {}
        self.values_at: dict[str, Place] = {}

    def put(self, key: str, value: object, key_at: Place, value_at: Place) -> None:
        """Set a key with its places."""
        self[key] = value
        self.keys_at[key] = key_at
        self.values_at[key] = value_at

    def take(self, other: "Table", key: str) -> None:
        """Copy one key of another table, places too."""
        self.put(key, other[key], other.keys_at[key], other.values_at[key])

    def copy(self) -> "Table":
        """A shallow copy with the same places."""
        fresh = Table(self.at)
        for key in self:
            fresh.take(self, key)
        return fresh


class Row(list[object]):
    """A sequence that knows where it stands (`at`) and where each item does (`items_at`)."""

    __slots__ = ("at", "items_at")

    def __init__(self, at: Place) -> None:
        super().__init__()
        self.at = at
        self.items_at: list[Place] = []

    def put(self, value: object, at: Place) -> None:
        """Append an item with its place."""
        self.append(value)
        self.items_at.append(at)


def entries(value: object) -> Iterator[tuple[object, Place]]:
    """The items of a list with their places; nothing if the value is no list."""
    if isinstance(value, Row):
        yield from zip(value, value.items_at, strict=True)


def tables(value: object) -> list[Table]:
    """The mappings of a list; none if the value is no list."""
    return [item for item in value if isinstance(item, Table)] if isinstance(value, Row) else []


def locate(tree: object, path: Path, key: bool = False) -> Place:
    """Where the value at `path` stands, or with `key` its key; for a path that does not exist its nearest parent."""
    place = tree.at if isinstance(tree, Table | Row) else (1, 1)
    for position, part in enumerate(path):
        last = position == len(path) - 1
        if isinstance(tree, Table) and isinstance(part, str) and part in tree:
            place = tree.keys_at[part] if key and last else tree.values_at[part]
            tree = tree[part]
        elif isinstance(tree, Row) and isinstance(part, int) and 0 <= part < len(tree):
            place = tree.items_at[part]
            tree = tree[part]
        else:
            break
    return place


def alike(one: object, other: object) -> bool:
    """Equality of plain data that keeps 1, 1.0 and true apart; places do not count."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return type(one) is type(other) and one == other


def shorten(text: str, limit: int = 60) -> str:
    """Text for a message: no longer than `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def shown(value: object) -> str:
    """A scalar for a message, as a file has it: `true`, not `True`."""
    return str(value).lower() if isinstance(value, bool) else shorten(str(value))
