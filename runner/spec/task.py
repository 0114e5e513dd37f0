"""Tree → typed tasks, the sweeps over a step's parameters. How their values are made is not known here. Pure."""

from collections.abc import Iterator, Mapping

from runner.job import Value
from runner.spec import field
from runner.spec.model import Engine, OnChildError, Style, Task, TaskType, Variation
from runner.spec.reader import Reader, named
from runner.spec.tree import Table


def parse_task(body: Table, reader: Reader) -> Task:
    """The task that a mapping describes; worth something only if the reader met no error."""
    noun = named(body.get("name"), "task")
    if "parameters" not in body and "parameter-sets" not in body:
        reader.error("missing-key", f"{noun} has no `parameters`", body.at)
    return Task(
        name=reader.text(body, "name", noun, required=True) or "",
        location=field.place_of(body, reader),
        step=reader.text(body, "step", noun, required=True) or "",
        type=reader.loose_word(body, "type", noun, TaskType) or TaskType.GRID_SEARCH,
        variations=tuple(_variation(table, reader, noun) for table in reader.tables(body, "parameters", noun)),
        parameter_sets=tuple(_sets(body, reader, noun)),
        execution_count=reader.count(body, "execution-count", noun),
        execution_batch_size=reader.count(body, "execution-batch-size", noun),
        maximum_queued_executions=reader.count(body, "maximum-queued-executions", noun),
        engine=reader.loose_word(body, "engine", noun, Engine) or Engine.OPTUNA,
        target_metric=reader.text(body, "optimization-target-metric", noun),
        target_value=reader.number(body, "optimization-target-value", noun),
        on_child_error=reader.loose_word(body, "on-child-error", noun, OnChildError),
        stop_condition=field.condition(body, "stop-condition", reader, noun),
        reuse_children=reader.flag(body, "reuse-children", noun, False),
        description=field.remark(body),
    )


def _variation(table: Table, reader: Reader, owner: str) -> Variation:
    noun = f"{named(table.get('name'), 'parameter')} of {owner}"
    for key in ("style", "rules"):
        if table.get(key) is None:
            reader.error("missing-key", f"{noun} has no `{key}`", table.values_at.get(key, table.at))
    return Variation(
        name=reader.text(table, "name", noun, required=True) or "",
        location=field.place_of(table, reader),
        style=reader.word(table, "style", noun, Style, Style.SINGLE),
        rules=reader.table(table, "rules", noun) or {},
    )


def _sets(body: Table, reader: Reader, noun: str) -> Iterator[Mapping[str, Value]]:
    """The parameter sets, empty ones left out; a null leaves its parameter without a value."""
    for table in reader.tables(body, "parameter-sets", noun):
        values = {key: field.value(table, key, reader, f"a parameter set of {noun}") for key in table}
        kept = {key: value for key, value in values.items() if value is not None}
        if table:
            yield kept
