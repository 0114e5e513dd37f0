"""Tree → typed pipelines: nodes, overrides, actions, edges and parameters. Pure."""

from collections.abc import Iterator
from typing import cast

from runner.errors import Location
from runner.job import Value
from runner.spec import field
from runner.spec.model import (
    Action,
    Edge,
    Node,
    NodeType,
    OnError,
    Override,
    Pipeline,
    PipelineParameter,
)
from runner.spec.phrase import EDGE, END
from runner.spec.reader import Reader, named
from runner.spec.socket import UnknownType, ends_of, meant_end, parse_socket, parse_target
from runner.spec.tree import Place, Row, Table, entries, shorten, tables

IGNORED_OVERRIDES = ("environment", "runtime-config-preset", "autorestart")
"""Fields of a node's override that somebody would expect to act, and that do not in this version."""

IGNORED_OF_EDGES = ("configuration",)
"""The same of an edge."""


def parse_pipeline(body: Table, reader: Reader) -> Pipeline:
    """The pipeline that a mapping describes; worth something only if the reader met no error."""
    noun = named(body.get("name"), "pipeline")
    reuse = reader.flag(body, "reuse-executions", noun, False)
    return Pipeline(
        name=reader.text(body, "name", noun, required=True) or "",
        location=field.place_of(body, reader),
        nodes=tuple(_node(table, reader) for table in reader.tables(body, "nodes", noun)),
        edges=_edges(body, reader, noun),
        parameters=tuple(_parameter(table, reader) for table in reader.tables(body, "parameters", noun)),
        reuse_executions=reuse if body.get("reuse-executions") is not None else None,
        ignored=tuple(_ignored(body, reader)),
    )


def _ignored(body: Table, reader: Reader) -> Iterator[tuple[str, Location]]:
    for node in tables(body.get("nodes")):
        if isinstance(override := node.get("override"), Table):
            yield from field.places(override, IGNORED_OVERRIDES, reader)
    for edge in tables(body.get("edges")):
        yield from field.places(edge, IGNORED_OF_EDGES, reader)


def _node(table: Table, reader: Reader) -> Node:
    noun = named(table.get("name"), "node")
    name = reader.text(table, "name", noun, required=True) or ""
    if "." in name:
        reader.error("wrong-value", f"{noun} has a dot in its name, so that no edge can name it",
                     table.values_at["name"])  # fmt: skip
    kind = _node_type(table, reader, noun)
    step, task = reader.text(table, "step", noun), reader.text(table, "task", noun)
    if (kind == "execution" and not step) or (kind == "task" and not (step or task)):
        reader.error("missing-key", f"{noun} has no `step`", table.at)
    if kind == "task" and step and task:
        reader.error("wrong-value", f"{noun} has both `step` and `task`", table.keys_at["task"], "keep one of them")
    return Node(
        name=name,
        location=field.place_of(table, reader),
        type=kind or "execution",
        step=step,
        task=task,
        commit=_commit(table),
        override=_override(table, reader, noun),
        on_error=_on_error(table, reader, noun),
        append_edges=_append_edges(table, reader, noun),
        actions=tuple(_action(action, reader, noun) for action in reader.tables(table, "actions", noun)),
        deployment=reader.text(table, "deployment", noun, required=kind == "deployment"),
        endpoints=field.texts(table, "endpoints", reader, noun),
        aliases=field.texts(table, "aliases", reader, noun),
    )


def _node_type(table: Table, reader: Reader, noun: str) -> NodeType | None:
    kind = reader.text(table, "type", noun, required=True)
    if kind is not None and kind not in ("execution", "task", "deployment"):
        reader.error("wrong-value", f"the `type` of {noun} is none of `execution`, `task`, `deployment`",
                     table.values_at["type"])  # fmt: skip
    return cast("NodeType | None", kind)


def _commit(table: Table) -> str | None:
    """A commit; YAML reads one of digits only as a number."""
    commit = table.get("commit")
    return str(commit) if isinstance(commit, str | int) and commit else None


def _on_error(table: Table, reader: Reader, noun: str) -> OnError:
    action = reader.word(table, "on-error", noun, OnError, OnError.STOP_ALL)
    if action is OnError.RETRY and table.get("type") == "deployment":
        reader.error("wrong-value", f"{noun} is a deployment, which is never retried", table.values_at["on-error"])
    return action


def _append_edges(table: Table, reader: Reader, noun: str) -> bool:
    mode = reader.text(table, "edge-merge-mode", noun)
    if mode not in (None, "replace", "append"):
        reader.error("wrong-value", f"the `edge-merge-mode` of {noun} is none of `replace`, `append`",
                     table.values_at["edge-merge-mode"])  # fmt: skip
    return mode == "append"


def _override(table: Table, reader: Reader, owner: str) -> Override | None:
    noun = f"the override of {owner}"
    body = table.get("override")
    if not isinstance(body, Table):
        if body is not None:
            reader.error("wrong-type", f"{noun} is not a mapping", table.values_at["override"])
        return None
    parameters: dict[str, Value | None] = {}
    for entry, said in _entries(body, "parameters", f"a parameter in {noun}", reader):
        parameters[said] = field.value(entry, "default", reader, f"a parameter in {noun}")
    inputs: dict[str, tuple[str, ...]] = {}
    for entry, said in _entries(body, "inputs", f"an input in {noun}", reader):
        inputs[said] = field.texts(entry, "default", reader, f"an input in {noun}")
    variables: dict[str, str | None] = {}
    for entry, said in _entries(body, "environment-variables", f"an environment variable in {noun}", reader):
        default = reader.text(entry, "default", f"an environment variable in {noun}")
        variables[said] = "" if entry.get("default") == "" else default
    return Override(
        location=reader.at(table.keys_at["override"]),
        image=reader.text(body, "image", noun),
        command=field.command(body, "command", reader, noun),
        parameters=parameters,
        inputs=inputs,
        environment_variables=variables,
        mounts=field.mounts(body, reader, noun),
    )


def _entries(body: Table, key: str, noun: str, reader: Reader) -> Iterator[tuple[Table, str]]:
    """The named mappings of a list in an override."""
    for entry in reader.tables(body, key, noun):
        yield entry, reader.text(entry, "name", noun, required=True) or ""


def _action(table: Table, reader: Reader, owner: str) -> Action:
    noun = f"an action of {owner}"
    for key in ("when", "then"):
        if table.get(key) is None:
            reader.error("missing-key", f"{noun} has no `{key}`", table.at)
    return Action(
        when=tuple(text.lower() for text, _ in reader.texts(table, "when", noun)),
        conditions=field.conditions(table, "if", reader, noun),
        then=tuple(text.lower() for text, _ in reader.texts(table, "then", noun)),
        location=reader.at(table.at),
    )


def _edges(body: Table, reader: Reader, noun: str) -> tuple[Edge, ...]:
    rows = body.get("edges")
    if rows is None:
        return ()
    if not isinstance(rows, Row):
        reader.error("wrong-type", f"the `edges` of {noun} are not a list", body.values_at["edges"])
        return ()
    found = [_edge(edge, place, reader) for edge, place in entries(rows)]
    return tuple(edge for edge in found if edge is not None)


_MOST_HINTS = 20
"""Looking for close names is the slow part of a message; nobody reads so many of one pipeline."""


def _edge(edge: object, place: Place, reader: Reader) -> Edge | None:
    ends = ends_of(edge)
    if len(ends) != 2:
        reader.error("wrong-value", EDGE, place)
        return None
    sockets = []
    for number, (end, at) in enumerate(ends):
        if not isinstance(end, str):
            reader.error("wrong-value", END, at)
            continue
        try:
            sockets.append(parse_socket(end))
        except ValueError as error:
            code = "unknown-edge-type" if isinstance(error, UnknownType) else "bad-socket"
            hint = meant_end(end) if len(reader.problems) < _MOST_HINTS else None
            hint = hint or f"such as `{('train.output.model.pkl', 'train.input.data')[number]}`"
            reader.error(code, shorten(str(error), 120), at, hint)
    return Edge(sockets[0], sockets[1], reader.at(place)) if len(sockets) == 2 else None


def _parameter(table: Table, reader: Reader) -> PipelineParameter:
    noun = named(table.get("name"), "pipeline parameter")
    name = reader.text(table, "name", noun, required=True) or ""
    if table.get("target") is not None and table.get("targets") is not None:
        reader.error("ambiguous-item", f"{noun} has both `target` and `targets`", table.keys_at["targets"])
    targets = []
    for key in ("target", "targets"):
        for text, place in reader.texts(table, key, noun):
            try:
                targets.append(parse_target(text))
            except ValueError as error:
                reader.error("bad-target", shorten(str(error), 120), place, "such as `train.parameter.epochs`")
    return PipelineParameter(
        name=name,
        location=field.place_of(table, reader),
        default=field.value(table, "default", reader, noun),
        targets=tuple(targets),
        description=field.remark(table),
    )
