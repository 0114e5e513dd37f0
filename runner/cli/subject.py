"""What a command line means: the store and the project it looks at, and the execution or run that a word names."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from runner.app.evidence import live_metrics
from runner.app.place import locate
from runner.cli.row import Row, execution_row, parts_of, run_row
from runner.errors import ExitCode, MlrunError, did_you_mean, usage_error
from runner.escape import printable
from runner.quantity import duration_text
from runner.settings import load_settings
from runner.sign import word_of
from runner.state import FINAL, State
from runner.store.history import is_abandoned, laid_over
from runner.store.identity import is_id
from runner.store.journal import Follower
from runner.store.record import Execution, NodeRecord, Run
from runner.store.store import RUN_PREFIX, Store
from runner.store.story import Story, interrupted

NODE_HELP = "The execution of this node of the latest run or of `run:N`, or the one that stands for it."
EXECUTION_HELP = "Its number, `latest`, the start of its id, or `run:N/NODE`."
SUBJECT_HELP = (
    "An execution: its number, `latest`, the start of its id, or `run:N/NODE`. A run: `run:N`, `run:latest` or the "
    "start of its id."
)

_HEXADECIMAL = frozenset("0123456789abcdef-")


@dataclass(frozen=True, slots=True)
class Found:
    """A run, and an execution of it if that is what was named."""

    store: Store
    run: Run
    chosen: Execution | None = None

    @property
    def execution(self) -> Execution:
        """The execution that was named; only for what `find_execution` gave."""
        if self.chosen is None:
            raise ValueError("a run was named, not an execution")
        return self.chosen


def work_left(found: Found) -> Path | None:
    """The work folder that an interrupted execution left with what it wrote so far; None without one."""
    folder = found.store.work_folder(found.execution.id)
    return folder if found.execution.state is State.INTERRUPTED and folder.is_dir() else None


def open_store() -> Store:
    """The user's store, only to be read; where there is none yet, nothing has run."""
    return Store.open(load_settings().store, create=False)


def project_here() -> str | None:
    """The id of the project of the current folder; None outside one, where ids and `latest` still name things."""
    try:
        return locate(Path.cwd()).ref.id
    except MlrunError as error:
        if error.code is not ExitCode.SPEC:
            raise
        return None


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows, newest first, and what is wrong with the runs that have none, by id. Where no row is left, `removed` counts
    the runs that were removed, and `has_runs` tells whether there are runs without executions. `complete` gives rows
    with all their fields for some that may have a few only; those that were removed meanwhile are left out."""

    rows: list[Row]
    unreadable: Mapping[str, MlrunError]
    removed: int
    complete: Callable[[Sequence[Row]], list[Row]] = list
    has_runs: bool = False


def list_executions(moment: datetime, limit: int | None, *, all_projects: bool) -> Listing:
    """The newest executions of this project or of all; those under way with their metrics so far."""
    store, project = open_store(), None if all_projects else project_here()
    records = store.executions(project, limit)
    rows = [execution_row(_with_live_metrics(store, record), moment) for record in records]
    return Listing(
        rows, store.unreadable(project), _removed(store, project, rows), has_runs=_has_runs(store, project, rows)
    )


def list_of_run(moment: datetime, text: str) -> Listing:
    """The executions of the run that a user names, those of trials among them, the newest first. Raises MlrunError."""
    store = open_store()
    ids = sorted(find_run(text).run.executions, reverse=True)
    rows = [execution_row(_with_live_metrics(store, record), moment) for record in store.rows_of("execution", ids)]
    return Listing(rows, {}, 0, has_runs=not rows)


def _removed(store: Store, project: str | None, rows: Sequence[Row]) -> int:
    return 0 if rows else store.removed_runs(project)


def _has_runs(store: Store, project: str | None, rows: Sequence[Row]) -> bool:
    return not rows and bool(store.runs(project, 1))


def list_runs(moment: datetime, limit: int | None, *, all_projects: bool) -> Listing:
    """The newest runs of this project or of all."""
    store, project = open_store(), None if all_projects else project_here()
    return Listing(
        [run_row(record, moment) for record in store.runs(project, limit)],
        store.unreadable(project),
        store.removed_runs(project),
    )


def list_keys(moment: datetime, keys: Iterable[str], *, of_runs: bool, all_projects: bool) -> Listing:
    """All executions of this project or of all, or runs, with the values of these keys only: so thousands are read in
    no time."""
    store, project = open_store(), None if all_projects else project_here()
    fields, parts = parts_of([*keys, "id"], of_runs=of_runs)
    records = store.parts("run" if of_runs else "execution", project, sorted(parts))
    if of_runs:
        rows = [run_row(record, moment, fields) for record in records]
    else:
        told = (_with_live_metrics(store, record) if "metrics" in parts else record for record in records)
        rows = [execution_row(record, moment, fields) for record in told]

    def complete(some: Sequence[Row]) -> list[Row]:
        found = store.rows_of("run" if of_runs else "execution", [row.fields["id"] for row in some])
        if of_runs:
            return [run_row(record, moment) for record in found]
        return [execution_row(_with_live_metrics(store, record), moment) for record in found]

    has_runs = not of_runs and _has_runs(store, project, rows)
    return Listing(rows, store.unreadable(project), _removed(store, project, rows), complete, has_runs)


def _with_live_metrics(store: Store, record: dict[str, Any]) -> dict[str, Any]:
    """With the metrics from its log as long as the record has none: it runs, or nobody was left to write its end."""
    if record["state"] in FINAL - {State.INTERRUPTED} or record["metrics"]:
        return record
    return record | {"metrics": live_metrics(store, record["run"], record["id"])}


def find_execution(text: str) -> Found:
    """The execution that `text` names. Raises MlrunError (USAGE) when there is none or more than one."""
    if text.startswith(RUN_PREFIX) and "/" in text:
        return find(text)
    if text.startswith(RUN_PREFIX):
        raise usage_error(f"`{text}` names a run, and this needs an execution", hint="`mlrun show RUN` lists them")
    store = open_store()
    return _execution(store, project_here(), text)


def find(text: str) -> Found:
    """The execution or run that `text` names. Raises MlrunError (USAGE) when there is none or more than one."""
    store, project = open_store(), project_here()
    if text.startswith(RUN_PREFIX):
        named, slash, node = text.removeprefix(RUN_PREFIX).partition("/")
        found = Found(store, store.find_run(project, named))
        if not slash:
            return found
        return _of_node(store, found.run, node_of(found.run, node)) or _not_run(found.run, node)
    if not _may_be_id(text):
        return _execution(store, project, text)
    try:
        return _execution(store, project, text)
    except MlrunError as error:
        if error.code is not ExitCode.USAGE:
            raise
        return _run_instead(store, project, text, error)


def find_run(text: str) -> Found:
    """The run that `text` names: its number, `run:N`, `latest` or the start of its id. Raises MlrunError (USAGE)."""
    store = open_store()
    return Found(store, store.find_run(project_here(), text.removeprefix(RUN_PREFIX)))


def node_of(run: Run, name: str) -> NodeRecord:
    """A node of a run. Raises MlrunError (USAGE) when it has none of this name."""
    if name not in run.nodes:
        hint = did_you_mean(name, run.nodes)
        raise usage_error(f"run {run.counter} has no node `{printable(name)}`", hint=hint)
    return run.nodes[name]


def standing_execution(store: Store, node: NodeRecord) -> Found | None:
    """The execution that stands for a node; None where none does. Raises MlrunError when it is gone."""
    if node.reused is None:
        return None
    run = store.run(node.reused.run)
    if node.reused.execution not in run.executions:
        raise MlrunError(
            f"execution {node.reused.counter}, which stands for node `{printable(node.name)}`, is no longer recorded",
            code=ExitCode.STORE,
        )
    return Found(store, run, run.executions[node.reused.execution])


def find_of_node(subject: str, node: str, *, wait: float | None = None) -> Found:
    """The latest execution of a node, or the one that stands for it, of `run:N` or, for `latest`, of the latest run.
    With `wait`, the seconds between two looks, one that does not exist yet is waited for.

    Raises MlrunError (USAGE) where there is none.
    """
    found = find("run:latest" if subject == "latest" else subject)
    node_of(found.run, node)
    watch = Watch(replace(found, chosen=None))
    while True:
        run = watch.run()
        if (come := _of_node(found.store, run, run.nodes[node])) is not None:
            return come
        if wait is None or run.state in FINAL:
            _not_run(run, node)
        time.sleep(wait)


def _of_node(store: Store, run: Run, record: NodeRecord) -> Found | None:
    """The latest execution of a node, or the one that stands for it; None where it has none. Raises MlrunError (USAGE)
    for a task node."""
    if record.kind == "task":
        raise usage_error(
            f"task node `{printable(record.name)}` of run {run.counter} runs by its trials",
            hint=f"`mlrun show run:{run.counter}` lists them: `{printable(record.name)}.1` is the first",
        )
    if (standing := standing_execution(store, record)) is not None:
        return standing
    return Found(store, run, run.executions[record.executions[-1]]) if record.executions else None


def _not_run(run: Run, node: str) -> NoReturn:
    raise usage_error(
        f"node `{printable(node)}` of run {run.counter} has not run",
        hint=f"`mlrun show run:{run.counter}` says why",
    )


def _execution(store: Store, project: str | None, text: str) -> Found:
    run, execution = store.find_execution(project, text)
    return Found(store, run, execution)


def _may_be_id(text: str) -> bool:
    """Whether `text` could be the start of an id, and so mean a run as well; a number alone is a counter."""
    return (set(text.lower()) <= _HEXADECIMAL and not text.isdecimal()) or is_id(text)


def _run_instead(store: Store, project: str | None, text: str, refusal: MlrunError) -> Found:
    try:
        return Found(store, store.find_run(project, text))
    except MlrunError as error:
        if error.code is ExitCode.USAGE:
            raise refusal from None
        raise


def find_under_way(*, lost: bool = False) -> Found | None:
    """The one run of this project that somebody drives; with `lost` also one whose runner is gone though nobody has
    written its end. None without one.

    Raises MlrunError (USAGE) when there are several.
    """
    store = open_store()
    # In this order: a runner that dies in between is not passed over.
    records = store.runs(project_here())
    gone = {run.id for run in store.lost_runs()} if lost else set()
    going = [record for record in records if record["id"] in gone or record["state"] not in {*FINAL, State.WAITING}]
    if len(going) > 1:
        names = ", ".join(
            f"`{RUN_PREFIX}{record['counter']}`" + (" (its runner is gone)" if record["id"] in gone else "")
            for record in going
        )
        raise usage_error(
            f"{len(going)} runs {'have not ended' if lost else 'are under way'}: {names}", hint="name one of them"
        )
    return Found(store, store.run(going[0]["id"])) if going else None


@dataclass(slots=True)
class Watch:
    """Follows a run through its journal, reading only what is added."""

    found: Found
    _follower: Follower = field(init=False)
    _story: Story = field(default_factory=Story, init=False)

    def __post_init__(self) -> None:
        self._follower = Follower(self.found.store.layout.run(self.found.run.id).journal)

    def run(self) -> Run:
        """The run as it is in this moment, `interrupted` when nobody drives it any more."""
        # Whether its owner is gone is asked first: one that ends in between has told the end by then.
        folder = self.found.store.layout.run(self.found.run.id)
        gone = is_abandoned(folder)
        for entry in self._follower.poll():
            self._story.add(entry)
        run = laid_over(folder, self._story.run())
        return interrupted(run) if gone else run

    def execution(self) -> Execution:
        """The execution that was named, as it is in this moment."""
        return self.run().executions[self.found.execution.id]

    def is_under_way(self) -> bool:
        """Whether the execution that was named, or else the run, has not ended."""
        run = self.run()
        one = run if self.found.chosen is None else run.executions[self.found.chosen.id]
        return one.state not in FINAL


def run_sentence(run: Run) -> str:
    """What became of a run, in a few words."""
    return _sentence("run", run)


def execution_sentence(execution: Execution) -> str:
    """What became of an execution, in a few words."""
    return _sentence("execution", execution)


def _sentence(noun: str, what: Run | Execution) -> str:
    words = f"{noun} {what.counter} {'' if what.state in FINAL else 'is '}{word_of(what)}"
    if what.duration is not None:
        words += f" in {duration_text(what.duration)}"
    if what.reason is not None and word_of(what) == what.state:
        words += f" ({what.reason})"
    if isinstance(what, Execution) and what.detail:
        words += f": {printable(what.detail)}"
    return words
