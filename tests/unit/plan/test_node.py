"""Nodes of every kind: what becomes of tasks, deployments, other commits, policies and retries in a plan."""

import pytest

from runner.errors import ExitCode, MlrunError
from runner.plan.compile import compile_pipeline, compile_step
from runner.plan.model import Arguments, Commit, Given, PlannedNode, plan_to_json
from runner.spec.extension import Policy
from runner.spec.model import OnError, Project, Style
from runner.spec.project import parse_project

STEPS = """
- step:
    name: make
    image: busybox
    command: make {parameters}
    parameters:
      - {name: lr, type: float, default: 1}
      - {name: sizes, type: integer, multiple: repeat, default: [4, 5]}
      - {name: must, type: integer}
    inputs: [{name: data, optional: true}]
- endpoint:
    name: predict
    image: busybox
    server-command: serve
    files: [{name: model, path: m.bin}, {name: words, path: w.txt}]
- task:
    name: search
    step: make
    type: grid_search
    parameters:
      - {name: lr, style: multiple, rules: {items: [0.1, 0.2]}}
      - {name: must, style: single, rules: {value: 3}}
"""


RATE = "    parameters: [{name: rate, targets: [t.parameters.lr]}]\n"


def project(nodes: str, edges: str = "", more: str = "", parameters: str = RATE) -> Project:
    text = f"{STEPS}{more}- pipeline:\n    name: p\n{parameters}"
    wires = "".join(f"\n      - [{edge.strip()}]" for edge in edges.strip().splitlines())
    return parse_project(f"{text}    nodes:\n{nodes}    edges:{wires or ' []'}\n".encode(), "valohai.yaml")


def planned(found: Project, node: str = "t", commits: dict[str, Commit] | None = None, **given: object) -> PlannedNode:
    arguments = Arguments("/here", **given)  # type: ignore[arg-type]
    plan = compile_pipeline(found, found.pipelines["p"], arguments, "/root", commits=commits or {}, retries=2)
    return plan.nodes[node]


def refusal(found: Project, commits: dict[str, Commit] | None = None, **given: object) -> MlrunError:
    with pytest.raises(MlrunError) as caught:
        planned(found, commits=commits, **given)
    return caught.value


def varied(node: PlannedNode) -> dict[str, object]:
    assert node.task is not None
    return {one.name: one.rules.get("items", one.rules.get("value")) for one in node.task.variations}


SEARCH = "      - {name: t, type: task, task: search}\n"
BARE = "      - {name: t, type: task, step: make, override: {parameters: [{name: must, default: 1}]}}\n"


# Tasks ----------------------------------------------------------------------------------------------------------------


def test_a_task_node_of_a_blueprint_has_its_step_and_what_varies_is_not_among_its_parameters() -> None:
    node = planned(project(SEARCH))
    assert (node.kind, node.step.name) == ("task", "make")
    assert node.parameters == {"sizes": [4, 5]}
    assert varied(node) == {"lr": [0.1, 0.2], "must": 3}


def test_a_task_node_of_a_bare_step_has_one_trial() -> None:
    node = planned(project(BARE))
    assert node.task is not None
    assert node.parameters == {"lr": 1, "sizes": [4, 5], "must": 1}
    assert varied(node) == {}


def test_what_a_task_varies_beats_an_override_and_is_beaten_by_the_pipeline_and_the_command_line() -> None:
    overridden = "{name: t, type: task, task: search, override: {parameters: [{name: lr, default: 9}]}}"
    assert varied(planned(project(f"      - {overridden}\n")))["lr"] == [0.1, 0.2]
    node = planned(project(SEARCH), parameters={"rate": "0.5"})
    assert node.parameters["lr"] == 0.5
    assert "lr" not in varied(node)
    node = planned(project(SEARCH), nodes={"t": Given({"lr": "0.7"})})
    assert node.parameters["lr"] == 0.7


@pytest.mark.parametrize(
    "given", [{"parameters": {"rate": ["0.5", "2"]}}, {"nodes": {"t": Given({"lr": ["0.5", "2"]})}}], ids=str
)
@pytest.mark.parametrize("node", [SEARCH, BARE], ids=["blueprint", "step"])
def test_a_list_for_a_parameter_of_a_task_node_spreads_over_trials(node: str, given: dict[str, object]) -> None:
    found = planned(project(node), **given)
    assert "lr" not in found.parameters
    assert varied(found)["lr"] == [0.5, 2]
    assert found.task is not None
    assert all(one.style is Style.MULTIPLE for one in found.task.variations if one.name == "lr")


def test_the_default_of_a_multiple_parameter_stays_one_value_and_a_list_from_outside_spreads() -> None:
    assert planned(project(BARE)).parameters["sizes"] == [4, 5]
    node = planned(project(BARE), nodes={"t": Given({"sizes": ["6", "7"]})})
    assert varied(node) == {"sizes": [[6], [7]]}


def test_an_override_may_spread_where_no_list_could_be_a_value() -> None:
    node = BARE.replace("{name: must, default: 1}", "{name: must, default: [1, 2]}")
    assert varied(planned(project(node))) == {"must": [1, 2]}


def test_a_value_of_a_list_that_does_not_fit_is_refused_where_it_stands() -> None:
    error = refusal(project(SEARCH.replace("task: search", "task: search")), parameters={"rate": ["1", "x"]})
    assert (error.code, error.message) == (ExitCode.USAGE, "`--rate`: `x` is not a number")
    assert "no trial would run" in refusal(project(SEARCH), nodes={"t": Given({"lr": []})}).message


def test_a_list_for_an_execution_node_needs_a_multiple_parameter() -> None:
    node = "      - {name: t, type: execution, step: make, override: {parameters: [{name: must, default: 1}]}}\n"
    error = refusal(project(node), parameters={"rate": ["1", "2"]})
    assert error.message == "`--rate`: takes one value, not a list"


def test_a_required_parameter_that_nothing_gives_is_refused_but_for_one_that_varies() -> None:
    error = refusal(project("      - {name: t, type: task, step: make}\n"))
    assert error.message == "parameter `must` of step `make` has no value"


def test_a_value_for_what_the_step_of_a_node_lacks_is_refused() -> None:
    error = refusal(project(SEARCH), nodes={"t": Given({"lrr": "1"})})
    assert (error.message, error.hint) == ("step `make` of node `t` has no `lrr`", "did you mean `lr`?")


def test_a_name_that_a_trial_could_have_is_refused_while_the_file_is_read() -> None:
    found = project("      - {name: t.1, type: execution, step: make}\n")
    assert "p" not in found.pipelines
    assert "has a dot in its name" in found.problems[0].message


# Deployments ----------------------------------------------------------------------------------------------------------

DEPLOY = (
    "      - {name: m, type: task, task: search}\n"
    "      - {name: t, type: deployment, deployment: shop, endpoints: [predict], aliases: [staging]}\n"
)
MODEL, WORDS = "m.output.a.bin, t.file.predict.model\n", "m.output.w.txt, t.file.predict.words\n"


def deployment(edges: str, nodes: str = DEPLOY, more: str = "") -> Project:
    return project(nodes, edges, more, parameters="")


def test_a_deployment_node_has_a_service_and_a_step_that_runs_in_no_image() -> None:
    node = planned(deployment(MODEL + WORDS), image="other", environment={"A": "b"}, secret=frozenset({"KEY"}))
    assert (node.kind, node.step.image, node.step.command, node.environment) == ("deployment", "", (), {})
    assert node.secrets == ()
    service = node.service
    assert service is not None
    assert (service.deployment, service.endpoints, service.aliases) == ("shop", ("predict",), ("staging",))
    assert service.files == (("predict", "model"), ("predict", "words"))
    assert node.upstream == ("m",)


def test_a_file_of_an_endpoint_that_no_edge_brings_is_refused_at_the_node() -> None:
    error = refusal(deployment(MODEL))
    assert error.message == "nothing brings file `words` of endpoint `predict` to node `t`"
    assert error.location is not None
    assert error.hint == "add an edge such as `[train.output.FILE, t.file.predict.words]`"


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        (MODEL + WORDS + "t.deployment.url, m.parameter.lr\n", "a deployment has no `url`"),
        (MODEL + WORDS + "m.output.x, t.file.predict.wodrs\n", "endpoint `predict` expects no file `wodrs`"),
        (MODEL + WORDS + "m.output.x, t.input.data\n", "node `t` is of type `deployment`, which has no input"),
        (MODEL + WORDS + "t.output.x, m.input.data\n", "node `t` is of type `deployment`, which has no output"),
    ],
)
def test_what_a_deployment_has_not_is_refused(edges: str, message: str) -> None:
    assert message in refusal(deployment(edges)).message


def test_a_broken_endpoint_refuses_the_node_that_deploys_it() -> None:
    nodes = DEPLOY.replace("[predict]", "[odd]")
    error = refusal(deployment("", nodes, "- endpoint: {name: odd, image: 7}\n"))
    assert error.location is not None
    assert error.location.line < 28


# Other commits --------------------------------------------------------------------------------------------------------

OLD = Commit("a" * 40, parse_project(STEPS.replace("command: make", "command: old").encode(), "v1:valohai.yaml"))
THERE = "      - {name: t, type: task, task: search, commit: v1}\n"


def test_a_node_at_another_commit_runs_the_step_of_that_commits_file() -> None:
    node = planned(project(THERE), commits={"v1": OLD})
    assert node.step.command[0].text == "old {parameters}"
    assert node.commit == "a" * 40
    assert (
        plan_to_json(
            compile_pipeline(project(THERE), project(THERE).pipelines["p"], Arguments("/"), "/", commits={"v1": OLD})
        )["nodes"][0]["commit"]
        == "a" * 40
    )


@pytest.mark.parametrize(
    ("node", "edge", "message"),
    [
        ("type: execution, step: mak", "", "node `t` runs step `mak`, which commit `v1` lacks"),
        ("type: task, task: seek", "", "node `t` runs task `seek`, which commit `v1` lacks"),
        (
            "type: task, task: search, override: {inputs: [{name: dta}]}",
            "",
            "node `t` overrides the input `dta`, which its step lacks",
        ),
        ("type: task, task: search", "m.output.x, t.input.dta", "step `make` of node `t` has no input `dta`"),
    ],
)
def test_what_the_file_of_another_commit_lacks_is_refused_in_this_one(node: str, edge: str, message: str) -> None:
    nodes = "      - {name: m, type: task, task: search}\n      - {name: t, commit: v1, " + node + "}\n"
    error = refusal(project(nodes, edge, parameters=""), commits={"v1": OLD})
    assert message in error.message
    assert error.location is not None
    assert error.location.file == "valohai.yaml"


def test_a_step_that_is_broken_at_that_commit_is_told_at_its_place_there() -> None:
    broken = Commit("b" * 40, parse_project(STEPS.replace("image: busybox", "image: 7").encode(), "v1:valohai.yaml"))
    error = refusal(project(THERE), commits={"v1": broken})
    assert error.location is not None
    assert error.location.file == "v1:valohai.yaml"


def test_a_library_of_steps_is_not_here() -> None:
    error = refusal(project(THERE.replace("v1", "'library:a/b'")))
    assert error.message == "node `t` is at `library:a/b`, which is a library, and only Valohai has those"
    assert error.hint == "copy its step into your file, or name a commit of this repository"


# Policies and retries -------------------------------------------------------------------------------------------------

RETRY = "      - {name: t, type: task, task: search, on-error: retry}\n"


def policy(text: str) -> str:
    return f"- policy: {{step: make, {text}}}\n"


@pytest.mark.parametrize(
    ("node", "more", "retries"),
    [
        (SEARCH, "", 0),
        (RETRY, "", 2),
        (RETRY, policy("retries: 5"), 5),
        (RETRY, policy("retries: 0"), 0),
        (SEARCH, policy("retries: 3"), 3),
        (RETRY, policy("pool: gpu"), 2),
    ],
)
def test_a_node_is_tried_again_as_its_policy_says_or_the_user_where_the_file_asks(
    node: str, more: str, retries: int
) -> None:
    found = planned(project(node, more=more))
    assert found.retries == retries
    assert (found.on_error is OnError.RETRY) is (node is RETRY)


def test_pool_priority_and_pruning_come_from_the_policy_of_the_step() -> None:
    node = planned(project(SEARCH, more=policy("pool: gpu, priority: 4, prune: {metric: loss, goal: minimize}")))
    assert (node.pool, node.priority) == ("gpu", 4)
    assert node.pruning is not None
    assert node.pruning.metric == "loss"


def test_a_single_step_has_its_policy_too_and_no_trials_to_prune() -> None:
    found = project(SEARCH, more=policy("retries: 3, prune: {metric: loss}"))
    given = Arguments("/", {"make": Given({"must": "1"})})
    whose = found.policies["make"]
    assert isinstance(whose, Policy)
    node = compile_step(found.steps["make"], given, "/", whose).nodes["make"]
    assert (node.retries, node.pruning) == (3, None)
