"""`mlrun metrics`: the metrics of executions: last values side by side, or all events."""

import json as json_format
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any

import typer

from runner.app.evidence import Event, last_metrics, metric_events
from runner.cli.row import flat, flattened
from runner.cli.subject import EXECUTION_HELP, NODE_HELP, Found, find_execution, find_of_node
from runner.cli.table import Column, Format, choose, csv_table, md_table, print_table
from runner.cli.terminal import print_json, say
from runner.errors import ExitCode, did_you_mean, usage_error
from runner.escape import printable
from runner.quantity import local_time, number, value_text

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun metrics

  mlrun metrics 12 13 --key accuracy --key loss

  mlrun metrics 12 --events --format csv > events.csv"""


@app.command(epilog=EXAMPLES)
def show_metrics(
    executions: Annotated[list[str] | None, typer.Argument(metavar="[EXECUTION…]", help=EXECUTION_HELP)] = None,
    events: Annotated[
        bool, typer.Option("--events", help="Every event in order, not the last values; JSON: one object per line.")
    ] = False,
    node: Annotated[str | None, typer.Option("--node", metavar="NODE", help=NODE_HELP)] = None,
    key: Annotated[list[str] | None, typer.Option("--key", metavar="K", help="Only this key; may be repeated.")] = None,
    form: Annotated[str, typer.Option("--format", metavar="F", help="table (the default), csv, json or md.")] = "table",
    json: Annotated[bool, typer.Option("--json", help="The same as `--format json`.")] = False,
) -> int:
    """Print the last value of each metric of one or several executions side by side, or all events.

    Keys of nested objects are joined by dots.
    """
    shape = Format.JSON if json else choose(Format, form, "format")
    look_up = find_execution if node is None else partial(find_of_node, node=node)
    found = list({one.execution.id: one for one in map(look_up, executions or ["latest"])}.values())
    values = [flattened(last_metrics(one.store, one.run, one.execution)) for one in found]
    names = list(dict.fromkeys(name for of_one in values for name in of_one))
    for name in key or []:
        if name not in names:
            raise usage_error(f"there is no metric `{printable(name)}`", hint=did_you_mean(name, map(printable, names)))
    if events:
        _write_events(found, key or [], shape)
    else:
        _write_last(found, values, key or names, shape)
    return ExitCode.OK


def _write_last(
    found: Sequence[Found], values: Sequence[Mapping[str, Any]], names: Sequence[str], shape: Format
) -> None:
    if shape is Format.JSON:
        print_json(
            [
                {
                    "execution": one.execution.counter,
                    "id": one.execution.id,
                    "step": one.execution.step,
                    "metrics": {name: of_one[name] for name in names if name in of_one},
                }
                for one, of_one in zip(found, values, strict=True)
            ]
        )
    elif shape is Format.CSV:
        rows = [[name, *(of_one.get(name) for of_one in values)] for name in names]
        _print_csv(["key", *(str(one.execution.counter) for one in found)], rows)
    elif names:
        heads = [f"{one.execution.counter} {printable(one.execution.step)}" for one in found]
        columns = [Column("key"), *(Column(head, _is_right(of_one.values()))
                                    for head, of_one in zip(heads, values, strict=True))]  # fmt: skip
        cells = [[printable(name), *(value_text(of_one.get(name)) for of_one in values)] for name in names]
        _print(columns, cells, shape)
    if not names:
        _say_none(found)


def _write_events(found: Sequence[Found], keys: Sequence[str], shape: Format) -> None:
    if shape is Format.JSON:
        for one, event, values in _events(found, keys):
            row = {"execution": one.execution.counter, "time": event.time, "offset": event.offset, "values": values}
            print(json_format.dumps(row))
        return
    rows = list(_events(found, keys))
    names = list(dict.fromkeys(name for _, _, values in rows for name in values))
    names = [name for name in keys if name in names] or names
    if shape is Format.CSV:
        _print_csv(
            ["execution", "time", *names],
            [[one.execution.counter, event.time, *map(values.get, names)] for one, event, values in rows],
        )
    elif rows:
        columns = [Column("execution", right=True), Column("time")]
        columns += [
            Column(printable(name), _is_right([values[name] for _, _, values in rows if name in values]))
            for name in names
        ]
        cells = [
            [str(one.execution.counter), local_time(event.time), *(value_text(values.get(name)) for name in names)]
            for one, event, values in rows
        ]
        _print(columns, cells, shape)
    if not rows:
        _say_none(found)


def _events(found: Sequence[Found], keys: Sequence[str]) -> Iterator[tuple[Found, Event, dict[str, Any]]]:
    """The events that bear one of the keys, with no more than those."""
    for one in found:
        for event in metric_events(one.store, one.run, one.execution):
            values = {name: value for name, value in flat(event.values) if not keys or name in keys}
            if values:
                yield one, event, values


def _print(columns: Sequence[Column], cells: Sequence[Sequence[str]], shape: Format) -> None:
    if shape is Format.MD:
        print(md_table(columns, cells))
    else:
        print_table(columns, cells)


def _is_right(values: Any) -> bool:
    return all(number(value) is not None for value in values)


def _print_csv(names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    print(csv_table(names, rows, shown=sys.stdout.isatty()))


def _say_none(found: Sequence[Found]) -> None:
    numbers = ", ".join(str(one.execution.counter) for one in found)
    say(f"no metrics in {numbers}: a line of standard output that is a JSON object is a metric event")
