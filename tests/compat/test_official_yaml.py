"""Differences from the library `valohai-yaml` that Valohai's own tools use: none where it is right."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.plan.compile import compile_step
from runner.plan.model import Arguments, Given
from runner.spec.command import build_script
from runner.spec.duration import parse_duration
from runner.spec.lint import lint
from runner.spec.model import Step
from runner.spec.project import parse_project
from runner.spec.schema import load_schema
from runner.spec.source import read_source
from runner.spec.value import coerce

valohai_yaml = pytest.importorskip("valohai_yaml", reason="valohai-yaml is not installed")
from valohai_yaml.lint import lint as official_lint  # noqa: E402
from valohai_yaml.schema_data import SCHEMATA  # noqa: E402
from valohai_yaml.utils.duration import parse_duration as official_duration  # noqa: E402

EXAMPLES = Path(__file__).parents[1] / "examples"
TRIALS = settings(max_examples=100, deadline=None, database=None)

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\t'\"\\$`;&|<>(){} "), max_size=12)
NAMES = st.text("abcxyz019-_. ", min_size=1, max_size=8).filter(lambda name: name == name.strip())
INTEGERS = st.integers(-(10**6), 10**6)
FLOATS = st.floats(allow_nan=False, allow_infinity=False) | INTEGERS
TEMPLATES = st.sampled_from([None, "--{name}={v}", "-x {v}", "{v}", "{name}:{value} {v}", "{{{name}}}={v}", "-a"])
ATOMS = {"string": TEXT, "integer": INTEGERS, "float": FLOATS, "flag": st.booleans()}


@st.composite
def parameters(draw: st.DrawFn) -> tuple[dict[str, Any], Any]:
    """A parameter as the file writes it, and a value for it (None for no value)."""
    kind = draw(st.sampled_from(list(ATOMS)))
    entry: dict[str, Any] = {"type": kind}
    if kind == "flag":
        for key in ("pass-true-as", "pass-false-as"):
            if template := draw(st.sampled_from([None, None, "--yes", "--{name}=x"])):
                entry[key] = template
    elif multiple := draw(st.sampled_from([None, None, "repeat", "separate"])):
        entry["multiple"] = multiple
        if separator := draw(st.sampled_from([None, "-", ", "])):
            entry["multiple-separator"] = separator
    if template := draw(TEMPLATES):
        entry["pass-as"] = template
    atom = ATOMS[kind]
    if kind != "flag" and draw(st.booleans()):
        entry["default"] = draw(st.lists(atom, max_size=2) | atom if "multiple" in entry else atom)
    value = draw(st.lists(atom, max_size=3) if "multiple" in entry else st.none() | atom)
    return entry, value


@st.composite
def steps(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A step with parameters and a command of bare placeholders, and values for a run."""
    names = draw(st.lists(NAMES, unique=True, max_size=4))
    entries, values, several = [], {}, {}
    for name in names:
        entry, value = draw(parameters())
        several[name] = "multiple" in entry
        entries.append({"name": name, "optional": True, **entry})
        if value is not None:
            values[name] = value
    words = ["python", "x.py", "'a b'", "{parameters}", "{params}", "{nope}", "{parameter:nope}", "{source-path}"]
    words += [f"{{parameter:{name}}}" for name in names]
    words += [f"{{parameter-value:{name}}}" for name in names if not several[name]]
    joiner = st.sampled_from([" ", "\n", " \\\n  "])
    line = st.builds(lambda mark, parts: mark.join(parts), joiner, st.lists(st.sampled_from(words), max_size=5))
    commands = draw(st.lists(line, min_size=1, max_size=3) | line)
    step = {"name": "s", "image": "i", "command": commands, "parameters": entries, "source-path": draw(TEXT)}
    return step, values


def ours(step: dict[str, Any]) -> Step:
    project = parse_project(yaml.safe_dump([{"step": step}], allow_unicode=True).encode(), "f.yaml")
    assert not project.broken, project.broken
    return project.steps["s"]


def theirs(step: dict[str, Any]) -> Any:
    return valohai_yaml.parse([{"step": step}]).steps["s"]


@TRIALS
@given(steps())
def test_commands_are_built_as_the_library_builds_them(made: tuple[dict[str, Any], dict[str, Any]]) -> None:
    source, values = made
    if not source["source-path"]:
        del source["source-path"]
    step = ours(source)
    plan = compile_step(step, Arguments("/", {step.name: Given(values)}), "/")
    built = build_script(step, plan.nodes[step.name].parameters).items
    assert list(built) == [text for text in theirs(source).build_command(values) if text]


DEFAULTS = st.fixed_dictionaries(
    {"name": NAMES},
    optional={"description": TEXT, "optional": st.booleans(), "min": INTEGERS, "max": INTEGERS, "category": TEXT},
)


@TRIALS
@given(st.lists(DEFAULTS, unique_by=lambda entry: entry["name"], max_size=4), st.data())
def test_steps_are_read_as_the_library_reads_them(entries: list[dict[str, Any]], data: st.DataObject) -> None:
    for entry in entries:
        entry["type"] = kind = data.draw(st.sampled_from(["string", "integer", "float"]))
        if data.draw(st.booleans()):
            entry["multiple"] = data.draw(st.sampled_from(["none", "repeat", "separate"]))
        if data.draw(st.booleans()):
            entry["default"] = data.draw(ATOMS[kind] | st.lists(ATOMS[kind], max_size=2))
        if data.draw(st.booleans()):
            entry["choices"] = data.draw(st.lists(ATOMS[kind], min_size=1, max_size=3))
    uris = st.lists(TEXT.filter(bool), max_size=2)
    inputs = [{"name": f"i{n}", "default": data.draw(uris), "optional": data.draw(st.booleans())} for n in range(2)]
    source = {"name": "s", "image": "i", "command": "c", "parameters": entries, "inputs": inputs}
    mine, official = ours(source), theirs(source)
    assert [item.name for item in mine.parameters] == list(official.parameters)
    for item in mine.parameters:
        other = official.parameters[item.name]
        assert (item.type, item.default, item.optional) == (other.type, other.default, other.optional)
        assert (item.minimum, item.maximum, list(item.choices)) == (other.min, other.max, other.choices or [])
        assert item.multiple == (other.multiple.value if other.multiple else "none")
    for entry in mine.inputs:
        assert (list(entry.default), entry.optional) == (
            official.inputs[entry.name].default,
            official.inputs[entry.name].optional,
        )


SCALARS = st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | TEXT
TREES = st.recursive(SCALARS, lambda below: st.lists(below, max_size=4) | st.dictionaries(TEXT, below, max_size=4))


@TRIALS
@given(TREES, st.sampled_from([True, False, None]), st.sampled_from([None, '"', "'", "|", ">"]))
def test_yaml_is_read_as_pyyaml_reads_it(tree: object, flow: bool | None, style: str | None) -> None:
    text = yaml.safe_dump(tree, default_flow_style=flow, default_style=style, allow_unicode=True)
    result = read_source(text.encode(), "f.yaml")
    assert result.tree == yaml.safe_load(text), result.problems


@TRIALS
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["1", "30", "1.5", "0.25", "12"]),
            st.sampled_from(["s", "m", "h", "d", "w", " min", "month", "ms"]),
        ),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from(["", " ", ", "]),
)
def test_durations_are_read_as_the_library_reads_them(pieces: list[tuple[str, str]], joiner: str) -> None:
    text = joiner.join(number + unit for number, unit in pieces)
    duration = parse_duration(text)
    assert duration is not None
    assert math.isclose(duration.seconds, official_duration(text).total_seconds())


@TRIALS
@given(parameters(), SCALARS)
def test_a_value_that_the_library_accepts_is_accepted_and_the_same(
    made: tuple[dict[str, Any], Any], value: object
) -> None:
    entry = {"name": "p", **made[0]}
    source = {"name": "s", "image": "i", "command": "c", "parameters": [entry]}
    mine, official = ours(source).parameters[0], theirs(source).parameters["p"]
    try:
        accepted = official.validate(value)
    except valohai_yaml.excs.ValidationErrors:
        return
    separate = entry.get("multiple") == "separate" and isinstance(value, str)
    if separate or (isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value)):
        return
    if isinstance(accepted, float) and not math.isfinite(accepted):
        return
    assert coerce(mine, value, "p") == accepted


@pytest.mark.parametrize("path", sorted((EXAMPLES / "valid").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_library_finds_no_error_in_a_valid_example(path: Path) -> None:
    result = official_lint(path.read_text("utf-8-sig"))
    assert [message["message"] for message in result.errors] == []


INVALID = ["unknown-keys", "wrong-types", "not-allowed", "pipeline-shapes"]


@pytest.mark.parametrize("name", INVALID)
def test_where_the_library_finds_errors_there_are_at_least_as_many_here(name: str) -> None:
    path = EXAMPLES / "invalid" / f"{name}.yaml"
    official = official_lint(path.read_text())
    assert official.error_count > 0
    found = [problem for problem in lint(parse_project(path.read_bytes(), name)) if problem.severity == "error"]
    assert len(found) >= official.error_count


OBJECTS = {
    "step": "step",
    "param-item": "parameter",
    "input-item": "input",
    "output-item": "output",
    "environment-variable-item": "environment-variable",
    "endpoint": "endpoint",
    "endpoint-shared-volume": "shared-volume",
    "endpoint-workspace-volume": "workspace-volume",
    "file-item": "endpoint-file",
    "toleration": "toleration",
    "task": "task",
    "variant-param": "task-parameter",
    "variant-param-rule-item": "rules",
    "pipeline": "pipeline",
    "pipeline-param": "pipeline-parameter",
    "execution-node": "execution-node",
    "task-node": "task-node",
    "deployment-node": "deployment-node",
    "node-action": "action",
    "overridden-properties": "override",
    "deployment": "deployment",
}


@pytest.mark.parametrize(("official", "mine"), OBJECTS.items())
def test_the_schema_knows_the_same_keys(official: str, mine: str) -> None:
    known = SCHEMATA[f"https://valohai.com/schemas/{official}"]
    definition = load_schema()["$defs"][mine]
    assert set(definition["properties"]) == set(known["properties"])
    assert set(known.get("required", ())) <= set(definition.get("required", ()))
