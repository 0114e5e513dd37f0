"""A lineage as JSON, for other programs. The shape is described in `docs/lineage.md` and only grows. Pure."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from runner.lineage.model import Activity, Graph

FORMAT = 1


def to_json(graph: Graph) -> dict[str, Any]:
    """Nodes by their kinds, each once, and the edges between them."""
    subject = graph.subject
    activities = sorted(graph.activities.values(), key=lambda one: one.id)
    parameters = {one.parameters_id: dict(one.parameters) for one in activities}
    return {
        "format": FORMAT,
        "subject": {
            "kind": subject.kind,
            "name": subject.shown,
            "data": [{"name": name, "digest": digest} for name, digest in subject.data],
            "executions": [id for id, _ in subject.executions],
            "meant": sorted(subject.meant),
        },
        "data": [
            {
                "digest": data.digest,
                "size": data.size,
                "presence": str(data.presence),
                "note": data.note or None,
                "names": list(data.names),
            }
            for data in graph.data.values()
        ],
        "executions": [_execution(graph, one) for one in activities],
        "code": [asdict(code) for code in graph.codes().values()],
        "parameters": [{"id": id, "values": values} for id, values in parameters.items()],
        "used": [edge for one in activities for edge in _used(graph, one)],
        "generated": [
            {"execution": one.id, "data": left.digest, "name": left.name, "datum": one.datum(left)}
            for one in activities
            for left in one.outputs
        ],
        "gone": sorted(graph.gone),
        "more": {
            "makers": {digest: count for digest, count in graph.more_makers.items() if count},
            "users": {digest: count for digest, count in graph.more_users.items() if count},
            "heirs": [
                {"execution": id, "name": name, "count": count} for (id, name), count in graph.more_heirs.items()
            ],
            "executions": len(graph.not_followed),
        },
    }


def _execution(graph: Graph, one: Activity) -> dict[str, Any]:
    return {
        "id": one.id,
        "counter": one.counter,
        "run": one.run,
        "run_counter": one.run_counter,
        "project": one.project,
        "step": one.step,
        "node": one.node,
        "state": str(one.state),
        "created": one.created,
        "finished": one.finished,
        "duration": one.duration,
        "executor": one.executor,
        "image": one.image,
        "identity": one.identity,
        "metrics": dict(one.metrics),
        "meant": one.id in graph.subject.meant,
        "followed": {"up": one.id in graph.uses, "down": one.id in graph.informed},
        "reused_by": [{"run": reuse.run, "counter": reuse.counter, "project": reuse.project} for reuse in one.reuses],
        "more_reuses": one.more_reuses,
    }


def _used(graph: Graph, one: Activity) -> Iterator[dict[str, Any]]:
    """What an execution used, whoever made it; the maker of a file is told where it was asked for."""
    read = None if one.read is None else list(one.read)
    yield {"execution": one.id, "kind": "code", "code": one.code.snapshot, "read": read}
    yield {"execution": one.id, "kind": "parameters", "parameters": one.parameters_id}
    uses = graph.uses.get(one.id)
    for place, got in enumerate(one.inputs):
        edge: dict[str, Any] = {
            "execution": one.id,
            "kind": "data",
            "data": got.digest,
            "input": got.input,
            "name": got.name,
            "origin": got.origin,
        }
        if uses is not None:
            edge |= {"maker": uses[place].maker, "exact": uses[place].exact, "others": uses[place].others}
        yield edge
    for value in one.values:
        yield {
            "execution": one.id,
            "kind": "value",
            "maker": value.maker[0],
            "key": value.key,
            "parameter": value.parameter,
        }
