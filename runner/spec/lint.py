"""All problems of a file at once. Pure.

Linting is strict and running is lenient: of what is found here a run refuses only what it was asked for.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence

from runner.errors import Location, Problem, Severity, did_you_mean
from runner.spec.command import check_templates, unknown_placeholders
from runner.spec.model import Parameter, ParameterType, Pipeline, Project, Step
from runner.spec.normalise import items_of
from runner.spec.schema import validate
from runner.spec.tree import Row, Table, shorten
from runner.spec.value import check_default
from runner.spec.wiring import pipeline_problems

CODES: Mapping[str, str] = {
    "ambiguous-item": "Two keys that exclude each other stand side by side.",
    "bad-default": "A parameter's default does not fit its type, range or choices.",
    "bad-duration": "A duration cannot be understood, is not positive, or is too long.",
    "bad-input-name": "The name of an input cannot be the name of a folder.",
    "bad-pass-as": "A `pass-as` template cannot be filled in.",
    "bad-socket": "The end of an edge does not have the form `node.type.key`.",
    "bad-target": "The target of a pipeline parameter does not have the form `node.parameter.name`.",
    "connections": "`connections` is an old word for `edges`.",
    "cycle": "Nodes of a pipeline wait for each other.",
    "dangling-edge": "An edge names an input or parameter that the node's step does not declare.",
    "dangling-task": "A task names a step or parameter that does not exist.",
    "double-edge": "Two edges set the same parameter.",
    "duplicate-key": "A key stands twice in one mapping; the last one counts.",
    "duplicate-name": "Two things of one kind have the same name; the last one counts.",
    "duplicate-node": "Two nodes of a pipeline have the same name.",
    "edge-pair": "An edge joins two ends that do not go together.",
    "empty-file": "The file has no content.",
    "empty-item": "An item has a kind but no content.",
    "encoding": "The file is not UTF-8, or has a character that YAML forbids.",
    "flat-item": "The fields of an item stand beside its kind, not below it.",
    "inferred-nodes": "A pipeline has no `nodes`; they are taken from its edges.",
    "missing-key": "A required key is missing.",
    "multi-document": "The file has more than one YAML document.",
    "no-effect": "A key has no effect beside another one or for this type.",
    "no-target": "A pipeline parameter sets nothing.",
    "not-a-list": "The file is not a list of items.",
    "not-a-mapping": "An item is not a mapping.",
    "odd-duration": "A duration means something else than it seems to.",
    "plural-edge-type": "The type of an edge is in the plural.",
    "preset-without-environment": "A runtime configuration preset needs an environment.",
    "text-number": "A number is text for YAML, because it has no dot.",
    "too-deep": "The file is nested too deeply.",
    "too-large": "The file is too large, or its aliases make it too large.",
    "unfed-input": "Nothing feeds a required input of a node.",
    "unfed-parameter": "Nothing feeds a required parameter of a node.",
    "unknown-action": "An action has a word that nothing acts on.",
    "unknown-edge-type": "The type of an edge is unknown.",
    "unknown-item": "An item is of no known kind and is ignored.",
    "unknown-key": "A key is unknown in this place.",
    "unknown-node": "An edge names a node that does not exist.",
    "unknown-override": "A node overrides an input or parameter that its step does not declare.",
    "unknown-placeholder": "A placeholder names a parameter that the step does not declare.",
    "unknown-step": "A node runs a step that does not exist.",
    "unknown-target": "A pipeline parameter sets a node or parameter that does not exist.",
    "unknown-task": "A node runs a task that does not exist.",
    "wrong-type": "A value has the wrong type.",
    "wrong-value": "A value is not one of those allowed.",
    "yaml-alias": "An alias names nothing, or the value that it stands in.",
    "yaml-key": "A key is not text, or a merge key merges no mapping.",
    "yaml-syntax": "The file is not YAML.",
    "yaml-tag": "A YAML tag is not allowed.",
    "yaml-type": "YAML reads a value as something that its writer may not have meant.",
    "yaml-value": "A value cannot be read as what its form or tag says.",
}
"""Every code that a problem can have. The names are stable."""

TASK_TYPES = ("grid_search", "random_search", "manual_search", "bayesian_tpe", "distributed")
ON_CHILD_ERROR = ("continue-and-complete", "continue-and-error", "stop-all-and-error")


def lint(project: Project) -> list[Problem]:
    """All problems of a file, sorted by place. Where the schema speaks, what parsing said of the place is left out."""
    found = validate(project.tree, project.file)
    spoken = {problem.location for problem in found}
    found += [
        problem
        for problem in project.problems
        if problem.severity is Severity.WARNING or problem.location not in spoken
    ]
    for step in project.steps.values():
        found += _step_problems(step)
    for pipeline in project.pipelines.values():
        found += pipeline_problems(project, pipeline, strict=False)
    if isinstance(project.tree, Row):
        found += _task_problems(project, project.tree)
        found += _preset_problems(project, project.tree)
        found += _duplicate_problems(project, project.tree)
    return sorted(dict.fromkeys(found), key=lambda problem: (problem.location, problem.code, problem.message))


def problems_within(project: Project, problems: Iterable[Problem], item: Step | Pipeline) -> list[Problem]:
    """Those problems that stand in the same item of the file as a step or pipeline."""
    if not isinstance(project.tree, Row):
        return []
    starts = [line for line, _ in project.tree.items_at]
    here = bisect_right(starts, item.location.line)
    return [problem for problem in problems if bisect_right(starts, problem.location.line) == here]


def _step_problems(step: Step) -> Iterator[Problem]:
    for parameter in step.parameters:
        for code, key, message in _parameter_findings(parameter):
            noun = f"parameter `{shorten(parameter.name)}` of step `{shorten(step.name)}`"
            location = _place_of(step, parameter, key)
            yield Problem(Severity.WARNING, code, f"{noun}: {message}", location)
    texts = [(item.text, item.location) for item in step.command]
    texts += [(uri, item.location) for item in step.inputs for uri in item.default]
    names = [parameter.name for parameter in step.parameters]
    for text, location in texts:
        for placeholder in unknown_placeholders(step, text):
            message = f"`{shorten(placeholder)}` names no parameter of step `{shorten(step.name)}` and stays as it is"
            hint = did_you_mean(placeholder.strip("{}").partition(":")[2], names)
            yield Problem(Severity.WARNING, "unknown-placeholder", message, location, hint)


def _place_of(step: Step, parameter: Parameter, key: str) -> Location:
    """Where a key of a parameter stands in the file, if it is there."""
    rows = step.source.get("parameters")
    for row in reversed(rows) if isinstance(rows, Row) else ():
        if isinstance(row, Table) and row.get("name") == parameter.name and key in row:
            return Location(parameter.location.file, *row.values_at[key])
    return parameter.location


def _parameter_findings(parameter: Parameter) -> Iterator[tuple[str, str, str]]:
    """What is odd about a parameter, as code, key and sentence."""
    said = check_default(parameter)
    if said:
        yield "bad-default", "default", f"the default: {said}"
    elif parameter.type is ParameterType.STRING and parameter.default:
        atoms = parameter.default if isinstance(parameter.default, list) else [parameter.default]
        for atom in atoms:
            if not isinstance(atom, str):
                yield "bad-default", "default", f"the default `{shorten(str(atom))}` is not text; put quotes around it"
    if message := check_templates(parameter):
        yield "bad-pass-as", "pass-as", message
    flag = parameter.type is ParameterType.FLAG
    templates = parameter.pass_true_as or parameter.pass_false_as
    if flag and parameter.optional:
        yield "no-effect", "optional", "`optional` has no effect on a flag"
    if flag and templates and parameter.pass_as:
        yield "no-effect", "pass-as", "`pass-as` has no effect beside `pass-true-as` or `pass-false-as`"
    if not flag and templates:
        yield "no-effect", "pass-true-as", "`pass-true-as` and `pass-false-as` have no effect on anything but a flag"


def _at(project: Project, table: Table, key: str) -> Location:
    return Location(project.file, *table.values_at.get(key, table.at))


def _task_problems(project: Project, tree: Row) -> Iterator[Problem]:
    broken = {name for kind, name, _ in project.broken if kind == "step"}
    for body in items_of(tree, "task"):
        noun = f"task `{shorten(str(body.get('name')))}`"
        yield from _word_problems(project, body, noun)
        step_name = body.get("step")
        step = project.steps.get(step_name) if isinstance(step_name, str) else None
        if isinstance(step_name, str) and step is None and step_name not in broken:
            message = f"{noun} runs step `{shorten(step_name)}`, which does not exist"
            hint = did_you_mean(step_name, project.steps)
            yield Problem(Severity.WARNING, "dangling-task", message, _at(project, body, "step"), hint)
        rows = body.get("parameters")
        for row in rows if isinstance(rows, Row) else ():
            name = row.get("name") if isinstance(row, Table) else None
            if step and isinstance(row, Table) and isinstance(name, str) and step.parameter(name) is None:
                message = f"{noun} varies `{shorten(name)}`, which step `{shorten(step.name)}` lacks"
                hint = did_you_mean(name, [parameter.name for parameter in step.parameters])
                yield Problem(Severity.WARNING, "dangling-task", message, _at(project, row, "name"), hint)


def _word_problems(project: Project, body: Table, noun: str) -> Iterator[Problem]:
    """Valohai reads these words in any case, with dashes or underscores."""
    for key, words, mark in (("type", TASK_TYPES, "_"), ("on-child-error", ON_CHILD_ERROR, "-")):
        word = body.get(key)
        if isinstance(word, str) and word.lower().replace("-", mark).replace("_", mark) not in words:
            message = f"the `{key}` of {noun} is not one of " + ", ".join(f"`{word}`" for word in words)
            hint = did_you_mean(word, words)
            yield Problem(Severity.ERROR, "wrong-value", message, _at(project, body, key), hint)


def _preset_problems(project: Project, tree: Row) -> Iterator[Problem]:
    """Steps and overrides that name a preset without an environment."""
    bodies = list(items_of(tree, "step"))
    for pipeline in items_of(tree, "pipeline"):
        nodes = pipeline.get("nodes")
        for node in nodes if isinstance(nodes, Row) else ():
            override = node.get("override") if isinstance(node, Table) else None
            bodies += [override] if isinstance(override, Table) else []
    for body in bodies:
        if body.get("runtime-config-preset") and not body.get("environment"):
            message = "`runtime-config-preset` needs an `environment` beside it"
            location = _at(project, body, "runtime-config-preset")
            yield Problem(Severity.ERROR, "preset-without-environment", message, location, "add `environment:`")


def _duplicate_problems(project: Project, tree: Row) -> Iterator[Problem]:
    """Parameters, inputs and variables of one step that share a name."""
    for body in items_of(tree, "step"):
        for key, noun in _LISTS:
            rows = body.get(key)
            yield from _same_names(project, rows if isinstance(rows, Row) else (), noun)


_LISTS = (("parameters", "a parameter"), ("inputs", "an input"), ("environment-variables", "a variable"))


def _same_names(project: Project, rows: Sequence[object], noun: str) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for row in rows:
        name = row.get("name") if isinstance(row, Table) else None
        if not isinstance(row, Table) or not isinstance(name, str):
            continue
        location = _at(project, row, "name")
        if name in seen:
            message = f"there is {noun} `{shorten(name)}` on line {seen[name]} too; this one counts"
            yield Problem(Severity.WARNING, "duplicate-name", message, location, "give it another name")
        seen[name] = location.line
