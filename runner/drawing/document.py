"""A drawing as JSON, for other programs. The shape is described in `docs/graph.md` and only grows. Pure."""

import json
from collections.abc import Mapping

from runner.drawing.model import Drawing, DrawnEdge, DrawnNode


def render(drawing: Drawing) -> str:
    """One pipeline as a JSON document, two blanks of indent, ASCII only."""
    return json.dumps(to_json(drawing), indent=2)


def to_json(drawing: Drawing) -> Mapping[str, object]:
    """One pipeline as JSON values. An edge names its nodes by their places in the list, for names may occur twice."""
    return {
        "pipeline": drawing.pipeline,
        "nodes": [_node(node) for node in drawing.nodes],
        "edges": [_edge(drawing, edge) for edge in drawing.edges],
    }


def _node(node: DrawnNode) -> Mapping[str, object]:
    return {
        "name": node.name,
        "type": node.type,
        "step": node.step,
        "image": node.image,
        "fan_out": node.fan_out,
        "mark": node.mark and str(node.mark),
    }


def _edge(drawing: Drawing, edge: DrawnEdge) -> Mapping[str, object]:
    ends = {
        "source": (edge.source, edge.source_type, edge.source_key),
        "target": (edge.target, edge.target_type, edge.target_key),
    }
    described = {
        end: {"node": node, "name": drawing.nodes[node].name, "type": str(kind), "key": key}
        for end, (node, kind, key) in ends.items()
    }
    return {**described, "mark": edge.mark and str(edge.mark)}
