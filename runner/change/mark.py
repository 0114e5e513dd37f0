"""The marks of a pipeline's two graphs: what is added, removed, changed, and what comes below it. Pure."""

from collections.abc import Mapping, Sequence

from runner.change.model import Fate, ItemChange, Verdict
from runner.change.verdict import Judge
from runner.drawing.graph import draw
from runner.drawing.model import Drawing, Mark
from runner.spec.model import Edge, Pipeline

Ends = tuple[str, str]


def draw_pipeline(
    judge: Judge,
    before: Pipeline | None,
    after: Pipeline | None,
    verdicts: Sequence[Verdict],
    change: ItemChange | None,
) -> tuple[Drawing | None, Drawing | None]:
    """The graphs of a pipeline on both sides; None where nothing is marked or where there is no such pipeline.

    Where nodes are only affected by what comes before them, both would look the same: only the later one is drawn.
    """
    nodes = judge.names.nodes.get(after.name, {}) if after else {}
    called = {old: new for new, old in nodes.items()}
    own = {
        part.name for detail in (change.details if change else ()) for part in detail.path[:1] if part.noun == "node"
    }
    own |= {verdict.name for verdict in verdicts if verdict.own}
    earlier = later = None
    if after is not None:
        marks = _head_marks(after, nodes, own, verdicts)
        edges = _lone_edges(after, {}, before, called, Mark.ADDED)
        later = draw(judge.head.project, after, marks, edges) if marks or edges else None
    if before is not None:
        marks = {
            node.name: Mark.REMOVED if node.name not in called else Mark.CHANGED
            for node in before.nodes
            if node.name not in called or called[node.name] in own
        }
        edges = _lone_edges(before, called, after, {}, Mark.REMOVED)
        if marks or edges or after is None or _is_itself_marked(later):
            earlier = draw(judge.base.project, before, marks, edges)
    return earlier, later


def _is_itself_marked(drawing: Drawing | None) -> bool:
    if drawing is None:
        return False
    marks = {node.mark for node in drawing.nodes} | {edge.mark for edge in drawing.edges}
    return not marks.isdisjoint({Mark.ADDED, Mark.CHANGED})


def _head_marks(
    pipeline: Pipeline, was: Mapping[str, str], own: set[str | None], verdicts: Sequence[Verdict]
) -> dict[str, Mark]:
    affected = {verdict.name for verdict in verdicts if verdict.fate is Fate.DEPENDS}
    marks = {}
    for node in pipeline.nodes:
        if node.name not in was:
            marks[node.name] = Mark.ADDED
        elif node.name in own:
            marks[node.name] = Mark.CHANGED
        elif node.name in affected:
            marks[node.name] = Mark.AFFECTED
    return marks


def _lone_edges(
    pipeline: Pipeline, called: Mapping[str, str], other: Pipeline | None, otherwise: Mapping[str, str], mark: Mark
) -> dict[Ends, Mark]:
    """The edges of one side that the other lacks; `called` and `otherwise` give the nodes of each their head names."""
    known = {_ends(edge, otherwise) for edge in (other.edges if other else ())}
    return {(str(edge.source), str(edge.target)): mark for edge in pipeline.edges if _ends(edge, called) not in known}


def _ends(edge: Edge, called: Mapping[str, str]) -> Ends:
    """Both ends of an edge, with nodes under the names of the head side."""
    source, target = edge.source, edge.target
    return (
        f"{called.get(source.node, source.node)}.{source.type}.{source.key}",
        f"{called.get(target.node, target.node)}.{target.type}.{target.key}",
    )
