"""Facts: what the result of a node depends on, which keys count for it, and how single values are read. Pure.

Lenient: a value that its parameter cannot have counts as it is written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.change.shape import DESCRIPTIVE, Body
from runner.errors import MlrunError
from runner.spec.model import Multiple, Parameter, ParameterType
from runner.spec.socket import split_socket
from runner.spec.value import coerce

NO_EFFECT = DESCRIPTIVE | {
    "name",
    "time-limit",
    "no-output-timeout",
    "resources",
    "environment",
    "runtime-config-preset",
    "cache-volumes",
    "autorestart",
    "upload-store",
}
"""Keys of a step that do not change what it makes: they say where, how long or how patiently it runs."""

TYPED = frozenset({"image", "command", "parameters", "inputs", "environment-variables", "source-path", "mounts"})
"""Keys of a step that are compared one by one."""
TASK_NO_EFFECT = DESCRIPTIVE | {"name", "step", "on-child-error", "maximum-queued-executions", "reuse-children"}
"""Keys of a task that do not change what it makes; `step` is one, as what the step says counts and not its name."""
NODE_READ = DESCRIPTIVE | {
    "name",
    "type",
    "step",
    "task",
    "commit",
    "override",
    "edge-merge-mode",
    "deployment",
    "endpoints",
    "aliases",
    "on-error",
    "actions",
}
"""Keys of a node that have no effect, or that count by what they lead to."""
PLACE_NO_EFFECT = DESCRIPTIVE | {"name"}
ENDPOINT_NO_EFFECT = DESCRIPTIVE | {"name", "resources"}

Socket = tuple[str, str, str]
"""An end of an edge: node, type and key."""

Label = tuple[str, str | None]
"""What a fact is about: our noun and the file's name for it."""


@dataclass(slots=True)
class Facts:
    """What the result of a node depends on. `values` are comparable; `order` are the parameters in the order in which
    the command passes them; `reads` are the nodes whose outputs or metadata it takes, by what takes them; `texts` are
    the texts that may name files of the repository, `sources` the defaults of inputs; `missing` are nodes that are not
    there and from which edges lead to it."""

    values: dict[Label, object] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    reads: dict[str, None] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    commit: str | None = None
    missing: dict[str, None] = field(default_factory=dict)


Found = tuple[object, tuple[str, ...]]
"""A value as far as the file can tell it, and the nodes whose work it comes from."""

UNKNOWN = ("unknown",)
"""A value that depends on itself."""


def mappings(rows: object) -> list[Body]:
    """The rows of a list that are mappings; none of anything else."""
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def socket_of(end: object) -> Socket:
    """An end of an edge as node, type and key."""
    parts = split_socket(end) if isinstance(end, str) else None
    return parts or (str(end), "", "")


def coerced(parameter: Parameter, raw: object) -> object:
    """A value as its parameter takes it, or as it is written if the parameter cannot have it."""
    if raw is None:
        return None
    try:
        return coerce(parameter, raw, "")
    except MlrunError:
        return raw


def passing(parameter: Parameter, value: object) -> object:
    """How a value is put into the command."""
    if parameter.type is ParameterType.FLAG:
        if parameter.pass_true_as or parameter.pass_false_as:
            return (parameter.pass_true_as, parameter.pass_false_as, value is None)
        return parameter.pass_as or "--{name}"
    separator = parameter.separator if parameter.multiple is Multiple.SEPARATE else None
    return (parameter.pass_as or "--{name}={value}", str(parameter.multiple), separator)


def joint(parameter: Parameter, value: object) -> str | None:
    """What stands between the values where bare values are put, however they are passed; None for a single one."""
    return parameter.separator if isinstance(value, list | tuple) else None
