"""Conditions: `stop-condition` of steps and tasks, `if` of actions. Pure."""

from runner.errors import Location
from runner.spec.check.sheet import Findings
from runner.spec.condition import PYTHON_WORDS, BadExpression, Expression, divisions, metric_of, parameter_of
from runner.spec.model import Condition, Step
from runner.spec.tree import shorten


def check_condition(findings: Findings, condition: Condition, noun: str, step: Step | None, constant: bool) -> None:
    """One condition; `step` is whose parameters it may read, None if this file cannot tell.

    With `constant` it may do without a metric: that of an action is asked once, that of a step again and again.
    """
    noun = f"the {noun} `{shorten(condition.text)}`"
    start = findings.sheet.text(condition.location.place)
    try:
        expression = Expression(condition.text)
    except BadExpression as error:
        place = _place(findings, condition, start, error.at)
        hint = error.hint or "compare a metric, such as `loss < 0.1`"
        findings.error("bad-condition", f"{noun} is not understood: {shorten(error.reason, 120)}", place, hint)
        return
    _check_names(findings, condition, start, noun, expression.names, constant)
    for offset, name in divisions(condition.text):
        message = f"`{shorten(name)}` in {noun} is a division, not a metric of this name"
        hint = "log the metric under a name without `/`, or write blanks around it if a division is meant"
        findings.warn("odd-condition", message, findings.sheet.within(start, condition.text, offset, name), hint)
    if step is not None:
        _check_parameters(findings, condition, start, noun, expression.names, step)


def _check_names(
    findings: Findings, condition: Condition, start: Location, noun: str, names: frozenset[str], constant: bool
) -> None:
    """Whether it depends on anything that a step logs."""
    for name in sorted(names):
        if name in PYTHON_WORDS:
            message = f"`{name}` in {noun} is the name of a metric, not a value"
            findings.warn("odd-condition", message, _name_place(findings, condition, start, name),
                          f"write `{PYTHON_WORDS[name]}`")  # fmt: skip
    reads_metric = any(metric_of(name) for name in names)
    reads_parameter = constant and any(parameter_of(name) for name in names)
    if not (reads_metric or reads_parameter) and names.isdisjoint(PYTHON_WORDS):
        hint = (
            "compare a metric, such as `metadata.loss < 0.1`" if constant else "compare a metric, such as `loss < 0.1`"
        )
        findings.warn("odd-condition", f"{noun} reads no metric, so that it never changes", start, hint)


def _check_parameters(
    findings: Findings, condition: Condition, start: Location, noun: str, names: frozenset[str], step: Step
) -> None:
    known = [parameter.name for parameter in step.parameters]
    for name in sorted(names):
        wanted = parameter_of(name)
        if wanted is not None and wanted not in known:
            message = f"{noun} reads parameter `{shorten(wanted)}`, which step `{shorten(step.name)}` lacks"
            hint = findings.sheet.guess(wanted, known, "it has no parameters")
            findings.dangle("dangling-condition", message, _name_place(findings, condition, start, name), hint)


def _name_place(findings: Findings, condition: Condition, start: Location, name: str) -> Location:
    return findings.sheet.within(start, condition.text, max(0, condition.text.find(name)), name)


def _place(findings: Findings, condition: Condition, start: Location, at: int | None) -> Location:
    """Where the character stands that cannot be understood; the last one if it is behind them."""
    text = condition.text
    if at is None or not text.strip():
        return start
    at = min(at, len(text.rstrip()) - 1)
    return findings.sheet.within(start, text, at, text[at])
