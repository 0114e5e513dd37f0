"""Edges in words, and all edges between the same two nodes as one line. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from runner.drawing.model import Drawing, DrawnEdge, DrawnNode, Mark
from runner.escape import printable
from runner.sign import sign_of
from runner.spec.model import SocketType

SIGNS = {Mark.ADDED: "+", Mark.REMOVED: "−", Mark.CHANGED: "~", Mark.AFFECTED: "»"}
"""How a mark is shown without colour, beside its word."""


class Kind(StrEnum):
    """What an edge brings: files, a value (parameter, metadata, variable), or only an order."""

    FILES = "files"
    VALUES = "values"
    ORDER = "order"


KIND_WORDS = {Kind.FILES: "files", Kind.VALUES: "parameters, metadata", Kind.ORDER: "order only"}
"""The legend of the kinds."""

_FILES = (SocketType.OUTPUT, SocketType.INPUT, SocketType.FILE)


@dataclass(frozen=True, slots=True)
class Bundle:
    """All edges from one node to another. `kind` is the weightiest of theirs, files before values before order;
    `mark` the one that all share, `CHANGED` if only some of them are marked, or differently."""

    source: int
    target: int
    edges: tuple[DrawnEdge, ...]
    kind: Kind
    mark: Mark | None


def kind_of(edge: DrawnEdge) -> Kind:
    """The kind of an edge, by what its source gives."""
    if edge.source_type is SocketType.DEPENDENCY:
        return Kind.ORDER
    return Kind.FILES if edge.source_type in _FILES else Kind.VALUES


def bundles(drawing: Drawing) -> list[Bundle]:
    """The edges of a drawing by pairs of nodes, in the order of the first of each."""
    found: dict[tuple[int, int], list[DrawnEdge]] = {}
    for edge in drawing.edges:
        found.setdefault((edge.source, edge.target), []).append(edge)
    return [Bundle(*pair, tuple(edges), _weightiest(edges), _shared(edges)) for pair, edges in found.items()]


def _weightiest(edges: Sequence[DrawnEdge]) -> Kind:
    kinds = [kind_of(edge) for edge in edges]
    return min(kinds, key=list(Kind).index)


def _shared(edges: Sequence[DrawnEdge]) -> Mark | None:
    marks = {edge.mark for edge in edges}
    return marks.pop() if len(marks) == 1 else Mark.CHANGED


def short_text(edge: DrawnEdge) -> str:
    """An edge's label: `*.pkl → model`; the kind only where it is neither an output nor a parameter; one key where both
    are the same; nothing for a mere order."""
    if kind_of(edge) is Kind.ORDER:
        return ""
    source, target = printable(edge.source_key), printable(edge.target_key)
    plain = edge.source_type in (SocketType.OUTPUT, SocketType.PARAMETER)
    word = "" if plain else f"{edge.source_type} "
    return f"{word}{source}" if source == target else f"{word}{source} → {target}"


def full_text(edge: DrawnEdge) -> str:
    """An edge with the types of both ends: `output *.pkl → input model`."""
    if kind_of(edge) is Kind.ORDER:
        return "dependency"
    source, target = printable(edge.source_key), printable(edge.target_key)
    return f"{edge.source_type} {source} → {edge.target_type} {target}"


def node_lines(node: DrawnNode) -> list[tuple[str, str]]:
    """What a box says of a node below its name, by role: the `step` that it runs, unless that is its name, the `fan` of
    a task, the `image`. As the file has it, for whoever draws it to escape."""
    lines = []
    if node.step and (node.step != node.name or node.type == "deployment"):
        lines.append(("step", f"{'deploys' if node.type == 'deployment' else 'step'} {node.step}"))
    if node.type == "task":
        lines.append(("fan", node.fan_out or "task"))
    if node.image:
        lines.append(("image", node.image))
    return [*lines, *(("step", fact) for fact in node.facts)]


def badge_of(node: DrawnNode) -> str:
    """The sign and the word of its mark, or else of its state; empty without either."""
    if node.mark:
        return f"{SIGNS[node.mark]} {node.mark}"
    return f"{sign_of(node.state)} {node.state}" if node.state else ""


def node_words(node: DrawnNode) -> str:
    """All of a node in one line: `train: task, step train, 9 × lr, image busybox (changed)`."""
    step = node.step and f"{'deployment' if node.type == 'deployment' else 'step'} {node.step}"
    kind = node.type if node.type == "task" or (node.type == "deployment" and not node.step) else None
    parts = [node.state, kind, step, node.fan_out, node.image and f"image {node.image}", *node.facts]
    words = ", ".join(printable(part) for part in parts if part)
    mark = f" ({node.mark})" if node.mark else ""
    return f"{printable(node.name)}: {words}{mark}" if words else f"{printable(node.name)}{mark}"
