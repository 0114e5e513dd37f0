"""Parameters that nothing uses. Pure.

A program may read every parameter from `/valohai/config/parameters.json`, so that a missing placeholder alone proves
nothing. One counts as unused only when the step's command passes others by name, with `{parameter:x}` or
`{parameter-value:x}`, and not all of them with `{parameters}`, and when nothing else reads it: no command of a node
that runs the step, no address of an input, no edge that leaves such a node with it, no condition.
"""

import re
from collections.abc import Iterable

from runner.spec.check.sheet import Findings, Sheet
from runner.spec.command import ALL_PARAMETERS, find_braced, named_parameters
from runner.spec.model import Condition, Pipeline, SocketType, Step
from runner.spec.tree import shorten

_READ = re.compile(r"\bparameter\.([\w.-]+)")


def check_use(findings: Findings, pipelines: Iterable[Pipeline]) -> None:
    """Every parameter of every step."""
    steps = {name: step for name, step in findings.sheet.project.steps.items() if _passes_by_name(step)}
    if not steps:
        return
    used = {name: _used_by(step) for name, step in steps.items()}
    for pipeline in pipelines:
        _note_nodes(findings.sheet, pipeline, used)
    for name, step in steps.items():
        for parameter in step.parameters:
            if parameter.name not in used[name]:
                message = f"the command of step `{shorten(name)}` never passes parameter `{shorten(parameter.name)}`"
                hint = f"write `{{parameter:{shorten(parameter.name)}}}` or `{{parameters}}` into it"
                findings.warn("unused-parameter", message, parameter.location, hint)


def _passes_by_name(step: Step) -> bool:
    braced = find_braced(item.text for item in step.command)
    known = {parameter.name for parameter in step.parameters}
    return braced.isdisjoint(ALL_PARAMETERS) and not named_parameters(braced).isdisjoint(known)


def _used_by(step: Step) -> set[str]:
    """What the step itself reads."""
    texts = [item.text for item in step.command] + [uri for item in step.inputs for uri in item.default]
    return named_parameters(find_braced(texts)) | _read(step.stop_condition)


def _read(condition: Condition | None) -> set[str]:
    return set(_READ.findall(condition.text)) if condition else set()


def _note_nodes(sheet: Sheet, pipeline: Pipeline, used: dict[str, set[str]]) -> None:
    """What nodes of a pipeline read of their steps' parameters."""
    runs = {node.name: sheet.node_step(node) or "" for node in pipeline.nodes}
    for edge in pipeline.edges:
        step = runs.get(edge.source.node)
        if edge.source.type is SocketType.PARAMETER and step in used:
            used[step].add(edge.source.key)
    for node in pipeline.nodes:
        name, override = runs[node.name], node.override
        if name not in used:
            continue
        texts = [item.text for item in override.command] if override else []
        texts += [uri for uris in override.inputs.values() for uri in uris] if override else []
        braced = find_braced(texts)
        used[name].update(named_parameters(braced))
        used[name].update(found for action in node.actions for one in action.conditions for found in _read(one))
        if not braced.isdisjoint(ALL_PARAMETERS):
            used[name].update(parameter.name for parameter in sheet.project.steps[name].parameters)
