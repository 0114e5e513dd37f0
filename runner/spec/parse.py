"""Tree → typed items. Lenient: an item with an error is put aside with its first problem, all others stay usable.

Checks what running needs to know; what is merely odd is found by the schema. Pure.
"""

from collections.abc import Iterator
from typing import TypeVar, cast

from runner.job import Scalar, Value
from runner.spec.duration import parse_duration
from runner.spec.model import (
    Action,
    CommandItem,
    Condition,
    Edge,
    EnvironmentVariable,
    Input,
    KeepDirectories,
    Multiple,
    Node,
    NodeType,
    OnError,
    Override,
    Parameter,
    ParameterType,
    Pipeline,
    PipelineParameter,
    Step,
)
from runner.spec.reader import Reader, named
from runner.spec.socket import parse_socket, parse_target
from runner.spec.tree import Place, Row, Table, shorten

IGNORED = (
    "mounts",
    "cache-volumes",
    "no-output-timeout",
    "resources",
    "stop-condition",
    "environment-variable-groups",
)
"""Fields of a step that somebody would expect to act, and that do not in this version."""


def parse_step(body: Table, reader: Reader) -> Step:
    """The step that a mapping describes; worth something only if the reader met no error."""
    noun = named(body.get("name"), "step")
    name = reader.text(body, "name", noun, required=True)
    return Step(
        name=name or "",
        location=reader.at(body.values_at.get("name", body.at)),
        image=reader.text(body, "image", noun, required=True) or "",
        command=_command(body, reader, noun, required=True),
        parameters=_unique(_parameter(table, reader, noun) for table in reader.tables(body, "parameters", noun)),
        inputs=_unique(_input(table, reader, noun) for table in reader.tables(body, "inputs", noun)),
        environment_variables=_unique(
            _variable(table, reader, noun) for table in reader.tables(body, "environment-variables", noun)
        ),
        time_limit=_time_limit(body, reader, noun),
        source_path=reader.text(body, "source-path", noun),
        description=_remark(body),
        ignored={key: reader.at(body.keys_at[key]) for key in IGNORED if body.get(key)},
        source=body,
    )


N = TypeVar("N", Parameter, Input, EnvironmentVariable)


def _unique(items: Iterator[N]) -> tuple[N, ...]:
    """Of several with one name the last counts, in the place of the first."""
    by_name: dict[str, N] = {}
    for item in items:
        by_name[item.name] = item
    return tuple(by_name.values())


def _remark(table: Table) -> str | None:
    value = table.get("description")
    return value if isinstance(value, str) else None


def _command(table: Table, reader: Reader, noun: str, required: bool = False) -> tuple[CommandItem, ...]:
    if required and table.get("command") is None:
        reader.error("missing-key", f"{noun} has no `command`", table.values_at.get("command", table.at))
    items = [CommandItem(text.strip(), reader.start_of_text(at)) for text, at in reader.texts(table, "command", noun)]
    return tuple(item for item in items if item.text)


def _time_limit(body: Table, reader: Reader, noun: str) -> float | None:
    try:
        duration = parse_duration(body.get("time-limit"))
    except ValueError as error:
        reader.error("bad-duration", f"the `time-limit` of {noun}: {error}", body.values_at["time-limit"])
        return None
    if duration and duration.surprise:
        reader.warn("odd-duration", f"the `time-limit` of {noun}: {duration.surprise}", body.values_at["time-limit"])
    return duration.seconds if duration else None


def _parameter(table: Table, reader: Reader, owner: str) -> Parameter:
    noun = f"{named(table.get('name'), 'parameter')} of {owner}"
    name = reader.text(table, "name", noun, required=True) or ""
    type_ = reader.word(table, "type", noun, ParameterType, ParameterType.STRING)
    multiple = reader.word(table, "multiple", noun, Multiple, Multiple.NONE)
    if type_ is ParameterType.FLAG and multiple is not Multiple.NONE:
        reader.error("wrong-value", f"{noun} is a flag, which cannot be `multiple`", table.values_at["multiple"])
    default = _value(table, "default", reader, noun)
    if multiple is not Multiple.NONE and not isinstance(default, list):
        default = [] if default is None else [default]
    return Parameter(
        name=name,
        location=reader.at(table.values_at.get("name", table.at)),
        type=type_,
        default=default,
        optional=reader.flag(table, "optional", noun, False),
        description=_remark(table),
        minimum=_bound(table, "min", reader, noun),
        maximum=_bound(table, "max", reader, noun),
        choices=_choices(table, reader, noun),
        pass_as=reader.text(table, "pass-as", noun),
        pass_true_as=reader.text(table, "pass-true-as", noun),
        pass_false_as=reader.text(table, "pass-false-as", noun),
        multiple=multiple,
        separator=reader.text(table, "multiple-separator", noun) or ",",
    )


def _value(table: Table, key: str, reader: Reader, noun: str) -> Value | None:
    value = table.get(key)
    if isinstance(value, Row):
        if all(isinstance(item, str | int | float) for item in value):
            return cast("list[Scalar]", list(value))
    elif value is None or isinstance(value, str | int | float):
        return value
    reader.error("wrong-type", f"the `{key}` of {noun} is not text, a number, a boolean or a list of them",
                 table.values_at[key])  # fmt: skip
    return None


def _bound(table: Table, key: str, reader: Reader, noun: str) -> float | None:
    value = table.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        reader.error("wrong-type", f"the `{key}` of {noun} is not a number", table.values_at[key])
        return None
    return value


def _choices(table: Table, reader: Reader, noun: str) -> tuple[Scalar, ...]:
    value = table.get("choices")
    if value is None:
        return ()
    if not isinstance(value, Row) or not all(isinstance(item, str | int | float) for item in value):
        reader.error("wrong-type", f"the `choices` of {noun} are not a list of texts or numbers",
                     table.values_at["choices"])  # fmt: skip
        return ()
    return cast("tuple[Scalar, ...]", tuple(value))


MAX_INPUT_NAME = 64


def _input(table: Table, reader: Reader, owner: str) -> Input:
    noun = f"{named(table.get('name'), 'input')} of {owner}"
    name = reader.text(table, "name", noun, required=True) or ""
    if name:
        _check_component(name, table.values_at["name"], reader, noun)
    return Input(
        name=name,
        location=reader.at(table.values_at.get("name", table.at)),
        default=tuple(text for text, _ in reader.texts(table, "default", noun) if text),
        optional=reader.flag(table, "optional", noun, False),
        description=_remark(table),
        filename=reader.text(table, "filename", noun),
        keep_directories=_keep_directories(table, reader, noun),
    )


def _check_component(name: str, place: Place, reader: Reader, noun: str) -> None:
    """An input's name is the name of its folder: one component of a path."""
    if "/" in name or name in (".", "..") or not name.isprintable():
        reader.error("bad-input-name", f"the name of {noun} cannot be the name of a folder", place)
    elif len(name) > MAX_INPUT_NAME:
        reader.error("bad-input-name", f"the name of {noun} has more than {MAX_INPUT_NAME} characters", place)


def _keep_directories(table: Table, reader: Reader, noun: str) -> KeepDirectories:
    value = table.get("keep-directories")
    if isinstance(value, bool):
        return KeepDirectories.FULL if value else KeepDirectories.NONE
    return reader.word(table, "keep-directories", noun, KeepDirectories, KeepDirectories.NONE)


def _variable(table: Table, reader: Reader, owner: str) -> EnvironmentVariable:
    noun = f"{named(table.get('name'), 'environment variable')} of {owner}"
    name = reader.text(table, "name", noun, required=True) or ""
    if "=" in name:
        reader.error("wrong-value", f"the name of {noun} has a `=`", table.values_at["name"])
    default = table.get("default")
    return EnvironmentVariable(
        name=name,
        location=reader.at(table.values_at.get("name", table.at)),
        default=default if default == "" else reader.text(table, "default", noun),
        optional=reader.flag(table, "optional", noun, True),
    )


def parse_pipeline(body: Table, reader: Reader) -> Pipeline:
    """The pipeline that a mapping describes; worth something only if the reader met no error."""
    noun = named(body.get("name"), "pipeline")
    name = reader.text(body, "name", noun, required=True)
    return Pipeline(
        name=name or "",
        location=reader.at(body.values_at.get("name", body.at)),
        nodes=tuple(_node(table, reader) for table in reader.tables(body, "nodes", noun)),
        edges=_edges(body, reader, noun),
        parameters=tuple(_pipeline_parameter(table, reader) for table in reader.tables(body, "parameters", noun)),
    )


def _node(table: Table, reader: Reader) -> Node:
    noun = named(table.get("name"), "node")
    name = reader.text(table, "name", noun, required=True) or ""
    if "." in name:
        reader.error("wrong-value", f"{noun} has a dot in its name, so that no edge can name it",
                     table.values_at["name"])  # fmt: skip
    kind = reader.text(table, "type", noun, required=True)
    if kind is not None and kind not in ("execution", "task", "deployment"):
        reader.error("wrong-value", f"the `type` of {noun} is none of `execution`, `task`, `deployment`",
                     table.values_at["type"])  # fmt: skip
    step, task = reader.text(table, "step", noun), reader.text(table, "task", noun)
    if (kind == "execution" and not step) or (kind == "task" and not (step or task)):
        reader.error("missing-key", f"{noun} has no `step`", table.at)
    if kind == "task" and step and task:
        reader.error("wrong-value", f"{noun} has both `step` and `task`", table.keys_at["task"], "keep one of them")
    commit = table.get("commit")
    return Node(
        name=name,
        location=reader.at(table.values_at.get("name", table.at)),
        type=cast("NodeType", kind or "execution"),
        step=step,
        task=task,
        commit=str(commit) if isinstance(commit, str | int) and commit else None,
        override=_override(table, reader, noun),
        on_error=_on_error(table, reader, noun),
        append_edges=_append_edges(table, reader, noun),
        actions=tuple(_action(action, reader, noun) for action in reader.tables(table, "actions", noun)),
    )


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
    body = table.get("override")
    noun = f"the override of {owner}"
    if not isinstance(body, Table):
        if body is not None:
            reader.error("wrong-type", f"{noun} is not a mapping", table.values_at["override"])
        return None
    parameters: dict[str, Value | None] = {}
    for entry in reader.tables(body, "parameters", noun):
        name = reader.text(entry, "name", f"a parameter in {noun}", required=True)
        parameters[name or ""] = _value(entry, "default", reader, f"a parameter in {noun}")
    inputs: dict[str, tuple[str, ...]] = {}
    for entry in reader.tables(body, "inputs", noun):
        name = reader.text(entry, "name", f"an input in {noun}", required=True)
        uris = reader.texts(entry, "default", f"an input in {noun}")
        inputs[name or ""] = tuple(text for text, _ in uris if text)
    variables: dict[str, str | None] = {}
    for entry in reader.tables(body, "environment-variables", noun):
        name = reader.text(entry, "name", f"an environment variable in {noun}", required=True)
        variables[name or ""] = reader.text(entry, "default", f"an environment variable in {noun}")
    return Override(
        location=reader.at(table.keys_at["override"]),
        image=reader.text(body, "image", noun),
        command=_command(body, reader, noun),
        parameters=parameters,
        inputs=inputs,
        environment_variables=variables,
    )


def _action(table: Table, reader: Reader, owner: str) -> Action:
    noun = f"an action of {owner}"
    for key in ("when", "then"):
        if table.get(key) is None:
            reader.error("missing-key", f"{noun} has no `{key}`", table.at)
    return Action(
        when=tuple(text.lower() for text, _ in reader.texts(table, "when", noun)),
        conditions=tuple(Condition(text, reader.at(at)) for text, at in reader.texts(table, "if", noun)),
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
    found = [_edge(edge, place, reader) for edge, place in zip(rows, rows.items_at, strict=True)]
    return tuple(edge for edge in found if edge is not None)


def _edge(edge: object, place: Place, reader: Reader) -> Edge | None:
    if isinstance(edge, Row) and len(edge) == 2:
        ends = list(zip(edge, edge.items_at, strict=True))
    elif isinstance(edge, Table) and "source" in edge and "target" in edge:
        ends = [(edge[key], edge.values_at[key]) for key in ("source", "target")]
    else:
        reader.error("wrong-value", "an edge is `[source, target]`, or a mapping with `source` and `target`", place)
        return None
    sockets = []
    for end, at in ends:
        if not isinstance(end, str):
            reader.error("wrong-value", "the end of an edge is text of the form `node.type.key`", at)
            continue
        try:
            sockets.append(parse_socket(end))
        except ValueError as error:
            code = "bad-socket" if "form" in str(error) else "unknown-edge-type"
            reader.error(code, shorten(str(error), 120), at, "such as `train.output.model.pkl`")
    return Edge(sockets[0], sockets[1], reader.at(place)) if len(sockets) == 2 else None


def _pipeline_parameter(table: Table, reader: Reader) -> PipelineParameter:
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
        location=reader.at(table.values_at.get("name", table.at)),
        default=_value(table, "default", reader, noun),
        targets=tuple(targets),
        description=_remark(table),
    )
