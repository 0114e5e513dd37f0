"""Tasks, endpoints, nodes and pipelines are read as the library `valohai-yaml` reads them; what is not, is said here.

`docs/compatibility.md` gives the reason of every difference.
"""

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import ExitCode, MlrunError, Severity
from runner.plan.compile import compile_pipeline, compile_step
from runner.plan.model import Arguments, Given
from runner.spec.command import build_script, interpolate_uri
from runner.spec.duration import parse_duration
from runner.spec.model import Project
from runner.spec.project import parse_project
from runner.spec.value import coerce

valohai_yaml = pytest.importorskip("valohai_yaml", reason="valohai-yaml is not installed")
from valohai_yaml.commands import join_command  # noqa: E402
from valohai_yaml.excs import ValidationErrors  # noqa: E402
from valohai_yaml.lint import lint as official_lint  # noqa: E402
from valohai_yaml.pipelines.conversion import PipelineConverter  # noqa: E402
from valohai_yaml.utils.duration import parse_duration as official_duration  # noqa: E402

TRIALS = settings(max_examples=100, deadline=None, database=None)

WORDS = st.text("abcxyz019_ -/'\"$`;{}é", min_size=1, max_size=10).filter(lambda text: bool(text.strip()))
NAMES = st.text("abcxyz019_", min_size=1, max_size=6)
NUMBERS = st.integers(-1000, 1000) | st.floats(-1000, 1000, allow_nan=False)
SCALARS = NUMBERS | WORDS | st.booleans()


def mine(*items: dict[str, Any]) -> Project:
    """The project of some items, all of them sound."""
    project = parse_project(yaml.safe_dump(list(items), allow_unicode=True).encode(), "f.yaml")
    assert not project.broken, project.broken
    return project


def theirs(*items: dict[str, Any]) -> Any:
    """What the library makes of the same items."""
    return valohai_yaml.parse(list(items))


def recased(words: list[str]) -> st.SearchStrategy[str]:
    """A word with its case and its dashes changed."""
    changes = st.sampled_from([str, str.upper, str.title, lambda text: text.replace("_", "-")])
    return st.builds(lambda word, change: change(word), st.sampled_from(words), changes)


RULES = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("value", "start", "end", "step", "count", "base", "min", "max", "seed"), NUMBERS),
        "items": st.lists(SCALARS, max_size=3),
        "distribution": NAMES,
        "integerify": st.booleans(),
        "numberify": st.booleans(),
    },
)
VARIATIONS = st.fixed_dictionaries(
    {
        "name": NAMES,
        "style": st.sampled_from(["single", "multiple", "linear", "logspace", "random"]),
        "rules": RULES.map(lambda rules: {key: value for key, value in rules.items() if not isinstance(value, str)}),
    }
)
SETS = st.lists(st.dictionaries(NAMES, SCALARS | st.lists(SCALARS, max_size=2), max_size=3), max_size=3)
TASKS = st.fixed_dictionaries(
    {"name": NAMES, "step": NAMES, "parameters": st.lists(VARIATIONS, max_size=3)},
    optional={
        "type": recased(["grid_search", "random_search", "manual_search", "bayesian_tpe", "distributed"]),
        "on-child-error": recased(["continue-and-complete", "continue-and-error", "stop-all-and-error"]),
        "description": WORDS,
        "parameter-sets": SETS,
        "execution-count": st.integers(1, 99),
        "execution-batch-size": st.integers(1, 99),
        "maximum-queued-executions": st.integers(1, 99),
        "engine": st.sampled_from(["optuna", "hyperopt"]),
        "optimization-target-metric": NAMES,
        "optimization-target-value": NUMBERS,
        "stop-condition": WORDS,
        "reuse-children": st.booleans(),
    },
)


@TRIALS
@given(TASKS)
def test_tasks_are_read_as_the_library_reads_them(source: dict[str, Any]) -> None:
    [task], [other] = mine({"task": source}).tasks.values(), theirs({"task": source}).tasks.values()
    assert (task.name, task.step, task.description) == (other.name, other.step, other.description)
    assert task.type == other.type.value
    assert [(item.name, item.style, item.rules) for item in task.variations] == [
        (item.name, item.style.value, item.rules) for item in other.parameters
    ]
    assert list(task.parameter_sets) == other.parameter_sets
    assert (task.execution_count, task.execution_batch_size) == (other.execution_count, other.execution_batch_size)
    assert task.maximum_queued_executions == other.maximum_queued_executions
    assert task.engine == (other.engine or "optuna")
    assert (task.target_metric, task.target_value) == (
        other.optimization_target_metric,
        other.optimization_target_value,
    )
    assert task.on_child_error == (other.on_child_error.value if other.on_child_error else None)
    assert (task.stop_condition.text if task.stop_condition else None) == other.stop_condition
    assert task.reuse_children == other.reuse_children


ENDPOINTS = st.fixed_dictionaries(
    {"name": st.just("ep"), "image": WORDS},
    optional={
        "description": WORDS,
        "port": st.integers(1025, 65535),
        "files": st.lists(st.fixed_dictionaries({"name": NAMES, "path": WORDS}), max_size=2),
    },
)


@TRIALS
@given(ENDPOINTS, WORDS, st.booleans())
def test_endpoints_are_read_as_the_library_reads_them(source: dict[str, Any], served: str, wsgi: bool) -> None:
    source = {**source, "wsgi" if wsgi else "server-command": served}
    endpoint, other = mine({"endpoint": source}).endpoints["ep"], theirs({"endpoint": source}).endpoints["ep"]
    assert (endpoint.image, endpoint.description, endpoint.wsgi) == (other.image, other.description, other.wsgi)
    assert endpoint.port == (other.port or 8000)
    assert [item.text for item in endpoint.server_command] == ([] if wsgi else [other.server_command.strip()])
    assert [(item.name, item.path) for item in endpoint.files] == [(item.name, item.path) for item in other.files]


PARAMETERS = st.fixed_dictionaries({"default": NAMES}, optional={}) | st.just({})
URIS = st.lists(WORDS, max_size=2)


@st.composite
def pipelines(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A step and a pipeline of one node that overrides some of it."""
    text, inputs = st.sampled_from(["a", "b", "c"]), st.sampled_from(["x", "y", "z"])
    names = draw(st.lists(text, unique=True))
    files = draw(st.lists(inputs, unique=True))
    variables = draw(st.lists(st.sampled_from(["A", "B"]), unique=True))
    step = {
        "name": "s",
        "image": draw(NAMES),
        "command": draw(NAMES),
        "parameters": [{"name": name, "optional": True, **draw(PARAMETERS)} for name in names],
        "inputs": [{"name": name, "optional": True, "default": draw(URIS)} for name in files],
        "environment-variables": [{"name": name, "default": draw(NAMES)} for name in variables],
    }
    override = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "image": NAMES,
                "command": NAMES | st.lists(NAMES, min_size=1, max_size=2),
                "parameters": st.just([{"name": name, **draw(PARAMETERS)} for name in names[:2]]),
                "inputs": st.just([{"name": name, "default": draw(URIS)} for name in files[:2]]),
                "environment-variables": st.just([{"name": name, "default": draw(NAMES)} for name in variables[:1]]),
            },
        )
    )
    node = {
        "name": "n",
        "type": "execution",
        "step": "s",
        "override": override,
        "on-error": draw(st.sampled_from(["stop-all", "stop-next", "continue"])),
        "edge-merge-mode": draw(st.sampled_from(["replace", "append"])),
    }
    return [{"step": step}, {"pipeline": {"name": "p", "nodes": [node], "edges": []}}]


@TRIALS
@given(pipelines())
def test_a_node_overrides_its_step_as_the_library_converts_it(items: list[dict[str, Any]]) -> None:
    official = theirs(*items)
    [other] = PipelineConverter(config=official, commit_identifier="c").convert_pipeline(official.pipelines["p"])[
        "nodes"
    ]
    project = mine(*items)
    node = compile_pipeline(project, project.pipelines["p"], Arguments("/"), "/").nodes["n"]
    template = other["template"]
    assert node.step.image == template["image"]
    command = template["command"]
    assert [item.text for item in node.step.command] == ([command] if isinstance(command, str) else command)
    given_there = {name: value for name, value in template["parameters"].items() if value is not None}
    assert dict(node.parameters) == given_there
    assert {name: [source.uri for source in found] for name, found in node.inputs.items()} == template["inputs"]
    variables = template.get("environment-variables", {})
    assert dict(node.environment) == variables
    assert node.on_error == other.get("on-error", "stop-all")
    assert node.append_edges == (other.get("edge-merge-mode") == "append")


KINDS = ["output", "input", "parameter", "metadata", "file", "dependency", "deployment", "environment-variable"]
KEYS = st.text("ab./*-", min_size=1, max_size=6)
ENDS = st.builds(lambda node, kind, key: f"{node}.{kind}.{key}", NAMES, st.sampled_from(KINDS), KEYS)
EDGES = st.lists(ENDS, min_size=2, max_size=2) | st.fixed_dictionaries({"source": ENDS, "target": ENDS})


@TRIALS
@given(st.lists(EDGES, max_size=4))
def test_edges_are_read_as_the_library_reads_them(edges: list[Any]) -> None:
    item = {"pipeline": {"name": "p", "nodes": [], "edges": edges}}
    for edge, other in zip(mine(item).pipelines["p"].edges, theirs(item).pipelines["p"].edges, strict=True):
        assert (edge.source.node, edge.source.type, edge.source.key) == (
            other.source_node,
            other.source_type,
            other.source_key,
        )
        assert (edge.target.node, edge.target.type, edge.target.key) == (
            other.target_node,
            other.target_type,
            other.target_key,
        )


TARGETS = st.builds(lambda node, kind, key: f"{node}.{kind}.{key}", NAMES,
                    st.sampled_from(["parameter", "parameters", "parameter-value"]), KEYS)  # fmt: skip
PIPELINE_PARAMETERS = st.fixed_dictionaries(
    {"name": NAMES}, optional={"default": SCALARS | st.lists(SCALARS, max_size=2), "description": WORDS}
)


@TRIALS
@given(PIPELINE_PARAMETERS, st.none() | TARGETS | st.lists(TARGETS, max_size=3), st.booleans())
def test_pipeline_parameters_are_read_as_the_library_reads_them(
    source: dict[str, Any], targets: Any, single: bool
) -> None:
    if targets is not None:
        source = {**source, "target" if single and isinstance(targets, str) else "targets": targets}
    item = {"pipeline": {"name": "p", "nodes": [], "edges": [], "parameters": [source]}}
    [parameter], [other] = mine(item).pipelines["p"].parameters, theirs(item).pipelines["p"].parameters
    assert (parameter.name, parameter.default, parameter.description) == (other.name, other.default, other.description)
    assert [f"{node}.{key}" for node, key in parameter.targets] == [
        ".".join(part for number, part in enumerate(target.split(".", 2)) if number != 1) for target in other.targets
    ]


STEP: dict[str, Any] = {"name": "s", "image": "i", "command": "c"}


def built(command: Any, values: dict[str, Any], **more: Any) -> tuple[list[str], list[str]]:
    """The items of a step's script: ours, and theirs."""
    source = {**STEP, "command": command, **more}
    step = mine({"step": source}).steps["s"]
    plan = compile_step(step, Arguments("/", {"s": Given(values)}), "/")
    ours = build_script(step, plan.nodes["s"].parameters).items
    return list(ours), theirs({"step": source}).steps["s"].build_command(values)


PLAIN = st.text("ab \n=$", max_size=12)


@TRIALS
@given(st.sampled_from(["#!/bin/bash", "#!/bin/sh -e\n", "#!/bin/bash\necho a", ""]), st.lists(PLAIN, max_size=3))
def test_items_with_a_shebang_are_joined_as_the_library_joins_them(first: str, others: list[str]) -> None:
    if not any(part.strip() for part in [first, *others]):
        return
    ours, official = built([first, *others], {})
    assert "\n".join(ours).strip("\n") == join_command(official, "\n").strip("\n")


@TRIALS
@given(
    st.lists(PLAIN | st.sampled_from(["{parameters}", "a \\\n  {parameter:p}", "{parameter-value:p}\nb"]), min_size=1)
)
def test_commands_of_several_lines_are_built_as_the_library_builds_them(commands: list[str]) -> None:
    ours, official = built(commands, {}, parameters=[{"name": "p", "default": "x y"}])
    if not any("$" in command for command in commands):
        assert ours == [text for text in official if text]


@TRIALS
@given(WORDS, st.sampled_from(["s3://b/{parameter:p}/x", "{parameter-value:p}", "{parameter:q}{other}", "plain"]))
def test_a_placeholder_of_an_address_becomes_the_bare_value(value: str, uri: str) -> None:
    step = mine({"step": {**STEP, "parameters": [{"name": "p"}]}}).steps["s"]
    filled = uri.replace("{parameter:p}", value).replace("{parameter-value:p}", value)
    assert interpolate_uri(uri, step, {"p": value}) == filled


@pytest.mark.parametrize("seconds", [1, 90, 86400])
def test_a_number_is_as_many_seconds_in_both(seconds: int) -> None:
    ours, official = parse_duration(seconds), official_duration(seconds)
    assert ours is not None
    assert official is not None
    assert ours.seconds == official.total_seconds()


def test_digits_alone_are_seconds_here_and_a_crash_there() -> None:
    with pytest.raises(IndexError):
        official_duration("90")
    ours = parse_duration("90")
    assert ours is not None
    assert (ours.seconds, ours.surprise is not None) == (90, True)


def test_the_case_of_a_unit_says_nothing_here_and_is_a_crash_there() -> None:
    with pytest.raises(IndexError):
        official_duration("1H")
    ours = parse_duration("1H")
    assert ours is not None
    assert ours.seconds == 3600


@pytest.mark.parametrize("seconds", [0, -5])
def test_a_limit_of_nothing_is_refused_here_and_taken_there(seconds: int) -> None:
    assert official_duration(seconds) is not None
    with pytest.raises(ValueError, match="more than 0 seconds"):
        parse_duration(seconds)


def test_a_month_is_a_minute_in_both_and_said_so_here() -> None:
    ours, official = parse_duration("1 month"), official_duration("1 month")
    assert ours is not None
    assert official is not None
    assert ours.seconds == official.total_seconds() == 60
    assert ours.surprise is not None


def test_a_value_inside_double_quotes_is_data_here_and_run_there() -> None:
    ours, official = built('echo "v={parameter-value:p}"', {"p": "$(id)"}, parameters=[{"name": "p"}])
    assert official == ["echo \"v='$(id)'\""]
    assert ours == ['echo "v="\'$(id)\'""']


def test_a_value_where_quoting_cannot_help_is_refused_here_and_put_in_there() -> None:
    source = {**STEP, "command": 'sh -c "$(echo {parameter-value:p})"', "parameters": [{"name": "p"}]}
    assert "$(id)" in theirs({"step": source}).steps["s"].build_command({"p": "$(id)"})[0]
    step = mine({"step": source}).steps["s"]
    with pytest.raises(MlrunError) as caught:
        build_script(step, {"p": "`id`; $(id)"})
    assert caught.value.code is ExitCode.SPEC


def test_a_flag_has_its_default_here_and_none_there() -> None:
    ours, official = built("c {parameters}", {}, parameters=[{"name": "p", "type": "flag", "default": True}])
    assert (ours, official) == (["c --p"], ["c"])


def test_the_word_false_turns_a_flag_off_here_and_on_there() -> None:
    ours, official = built("c {parameters}", {"p": "false"}, parameters=[{"name": "p", "type": "flag"}])
    assert (ours, official) == (["c"], ["c --p"])


def test_a_list_as_a_bare_value_is_joined_here_and_written_as_python_there() -> None:
    parameter = {"name": "p", "type": "integer", "multiple": "separate", "default": [1, 2]}
    ours, official = built("c {parameter-value:p}", {}, parameters=[parameter])
    assert (ours, official) == (["c 1,2"], ["c '[1, 2]'"])


def test_a_null_as_a_bare_value_is_nothing_here_and_a_word_there() -> None:
    source = {**STEP, "command": "c [{parameter-value:p}]", "parameters": [{"name": "p"}]}
    assert theirs({"step": source}).steps["s"].build_command({"p": None}) == ["c [None]"]
    assert build_script(mine({"step": source}).steps["s"], {"p": None}).items == ("c []",)


def test_a_number_without_a_dot_is_a_number_here_and_text_there() -> None:
    text = (
        b"- step: {name: s, image: i, command: 'c {parameters}', parameters: [{name: p, type: float, default: 1e-4}]}"
    )
    project, official = parse_project(text, "f.yaml"), valohai_yaml.parse(yaml.safe_load(text)).steps["s"]
    assert project.steps["s"].parameters[0].default == 0.0001
    assert official.parameters["p"].default == "1e-4"
    assert [problem.code for problem in project.problems] == ["text-number"]


def test_a_comma_separates_values_here_and_not_there() -> None:
    parameter = {"name": "p", "type": "integer", "multiple": "separate"}
    source = {"step": {**STEP, "parameters": [parameter]}}
    assert coerce(mine(source).steps["s"].parameters[0], "1,2", "p") == [1, 2]
    with pytest.raises(ValidationErrors):
        theirs(source).steps["s"].parameters["p"].validate("1,2")


@pytest.mark.parametrize("word", ["nan", "inf", "1e999"])
def test_a_number_that_is_not_finite_is_refused_here_and_taken_there(word: str) -> None:
    source = {"step": {**STEP, "parameters": [{"name": "p", "type": "float"}]}}
    theirs(source).steps["s"].parameters["p"].validate(word)
    with pytest.raises(MlrunError):
        coerce(mine(source).steps["s"].parameters[0], word, "p")


def test_the_flat_form_is_a_warning_here_and_an_error_there() -> None:
    text = "- step:\n  name: s\n  image: i\n  command: c\n"
    assert official_lint(text).error_count > 0
    project = parse_project(text.encode(), "f.yaml")
    assert [(problem.code, problem.severity) for problem in project.problems] == [("flat-item", Severity.WARNING)]
    assert list(project.steps) == ["s"]


def test_a_plural_edge_is_a_warning_here_and_an_error_there() -> None:
    nodes = "[{name: a, type: execution, step: s}, {name: b, type: execution, step: s}]"
    text = (
        "- step: {name: s, image: i, command: c, inputs: [{name: x, optional: true}]}\n"
        f"- pipeline: {{name: p, nodes: {nodes}, edges: [[a.outputs.m, b.inputs.x]]}}\n"
    )
    assert official_lint(text).error_count == 2
    project = parse_project(text.encode(), "f.yaml")
    assert [(problem.code, problem.severity) for problem in project.problems] == [
        ("plural-edge-type", Severity.WARNING),
        ("plural-edge-type", Severity.WARNING),
    ]
    [edge] = project.pipelines["p"].edges
    assert (edge.source.type, edge.target.type) == ("output", "input")


def test_a_key_twice_is_a_warning_here_and_silent_there() -> None:
    text = "- step: {name: s, image: i, image: j, command: c}"
    assert not list(official_lint(text).messages)
    project = parse_project(text.encode(), "f.yaml")
    assert [problem.code for problem in project.problems] == ["duplicate-key"]
    assert project.steps["s"].image == valohai_yaml.parse(yaml.safe_load(text)).steps["s"].image == "j"


def test_an_unknown_type_of_a_task_has_a_place_here_and_is_a_crash_there() -> None:
    item = {"task": {"name": "t", "step": "s", "parameters": [], "type": "wild"}}
    with pytest.raises(ValueError, match="wild"):
        theirs(item)
    [(_, _, problem)] = parse_project(yaml.safe_dump([item]).encode(), "f.yaml").broken
    assert (problem.code, problem.location.line) == ("wrong-value", 5)


def test_a_mount_is_split_before_its_destination_here_and_at_the_first_colon_there() -> None:
    item = {"step": {**STEP, "mounts": ["/a:b:/c", "/d:/e"]}}
    mounts = mine(item).steps["s"].mounts
    assert [(mount.source, mount.destination) for mount in mounts] == [("/a:b", "/c"), ("/d", "/e")]
    others = theirs(item).steps["s"].mounts
    assert [(mount.source, mount.destination) for mount in others] == [("/a", "b:/c"), ("/d", "/e")]


def test_a_pipeline_parameter_without_a_value_changes_nothing_here_and_is_empty_text_there() -> None:
    step = {"step": {**STEP, "parameters": [{"name": "p", "default": "kept"}]}}
    node = {"name": "n", "type": "execution", "step": "s"}
    parameter = {"name": "q", "targets": ["n.parameter.p"]}
    items = [step, {"pipeline": {"name": "p", "nodes": [node], "edges": [], "parameters": [parameter]}}]
    official = theirs(*items)
    made = PipelineConverter(config=official, commit_identifier="c").convert_pipeline(official.pipelines["p"])
    assert made["parameters"]["q"]["expression"] == ""
    project = mine(*items)
    plan = compile_pipeline(project, project.pipelines["p"], Arguments("/"), "/")
    assert plan.nodes["n"].parameters == {"p": "kept"}
