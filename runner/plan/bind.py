"""From a planned node and what its upstreams left to a job. Pure.

Two steps, because fetching lies between them: `resolve` says what the node's values are and which sources are still to
be fetched, `make_job` puts the fetched files in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from runner.errors import ExitCode, MlrunError
from runner.job import InputFile, Job, JobInput, Network, Value
from runner.plan.address import wildcard_root
from runner.plan.limit import Grant, allowance
from runner.plan.model import PlannedNode, Source
from runner.spec.command import build_script, interpolate_uri
from runner.spec.model import Edge, Input, KeepDirectories, ParameterType, SocketType, Step
from runner.spec.value import coerce


@dataclass(frozen=True, slots=True)
class Left:
    """What a finished node left for those downstream: effective values, files, last metadata value per key."""

    parameters: Mapping[str, Value] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[JobInput, ...] = ()
    outputs: tuple[InputFile, ...] = ()
    metrics: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resolved:
    """A node with its values known: `sources` are to be fetched, `carried` files came over edges."""

    parameters: Mapping[str, Value]
    environment: Mapping[str, str]
    sources: Mapping[str, tuple[Source, ...]]
    carried: Mapping[str, tuple[InputFile, ...]]
    notices: tuple[str, ...] = ()


def resolve(node: PlannedNode, upstream: Mapping[str, Left]) -> Resolved:
    """The node's values and files as its upstreams give them. Raises MlrunError (code INPUT) for an empty edge."""
    parameters = dict(node.parameters)
    environment = dict(node.environment)
    carried = {name: list(files) for name, files in node.files.items()}
    notices: list[str] = []
    for edge in node.edges:
        left = upstream[edge.source.node]
        match edge.target.type:
            case SocketType.PARAMETER:
                _carry_value(node, edge, left, parameters)
            case SocketType.INPUT:
                files, notice = _carried_files(node, edge, left)
                carried.setdefault(edge.target.key, []).extend(files)
                notices += [notice] if notice else []
            case SocketType.ENVIRONMENT_VARIABLE if edge.source.key in left.environment:
                if edge.target.key not in node.secrets:
                    environment[edge.target.key] = left.environment[edge.source.key]
    sources = {
        name: tuple(
            Source(interpolate_uri(source.uri, node.step, parameters), source.folder, source.trusted)
            for source in sources
        )
        for name, sources in node.inputs.items()
        if node.append_edges or name not in carried
    }
    kept = {name: tuple(files) for name, files in carried.items()}
    return Resolved(parameters, environment, sources, kept, tuple(notices))


def _carry_value(node: PlannedNode, edge: Edge, left: Left, parameters: dict[str, Value]) -> None:
    source, target = edge.source, edge.target
    if source.type is SocketType.METADATA:
        if source.key not in left.metrics:
            seen = ", ".join(f"`{key}`" for key in sorted(left.metrics)) or "none"
            raise MlrunError(
                f"node `{source.node}` printed no metadata `{source.key}` for `{target}`",
                code=ExitCode.INPUT,
                location=edge.location,
                hint=f"its metadata: {seen}",
            )
        raw = left.metrics[source.key]
    else:
        if source.key not in left.parameters:
            parameters.pop(target.key, None)
            return
        raw = left.parameters[source.key]
    parameter = node.step.parameter(target.key)
    if parameter is None:
        return
    try:
        parameters[target.key] = coerce(parameter, raw, f"edge `{source}` → `{target}`")
    except MlrunError as error:
        raise MlrunError(error.message, code=ExitCode.INPUT, location=edge.location, hint=error.hint) from None


def _carried_files(node: PlannedNode, edge: Edge, left: Left) -> tuple[tuple[InputFile, ...], str | None]:
    source, target = edge.source, edge.target
    files = left.outputs
    if source.type is SocketType.INPUT:
        by_name = {item.name: item.files for item in left.inputs}
        names = match_names(source.key, tuple(by_name))[0]
        files = tuple(file for name in names for file in by_name[name])
        if not names:
            raise _nothing_matches(edge, tuple(by_name))
        return files, None
    names, fallback = match_names(source.key, tuple(file.name for file in files))
    declared = node.step.input(target.key)
    if not names:
        if declared is not None and (declared.optional or (node.append_edges and node.inputs.get(target.key))):
            return (), f"no output of `{source.node}` matches `{source.key}`; `{target}` stays without it"
        raise _nothing_matches(edge, tuple(file.name for file in files))
    chosen = set(names)
    placed = place_files(declared, tuple(file for file in files if file.name in chosen), source.key)
    return placed, f"`{source}` is taken as `{fallback}`" if fallback else None


def _nothing_matches(edge: Edge, names: tuple[str, ...]) -> MlrunError:
    shown = ", ".join(f"`{name}`" for name in names[:8]) or "nothing"
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return MlrunError(
        f"`{edge.source}` matches no file for `{edge.target}`",
        code=ExitCode.INPUT,
        location=edge.location,
        hint=f"`{edge.source.node}` left {shown}{more}",
    )


def match_names(pattern: str, names: tuple[str, ...]) -> tuple[tuple[str, ...], str | None]:
    """The names that an edge key means, and the pattern that was tried in its stead if the key matches nothing.

    An exact name wins over a pattern; `*` crosses `/`; a pattern without `/` also matches base names. A key without
    wildcards that names no file is taken as a prefix, then as a folder.
    """
    exact = tuple(name for name in names if name == pattern)
    if exact:
        return exact, None
    matched = _glob(pattern, names)
    if matched or any(sign in pattern for sign in "*?["):
        return matched, None
    for fallback in (f"{pattern}*", f"{pattern}/*"):
        matched = _glob(fallback, names)
        if matched:
            return matched, fallback
    return (), None


def _glob(pattern: str, names: tuple[str, ...]) -> tuple[str, ...]:
    base_too = "/" not in pattern
    return tuple(
        name
        for name in names
        if fnmatchcase(name, pattern) or (base_too and fnmatchcase(name.rpartition("/")[2], pattern))
    )


def place_files(declared: Input | None, files: tuple[InputFile, ...], pattern: str) -> tuple[InputFile, ...]:
    """The files under the names that the step sees, following the input's `keep-directories`.

    `none` puts every file directly into the input's folder, `full` keeps whole paths, `suffix` what follows the
    literal folders before the first wildcard of `pattern`.
    """
    if declared is None:
        return files
    match declared.keep_directories:
        case KeepDirectories.FULL:
            return files
        case KeepDirectories.SUFFIX:
            root = wildcard_root(pattern)
            return tuple(_renamed(file, file.name.removeprefix(root)) for file in files)
        case _:
            return tuple(_renamed(file, file.name.rpartition("/")[2]) for file in files)


def rename_single(declared: Input, files: tuple[InputFile, ...]) -> tuple[InputFile, ...]:
    """All files of an input, under its `filename` if there is only one, wherever it came from."""
    if declared.filename and len(files) == 1:
        return (_renamed(files[0], declared.filename),)
    return files


def _renamed(file: InputFile, name: str) -> InputFile:
    return replace(file, name=name)


NOTHING_GRANTED = Grant()


def make_job(
    node: PlannedNode,
    resolved: Resolved,
    fetched: Mapping[str, tuple[InputFile, ...]],
    *,
    snapshot: str,
    network: Network,
    grant: Grant = NOTHING_GRANTED,
) -> Job:
    """The bound job but for what says who it is: its id is empty, and so are the documents and variables that tell of
    it. `grant` is what the user lets this node have of the machine.

    Raises MlrunError when a value cannot be put safely into the command, or a required input ended up empty.
    """
    inputs = []
    for declared in node.step.inputs:
        files = (*fetched.get(declared.name, ()), *resolved.carried.get(declared.name, ()))
        if not files and not declared.optional:
            raise MlrunError(
                f"input `{declared.name}` got no files",
                code=ExitCode.INPUT,
                location=declared.location,
                hint="an input that may be empty says `optional: true`",
            )
        inputs.append(JobInput(declared.name, rename_single(declared, files)))
    parameters = _with_flags(node.step, resolved.parameters)
    return Job(
        id="",
        step=node.step.name,
        image=node.step.image,
        script=build_script(node.step, resolved.parameters, stop_at_failure=not node.keep_going),
        snapshot=snapshot,
        parameters=parameters,
        inputs=tuple(inputs),
        environment=resolved.environment,
        secrets=node.secrets,
        documents={"parameters": parameters},
        network=network,
        time_limit=node.step.time_limit,
        no_output_timeout=node.step.no_output_timeout,
        stop_condition=node.step.stop_condition.text if node.step.stop_condition else None,
        allowance=allowance(node.step, resolved.environment, grant),
        mounts=grant.mounts,
    )


def _with_flags(step: Step, values: Mapping[str, Value]) -> dict[str, Value]:
    """The values with every flag that nobody has set as false, as the run-time contract of `parameters.json` wants.

    The command is built without these: to it a flag that was never set is not one that was set to false.
    """
    unset = [item.name for item in step.parameters if item.type is ParameterType.FLAG and item.name not in values]
    return {**values, **dict.fromkeys(unset, False)}
