"""Executions and runs as rows of a table: what a key of `--where`, `--sort` and `--columns` means. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isnan
from operator import itemgetter
from typing import Any

from runner.quantity import exact_text, number, seconds_between
from runner.state import FINAL, State

EXECUTION_FIELDS = (
    "counter", "id", "run", "run_id", "kind", "name", "step", "node", "state", "reason", "exit_code", "detail",
    "created", "started", "finished", "duration", "commit", "branch", "dirty", "image", "executor", "title", "tag",
    "outputs", "output_bytes", "peak_memory", "warnings", "project",
)  # fmt: skip
RUN_FIELDS = (
    "counter", "id", "kind", "name", "state", "reason", "created", "finished", "duration", "nodes", "reused", "failed",
    "executions", "commit", "branch", "dirty", "executor", "title", "tag", "project",
)  # fmt: skip

METRIC = "metric."
PARAMETER = "param."
_ALIASES = {"metadata.": METRIC, "metrics.": METRIC, "parameter.": PARAMETER, "params.": PARAMETER}
"""Other first words of a name, Valohai's own among them."""


class Tags(tuple[str, ...]):
    """The tags of a run: equal to each of its tags, so that `tag == "best"` asks what it says."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return other in tuple(self) if isinstance(other, str) else tuple(self) == other

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = tuple.__hash__


@dataclass(frozen=True, slots=True)
class Row:
    """One execution or run. Nested objects among the metrics are flat, their keys joined by dots."""

    fields: Mapping[str, Any]
    metrics: Mapping[str, Any]
    parameters: Mapping[str, Any]

    def __getitem__(self, key: str) -> object:
        """The value of a key: a field, a metric, or `metric.NAME`, `param.NAME`. Raises KeyError where there is none.

        A field that has no value (the exit code of what still runs) is missing, too.
        """
        if key in self.fields:
            return _present(key, self.fields[key])
        for alias, prefix in _ALIASES.items():
            if key.startswith(alias) and key not in self.metrics:
                key = prefix + key.removeprefix(alias)
        if key.startswith(PARAMETER):
            return self.parameters[key.removeprefix(PARAMETER)]
        if key.startswith(METRIC) and key not in self.metrics:
            return self.metrics[key.removeprefix(METRIC)]
        return self.metrics[key]

    def value(self, key: str) -> object:
        """Like `row[key]`, None where there is none."""
        try:
            return self[key]
        except KeyError:
            return None

    def names(self) -> Iterator[str]:
        """Every key, as one would write it."""
        yield from self.fields
        yield from (METRIC + key if key in self.fields else key for key in self.metrics)
        yield from (PARAMETER + key for key in self.parameters)

    def to_json(self) -> dict[str, Any]:
        """The whole row as JSON data."""
        return {**self.fields, "metrics": dict(self.metrics), "parameters": dict(self.parameters)}


def _present(key: str, value: object) -> object:
    if value is None:
        raise KeyError(key)
    return value


_Record = Mapping[str, Any]
"""What the store keeps of an execution or a run for lists (`runner.store.row`)."""


@dataclass(frozen=True, slots=True)
class _Field:
    """How a field is told where it is no part of the record by that name: from which parts, and how."""

    parts: tuple[str, ...]
    tell: Callable[[_Record, datetime], Any]


_SHARED_FIELDS = {
    "project": _Field(("project_name",), lambda record, _: record["project_name"]),
    "tag": _Field(("tags",), lambda record, _: Tags(record["tags"])),
}
_OF_EXECUTIONS = {
    **_SHARED_FIELDS,
    "run": _Field(("run_counter",), lambda record, _: record["run_counter"]),
    "run_id": _Field(("run",), lambda record, _: record["run"]),
    "duration": _Field(
        ("state", "duration", "started"),
        lambda record, now: elapsed(record["state"], record["duration"], record["started"], now),
    ),
}
_OF_RUNS = {
    **_SHARED_FIELDS,
    "nodes": _Field(("nodes",), lambda record, _: sum(record["nodes"].values())),
    "reused": _Field(("nodes",), lambda record, _: record["nodes"].get(State.REUSED, 0)),
    "failed": _Field(("nodes",), lambda record, _: record["nodes"].get(State.FAILED, 0)),
    "duration": _Field(
        ("state", "duration", "created"),
        lambda record, now: elapsed(record["state"], record["duration"], record["created"], now),
    ),
}


def execution_row(record: _Record, now: datetime, names: Sequence[str] = EXECUTION_FIELDS) -> Row:
    """The row of an execution with these fields, and the metrics and parameters that `record` has."""
    fields = _fields(record, now, names, _OF_EXECUTIONS)
    return Row(fields, flattened(record.get("metrics", {})), record.get("parameters", {}))


def run_row(record: _Record, now: datetime, names: Sequence[str] = RUN_FIELDS) -> Row:
    """The row of a run with these fields; it has neither metrics nor parameters of its own."""
    return Row(_fields(record, now, names, _OF_RUNS), {}, {})


def _fields(record: _Record, now: datetime, names: Sequence[str], derived: Mapping[str, _Field]) -> dict[str, Any]:
    return {name: derived[name].tell(record, now) if name in derived else record[name] for name in names}


def parts_of(keys: Iterable[str], *, of_runs: bool) -> tuple[list[str], set[str]]:
    """Which of these keys are fields, and the parts of a record that tell the values of all of them."""
    fields, derived = (RUN_FIELDS, _OF_RUNS) if of_runs else (EXECUTION_FIELDS, _OF_EXECUTIONS)
    asked = set(keys)
    named = [key for key in fields if key in asked]
    parts = {part for key in named for part in (derived[key].parts if key in derived else (key,))}
    if not of_runs and asked - {*fields}:
        # Whether there are metrics of its own is asked of what runs, and of what was interrupted.
        parts |= {"metrics", "parameters", "state", "run"}
    return named, parts


def elapsed(state: str, duration: float | None, started: str | None, now: datetime) -> float | None:
    """How long it took, or takes so far; in seconds."""
    if duration is not None or started is None or state in FINAL:
        return duration
    return round(seconds_between(started, now), 3)


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The items of nested objects with their keys joined by dots; an empty object stays."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def flattened(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same as a mapping; mostly there is nothing to do."""
    return dict(flat(values)) if any(type(value) is dict for value in values.values()) else values


def sort_rows(rows: Iterable[Row], key: str, *, reverse: bool) -> list[Row]:
    """By the value of `key`: numbers first, then text; NaN and missing values last, whatever the direction."""
    ranked: list[tuple[_Rank, Row]] = []
    last: list[Row] = []
    for row in rows:
        rank = _rank(row.value(key))
        if rank is None:
            last.append(row)
        else:
            ranked.append((rank, row))
    ranked.sort(key=itemgetter(0), reverse=reverse)
    return [row for _, row in ranked] + last


_Rank = tuple[int, float, str]


def _rank(value: object) -> _Rank | None:
    if value is None:
        return None
    as_number = float(value) if isinstance(value, bool) else number(value)
    if as_number is None:
        return 1, 0.0, exact_text(value).casefold()
    return None if isnan(as_number) else (0, as_number, "")
