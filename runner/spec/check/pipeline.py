"""Whether the nodes, edges and parameters of a pipeline fit each other and their steps. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import get_args

from runner.errors import Problem, Severity
from runner.spec.check.edge import check_edges
from runner.spec.check.node import check_nodes
from runner.spec.check.reach import check_reach
from runner.spec.check.sheet import Findings, Sheet
from runner.spec.check.task import check_task
from runner.spec.check.value import check_value
from runner.spec.model import Node, NodeType, Pipeline, PipelineParameter, Project, SocketType, Step
from runner.spec.tree import Place, Row, Table, entries, shorten, tables


def pipeline_problems(
    project: Project, pipeline: Pipeline, strict: bool, others: Mapping[str, Project] | None = None
) -> list[Problem]:
    """What is wrong with a pipeline, sorted by place. `others` are the files of the commits at which nodes are, by the
    names that they give to these.

    With `strict`, for a run, whatever dangles is an error, and what is broken in a step or task that a node names is
    reported; required inputs and parameters that nothing feeds are left to the caller, who knows the command line.
    """
    return check_pipeline(Sheet(project, others or {}), pipeline, strict)


def check_pipeline(sheet: Sheet, pipeline: Pipeline, strict: bool) -> list[Problem]:
    """The same, for a file that is checked already."""
    findings = Findings(sheet, Severity.ERROR if strict else Severity.WARNING)
    check_nodes(findings, pipeline, strict)
    check_edges(findings, pipeline)
    _check_parameters(findings, pipeline)
    check_reach(findings, pipeline, {node.name for node in pipeline.nodes if _is_broken(sheet, node)})
    if strict:
        for commit, name in dict.fromkeys((node.commit, node.task) for node in pipeline.nodes if node.task):
            file = sheet.others.get(commit) if commit else sheet.project
            if file and (found := file.tasks.get(name)):
                own = findings if file is sheet.project else Findings(Sheet(file), findings.dangling)
                check_task(own, found)
                findings.problems += own.problems if own is not findings else []
    else:
        _check_fed(findings, pipeline)
    return sorted(findings.problems, key=lambda problem: (problem.location, problem.code))


def check_broken(sheet: Sheet, pipeline: Pipeline) -> list[Problem]:
    """What is wrong with a pipeline of which a part is not understood, apart from what that part could explain."""
    findings = Findings(sheet)
    check_nodes(findings, pipeline, False)
    rows = sheet.body("pipeline", pipeline.location).get("nodes")
    if isinstance(rows, Row) and len(rows) == len(pipeline.nodes) and all(node.name for node in pipeline.nodes):
        unclear = {node.name for node in pipeline.nodes if node.type not in get_args(NodeType)}
        clear = [edge for edge in pipeline.edges if not {edge.source.node, edge.target.node} & unclear]
        check_edges(findings, replace(pipeline, edges=tuple(clear)))
        _check_parameters(findings, pipeline)
    return findings.problems


def _is_broken(sheet: Sheet, node: Node) -> bool:
    """Whether a node can never end because there is nothing that it could run."""
    return node.commit is None and node.type != "deployment" and sheet.step_of(node) is None


def _check_fed(findings: Findings, pipeline: Pipeline) -> None:
    """Required inputs and parameters of nodes that neither the file nor an edge gives a value."""
    sheet = findings.sheet
    fed = {(edge.target.node, edge.target.type, edge.target.key) for edge in pipeline.edges}
    fed |= {(node, SocketType.PARAMETER, name) for item in pipeline.parameters for node, name in item.targets}
    needs: dict[str, tuple[tuple[SocketType, str], ...]] = {}
    for node in pipeline.nodes:
        step = sheet.step_of(node)
        if step is None:
            continue
        if node.override is None and step.name not in needs:
            needs[step.name] = tuple(_required(step, node))
        varied = _varied(sheet.project, node)
        for kind, name in needs[step.name] if node.override is None else _required(step, node):
            if (node.name, kind, name) not in fed and (kind is SocketType.INPUT or name not in varied):
                message = f"nothing feeds the {kind} `{shorten(name)}` of node `{shorten(node.name)}`"
                hint = f"give it a default, an edge, or `--{node.name}.{name}` on the command line"
                findings.warn(f"unfed-{kind}", message, node.location, hint)


def _varied(project: Project, node: Node) -> set[str]:
    """The parameters to which a node's task gives values."""
    task = project.tasks.get(node.task) if node.task else None
    if task is None:
        return set()
    return {variation.name for variation in task.variations} | {name for row in task.parameter_sets for name in row}


def _required(step: Step, node: Node) -> Iterator[tuple[SocketType, str]]:
    """The inputs and parameters that need a value, after the node's override."""
    inputs = node.override.inputs if node.override else {}
    parameters = node.override.parameters if node.override else {}
    for item in step.inputs:
        if not item.optional and not inputs.get(item.name, item.default):
            yield SocketType.INPUT, item.name
    for parameter in step.parameters:
        given = parameters.get(parameter.name, parameter.default)
        if given is None and (parameter.required or (parameter.name in parameters and not parameter.optional)):
            yield SocketType.PARAMETER, parameter.name


def _check_parameters(findings: Findings, pipeline: Pipeline) -> None:
    """The parameters of the pipeline itself."""
    nodes: Mapping[str, Node] = {node.name: node for node in pipeline.nodes}
    rows = findings.sheet.body("pipeline", pipeline.location).get("parameters")
    for parameter, table in zip(pipeline.parameters, tables(rows), strict=False):
        noun = f"pipeline parameter `{shorten(parameter.name)}`"
        places = _targets(table)
        if len(places) != len(parameter.targets):
            # One of them cannot be read, which is said elsewhere.
            continue
        if not parameter.targets:
            hint = "name its `targets`, such as `train.parameter.epochs`"
            findings.warn("no-target", f"{noun} sets nothing", parameter.location, hint)
        for (node_name, name), place in zip(parameter.targets, places, strict=True):
            node = nodes.get(node_name)
            step = findings.sheet.step_of(node) if node else None
            if node is None:
                message = f"{noun} sets node `{shorten(node_name)}`, which does not exist"
                guess = findings.sheet.guess(node_name, nodes, "the pipeline has no nodes")
                findings.error("unknown-target", message, findings.sheet.part(place, 0), guess)
            elif step is not None:
                _check_target(findings, parameter, name, node, step, place)


def _targets(table: Table) -> list[Place]:
    """Where the targets of a pipeline parameter stand, in the order in which they are read."""
    places: list[Place] = []
    for key in ("target", "targets"):
        value = table.get(key)
        if isinstance(value, str):
            places.append(table.values_at[key])
        places += [place for item, place in entries(value) if isinstance(item, str)]
    return places


def _check_target(
    findings: Findings, parameter: PipelineParameter, name: str, node: Node | None, step: Step, place: Place
) -> None:
    noun = f"pipeline parameter `{shorten(parameter.name)}`"
    target = step.parameter(name)
    if target is None:
        known = [item.name for item in step.parameters]
        message = f"{noun} sets `{shorten(name)}`, which step `{shorten(step.name)}` lacks"
        hint = findings.sheet.guess(name, known, "it has no parameters")
        findings.error("unknown-target", message, findings.sheet.part(place, 2), hint)
        return
    # The trials of a task node get one value of a list each.
    default, is_task = parameter.default, node is not None and node.type == "task"
    for value in default if is_task and isinstance(default, list) else [default]:
        what = f"{noun} for `{shorten(name)}` of step `{shorten(step.name)}`"
        check_value(findings, target, value, what, parameter.location)
