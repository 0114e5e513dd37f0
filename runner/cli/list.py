"""`mlrun list`: executions or runs as a table, filtered, sorted, exported."""

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.cell import COLOURS, now
from runner.cli.row import EXECUTION_FIELDS, METRIC, RUN_FIELDS, Row, sort_rows
from runner.cli.subject import Listing, list_executions, list_keys, list_of_run, list_runs
from runner.cli.table import (
    Column,
    Format,
    choose,
    csv_table,
    md_table,
    natural_widths,
    print_table,
    terminal_width,
    text_table,
    total_width,
)
from runner.cli.terminal import print_json, say
from runner.errors import ExitCode, did_you_mean, usage_error
from runner.escape import printable
from runner.quantity import duration_text, local_time, number, relative_time, value_text
from runner.state import Reason

if TYPE_CHECKING:
    from runner.cli.query import Condition

# The language of conditions is loaded where one is given: most lists have none.

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun list

  mlrun list --where 'loss < 0.3 and param.model == "svm"' --sort loss

  mlrun list --columns counter,step,accuracy,param.C --format csv > table.csv

  mlrun list runs --where 'state == "failed"'"""

_LIMIT = 50
"""Rows of a table for people, unless `--limit` says otherwise; CSV and JSON always hold all."""
_METRICS = 8
"""Metric columns of a table whose width nothing bounds."""
_LEAST_METRICS = 2
"""Metric columns for which other columns give way on a narrow terminal."""
_TIMES = frozenset({"created", "started", "finished"})
_ID_DIGITS = 13
"""Characters of an id in a table: of a UUIDv7 the whole time stamp."""


class What(StrEnum):
    """What is listed."""

    EXECUTIONS = "executions"
    RUNS = "runs"


@app.command(name="list", epilog=EXAMPLES)
def show_list(
    what: Annotated[
        str, typer.Argument(metavar="[executions|runs]", help="What to list; executions if you say nothing.")
    ] = "executions",
    where: Annotated[
        str | None, typer.Option("--where", metavar="CONDITION", help="Only rows for which this holds; see above.")
    ] = None,
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="RUN", help="Only those of this run, trials too: N, latest or its id's start."),
    ] = None,
    sort: Annotated[
        str | None, typer.Option("--sort", metavar="KEY", help="Sort by this key, smallest first; else newest first.")
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="Turn the order round; NaN stays last.")] = False,
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="KEY,…", help="Exactly these columns, separated by commas.")
    ] = None,
    form: Annotated[
        str, typer.Option("--format", metavar="F", help="table (the default), csv, json or md; times are exact there.")
    ] = "table",
    json: Annotated[bool, typer.Option("--json", help="The same as `--format json`.")] = False,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=0, help=f"At most N rows, 0 for all. Tables: {_LIMIT}, else all."),
    ] = None,
    runs: Annotated[bool, typer.Option("--runs", help="The same as `list runs`.")] = False,
    all_projects: Annotated[bool, typer.Option("--all-projects", help="Of every project in the store.")] = False,
) -> int:
    """List the executions of this project, or its runs.

    A key is a field (counter, step, node, state, reason, exit_code, duration, created, commit, branch, image, run,
    title, tag …), the name of a metric (its last value), or `metric.NAME` and `param.NAME`.

    A condition compares keys with values and joins comparisons by `and`, `or`, `not`: the language of Valohai's stop
    conditions. A row that lacks a key does not match. Names with other signs: `metric("val/acc") > 0.9`.

    A commit with `*` was dirty: the code that ran differs from it.
    """
    chosen = What.RUNS if runs else choose(What, what, "list")
    shape = Format.JSON if json else choose(Format, form, "format")
    condition = _understood(where) if where is not None else None
    names = _split(columns)
    moment = now()
    bound = limit if limit is not None else _LIMIT if shape in {Format.TABLE, Format.MD} else 0
    if run is not None and chosen is What.RUNS:
        raise usage_error("`--run` chooses among executions", hint=f"`mlrun show run:{printable(run)}` shows the run")
    listing = (
        list_of_run(moment, run)
        if run is not None
        else _listing(chosen, condition, sort, names, moment, bound, reverse=reverse, all_projects=all_projects)
    )
    kept = _select(listing.rows, chosen, condition, sort, names, reverse=reverse)
    shown = listing.complete(kept[:bound] if bound else kept)
    _write(shown, chosen, shape, names, moment)
    _tell(listing, kept, shown, chosen)
    return ExitCode.OK


def _listing(
    what: What,
    condition: "Condition | None",
    sort: str | None,
    names: Sequence[str] | None,
    moment: datetime,
    bound: int,
    *,
    reverse: bool,
    all_projects: bool,
) -> Listing:
    """Enough to choose from: whole rows where all are shown, else the values that the choice depends on."""
    of_runs = what is What.RUNS
    every = list_runs if of_runs else list_executions
    if condition is not None or sort is not None or (bound and reverse):
        keys = [*(condition.names if condition is not None else ()), *([sort] if sort else []), *(names or ())]
        return list_keys(moment, keys, of_runs=of_runs, all_projects=all_projects)
    # One more than is shown tells whether there are more; whether any has a metric, only all of them tell.
    enough = bound + 1 if bound and not reverse and set(names or ()) <= set(_fields(what)) else None
    return every(moment, enough, all_projects=all_projects)


def _understood(where: str) -> "Condition":
    from runner.cli.query import Condition

    return Condition(where)


def _tell_missing(name: str, known: Iterable[str]) -> None:
    from runner.cli.query import missing_name_note

    say(f"note: {missing_name_note(name, known)}")


def _split(columns: str | None) -> list[str] | None:
    if columns is None:
        return None
    names = [name.strip() for name in columns.split(",") if name.strip()]
    if not names:
        raise usage_error("`--columns` names no column", hint="write it like `--columns counter,step,loss`")
    return names


def _select(
    rows: Sequence[Row],
    what: What,
    condition: "Condition | None",
    sort: str | None,
    names: Sequence[str] | None,
    *,
    reverse: bool,
) -> list[Row]:
    """The rows that are asked for, in the order that is asked for. Raises MlrunError (USAGE) for a key of no row."""
    _check_keys(rows, what, [*([sort] if sort else []), *(names or [])])
    kept = list(rows)
    if condition is not None:
        for name in sorted(condition.names):
            if rows and not any(row.value(name) is not None for row in rows):
                _tell_missing(name, _known(rows, what))
        kept = [row for row in rows if condition.matches(row.__getitem__)]
    if sort:
        return sort_rows(kept, sort, reverse=reverse)
    return kept[::-1] if reverse else kept


def _fields(what: What) -> tuple[str, ...]:
    return RUN_FIELDS if what is What.RUNS else EXECUTION_FIELDS


def _known(rows: Sequence[Row], what: What) -> set[str]:
    return {*_fields(what), *(key for row in rows for key in row.names())}


def _check_keys(rows: Sequence[Row], what: What, keys: Sequence[str]) -> None:
    for key in keys:
        if not rows or key in _fields(what) or any(row.value(key) is not None for row in rows):
            continue
        known = _known(rows, what)
        hint = f"did you mean `param.{key}`?" if f"param.{key}" in known else did_you_mean(key, map(printable, known))
        raise usage_error(f"nothing here has a `{printable(key)}`", hint=hint)


def _write(
    rows: Sequence[Row],
    what: What,
    shape: Format,
    names: Sequence[str] | None,
    moment: datetime,
) -> None:
    if shape is Format.JSON:
        print_json([{name: row.value(name) for name in names} if names else row.to_json() for row in rows])
    elif shape is Format.CSV:
        keys = names or csv_keys(rows, what)
        print(csv_table(keys, [[row.value(key) for key in keys] for row in rows], shown=sys.stdout.isatty()))
    elif rows:
        keys = names or default_keys(rows, what, moment)
        columns, cells = _rendered(rows, keys, moment, exact=shape is Format.MD)
        if shape is Format.MD:
            print(md_table(columns, cells))
        elif names:
            print_table(columns, cells)
        else:
            print(text_table(columns, cells))


def _rendered(
    rows: Sequence[Row], keys: Sequence[str], moment: datetime, *, exact: bool
) -> tuple[list[Column], list[list[str]]]:
    columns = [Column(printable(key), _is_right(key, rows), COLOURS if key == "state" else {}) for key in keys]
    return columns, [[cell(row, key, moment, exact=exact) for key in keys] for row in rows]


_USUAL = frozenset({None, Reason.EXIT})
"""Reasons that say no more than the state does."""


def csv_keys(rows: Sequence[Row], what: What) -> list[str]:
    """Every field, every metric, every parameter."""
    extra = {key: None for row in rows for key in row.names() if key not in row.fields}
    return [*_fields(what), *sorted(extra, key=lambda key: key.startswith("param."))]


def default_keys(rows: Sequence[Row], what: What, moment: datetime) -> list[str]:
    """What a table shows: the fields that say something here, then the metrics that occur most.

    On a narrow terminal fields give way until some metrics have room.
    """
    first = ["counter", *(["project"] if len({row.fields["project"] for row in rows}) > 1 else [])]
    last = ["tag"] if any(row.fields["tag"] for row in rows) else []
    state = ["state", "reason"] if any(row.fields["reason"] not in _USUAL for row in rows) else ["state"]
    if what is What.RUNS:
        nodes = ["nodes", "reused"] if any(row.fields["reused"] for row in rows) else ["nodes"]
        return [*first, "kind", "name", "state", "created", "duration", "commit", *nodes, *last]
    metrics = common_metrics(rows)
    named = any(row.fields["node"] != row.fields["step"] for row in rows)
    room = terminal_width(sys.stdout)
    keys: list[str] = []
    for names, rest in (
        (["step", "node"] if named else ["step"], [*state, "created", "duration", "commit", *last]),
        (["node"], [*state, "created", "duration", "commit", *last]),
        (["node"], [*state, "created", "duration"]),
    ):
        keys = [*first, *names, *rest]
        least = [*keys, *metrics[:_LEAST_METRICS]]
        if room is None or total_width(natural_widths(*_rendered(rows, least, moment, exact=False))) <= room:
            break
    return keys + metrics


def common_metrics(rows: Sequence[Row]) -> list[str]:
    """Metrics that are numbers, the most frequent first, equally frequent ones in the order of their appearance."""
    count: Counter[str] = Counter()
    for row in reversed(rows):
        count.update(
            METRIC + key if key in row.fields else key
            for key, value in row.metrics.items()
            if number(value) is not None
        )
    return [key for key, _ in count.most_common(_METRICS)]


def _is_right(key: str, rows: Sequence[Row]) -> bool:
    if key in _TIMES or key == "duration":
        return key == "duration"
    values = [value for row in rows if (value := row.value(key)) is not None]
    return bool(values) and all(number(value) is not None for value in values)


def cell(row: Row, key: str, moment: datetime, *, exact: bool) -> str:
    """The text of a cell."""
    value = row.value(key)
    if key in row.fields:
        if key in _TIMES and isinstance(value, str):
            return local_time(value) if exact else relative_time(value, moment)
        if key == "duration" and isinstance(value, float | int):
            return duration_text(value)
        if key == "commit" and value is not None:
            return str(value)[:8] + ("*" if row.fields["dirty"] else "")
        if key in {"id", "run_id"}:
            return str(value)[:_ID_DIGITS]
        if key == "tag":
            return printable(", ".join(row.fields["tag"]))
    return value_text(value)


def _tell(listing: Listing, kept: Sequence[Row], shown: Sequence[Row], what: What) -> None:
    """Say why there is less than one might expect."""
    for id, error in listing.unreadable.items():
        say(f"run {id} cannot be read: {printable(error.message)}")
    if not listing.rows and listing.removed:
        removed = "its run was" if listing.removed == 1 else f"all {listing.removed:,} runs were"
        say(f"nothing is here: {removed} removed; `mlrun gc --undo` brings back what was removed last")
    elif listing.has_runs:
        say("no node has run itself; `mlrun list runs` shows the runs, `mlrun show run:latest` what stands for nodes")
    elif not listing.rows and not listing.unreadable:
        say("nothing has run yet; `mlrun exec STEP` or `mlrun pipeline NAME` runs something")
    elif listing.rows and not kept:
        say(f"none of {len(listing.rows)} {what} matches")
    elif len(shown) < len(kept):
        say("there are more; `--limit 0` shows all")
