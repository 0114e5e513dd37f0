"""The graph of a run: its plan as the record has it, with what became of each node. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from runner.drawing.model import Drawing, DrawnEdge, DrawnNode
from runner.drawing.svg import render, style_of
from runner.report.element import Markup, drawn, join
from runner.report.wording import folded, note, scrolling
from runner.sign import RETRYING, word_of
from runner.spec.model import SocketType
from runner.spec.phrase import counted, counted_of
from runner.spec.socket import parse_socket
from runner.state import State
from runner.store.record import NodeRecord, Run, begun, trials

MOST = 120
"""Nodes of which each has its own box; of more, those of one step at one depth share one."""
_MOST_EDGES = 1_500
_GRAVEST = (State.FAILED, State.INTERRUPTED, State.STOPPED, State.AWAITING_APPROVAL, RETRYING, State.RUNNING,
            State.STARTING, State.STOPPING, State.QUEUED, State.READY, State.WAITING, State.SUCCEEDED, State.REUSED,
            State.SKIPPED)  # fmt: skip
"""Which word stands for several nodes: the first of these that one of them has."""


def drawing_of(run: Run) -> Drawing | None:
    """The plan of the run, in groups if it is large; None where even these are too many to be of use."""
    planned = run.plan["nodes"]
    drawing = _each(run, planned) if len(planned) <= MOST else _grouped(run, planned)
    return drawing if len(drawing.nodes) <= MOST and len(drawing.edges) <= _MOST_EDGES else None


def picture_of(drawing: Drawing | None, run: Run) -> Markup | None:
    """The picture, and what it stands for in words; nothing for a single step."""
    nodes = run.plan["nodes"]
    if len(nodes) < 2:
        return None
    if drawing is None:
        return note(f"{counted(len(nodes), 'node')} are too many for a picture: the table has what each waits for.")
    grouped = len(nodes) > len(drawing.nodes)
    said = note(f"Nodes of one step at the same depth share a box: {len(nodes):,} nodes.") if grouped else None
    return join(said, scrolling(drawn(render(drawing)), "graph of the run"), _in_words(drawing))


def sheet_of(drawing: Drawing | None) -> str | None:
    """The style sheet inside the picture, which the page has to allow."""
    return style_of(drawing) if drawing and len(drawing.nodes) > 1 else None


def _in_words(drawing: Drawing) -> Markup:
    following: dict[int, list[str]] = defaultdict(list)
    for edge in drawing.edges:
        if drawing.nodes[edge.target].name not in following[edge.source]:
            following[edge.source].append(drawing.nodes[edge.target].name)
    lines = [
        f"{node.name} ({node.state})" + (f" → {', '.join(following[place])}" if following[place] else "")
        for place, node in enumerate(drawing.nodes)
    ]
    return folded("The graph in words", *(join("", note(line)) for line in lines))


def _each(run: Run, planned: Sequence[Mapping[str, Any]]) -> Drawing:
    places = {node["name"]: place for place, node in enumerate(planned)}
    nodes = tuple(_node(run, told) for told in planned)
    return Drawing(run.name, nodes, tuple(_edges(planned, places)), "Run of")


def _node(run: Run, told: Mapping[str, Any]) -> DrawnNode:
    record = run.nodes[told["name"]]
    children = trials(run, record.name)
    fan_out = None
    facts: tuple[str, ...] = ()
    if record.kind == "task":
        fan_out = counted_of(begun(record, children), record.size, "trial")
        facts = (_states(children),) if children else ()
    deployed = record.kind == "deployment"
    image = None if deployed else told.get("image")
    return DrawnNode(record.name, record.kind, record.step, image, fan_out, facts=facts, state=word_of(record))


def _states(records: Iterable[NodeRecord]) -> str:
    return ", ".join(f"{count:,} {word}" for word, count in Counter(map(word_of, records)).most_common())


def _edges(planned: Sequence[Mapping[str, Any]], places: Mapping[str, int]) -> Iterator[DrawnEdge]:
    """Those of the record; where it has none, as old ones, the order alone."""
    for node in planned:
        target = places[node["name"]]
        for source_text, target_text in node.get("edges", ()):
            source, end = parse_socket(source_text), parse_socket(target_text)
            if source.node in places:
                yield DrawnEdge(places[source.node], target, source.type, source.key, end.type, end.key)
        if not node.get("edges"):
            yield from (_order(places[name], target) for name in node.get("upstream", ()) if name in places)


def _order(source: int, target: int) -> DrawnEdge:
    return DrawnEdge(source, target, SocketType.DEPENDENCY, "", SocketType.DEPENDENCY, "")


def _grouped(run: Run, planned: Sequence[Mapping[str, Any]]) -> Drawing:
    """A box for the nodes of one step at one depth; depths grow along every edge, so no cycle comes of it."""
    depths: dict[str, int] = {}
    members: dict[tuple[str, int], list[NodeRecord]] = defaultdict(list)
    images: dict[tuple[str, int], str | None] = {}
    group_of: dict[str, tuple[str, int]] = {}
    for told in planned:
        name = told["name"]
        depths[name] = 1 + max((depths.get(above, 0) for above in told.get("upstream", ())), default=-1)
        key = (run.nodes[name].step, depths[name])
        members[key].append(run.nodes[name])
        images[key] = told.get("image")
        group_of[name] = key
    places = {key: place for place, key in enumerate(members)}
    nodes = tuple(_group(step, members[step, depth], images[step, depth]) for step, depth in members)
    pairs = dict.fromkeys(
        (places[group_of[above]], places[group_of[told["name"]]])
        for told in planned
        for above in told.get("upstream", ())
        if above in group_of
    )
    return Drawing(run.name, nodes, tuple(_order(*pair) for pair in pairs), "Run of")


def _group(step: str, records: Sequence[NodeRecord], image: str | None) -> DrawnNode:
    if len(records) == 1:
        return DrawnNode(records[0].name, records[0].kind, step, image, state=word_of(records[0]))
    found = set(map(word_of, records))
    gravest = next((word for word in _GRAVEST if word in found), None)
    name = f"{step} × {len(records):,}"
    return DrawnNode(name, "group", None, image, facts=(_states(records),), state=gravest)
