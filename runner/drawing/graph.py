"""From a pipeline to what is drawn of it. Pure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import get_args

from runner.drawing.fan_out import FanOut
from runner.drawing.model import Drawing, DrawnEdge, DrawnNode, EdgeMarks, Mark, Marks
from runner.spec.model import Edge, Node, NodeType, Pipeline, Project

_NO_NODES: Marks = MappingProxyType({})
_NO_EDGES: EdgeMarks = MappingProxyType({})


def draw(project: Project, pipeline: Pipeline, nodes: Marks = _NO_NODES, edges: EdgeMarks = _NO_EDGES) -> Drawing:
    """The drawing of a pipeline, its nodes and edges in the order of the file, marked by name and by the texts of
    their ends. An edge to a node that does not exist is left out; of several nodes with one name the first has the
    edges."""
    places: dict[str, int] = {}
    for index, node in enumerate(pipeline.nodes):
        places.setdefault(node.name, index)
    fan_out = FanOut(project, pipeline)
    drawn = [_draw_edge(edge, places, edges) for edge in pipeline.edges]
    return Drawing(
        pipeline=pipeline.name,
        nodes=tuple(_draw_node(project, fan_out, node, nodes.get(node.name)) for node in pipeline.nodes),
        edges=tuple(edge for edge in drawn if edge is not None),
    )


def _draw_node(project: Project, fan_out: FanOut, node: Node, mark: Mark | None) -> DrawnNode:
    type_ = node.type if node.type in get_args(NodeType) else "execution"
    if type_ == "deployment":
        return DrawnNode(node.name, type_, step=node.deployment, mark=mark)
    task = project.tasks.get(node.task) if node.task else None
    name = node.step or (task.step if task else node.task)
    # What another commit says is not in this file.
    step = None if node.commit else project.steps.get(name or "")
    image = (node.override.image if node.override else None) or (step.image if step else None)
    return DrawnNode(node.name, type_, name, image or None, fan_out.of(node), mark)


def _draw_edge(edge: Edge, places: Mapping[str, int], marks: EdgeMarks) -> DrawnEdge | None:
    source, target = places.get(edge.source.node), places.get(edge.target.node)
    if source is None or target is None:
        return None
    ends = edge.source.type, edge.source.key, edge.target.type, edge.target.key
    return DrawnEdge(source, target, *ends, mark=marks.get((str(edge.source), str(edge.target))))
