"""The options of steps and pipelines, which exist only once the YAML file is read. Pure.

Our own options stand before STEP; after it the step's come first, and ours are understood where the step has no such
name. `--param NAME=VALUE` and `--input NAME=URI` always work. A name is accepted as written in the file, with dashes
and with underscores.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from runner.errors import did_you_mean, usage_error
from runner.plan.model import Given
from runner.spec.model import Node, ParameterType, Pipeline, Project, Step, Task

Kind = Literal["parameter", "input", "pipeline parameter"]


@dataclass(frozen=True, slots=True)
class Target:
    """What an option sets: a parameter or an input of a node, or a parameter of the pipeline (then `node` is empty)."""

    kind: Kind
    node: str
    name: str
    flag: bool = False

    def __str__(self) -> str:
        return f"{self.kind} `{self.node}.{self.name}`" if self.node else f"{self.kind} `{self.name}`"


@dataclass(slots=True)
class Table:
    """Every spelling of every option of a step or a pipeline, without the leading dashes."""

    subject: str
    targets: dict[str, list[Target]] = field(default_factory=dict)
    exact: dict[str, list[Target]] = field(default_factory=dict)

    def add(self, target: Target, prefix: str = "") -> None:
        """Make `target` known under all its spellings, `prefix` before each."""
        self.exact.setdefault(prefix + target.name, []).append(target)
        for spelling in _spellings(target.name):
            self.targets.setdefault(prefix + spelling, []).append(target)

    def find(self, option: str) -> Target | None:
        """The target of an option; an exact name wins over other spellings. Raises MlrunError when it has two."""
        found = self.exact.get(option) or self.targets.get(option) or []
        if len(found) > 1:
            both = " and ".join(str(target) for target in found)
            raise usage_error(
                f"`--{option}` could mean {both}",
                hint=f"write `--param {found[0].name}=VALUE` or `--input {found[0].name}=URI`",
            )
        return found[0] if found else None

    def names(self) -> list[str]:
        """The options as they are best written."""
        return [f"--{name}" for name in self.exact]


def _spellings(name: str) -> set[str]:
    """The name, with dashes, with underscores, and as `vh` would write it (runs of other characters become a dash)."""
    plain = re.sub(r"[^A-Za-z0-9-]+", "-", name).strip("-")
    return {name, name.replace("_", "-"), name.replace("-", "_"), plain, plain.lower()} - {""}


def step_table(step: Step) -> Table:
    """The options of `mlrun exec STEP`."""
    table = Table(f"step `{step.name}`")
    _add_step(table, step, step.name, "")
    return table


def task_table(project: Project, task: Task) -> Table:
    """The options of `mlrun task NAME`: those of its step."""
    table = Table(f"task `{task.name}`")
    if (step := project.steps.get(task.step)) is not None:
        _add_step(table, step, task.name, "")
    return table


def pipeline_table(project: Project, pipeline: Pipeline) -> Table:
    """The options of `mlrun pipeline NAME`: its own parameters, and `NODE.NAME` for those of its nodes' steps."""
    table = Table(f"pipeline `{pipeline.name}`")
    for parameter in pipeline.parameters:
        flags = [
            declared.type is ParameterType.FLAG
            for node, name in parameter.targets
            if (target := pipeline.node(node))
            and (step := step_of(project, target))
            and (declared := step.parameter(name))
        ]
        table.add(Target("pipeline parameter", "", parameter.name, flag=bool(flags) and all(flags)))
    for node in pipeline.nodes:
        step = step_of(project, node)
        if step is not None:
            _add_step(table, step, node.name, f"{node.name}.")
    return table


def step_of(project: Project, node: Node) -> Step | None:
    """The step that a node runs, itself or by its task, as far as the file can tell."""
    task = project.tasks.get(node.task) if node.task else None
    return project.steps.get((task.step if task else node.step) or "")


def _add_step(table: Table, step: Step, node: str, prefix: str) -> None:
    for parameter in step.parameters:
        table.add(Target("parameter", node, parameter.name, flag=parameter.type is ParameterType.FLAG), prefix)
    for input in step.inputs:
        table.add(Target("input", node, input.name), prefix)


@dataclass(frozen=True, slots=True)
class OwnOption:
    """One of our own options: the name of its setting, and whether it takes a value."""

    setting: str
    takes_value: bool


@dataclass(slots=True)
class Parsed:
    """What stood after STEP or NAME: settings of ours as (setting, text or None), values of theirs in order."""

    own: list[tuple[str, str | None]] = field(default_factory=list)
    values: list[tuple[Target, str | bool]] = field(default_factory=list)
    help: bool = False

    def given(self) -> dict[str, Given]:
        """The values for nodes; a repeated option is a list."""
        return {
            node: Given(
                {target.name: _one_or_list(values) for target, values in self._grouped("parameter", node)},
                {target.name: tuple(map(str, values)) for target, values in self._grouped("input", node)},
            )
            for node in dict.fromkeys(target.node for target, _ in self.values if target.node)
        }

    def pipeline_values(self) -> dict[str, object]:
        """The values for the pipeline's own parameters."""
        return {target.name: _one_or_list(values) for target, values in self._grouped("pipeline parameter", "")}

    def _grouped(self, kind: Kind, node: str) -> Iterator[tuple[Target, list[str | bool]]]:
        groups: dict[Target, list[str | bool]] = {}
        for target, value in self.values:
            if target.kind == kind and target.node == node:
                groups.setdefault(target, []).append(value)
        return iter(groups.items())


def _one_or_list(values: Sequence[str | bool]) -> object:
    return values[0] if len(values) == 1 else list(values)


def parse(tokens: Iterable[str], table: Table, own: Mapping[str, OwnOption]) -> Parsed:
    """Read the command line after STEP or NAME. `own` maps our options with their dashes. Raises MlrunError (USAGE)."""
    parsed = Parsed()
    rest, before = iter(tokens), ""
    for token in rest:
        name, equals, value = token.partition("=")
        text = value if equals else None
        theirs = table.find(name[2:]) if name.startswith("--") and len(name) > 2 else None
        if theirs is not None:
            parsed.values.append((theirs, _value(theirs, name, text, rest)))
        elif name in {"--param", "--input"}:
            parsed.values.append(_named(name, _next(name, text, rest), table))
        elif name in {"--help", "-h"}:
            parsed.help = True
        elif name in own:
            parsed.own.append((own[name].setting, _next(name, text, rest) if own[name].takes_value else text))
        elif (negated := _negated(name, table)) is not None and text is None:
            parsed.values.append((negated, False))
        elif name.startswith("-") and len(name) > 1:
            hint = did_you_mean(name, [*table.names(), *own, "--param", "--input"])
            raise usage_error(f"{table.subject} has no option `{name}`", hint)
        else:
            raise usage_error(f"{table.subject} takes no argument `{token}`", _hint_for_argument(token, before, table))
        before = token
    return parsed


def _hint_for_argument(token: str, before: str, table: Table) -> str:
    """What was probably meant by a word that no option takes: the value of a flag, which stands behind a `=`."""
    flag = table.find(before[2:]) if before.startswith("--") and "=" not in before else None
    if flag is not None and flag.flag:
        return f"a flag takes its value behind a `=`: `{before}={token}`"
    return f"options look like `{[*table.names(), '--title'][0]} VALUE`"


def _value(target: Target, name: str, text: str | None, rest: Iterator[str]) -> str | bool:
    if target.flag and text is None:
        return True
    return _next(name, text, rest)


def _next(name: str, text: str | None, rest: Iterator[str]) -> str:
    value = text if text is not None else next(rest, None)
    if value is None:
        raise usage_error(f"option `{name}` needs a value", hint=f"write `{name} VALUE` or `{name}=VALUE`")
    return value


def _named(option: str, text: str, table: Table) -> tuple[Target, str]:
    """`--param NAME=VALUE` or `--input NAME=URI`, for which no clash exists."""
    name, equals, value = text.partition("=")
    if not equals:
        raise usage_error(f"`{option} {text}` has no `=`", hint=f"write `{option} NAME=VALUE`")
    wanted = "input" if option == "--input" else "parameter"
    known = {**table.targets, **table.exact}
    for target in table.exact.get(name, []) + table.targets.get(name, []):
        if target.kind.endswith(wanted):
            return target, value
    names = [spelling for spelling, found in known.items() if any(target.kind.endswith(wanted) for target in found)]
    hint = did_you_mean(name, names) or "`--help` after its name lists its options"
    raise usage_error(f"{table.subject} has no {wanted} `{name}`", hint)


def _negated(name: str, table: Table) -> Target | None:
    """The flag that `--no-FLAG` or `--NODE.no-FLAG` turns off."""
    option = name.removeprefix("--")
    head, dot, tail = option.rpartition(".")
    if not name.startswith("--") or not tail.startswith("no-"):
        return None
    target = table.find(head + dot + tail.removeprefix("no-"))
    return target if target is not None and target.flag else None
