"""The shapes of items: which keys hold lists of named things, what a missing key means, which keys only describe. Pure.

A key that is not listed is compared as it stands, so that a key nobody thought of is still reported.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from runner.spec.duration import parse_duration
from runner.spec.socket import parse_target, split_socket

Body = Mapping[str, object]
"""A mapping of the normalised tree."""

DESCRIPTIVE = frozenset({"description", "icon", "category", "outputs", "widget"})
"""Keys that describe: a person or another tool reads them, no run does. (The `outputs` of a step only announce.)"""


@dataclass(frozen=True, slots=True)
class Field:
    """How the value of a key is compared.

    `noun` is what one of it is called. With `shape` it is a mapping, or with `by` a list of mappings told apart by that
    key; with `listed` a list of values. Where the order of a list does not count, it may still count within the groups
    that `group` tells, with what an item is called there. `read` brings a value into one form, `absent` is what
    a missing key means.
    """

    noun: str
    shape: "Shape | None" = None
    group: Callable[[object], tuple[str, str] | None] | None = None
    by: str | None = None
    listed: bool = False
    ordered: bool = True
    hidden: bool = False
    read: Callable[[object], object] = lambda value: value
    absent: object = None


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of an object by key; `prepare` brings the whole object into one form first."""

    fields: Mapping[str, Field] = field(default_factory=dict)
    prepare: Callable[[Body], Body] = lambda body: body


def _texts(value: object) -> object:
    """One text or a list of them, without nulls and empty ones."""
    rows = value if isinstance(value, list) else [value]
    return [row.strip() if isinstance(row, str) else row for row in rows if row is not None and row != ""]


def lines(value: object) -> object:
    """The lines of a command list: the items are joined to one script, so where one ends makes no difference."""
    found = _texts(value)
    rows = found if isinstance(found, list) else [found]
    return [line for row in rows for line in str(row).split("\n")]


def _sorted_texts(value: object) -> object:
    found = _texts(value)
    return sorted(found, key=str) if isinstance(found, list) else found


def _keep_directories(value: object) -> object:
    return {True: "full", False: "none"}[value] if isinstance(value, bool) else value


def _seconds(value: object) -> object:
    try:
        duration = parse_duration(value)
    except ValueError:
        return value
    return f"{duration.seconds:g} s" if duration else None


def _word(mark: str) -> Callable[[object], object]:
    """A word that Valohai reads in any case, with dashes or underscores."""

    def read(value: object) -> object:
        return value.lower().replace("-", mark).replace("_", mark) if isinstance(value, str) else value

    return read


def _number(value: object) -> object:
    """A bound: 1 and 1.0 are the same."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _parameter(body: Body) -> Body:
    default = body.get("default")
    if body.get("multiple", "none") not in (None, "none") and not isinstance(default, list):
        return {**body, "default": [] if default is None else [default]}
    return body


def _mount(body: Body) -> Body:
    return {key: value for key, value in body.items() if value is not None}


def _mounts(value: object) -> object:
    """Mounts in their long form."""
    if not isinstance(value, list):
        return value
    rows = []
    for row in value:
        if isinstance(row, str) and ":" in row:
            source, _, destination = row.partition(":")
            rows.append({"source": source, "destination": destination})
        else:
            rows.append(row)
    return rows


def _pipeline_parameter(body: Body) -> Body:
    targets = []
    for key in ("target", "targets"):
        found = _texts(body.get(key))
        for text in found if isinstance(found, list) else ():
            try:
                node, name = parse_target(text)
                targets.append(f"{node}.parameter.{name}")
            except (ValueError, AttributeError):
                targets.append(text)
    rest = {key: value for key, value in body.items() if key not in ("target", "targets")}
    return {**rest, "targets": targets}


def _action(value: object) -> object:
    """Actions as lines, the words in lower case."""
    rows = value if isinstance(value, list) else [value]
    return [_action_line(row) if isinstance(row, Mapping) else row for row in rows if row is not None]


def _action_line(body: Body) -> str:
    parts = []
    for key in ("when", "if", "then"):
        found = _texts(body.get(key))
        words = [str(text) if key == "if" else str(text).lower() for text in (found if isinstance(found, list) else ())]
        if words:
            parts.append(f"{key} {', '.join(words)}")
    parts += [f"{key}: {value}" for key, value in body.items() if key not in ("when", "if", "then")]
    return "; ".join(parts)


def _edges(value: object) -> object:
    """Edges as lines `source → target`."""
    return [edge_line(row) for row in value] if isinstance(value, list) else value


def _edge_group(line: object) -> tuple[str, str] | None:
    """Among what the order of edges counts, those into one input or parameter; and what an edge brings there."""
    source, _, rest = line.partition(" → ") if isinstance(line, str) else ("", "", "")
    target = rest.partition(" (")[0]
    parts = split_socket(target)
    return (target, source) if parts and parts[1] != "dependency" else None


def edge_line(edge: object) -> object:
    """An edge in one line; what else it says stands behind it."""
    if isinstance(edge, list) and len(edge) == 2:
        return f"{edge[0]} → {edge[1]}"
    if isinstance(edge, Mapping) and "source" in edge and "target" in edge:
        more = "".join(f" ({key}: {value})" for key, value in edge.items() if key not in ("source", "target") and value)
        return f"{edge['source']} → {edge['target']}{more}"
    return edge


_RESOURCES = Field("resources")
_FLAG = Field("", absent=False)
_COMMAND = Field("command", listed=True, read=lines, absent=[])
_MOUNT = Shape({"readonly": _FLAG}, _mount)
_MOUNTS = Field("mount", _MOUNT, by="destination", ordered=False, read=_mounts, absent=[])

PARAMETER = Shape(
    {
        "type": Field("", absent="string"),
        "optional": _FLAG,
        "min": Field("", read=_number),
        "max": Field("", read=_number),
        "choices": Field("choice", listed=True, absent=[]),
        "multiple": Field("", absent="none"),
        "multiple-separator": Field("", read=lambda value: value or ",", absent=","),
    },
    _parameter,
)
_URIS = Field("default", listed=True, read=_texts, absent=[])
INPUT = Shape(
    {
        "default": _URIS,
        "optional": _FLAG,
        "keep-directories": Field("", read=_keep_directories, absent="none"),
        "download": Field("", absent="always"),
    }
)
VARIABLE = Shape({"default": Field("", hidden=True), "optional": Field("", absent=True)})

_VARIABLES = Field("environment variable", VARIABLE, by="name", ordered=False, absent=[])
STEP = Shape(
    {
        "image": Field("image"),
        "command": _COMMAND,
        "parameters": Field("parameter", PARAMETER, by="name", absent=[]),
        "inputs": Field("input", INPUT, by="name", ordered=False, absent=[]),
        "environment-variables": _VARIABLES,
        "environment-variable-groups": Field("environment variable group", listed=True, absent=[]),
        "mounts": _MOUNTS,
        "cache-volumes": Field("cache volume", listed=True, absent=[]),
        "resources": _RESOURCES,
        "time-limit": Field("time-limit", read=_seconds),
        "no-output-timeout": Field("no-output-timeout", read=_seconds),
    }
)
OVERRIDE = Shape(
    {
        "image": Field("image"),
        "command": _COMMAND,
        "parameters": Field("parameter", Shape(), by="name", ordered=False, absent=[]),
        "inputs": Field("input", Shape({"default": _URIS}), by="name", ordered=False, absent=[]),
        "environment-variables": _VARIABLES,
        "mounts": _MOUNTS,
    }
)
NODE = Shape(
    {
        "type": Field("type"),
        "step": Field("step"),
        "task": Field("task"),
        "override": Field("override", OVERRIDE),
        "on-error": Field("on-error", absent="stop-all"),
        "edge-merge-mode": Field("edge-merge-mode", absent="replace"),
        "actions": Field("action", listed=True, read=_action, absent=[]),
        "endpoints": Field("endpoint", listed=True, read=_texts, absent=[]),
        "aliases": Field("alias", listed=True, read=_texts, absent=[]),
    }
)
PIPELINE = Shape(
    {
        "parameters": Field(
            "pipeline parameter",
            Shape({"targets": Field("target", listed=True, ordered=False, absent=[])}, _pipeline_parameter),
            by="name",
            ordered=False,
            absent=[],
        ),
        "nodes": Field("node", NODE, by="name", ordered=False, absent=[]),
        "edges": Field("edge", listed=True, ordered=False, group=_edge_group, read=_edges, absent=[]),
        "reuse-executions": _FLAG,
    }
)
TASK = Shape(
    {
        "type": Field("", read=_word("_"), absent="grid_search"),
        "parameters": Field("varied parameter", Shape(), by="name", absent=[]),
        "parameter-sets": Field("parameter set", listed=True, absent=[]),
        "engine": Field("", absent="optuna"),
        "on-child-error": Field("", read=_word("-")),
        "reuse-children": _FLAG,
    }
)
ENDPOINT = Shape(
    {
        "image": Field("image"),
        "server-command": Field("server command", listed=True, read=lines, absent=[]),
        "port": Field("", absent=8000),
        "files": Field("file", Shape(), by="name", ordered=False, absent=[]),
        "resources": _RESOURCES,
        "tolerations": Field("toleration", listed=True, absent=[]),
        "shared-volumes": Field(
            "shared volume", Shape({"read-only": _FLAG}), by="mount-path", ordered=False, absent=[]
        ),
    }
)
POLICY = Shape(
    {
        "reuse": Field("", read=lambda value: value if value in (0, "never") else _seconds(value)),
        "priority": Field("", absent=0),
        "code": Field("pattern of code", listed=True, read=_sorted_texts, absent=[]),
        "prune": Field(
            "rule for pruning",
            Shape(
                {
                    "goal": Field("", absent="maximize"),
                    "rule": Field("", absent="median"),
                    "warmup": Field("", absent=1),
                    "startup": Field("", absent=4),
                    "reduction": Field("", absent=3),
                }
            ),
        ),
    }
)

SHAPES: Mapping[str, Shape] = {
    "step": STEP,
    "pipeline": PIPELINE,
    "task": TASK,
    "endpoint": ENDPOINT,
    "deployment": Shape(),
    "policy": POLICY,
}
"""The shapes of the kinds of items; an item of any other kind has no special fields."""

SORTS = tuple(SHAPES)
"""The order in which items are told."""


def name_of(sort: str, body: Body) -> str | None:
    """What an item is called: a policy by its step, all others by their name."""
    name = body.get("step" if sort == "policy" else "name")
    return name if isinstance(name, str) else None
