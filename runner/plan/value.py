"""The values of a node, of all that is said about it: the later the stronger, the step's default, the node's override,
the pipeline's parameter, the command line. What an edge will bring is not known yet. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.errors import Location, MlrunError, spec_error, usage_error
from runner.job import Value
from runner.plan.model import Arguments, Given, Source
from runner.plan.variation import forget, varied, vary
from runner.spec.model import Edge, Multiple, Override, Parameter, SocketType, Step, Task
from runner.spec.value import coerce


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is said about a node besides its step. `prefix` stands before a name in the options of the command line:
    `NODE.` in a pipeline. `targeted` are values of pipeline parameters, each with its place or option. `task` is that
    of a task node."""

    prefix: str = ""
    override: Override | None = None
    targeted: Mapping[str, tuple[object, Location | str]] = field(default_factory=dict)
    given: Given = field(default_factory=Given)
    edges: tuple[Edge, ...] = ()
    append_edges: bool = False
    task: Task | None = None

    @property
    def carrying(self) -> tuple[Edge, ...]:
        """The edges that will bring something: all but those into what the command line gives."""
        return tuple(edge for edge in self.edges if not self._is_given(edge))

    def feeds(self, type: SocketType, key: str) -> bool:
        """Whether an edge will bring a value or files for `key`."""
        return any((edge.target.type, edge.target.key) == (type, key) for edge in self.carrying)

    def _is_given(self, edge: Edge) -> bool:
        """Whether the command line says what this edge would bring; several files may come together, values may not."""
        match edge.target.type:
            case SocketType.INPUT:
                return edge.target.key in self.given.inputs and not self.append_edges
            case SocketType.PARAMETER:
                return edge.target.key in self.given.parameters
            case _:
                return False


def choose_parameters(step: Step, wishes: Wishes) -> tuple[dict[str, Value], Task | None]:
    """The values that are known by now, and the node's task with what else its trials choose among. Raises MlrunError
    for a value that does not fit, or a required one that nothing gives."""
    values: dict[str, Value] = {}
    task = wishes.task
    for parameter in step.parameters:
        name = parameter.name
        raw, origin, place, strong = _raw(parameter, wishes)
        if task is not None and name in varied(task) and not strong:
            continue
        if raw is None:
            if not (parameter.may_be_unset or wishes.feeds(SocketType.PARAMETER, name)):
                raise usage_error(
                    f"parameter `{name}` of step `{step.name}` has no value",
                    hint=f"give one with `--{wishes.prefix}{name} VALUE`",
                )
        elif task is not None and isinstance(raw, list) and (strong or parameter.multiple is Multiple.NONE):
            if not raw:
                raise _refused(origin, f"an empty list for `{name}`, so that no trial would run", None)
            task = vary(task, name, [_value(parameter, one, origin) for one in raw], place)
        else:
            values[name] = _value(parameter, raw, origin)
            task = forget(task, name) if task is not None else None
    return values, task


def _raw(parameter: Parameter, wishes: Wishes) -> tuple[object, Location | str, Location, bool]:
    """The strongest of what is said of a parameter: the raw value, the place in the file or the option that gives it,
    a place in the file in any case, and whether it is said of the node from outside, so that it beats its task, too."""
    name, override, place = parameter.name, wishes.override, parameter.location
    if name in wishes.given.parameters:
        return wishes.given.parameters[name], f"`--{wishes.prefix}{name}`", place, True
    if name in wishes.targeted:
        raw, origin = wishes.targeted[name]
        return raw, origin, place if isinstance(origin, str) else origin, True
    if override and name in override.parameters:
        return override.parameters[name], override.location, override.location, False
    return parameter.default, place, place, False


def _value(parameter: Parameter, raw: object, origin: Location | str) -> Value:
    """The typed value; `origin` is the place in the file that gives `raw`, or the option of the command line."""
    if isinstance(origin, str):
        return coerce(parameter, raw, origin)
    try:
        return coerce(parameter, raw, f"parameter `{parameter.name}`")
    except MlrunError as error:
        raise spec_error(error.message, origin, hint_about(parameter, raw, error.hint)) from None


def hint_about(parameter: Parameter, raw: object, hint: str | None) -> str | None:
    """`hint`, and what a list would need that a file or a node upstream gives to a parameter of one value."""
    if isinstance(raw, list) and parameter.multiple is Multiple.NONE:
        return f"{hint}; a list needs `multiple: repeat` or `separate`, or a node of `type: task`"
    return hint


def _refused(origin: Location | str, message: str, hint: str | None) -> MlrunError:
    if isinstance(origin, str):
        return usage_error(f"{origin}: {message}", hint)
    return spec_error(message, origin, hint)


def choose_inputs(step: Step, wishes: Wishes, folder: str, root: str) -> dict[str, tuple[Source, ...]]:
    """Where the files of each input come from; paths of the command line start at `folder`, those of the file at
    `root`. Raises MlrunError for a required input that nothing feeds."""
    sources: dict[str, tuple[Source, ...]] = {}
    overridden = wishes.override.inputs if wishes.override else {}
    for declared in step.inputs:
        if declared.name in wishes.given.inputs:
            found = tuple(Source(uri, folder, trusted=True) for uri in wishes.given.inputs[declared.name])
        elif wishes.given.files.get(declared.name):
            sources[declared.name] = ()
            continue
        else:
            uris = overridden.get(declared.name, declared.default)
            found = tuple(Source(uri, root) for uri in uris if uri)
        if not found and not declared.optional and not wishes.feeds(SocketType.INPUT, declared.name):
            raise usage_error(
                f"input `{declared.name}` of step `{step.name}` has no files",
                hint=f"give some with `--{wishes.prefix}{declared.name} PATH`",
            )
        sources[declared.name] = found
    return sources


def choose_secrets(step: Step, wishes: Wishes, arguments: Arguments) -> frozenset[str]:
    """Variables that get a secret: the user's word beats the file's, and what `--var` says may be read by all."""
    declared = {variable.name for variable in step.environment_variables}
    declared.update(wishes.override.environment_variables if wishes.override else ())
    return (arguments.secret | (arguments.granted & declared)) - arguments.environment.keys()


def choose_environment(
    step: Step, wishes: Wishes, given: Mapping[str, str], secrets: frozenset[str] = frozenset()
) -> dict[str, str]:
    """The variables but for those that are secrets. Raises MlrunError for a required one that nothing gives."""
    values: dict[str, str] = {}
    overridden = wishes.override.environment_variables if wishes.override else {}
    for variable in step.environment_variables:
        value = given.get(variable.name, overridden.get(variable.name, variable.default))
        if value is not None:
            values[variable.name] = value
        elif not (
            variable.optional
            or variable.name in secrets
            or wishes.feeds(SocketType.ENVIRONMENT_VARIABLE, variable.name)
        ):
            raise usage_error(
                f"environment variable `{variable.name}` of step `{step.name}` has no value",
                hint=f"give one with `--var {variable.name}=VALUE`, a secret with `mlrun secret set {variable.name}`",
            )
    values |= {key: value for key, value in overridden.items() if value is not None} | dict(given)
    return {key: value for key, value in values.items() if key not in secrets}
