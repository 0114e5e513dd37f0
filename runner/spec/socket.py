"""The ends of edges and the targets of pipeline parameters. Pure."""

from runner.errors import did_you_mean
from runner.spec.model import Socket, SocketType
from runner.spec.tree import Place, Table, entries, shorten

PLURALS = {f"{kind}s": str(kind) for kind in SocketType} | {
    "dependencies": "dependency",
    "metadatas": "metadata",
}
"""Spellings that older files use, and what they mean."""

_TYPES = {str(kind): kind for kind in SocketType}


class UnknownType(ValueError):
    """The end of an edge has the right form, and a type that does not exist."""


def ends_of(edge: object) -> list[tuple[object, Place]]:
    """The ends of an edge with their places, the source first; as many as there are, two if it is sound."""
    if isinstance(edge, Table):
        return [(edge[key], edge.values_at[key]) for key in ("source", "target") if key in edge]
    return list(entries(edge))


def split_socket(text: str) -> tuple[str, str, str] | None:
    """Node, type and key, split at the first two dots; None when there are fewer, or a part is empty."""
    parts = text.split(".", 2)
    if len(parts) != 3 or not all(parts):
        return None
    return parts[0], parts[1], parts[2]


def singular(text: str) -> str | None:
    """The socket with its type in the singular; None when nothing has to change."""
    parts = split_socket(text)
    if parts is None or parts[1] not in PLURALS:
        return None
    return f"{parts[0]}.{PLURALS[parts[1]]}.{parts[2]}"


def parse_socket(text: str) -> Socket:
    """The socket of an edge. Raises ValueError, of which UnknownType is one, with a message for people."""
    parts = split_socket(text)
    if parts is None:
        raise ValueError(f"`{text}` is not of the form `node.type.key`")
    node, kind, key = parts
    known = _TYPES.get(PLURALS.get(kind, kind))
    if known is None:
        raise UnknownType(f"`{kind}` is not a type of edge")
    return Socket(node, known, key)


def meant_end(text: str) -> str | None:
    """The hint for the end of an edge that cannot be understood, if it can be told what was meant."""
    parts = split_socket(text)
    if parts:
        return did_you_mean(parts[1], _TYPES)
    node, _, kind = text.rstrip(".").partition(".")
    kind = PLURALS.get(kind, kind)
    return f"say which {kind}: `{shorten(node)}.{kind}.NAME`" if node and kind in _TYPES else None


def parse_target(text: str) -> tuple[str, str]:
    """Node and parameter of a pipeline parameter's target: the middle word begins with `parameter`, in any number.

    Raises ValueError with a message for people.
    """
    parts = split_socket(text)
    if parts is None or not parts[1].startswith("parameter"):
        raise ValueError(f"`{text}` is not of the form `node.parameter.name`")
    return parts[0], parts[2]
