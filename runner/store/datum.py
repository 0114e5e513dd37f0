"""A datum: one file that an execution left, with a name that never changes its meaning. Pure."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.digest import Digest, hash_json

_DATUM = uuid.UUID("c4b52d3c-55a5-5f07-9b5a-8d2b5f0a7a11")
"""The name space of datum ids: an output has the same id wherever it is looked at."""


@dataclass(frozen=True, slots=True)
class Datum:
    """`name` is the output's path below its outputs folder, `execution` the id of what made it, `metadata` the
    properties it was given, JSON values; `size` in bytes."""

    id: str
    name: str
    digest: Digest
    size: int
    execution: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


def datum_id(execution: str, name: str) -> str:
    """The id of an output: a name-based UUID (RFC 9562, version 5) over the digest of its execution and its name."""
    return str(uuid.uuid5(_DATUM, hash_json([execution, name])))
