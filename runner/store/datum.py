"""A datum: one file that an execution left, with a name that never changes its meaning. Pure."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.digest import Digest, hash_json

SCHEME = "datum://"
"""Begins the address of a datum."""

_DATUM = uuid.UUID("c4b52d3c-55a5-5f07-9b5a-8d2b5f0a7a11")
"""The name space of datum ids: an output has the same id wherever it is looked at."""


@dataclass(frozen=True, slots=True)
class Datum:
    """`name` is the output's path below its outputs folder, `execution` the id of what made it, `metadata` the
    properties it was given, JSON values; `size` in bytes. `version` is the number in the name of a file that was
    written again while the step ran (`model.pkl~2`), else 1."""

    id: str
    name: str
    digest: Digest
    size: int
    execution: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1

    @property
    def path(self) -> str:
        """Where the step wrote it: the same for all versions."""
        return path_of(self.name, self.version)


def path_of(name: str, version: int) -> str:
    """The path of an output without the number of its version."""
    return name.removesuffix(f"~{version}") if version > 1 else name


def newest(data: Iterable[Datum]) -> tuple[Datum, ...]:
    """Of the versions of a file that one execution left only the newest, in the order of the first."""
    found: dict[tuple[str, str], Datum] = {}
    for datum in data:
        known = found.get((datum.execution, datum.path))
        if known is None or known.version < datum.version:
            found[datum.execution, datum.path] = datum
    return tuple(found.values())


def datum_id(execution: str, name: str) -> str:
    """The id of an output: a name-based UUID (RFC 9562, version 5) over the digest of its execution and its name."""
    return str(uuid.uuid5(_DATUM, hash_json([execution, name])))
