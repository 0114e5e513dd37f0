"""The nodes of a pipeline: what they run, and what they change of it. Pure."""

import re
from collections.abc import Collection, Mapping

from runner.errors import Location, Problem
from runner.spec.check.sheet import Findings
from runner.spec.check.value import check_value
from runner.spec.model import Node, Parameter, Pipeline, Project
from runner.spec.tree import Table, entries, shorten, tables

_COMPARED = re.compile(r"metadata\.[\w.-]+\s*[<>]")
_SUMMARY = re.compile(r"\b(max|min)\s*\(")
"""A comparison of a key of metadata, and what makes one value of a list."""

KNOWN_WHEN = ("node-starting", "node-complete", "node-error")
KNOWN_THEN = ("noop", "stop-pipeline", "error-pipeline", "require-approval")


def check_nodes(findings: Findings, pipeline: Pipeline, strict: bool) -> None:
    """Every node of a pipeline. With `strict`, for a run, a broken step that a node runs is reported too."""
    seen: dict[str, Location] = {}
    for node, table in zip(pipeline.nodes, findings.sheet.nodes(pipeline), strict=True):
        if node.name and (before := seen.get(node.name)):
            message = f"there is a node `{shorten(node.name)}` on line {before.line} too"
            findings.error("duplicate-node", message, node.location, "give it another name")
        seen[node.name] = node.location
        _check_reference(findings, node, table, strict)
        if node.override:
            _check_override(findings, node, table)
        if node.actions:
            _check_actions(findings, node, table)
        if node.endpoints:
            _check_endpoints(findings, node, table, strict)


def _check_reference(findings: Findings, node: Node, table: Table, strict: bool) -> None:
    sheet, noun, key = findings.sheet, f"node `{shorten(node.name)}`", "step"
    if node.type == "deployment":
        return
    if node.commit:
        if (file := sheet.file_of(node)) is not None:
            _check_there(findings, node, table, file)
        return
    if node.task is not None:
        if node.task not in sheet.task_steps:
            message = f"{noun} runs task `{shorten(node.task)}`, which does not exist"
            hint = sheet.guess(node.task, sheet.task_steps, "the file has no task")
            findings.error("unknown-task", message, sheet.value(table, "task"), hint)
            return
        noun, key = f"the task of {noun}", "task"
    step = sheet.node_step(node)
    if not step or step in sheet.project.steps:
        return
    if step not in sheet.broken_steps:
        message = f"{noun} runs step `{shorten(step)}`, which does not exist"
        hint = sheet.guess(step, sheet.step_names, "the file has no step")
        findings.error("unknown-step", message, sheet.value(table, key), hint)
    elif strict:
        findings.problems.append(sheet.broken_steps[step])


def _check_there(findings: Findings, node: Node, table: Table, file: Project) -> None:
    """What a node runs of the file of another commit; that is only here for a run."""
    sheet, noun, where = findings.sheet, f"node `{shorten(node.name)}`", f"`{shorten(node.commit or '')}`"
    if node.task is not None and node.task not in file.tasks:
        problem = _broken(file, "task", node.task)
        message = f"{noun} runs task `{shorten(node.task)}`, which commit {where} lacks"
        hint = sheet.guess(node.task, file.tasks, "its file has no task")
        _report(findings, problem, "unknown-task", message, sheet.value(table, "task"), hint)
        return
    step = sheet.node_step(node) or ""
    if step not in file.steps:
        key = "task" if node.task else "step"
        message = f"{noun} runs step `{shorten(step)}`, which commit {where} lacks"
        hint = sheet.guess(step, file.steps, "its file has no step")
        _report(findings, _broken(file, "step", step), "unknown-step", message, sheet.value(table, key), hint)


def _broken(file: Project, kind: str, name: str) -> Problem | None:
    """Why an item of a file cannot be understood; None where it is simply not there."""
    return next(
        (problem for sort, item, problem in file.broken if sort == "file" or (sort, item) == (kind, name)), None
    )


def _report(
    findings: Findings, problem: Problem | None, code: str, message: str, location: Location, hint: str | None
) -> None:
    if problem is not None:
        findings.problems.append(problem)
    else:
        findings.error(code, message, location, hint)


def _check_override(findings: Findings, node: Node, table: Table) -> None:
    step, body = findings.sheet.step_of(node), table.get("override")
    if step is None or not isinstance(body, Table):
        return
    inputs: Mapping[str, Parameter | None] = {item.name: None for item in step.inputs}
    parameters: Mapping[str, Parameter | None] = {item.name: item for item in step.parameters}
    for kind, rows, known in (("input", body.get("inputs"), inputs), ("parameter", body.get("parameters"), parameters)):
        for row in tables(rows):
            name = row.get("name")
            if not isinstance(name, str):
                continue
            noun = f"{kind} `{shorten(name)}`"
            if name not in known:
                message = f"node `{shorten(node.name)}` overrides the {noun}, which its step lacks"
                hint = findings.sheet.guess(name, known, f"step `{shorten(step.name)}` has no {kind}s")
                findings.error("unknown-override", message, findings.sheet.value(row, "name"), hint)
            elif parameter := known[name]:
                noun = f"{noun} of node `{shorten(node.name)}`"
                check_value(findings, parameter, row.get("default"), noun, findings.sheet.value(row, "default"))


def _check_actions(findings: Findings, node: Node, table: Table) -> None:
    for row in tables(table.get("actions")):
        _check_words(findings, node, row, "when", KNOWN_WHEN)
        _check_words(findings, node, row, "then", KNOWN_THEN)
    conditions = [condition for action in node.actions for condition in action.conditions]
    if conditions:
        # The library that reads conditions is loaded for files that have one.
        from runner.spec.check.condition import check_condition

        for condition in conditions:
            noun = f"`if` of node `{shorten(node.name)}`"
            check_condition(findings, condition, noun, findings.sheet.step_of(node), True)
            if node.type == "task" and _COMPARED.search(condition.text) and not _SUMMARY.search(condition.text):
                message = f"the {noun} `{shorten(condition.text)}` compares lists: a task node has those of its trials"
                hint = "such as `max(metadata.accuracy) > 0.9`, or `min(…)`"
                findings.warn("odd-condition", message, findings.sheet.text(condition.location.place), hint)


def _check_words(findings: Findings, node: Node, row: Table, key: str, known: Collection[str]) -> None:
    value = row.get(key)
    words = [(value, row.values_at[key])] if isinstance(value, str) else entries(value)
    for word, place in words:
        if isinstance(word, str) and word.lower() not in known:
            message = f"an action of node `{shorten(node.name)}` has the unknown word `{shorten(word)}`"
            findings.warn("unknown-action", message, findings.sheet.at(place), findings.sheet.guess(word, known))


def _check_endpoints(findings: Findings, node: Node, table: Table, strict: bool) -> None:
    known = findings.sheet.endpoint_files
    if strict:
        found = (_broken(findings.sheet.project, "endpoint", name) for name in node.endpoints)
        findings.problems += [problem for problem in found if problem is not None]
    for name, place in entries(table.get("endpoints")) if not node.commit else ():
        if isinstance(name, str) and name not in known:
            message = f"node `{shorten(node.name)}` deploys endpoint `{shorten(name)}`, which does not exist"
            hint = findings.sheet.guess(name, known, "the file has no endpoint")
            findings.dangle("unknown-endpoint", message, findings.sheet.at(place), hint)
