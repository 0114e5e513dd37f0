"""What a query of the index found, read and checked. Pure; raises Misunderstood where the file must be damaged."""

import json
from collections.abc import Sequence
from typing import Any

from runner.store.column import seal_of
from runner.store.database import Misunderstood
from runner.store.lease import owner_from
from runner.store.record import Owner
from runner.store.row import PARTS, Row

Maker = tuple[str, str]
"""The ids of an execution and of its run."""


def unsealed(found: list[Any]) -> list[Row]:
    """Whole rows, each checked against its seal."""
    for text, seal in found:
        if not isinstance(text, str) or seal_of(text) != seal:
            raise Misunderstood("a row fails its check")
    rows: list[Row] = json.loads(f"[{','.join(text for text, _ in found)}]")
    return rows


def in_parts(found: list[Any], names: Sequence[str]) -> list[Row]:
    """Rows that hold these parts only, and `id`."""
    keys = (*names, "id")
    kinds = [PARTS.get(name, object) for name in keys]
    rows: list[Row] = []
    try:
        for values in json.loads(f"[{','.join(text for (text,) in found)}]"):
            row = values if isinstance(values, dict) else dict(zip(keys, values, strict=True))
            rows.append({name: row[name] for name in keys})
            if not all(map(isinstance, rows[-1].values(), kinds)):
                raise ValueError("a part is of another kind")
    except (ValueError, TypeError, KeyError) as error:
        raise Misunderstood(f"a row cannot be read: {error}") from error
    return rows


def owners(found: list[Any]) -> dict[str, Owner]:
    """The owners of runs, by the ids of these."""
    try:
        return {str(id): owner_from(json.loads(owner)) for id, owner in found}
    except (ValueError, TypeError, KeyError) as error:
        raise Misunderstood(f"an owner cannot be read: {error}") from error


def as_makers(found: list[Any]) -> list[Maker]:
    """Pairs of ids."""
    if not all(isinstance(word, str) for pair in found for word in pair):
        raise Misunderstood("an id is no text")
    return found
