"""`mlrun task show`: the trials of a task side by side, and the best of them."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from runner.app.evidence import last_metrics
from runner.cli.cell import COLOURS
from runner.cli.option import OwnOption, Table, parse
from runner.cli.page import Page
from runner.cli.row import flattened
from runner.cli.subject import node_of, open_store, project_here, standing_execution
from runner.cli.table import Column, print_table
from runner.cli.terminal import print_json, say
from runner.cli.tuning import read_goal
from runner.errors import ExitCode, MlrunError, did_you_mean, usage_error
from runner.escape import printable
from runner.goal import Goal
from runner.plan.model import chosen_goal
from runner.quantity import duration_text, value_text
from runner.sign import word_of
from runner.spec.phrase import counted, counted_of
from runner.state import DONE
from runner.store.record import Execution, NodeRecord, Run, begun, trials
from runner.store.store import RUN_PREFIX, Store

_OPTIONS = {
    "--best": OwnOption("best", takes_value=True),
    "--goal": OwnOption("goal", takes_value=True),
    "--node": OwnOption("node", takes_value=True),
    "--json": OwnOption("json", takes_value=False),
}
_HELP = """usage: mlrun task show [TASK | RUN] [--best METRIC] [--goal maximize|minimize|NUMBER] [--node NODE] [--json]

List the trials of a task, the best first: of the latest run of TASK, or of RUN (`run:N`, `latest` or the start of its
id). `--best METRIC` tells of the best one alone, by the last value of that metric. `--goal` says what is sought of it;
without it what the run sought, else the greatest. `--node` chooses where a run has several tasks."""

_PIPELINES = 50
"""Runs of pipelines that are looked through for a task; older ones are named as `run:N`."""
_METRICS = 6
"""Columns of metrics; JSON has them all."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial and its number, its last execution or the one that stands for it, and the last values that it printed."""

    number: int
    node: NodeRecord
    execution: Execution | None
    metrics: Mapping[str, Any]


def show(words: Sequence[str], *, json: bool) -> int:
    """What stands after `mlrun task show`. Raises MlrunError."""
    named = [word for place, word in enumerate(words) if _is_name(words, place)]
    parsed = parse([word for place, word in enumerate(words) if not _is_name(words, place)], Table("`show`"), _OPTIONS)
    if parsed.help:
        print(_HELP)
        return ExitCode.OK
    if len(named) > 1:
        raise usage_error(f"`{named[1]}` is one word too many", hint="`mlrun task show --help` explains it")
    told = dict(parsed.own)
    store = open_store()
    run, task = _find(store, named[0] if named else None, told.get("node"))
    found = list(_trials(store, run, task))
    goal = chosen_goal(run.plan, task.name, told.get("best"), read_goal(told.get("goal")))
    as_json = json or "json" in told
    if told.get("best") is None or goal is None:
        _tell_all(run, task, _ranked(found, goal), goal, json=as_json)
    else:
        _tell_best(run, task, found, goal, json=as_json)
    return ExitCode.OK


def _is_name(words: Sequence[str], place: int) -> bool:
    """Whether a word is neither an option nor the value of one."""
    before = words[place - 1] if place else ""
    return not words[place].startswith("-") and not (before in _OPTIONS and _OPTIONS[before].takes_value)


# What is meant --------------------------------------------------------------------------------------------------------


def _find(store: Store, text: str | None, node: str | None) -> tuple[Run, NodeRecord]:
    """The run and its task node. Raises MlrunError (USAGE)."""
    project = project_here()
    if text is not None and text.startswith(RUN_PREFIX):
        return _task_of(store.find_run(project, text.removeprefix(RUN_PREFIX)), node)
    rows = store.parts("run", project, ["kind", "name"])
    for run in _with_tasks(store, rows, text):
        if text is None or text in run.nodes:
            return _task_of(run, text or node)
    if text is None:
        raise usage_error("no task has run here", hint="`mlrun task NAME` runs one")
    try:
        run = store.find_run(project, text)
    except MlrunError as error:
        if error.code is not ExitCode.USAGE:
            raise
        names = [printable(row["name"]) for row in rows if row["kind"] == "task"]
        hint = did_you_mean(text, names) or "`mlrun task NAME` runs one"
        raise usage_error(f"no task `{printable(text)}` has run here, and no run is called so", hint) from None
    return _task_of(run, node)


def _with_tasks(store: Store, rows: Iterable[Mapping[str, Any]], name: str | None) -> Iterator[Run]:
    """The runs that have a task node, of this name if there is one, the newest first; of pipelines the newest few."""
    looked = 0
    for row in rows:
        if row["kind"] == "task" and name in (None, row["name"]):
            yield store.run(row["id"])
        elif row["kind"] == "pipeline" and looked < _PIPELINES:
            looked += 1
            run = store.run(row["id"])
            if any(node.kind == "task" and name in (None, node.name) for node in run.nodes.values()):
                yield run


def _task_of(run: Run, name: str | None) -> tuple[Run, NodeRecord]:
    tasks = [node for node in run.nodes.values() if node.kind == "task"]
    if name is not None:
        node = node_of(run, name)
        if node.kind != "task":
            raise usage_error(f"node `{printable(name)}` of run {run.counter} is no task", _names(tasks))
        return run, node
    if len(tasks) == 1:
        return run, tasks[0]
    message = f"run {run.counter} has {counted(len(tasks), 'task')}"
    raise usage_error(message if tasks else f"run {run.counter} has no task", _names(tasks))


def _names(tasks: Iterable[NodeRecord]) -> str | None:
    words = ", ".join(f"`--node {printable(shlex.quote(node.name))}`" for node in tasks)
    return f"write {words}" if words else None


# What is told ---------------------------------------------------------------------------------------------------------


def _trials(store: Store, run: Run, task: NodeRecord) -> Iterable[Trial]:
    for number, node in enumerate(trials(run, task.name), 1):
        owner, execution = run, run.executions[node.executions[-1]] if node.executions else None
        if execution is None and (standing := standing_execution(store, node)) is not None:
            owner, execution = standing.run, standing.execution
        metrics = flattened(last_metrics(store, owner, execution)) if execution is not None else {}
        yield Trial(number, node, execution, metrics)


def _ranked(found: Sequence[Trial], goal: Goal | None) -> list[Trial]:
    """The best first; as they were chosen without a goal."""
    if goal is None:
        return list(found)
    return sorted(found, key=lambda trial: goal.rank(trial.metrics, done=trial.node.state in DONE))


def _tell_all(run: Run, task: NodeRecord, found: Sequence[Trial], goal: Goal | None, *, json: bool) -> None:
    if json:
        head = {"run": run.counter, "id": run.id, "task": task.name, "state": task.state, "goal": _goal_json(goal)}
        print_json(head | {"trials": [_trial_json(one) for one in found]})
        return
    names = list(dict.fromkeys(name for one in found for name in one.node.parameters))
    keys = list(dict.fromkeys([*([goal.metric] if goal else []), *(key for one in found for key in _numeric(one))]))
    columns = [
        Column("trial", right=True),
        Column("state", colours=COLOURS),
        *(Column(printable(key), right=True) for key in keys[:_METRICS]),
        *(Column(printable(name)) for name in names),
        Column("time", right=True),
        Column("execution", right=True),
    ]
    if found:
        print_table(columns, [_cells(one, keys[:_METRICS], names) for one in found])
    by = f", best by {printable(goal.words())}" if goal else ""
    many = counted_of(begun(task, [one.node for one in found]), task.size, "trial")
    say(f"{many} of `{printable(task.name)}` in run {run.counter} ({run.state}){by}")


def _cells(trial: Trial, keys: Sequence[str], names: Sequence[str]) -> list[str]:
    return [
        str(trial.number),
        word_of(trial.node),
        *(value_text(trial.metrics.get(key)) for key in keys),
        *(value_text(trial.node.parameters.get(name)) for name in names),
        duration_text(trial.execution.duration if trial.execution else None),
        str(trial.execution.counter) if trial.execution else "",
    ]


def _numeric(trial: Trial) -> Iterable[str]:
    return (
        key
        for key, value in trial.metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    )


def _tell_best(run: Run, task: NodeRecord, found: Sequence[Trial], goal: Goal, *, json: bool) -> None:
    done = [one for one in found if one.node.state in DONE and goal.score(one.metrics) is not None]
    if not done:
        known = {key for one in found for key in _numeric(one)}
        hint = did_you_mean(goal.metric, map(printable, known)) or "a program prints one as a line of JSON"
        if goal.metric in known:
            hint = "none that printed it has succeeded: `mlrun task show` lists them"
        message = f"no trial of `{printable(task.name)}` in run {run.counter} has a number `{printable(goal.metric)}`"
        raise usage_error(message, hint)
    best = _ranked(done, goal)[0]
    if json:
        head = {"run": run.counter, "id": run.id, "task": task.name, "goal": _goal_json(goal)}
        print_json(head | _trial_json(best))
        return
    page = Page()
    value = value_text(best.metrics[goal.metric])
    page.head(f"trial {best.number} of {len(found)} has {printable(goal.words())}: {value}")
    page.facts("Parameters", [(printable(name), value_text(item)) for name, item in best.node.parameters.items()])
    others = [(printable(key), value_text(best.metrics[key])) for key in _numeric(best) if key != goal.metric]
    page.facts("Other metrics", others[:_METRICS])
    print(page)
    _tell_further(best, task)


def _tell_further(best: Trial, task: NodeRecord) -> None:
    """How to look at the best trial, and how to give what it left a name."""
    if best.execution is None or best.execution.counter == 0:
        return
    number = best.execution.counter
    say(f"`mlrun show {number}` tells all about it")
    if best.execution.outputs:
        file = shlex.quote(f"{number}/{best.execution.outputs[0].name}")
        alias = shlex.quote(f"{task.name}-best".replace(" ", "-").replace("/", "-"))
        say(f"give what it left a name: `mlrun alias {printable(alias)} {printable(file)}`")


def _goal_json(goal: Goal | None) -> dict[str, Any] | None:
    return None if goal is None else {"metric": goal.metric, "aim": goal.aim}


def _trial_json(trial: Trial) -> dict[str, Any]:
    execution = trial.execution
    return {
        "trial": trial.number,
        "node": trial.node.name,
        "state": trial.node.state,
        "reason": trial.node.reason,
        "parameters": dict(trial.node.parameters),
        "metrics": dict(trial.metrics),
        "execution": execution.counter if execution else None,
        "execution_id": execution.id if execution else None,
        "duration": execution.duration if execution else None,
        "outputs": [file.name for file in execution.outputs] if execution else [],
    }
