"""Tasks: what they vary, and whether their rules can work. Pure."""

from collections.abc import Callable, Iterator, Mapping

from runner.errors import Location
from runner.spec.check.sheet import Findings
from runner.spec.check.value import check_value
from runner.spec.model import Parameter, Step, Style, Task, TaskType, Variation
from runner.spec.rule import DISTRIBUTIONS, MOST_VALUES, plain_word
from runner.spec.tree import Table, entries, shorten, tables

_SEARCHES = (TaskType.RANDOM_SEARCH, TaskType.BAYESIAN_TPE)
"""Those that need no list of values: any number between two may be chosen."""

_BAYESIAN_ONLY = ("engine", "optimization-target-metric", "optimization-target-value")


def check_task(findings: Findings, task: Task) -> None:
    """A task and the step that it runs."""
    body = findings.sheet.body("task", task.location)
    noun = f"task `{shorten(task.name)}`"
    _check_effects(findings, task, body, noun)
    for key, said, advice in _lacks(task):
        findings.dangle("incomplete-task", f"{noun} {said}", findings.sheet.value(body, key), advice)
    step = findings.sheet.project.steps.get(task.step)
    if step is None and task.step not in findings.sheet.broken_steps:
        message = f"{noun} runs step `{shorten(task.step)}`, which does not exist"
        hint = findings.sheet.guess(task.step, findings.sheet.project.steps, "the file has no step")
        findings.dangle("dangling-task", message, findings.sheet.value(body, "step"), hint)
    known = {parameter.name: parameter for parameter in step.parameters} if step else {}
    for variation in task.variations:
        _check_variation(findings, task, variation, step, known)
    for row in tables(body.get("parameter-sets")) if step else ():
        _check_set(findings, noun, row, step, known)


def _check_set(findings: Findings, noun: str, row: Table, step: Step | None, known: Mapping[str, Parameter]) -> None:
    for name, value in row.items():
        _check_name(findings, noun, name, step, known, findings.sheet.at(row.keys_at[name]))
        what = f"parameter `{shorten(name)}` of {noun}"
        check_value(findings, known.get(name), value, what, findings.sheet.value(row, name))


def _check_effects(findings: Findings, task: Task, body: Table, noun: str) -> None:
    sets = body.get("parameter-sets")
    if sets and task.type is not TaskType.MANUAL_SEARCH:
        message = f"`parameter-sets` of {noun} have no effect: its type is `{task.type}`"
        findings.warn("no-effect", message, _key(findings, body, "parameter-sets"), "write `type: manual_search`")
    for key in _BAYESIAN_ONLY:
        if body.get(key) is not None and task.type is not TaskType.BAYESIAN_TPE:
            message = f"`{key}` of {noun} has no effect: its type is `{task.type}`"
            findings.warn("no-effect", message, _key(findings, body, key), "write `type: bayesian_tpe`")


def _lacks(task: Task) -> Iterator[tuple[str, str, str]]:
    """What a task does not say that its type needs: the key at which to say so, a clause and a hint."""
    if task.type is TaskType.MANUAL_SEARCH and not (task.parameter_sets or task.variations):
        yield "type", "has no `parameter-sets`, so that there is nothing to run", "write at least one set"
    counts = [one.rules.get("count") for one in task.variations if one.style is Style.RANDOM]
    needs_count = task.type is TaskType.BAYESIAN_TPE or (task.type is TaskType.RANDOM_SEARCH and not any(counts))
    if needs_count and task.execution_count is None:
        yield "type", "does not say how many executions it has", "add `execution-count: 20`"
    if task.type is TaskType.BAYESIAN_TPE and task.target_metric is None:
        yield "type", "does not say which metric its search is for", "add `optimization-target-metric: NAME`"
    if task.type is TaskType.DISTRIBUTED and task.execution_count is None:
        yield "type", "does not say how many members it has, so that there is one", "add `execution-count: 2`"


def _key(findings: Findings, table: Table, key: str) -> Location:
    return findings.sheet.at(table.keys_at.get(key, table.at))


def _check_name(
    findings: Findings, noun: str, name: str, step: Step | None, known: Mapping[str, Parameter], location: Location
) -> None:
    if step is not None and name not in known:
        message = f"{noun} varies `{shorten(name)}`, which step `{shorten(step.name)}` lacks"
        hint = findings.sheet.guess(name, known, "it has no parameters")
        findings.dangle("dangling-task", message, location, hint)


def _check_variation(
    findings: Findings, task: Task, variation: Variation, step: Step | None, known: Mapping[str, Parameter]
) -> None:
    noun = f"task `{shorten(task.name)}`"
    _check_name(findings, noun, variation.name, step, known, variation.location)
    rules = _Rules(findings, variation, task)
    if rules.check():
        for key, value, place in rules.values():
            what = f"`{key}` of parameter `{shorten(variation.name)}` of {noun}"
            check_value(findings, known.get(variation.name), value, what, place)


class _Rules:
    """The rules of one varied parameter."""

    def __init__(self, findings: Findings, variation: Variation, task: Task) -> None:
        self._findings = findings
        self._variation = variation
        self._task = task
        self._rules = variation.rules
        self._good = True

    def place(self, key: str) -> Location:
        """Where a rule stands, or the parameter's name without it."""
        if isinstance(self._rules, Table) and key in self._rules:
            return self._findings.sheet.value(self._rules, key)
        return self._variation.location

    def check(self) -> bool:
        """Whether the rules can work with the style."""
        checks: Mapping[Style, Callable[[], None]] = {
            Style.SINGLE: lambda: self._need("value"),
            Style.MULTIPLE: self._check_items,
            Style.LINEAR: self._check_linear,
            Style.LOGSPACE: self._check_logspace,
            Style.RANDOM: self._check_random,
        }
        checks[self._variation.style]()
        return self._good

    def values(self) -> Iterator[tuple[str, object, Location]]:
        """The values that are sure to be tried, each with its rule and place; those of other styles are computed."""
        match self._variation.style:
            case Style.MULTIPLE:
                for item, place in entries(self._rules["items"]):
                    yield "items", item, self._findings.sheet.at(place)
            case Style.SINGLE:
                yield "value", self._rules["value"], self.place("value")
            case Style.LINEAR:
                yield "start", self._rules["start"], self.place("start")
            case Style.RANDOM if not self._is_float("min") and not self._is_float("max"):
                yield from ((key, self._rules[key], self.place(key)) for key in ("min", "max"))

    def _is_float(self, key: str) -> bool:
        """A random integer between 0.5 and 9.5 is fine."""
        return isinstance(self._rules[key], float)

    def _bad(self, key: str, said: str, hint: str | None = None) -> None:
        self._good = False
        message = f"parameter `{shorten(self._variation.name)}` of task `{shorten(self._task.name)}`: {said}"
        self._findings.error("bad-rules", message, self.place(key), hint)

    def _need(self, *keys: str) -> None:
        for key in keys:
            if self._rules.get(key) is None:
                self._bad(
                    key, f"the style `{self._variation.style}` needs the rule `{key}`", f"add `{key}:` to `rules`"
                )

    def _number(self, *keys: str) -> int | float | None:
        """The first of these rules, which are names for one thing, if it is a number."""
        for key in keys:
            value = self._rules.get(key)
            if isinstance(value, int | float) and not isinstance(value, bool):
                return value
        return None

    def _check_items(self) -> None:
        self._need("items")
        if self._rules.get("items") == []:
            self._bad("items", "there is nothing in `items`, so that nothing would run", "write at least one value")

    def _check_linear(self) -> None:
        self._need("start", "end", "step")
        start, end, step = self._number("start"), self._number("end"), self._number("step")
        if start is None or end is None or step is None:
            return
        if step == 0:
            self._bad("step", "a `step` of 0 never reaches the end")
        elif (end - start) * step < 0:
            self._bad("step", f"from {start} to {end} in steps of {step} there is nothing", "change the step's sign")
        elif abs(end - start) / abs(step) >= MOST_VALUES:
            self._bad("step", f"from {start} to {end} in steps of {step} there are more than {MOST_VALUES:,} values")

    def _check_logspace(self) -> None:
        if self._number("start", "min") is None:
            self._need("start")
        if self._number("end", "max") is None:
            self._need("end")
        self._check_count(required=self._task.type not in _SEARCHES)
        base = self._number("base")
        if base is not None and base <= 0:
            self._bad("base", "the `base` must be more than 0")

    def _check_random(self) -> None:
        self._need("min", "max")
        self._check_count(required=self._task.execution_count is None)
        least, most = self._number("min"), self._number("max")
        if least is not None and most is not None and least > most:
            self._bad("min", f"`min` is {least} and `max` is {most}, so that nothing lies between", "exchange them")
        word = self._rules.get("distribution")
        if isinstance(word, str) and plain_word(word) not in DISTRIBUTIONS:
            known = " or ".join(f"`{name}`" for name in DISTRIBUTIONS)
            self._bad("distribution", f"there is no distribution `{shorten(word)}`", f"write {known}")
        elif isinstance(word, str) and plain_word(word) != DISTRIBUTIONS[0] and least is not None and least <= 0:
            self._bad("min", f"a `min` of {least} has no place on a logarithmic scale", "start above 0")

    def _check_count(self, required: bool) -> None:
        count = self._number("count")
        if required:
            self._need("count")
        if count is not None and (count < 1 or count != int(count)):
            self._bad("count", f"a `count` of {count} is no number of values", "write 1 or more")
        elif count is not None and count > MOST_VALUES:
            self._bad("count", f"a `count` of {count} is more than {MOST_VALUES:,}", "take fewer of them")
