"""What is drawn of a pipeline, or of a lineage: nodes, edges, and how each differs from another version of the file.
Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from runner.spec.model import NodeType, SocketType

BoxType = NodeType | Literal["file", "group"]
"""What a box stands for: a node of a pipeline, a file, or several executions at once."""


class Mark(StrEnum):
    """How a node or an edge differs from the other version of the file: it stands only in the one that is drawn
    (`ADDED` in the later, `REMOVED` in the earlier one), it was `CHANGED` itself, or it is only `AFFECTED` by what
    comes before it."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    AFFECTED = "affected"


@dataclass(frozen=True, slots=True)
class DrawnNode:
    """A box: `step` is what it runs (for a deployment node what it deploys), `fan_out` says in a few words what a task
    node varies, such as `9 × lr, depth`. `facts` are further lines; `state` says in a word what became of it in a run.
    """

    name: str
    type: BoxType
    step: str | None = None
    image: str | None = None
    fan_out: str | None = None
    mark: Mark | None = None
    facts: tuple[str, ...] = ()
    state: str | None = None


@dataclass(frozen=True, slots=True)
class DrawnEdge:
    """A line between two boxes, named by their places in `Drawing.nodes`; `source_key` of the one goes to `target_key`
    of the other."""

    source: int
    target: int
    source_type: SocketType
    source_key: str
    target_type: SocketType
    target_key: str
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class Drawing:
    """The graph of a pipeline, in the order of the file, or of something else that `subject` names. It may be broken:
    cycles, and edges of a node to itself, are drawn too; an edge to a node that does not exist is left out."""

    pipeline: str
    nodes: tuple[DrawnNode, ...]
    edges: tuple[DrawnEdge, ...]
    subject: str = "Pipeline"


Marks = Mapping[str, Mark]
"""The marks of nodes by name."""

EdgeMarks = Mapping[tuple[str, str], Mark]
"""The marks of edges by the texts of their two ends."""
