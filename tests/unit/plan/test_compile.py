"""From the file and the command line to a plan."""

import pytest

from runner.errors import ExitCode, MlrunError
from runner.plan.compile import compile_pipeline, compile_step
from runner.plan.model import Arguments, Given, Plan, Source, plan_to_json
from runner.spec.model import Project
from runner.spec.project import parse_project

STEPS = """
- step:
    name: make
    image: busybox
    command: make {parameters}
    parameters:
      - {name: seed, type: integer, default: 1}
      - {name: note, type: string, optional: true}
      - {name: fast, type: flag}
    inputs:
      - {name: raw, default: data/raw.csv}
      - {name: extra, optional: true}
    environment-variables:
      - {name: MODE, default: plain}
- step:
    name: use
    image: busybox
    command: use
    parameters:
      - {name: seed, type: integer}
    inputs:
      - {name: data}
"""

FED = STEPS.replace("default: data/raw.csv", "optional: true")

PIPELINE = """
- pipeline:
    name: both
    parameters:
      - name: seed
        default: 5
        targets: [make.parameters.seed]
    nodes:
      - {name: use, type: execution, step: use}
      - {name: make, type: execution, step: make, override: {image: alpine, inputs: [{name: raw}]}}
    edges:
      - [make.output.*, use.input.data]
      - [make.parameter.seed, use.parameter.seed]
"""


def project(text: str = STEPS + PIPELINE) -> Project:
    return parse_project(text.encode(), "valohai.yaml")


def step_plan(name: str, **given: object) -> Plan:
    parameters = {key: value for key, value in given.items() if key not in {"raw", "extra", "data"}}
    inputs = {key: (str(value),) for key, value in given.items() if key in {"raw", "extra", "data"}}
    arguments = Arguments("/here", {name: Given(parameters, inputs)})
    return compile_step(project().steps[name], arguments, "/project")


def pipeline_plan(text: str | None = None, **arguments: object) -> Plan:
    whole = project(text or FED + PIPELINE)
    given = Arguments("/here", **arguments)  # type: ignore[arg-type]
    return compile_pipeline(whole, next(iter(whole.pipelines.values())), given, "/project")


def refusal(text: str, **arguments: object) -> MlrunError:
    with pytest.raises(MlrunError) as caught:
        pipeline_plan(text, **arguments)
    return caught.value


def test_a_step_is_a_plan_of_one_node_with_typed_values() -> None:
    node = step_plan("make", seed="7").nodes["make"]
    assert node.parameters == {"seed": 7}
    assert node.environment == {"MODE": "plain"}


def test_paths_of_the_file_start_at_the_project_and_those_of_the_command_line_here() -> None:
    assert step_plan("make").nodes["make"].inputs["raw"] == (Source("data/raw.csv", "/project"),)
    assert step_plan("make", raw="x.csv").nodes["make"].inputs["raw"] == (Source("x.csv", "/here", trusted=True),)


def test_a_required_parameter_without_a_value_is_refused() -> None:
    with pytest.raises(MlrunError, match="parameter `seed` of step `use` has no value") as caught:
        step_plan("use", data="x")
    assert caught.value.code is ExitCode.USAGE
    assert caught.value.hint == "give one with `--seed VALUE`"


def test_a_required_input_without_files_is_refused() -> None:
    with pytest.raises(MlrunError, match="input `data` of step `use` has no files"):
        step_plan("use", seed="1")


def test_nodes_come_after_their_upstreams_whatever_the_order_in_the_file() -> None:
    assert list(pipeline_plan().nodes) == ["make", "use"]


def test_a_pipeline_parameter_sets_its_targets_and_the_node_option_wins_over_it() -> None:
    assert pipeline_plan().nodes["make"].parameters["seed"] == 5
    assert pipeline_plan(parameters={"seed": "6"}).nodes["make"].parameters["seed"] == 6
    plan = pipeline_plan(parameters={"seed": "6"}, nodes={"make": Given({"seed": "7"})})
    assert plan.nodes["make"].parameters["seed"] == 7


def test_an_override_replaces_the_image_and_a_bare_name_clears_the_default_of_an_input() -> None:
    optional = STEPS.replace("default: data/raw.csv", "default: data/raw.csv, optional: true")
    node = pipeline_plan(optional + PIPELINE).nodes["make"]
    assert node.step.image == "alpine"
    assert node.inputs["raw"] == ()


def test_an_override_that_clears_a_required_input_is_refused() -> None:
    error = refusal(STEPS + PIPELINE)
    assert error.message == "input `raw` of step `make` has no files"
    assert error.hint == "give some with `--make.raw PATH`"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            "make.output.*, use.input.data",
            "make.output.*, use.input.dta",
            "step `use` of node `use` has no input `dta`",
        ),
        ("make.output.*, use", "mkae.output.*, use", "pipeline `both` has no node `mkae`"),
        ("use.parameter.seed]", "use.parameter.sed]", "step `use` of node `use` has no parameter `sed`"),
        (
            "make.output.*, use.input.data",
            "make.parameter.seed, use.input.data",
            "an edge cannot carry parameter to input",
        ),
        ("step: use}", "step: usee}", "node `use` runs step `usee`, which does not exist"),
        (
            "- [make.p",
            "- [use.parameter.seed, make.parameter.seed]\n      - [make.p",
            "these nodes wait for each other",
        ),
        ("- [make.p", "- [make.metadata.x, use.parameter.seed]\n      - [make.p", "gets a value from the edge on line"),
        (
            "targets: [make.parameters.seed]",
            "targets: [make.parameters.seeed]",
            "sets `seeed`, which step `make` lacks",
        ),
        ("make.output.*, use.input.data", "make.output.*, use.file.a.b", "only a deployment node takes files"),
        (
            "{name: use, type",
            "{name: use, commit: 'library:x/y', type",
            "node `use` is at `library:x/y`, which is a library, and only Valohai has those",
        ),
        (
            "- [make.p",
            "- [use.dependency.x, use.dependency.x]\n      - [make.p",
            "this node waits for itself: `use` → `use`",
        ),
        ("default: 5", "default: [5, 6]", "parameter `seed`: takes one value, not a list"),
    ],
)
def test_a_pipeline_that_cannot_run_is_refused_at_its_place(before: str, after: str, message: str) -> None:
    assert before in PIPELINE
    error = refusal(FED + PIPELINE.replace(before, after))
    assert message in error.message
    assert error.code is ExitCode.SPEC
    assert error.location is not None
    assert error.location.line > 20


def test_unknown_nodes_and_parameters_of_the_command_line_are_refused_with_a_hint() -> None:
    assert refusal(FED + PIPELINE, parameters={"sed": "1"}).hint == "did you mean `seed`?"
    assert refusal(FED + PIPELINE, nodes={"mak": Given()}).hint == "did you mean `make`?"


def test_the_plan_of_the_record_is_plain_json_data() -> None:
    nodes = plan_to_json(pipeline_plan(FED + PIPELINE))["nodes"]
    assert nodes[1]["edges"] == [
        ["make.output.*", "use.input.data"],
        ["make.parameter.seed", "use.parameter.seed"],
    ]


KEYED = """
- step:
    name: a
    image: busybox
    command: 'true'
    environment-variables:
      - {name: KEY, default: dummy}
      - {name: NEEDED, optional: false}
      - {name: PLAIN, default: x}
- step:
    name: b
    image: busybox
    command: 'true'
- pipeline:
    name: p
    nodes:
      - {name: a, type: execution, step: a}
      - name: b
        type: execution
        step: b
        override: {environment-variables: [{name: EXTRA, default: from the file}]}
    edges: []
"""


def test_a_step_gets_a_stored_secret_only_if_it_declares_the_variable() -> None:
    given = Arguments("/here", granted=frozenset({"KEY", "NEEDED", "EXTRA", "UNKNOWN"}))
    found = project(KEYED)
    plan = compile_pipeline(found, found.pipelines["p"], given, "/root")

    assert plan.nodes["a"].secrets == ("KEY", "NEEDED")
    assert plan.nodes["a"].environment == {"PLAIN": "x"}
    assert plan.nodes["b"].secrets == ("EXTRA",)
    assert plan.nodes["b"].environment == {}


def test_every_step_gets_the_secrets_of_an_env_file_and_what_is_said_openly_wins() -> None:
    given = Arguments("/here", environment={"KEY": "open"}, secret=frozenset({"KEY", "NEEDED", "ANY"}))
    found = project(KEYED)
    plan = compile_pipeline(found, found.pipelines["p"], given, "/root")

    assert plan.nodes["a"].secrets == ("ANY", "NEEDED")
    assert plan.nodes["a"].environment == {"KEY": "open", "PLAIN": "x"}
    assert plan.nodes["b"].secrets == ("ANY", "NEEDED")


def test_a_required_variable_that_nothing_gives_is_refused_with_both_ways_to_give_it() -> None:
    with pytest.raises(MlrunError) as refusal:
        compile_step(project(KEYED).steps["a"], Arguments("/here", granted=frozenset({"KEY"})), "/root")
    assert "mlrun secret set NEEDED" in (refusal.value.hint or "")
    assert "--var NEEDED" in (refusal.value.hint or "")
