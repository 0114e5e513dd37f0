"""A file becomes a project; what is broken stays aside."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from runner.errors import ExitCode, Location, MlrunError
from runner.spec.extension import Pruning, PruningRule
from runner.spec.model import (
    Engine,
    KeepDirectories,
    Multiple,
    OnChildError,
    OnError,
    ParameterType,
    Project,
    Range,
    Resources,
    SocketType,
    Style,
    TaskType,
)
from runner.spec.project import load_project, parse_project, select_pipeline, select_step, select_task


def project(text: str) -> Project:
    return parse_project(text.encode(), "f.yaml")


FULL = """\
- step:
    name: train
    image: python:3.12
    description: trains
    time-limit: 1h 30m
    source-path: a b.py
    mounts: ["/a:/b"]
    environment: gpu
    command:
      - "  pip install x  "
      - |
        python train.py
          --more
      - ""
    parameters:
      - {name: epochs, type: integer, default: 5, min: 1, max: 9, description: d}
      - {name: list, multiple: separate, multiple-separator: "-", default: one}
      - {name: flag, type: flag, default: true, pass-true-as: -t}
    inputs:
      - {name: data, default: [a, null, "", b], keep-directories: true, filename: x}
      - {name: more, default: c, optional: true, keep-directories: suffix}
    environment-variables:
      - {name: A, default: ""}
      - {name: B, optional: false}
- pipeline:
    name: p
    nodes:
      - name: one
        type: execution
        step: train
        on-error: retry
        edge-merge-mode: append
        override:
          image: other
          command: other
          parameters: [{name: epochs}, {name: list, default: [x, y]}]
          inputs: [{name: data}, {name: more, default: d}]
          environment-variables: [{name: A, default: z}]
        actions: [{when: Node-Complete, if: a > 1, then: [Stop-Pipeline]}]
      - {name: two, type: task, task: sweep, commit: 123}
    edges:
      - [one.output.model.*.pkl, two.input.a.b]
      - {source: one.metadata.x, target: two.parameter.y}
    parameters:
      - {name: e, default: 3, targets: [one.parameter.epochs, two.parameters.a.b]}
      - {name: f, target: one.parameter.list}
"""


def test_a_step_is_typed_with_its_places() -> None:
    step = project(FULL).steps["train"]
    assert [item.text for item in step.command] == ["pip install x", "python train.py\n  --more"]
    assert [str(item.location) for item in step.command] == ["f.yaml:10:10", "f.yaml:12:9"]
    assert (step.time_limit, step.source_path, list(step.ignored)) == (
        5400.0,
        "a b.py",
        ["environment"],
    )
    epochs, several, flag = step.parameters
    assert (epochs.type, epochs.default, epochs.minimum, epochs.maximum) == (ParameterType.INTEGER, 5, 1, 9)
    assert (several.multiple, several.separator, several.default) == (Multiple.SEPARATE, "-", ["one"])
    assert (flag.default, flag.pass_true_as, flag.required) == (True, "-t", False)
    data, more = step.inputs
    assert (data.default, data.keep_directories, data.filename) == (("a", "b"), KeepDirectories.FULL, "x")
    assert (more.default, more.optional, more.keep_directories) == (("c",), True, KeepDirectories.SUFFIX)
    assert [(item.default, item.optional) for item in step.environment_variables] == [("", True), (None, False)]
    assert str(epochs.location) == "f.yaml:16:16"


def test_a_pipeline_is_typed() -> None:
    pipeline = project(FULL).pipelines["p"]
    one, two = pipeline.nodes
    assert (one.on_error, one.append_edges, two.commit, two.task) == (OnError.RETRY, True, "123", "sweep")
    assert one.override is not None
    assert one.override.parameters == {"epochs": None, "list": ["x", "y"]}
    assert one.override.inputs == {"data": (), "more": ("d",)}
    assert one.override.environment_variables == {"A": "z"}
    assert (one.actions[0].when, one.actions[0].then) == (("node-complete",), ("stop-pipeline",))
    first, second = pipeline.edges
    assert (first.source.key, first.target.type, first.target.key) == ("model.*.pkl", SocketType.INPUT, "a.b")
    assert second.source.type is SocketType.METADATA
    assert pipeline.parameters[0].targets == (("one", "epochs"), ("two", "a.b"))
    assert pipeline.parameters[1].targets == (("one", "list"),)


KINDS = """\
- step:
    name: train
    image: python:3.12
    command: x
    mounts:
      - /data:/mnt/a
      - "/a:b:/c"
      - {source: "C:/Users/x", destination: /y, readonly: true, type: NFS, options: {vers: 4, none: null}}
    resources: {cpu: {min: 0.5, max: 2}, memory: {max: 512}, devices: {nvidia.com/gpu: 1}}
    no-output-timeout: "90"
    stop-condition: "loss < 0.1"
    autorestart: true
    inputs: [{name: late, download: on-demand, optional: true}, {name: soon, download: always, optional: true}]
- task:
    name: sweep
    step: train
    type: Random-Search
    parameters:
      - {name: lr, style: random, rules: {min: 0.1, max: 1, seed: 3}}
    parameter-sets: [{lr: 1, tag: [a, b]}, {}, {lr: null}]
    execution-count: 8
    execution-batch-size: 4
    maximum-queued-executions: 2
    engine: HyperOpt
    optimization-target-metric: loss
    optimization-target-value: 0.5
    on-child-error: Stop_All_And_Error
    stop-condition: loss < 1
    reuse-children: true
    description: sweeps
- endpoint:
    name: predict
    image: python:3.12
    server-command: [python serve.py]
    port: 9000
    files: [{name: model, path: m.pkl}]
- endpoint: {name: wsgi, image: python:3.12, wsgi: "app:main"}
- deployment: {name: live, defaults: {target: cluster}}
- policy: {step: train, reuse: 1d, retries: 2, pool: gpu, code: ["src/**"]}
- pipeline:
    name: all
    reuse-executions: true
    nodes:
      - {name: a, type: execution, step: train, override: {mounts: [/x:/y], environment: big}}
      - {name: b, type: task, task: sweep}
      - {name: c, type: deployment, deployment: live, endpoints: [predict], aliases: [prod]}
    edges:
      - {source: a.output.m, target: c.file.predict.model, configuration: {x: 1}}
"""


def test_the_further_fields_of_a_step_are_typed() -> None:
    step = project(KINDS).steps["train"]
    assert [(item.source, item.destination) for item in step.mounts] == [
        ("/data", "/mnt/a"),
        ("/a:b", "/c"),
        ("C:/Users/x", "/y"),
    ]
    assert (step.mounts[2].readonly, step.mounts[2].type, step.mounts[2].options) == (True, "nfs", {"vers": 4})
    assert step.resources == Resources(Range(0.5, 2), Range(None, 512), {"nvidia.com/gpu": 1})
    assert step.no_output_timeout == 90
    assert step.stop_condition is not None
    assert (step.stop_condition.text, str(step.stop_condition.location)) == ("loss < 0.1", "f.yaml:11:22")
    assert [item.on_demand for item in step.inputs] == [True, False]
    assert set(step.ignored) == {
        "autorestart",
        "download",
    }
    assert str(step.ignored["download"]) == "f.yaml:13:27"


@pytest.mark.parametrize(("blank", "line"), [(0, 2), (3, 5), (99, 101), (100, 1)])
def test_a_command_begins_at_its_first_letter_or_behind_many_blank_lines_at_its_sign(blank: int, line: int) -> None:
    blanks = "\n" * blank
    step = project(f"- step:\n    name: a\n    image: b\n    command: |\n{blanks}      x\n").steps["a"]
    assert step.command[0].location.line == line + 3


def test_devices_that_are_none_differ_from_devices_left_out() -> None:
    text = "- step: {{name: a, image: b, command: c, resources: {{{}}}}}"
    assert project(text.format("devices: {}")).steps["a"].resources.devices == {}
    assert project(text.format("cpu: {}")).steps["a"].resources == Resources()


def test_a_task_is_typed_and_its_words_are_folded() -> None:
    task = project(KINDS).tasks["sweep"]
    assert (task.step, task.type, task.engine) == ("train", TaskType.RANDOM_SEARCH, Engine.HYPEROPT)
    assert task.on_child_error is OnChildError.STOP_ALL_AND_ERROR
    [variation] = task.variations
    assert (variation.name, variation.style, variation.rules["seed"]) == ("lr", Style.RANDOM, 3)
    assert task.parameter_sets == ({"lr": 1, "tag": ["a", "b"]}, {})
    assert (task.execution_count, task.execution_batch_size, task.maximum_queued_executions) == (8, 4, 2)
    assert (task.target_metric, task.target_value, task.reuse_children) == ("loss", 0.5, True)
    assert task.stop_condition is not None
    assert (task.stop_condition.text, task.description) == ("loss < 1", "sweeps")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("grid-search", TaskType.GRID_SEARCH),
        ("BAYESIAN-TPE", TaskType.BAYESIAN_TPE),
        ("Manual_Search", TaskType.MANUAL_SEARCH),
        ("distributed", TaskType.DISTRIBUTED),
        ('""', TaskType.GRID_SEARCH),
    ],
)
def test_the_type_of_a_task_is_read_in_any_case_with_dashes_or_underscores(written: str, meant: TaskType) -> None:
    assert project(f"- task: {{name: t, step: s, parameters: [], type: {written}}}").tasks["t"].type is meant


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ("type: grid", "wrong-value"),
        ("type: 5", "wrong-type"),
        ("engine: random", "wrong-value"),
        ("on-child-error: explode", "wrong-value"),
        ("execution-count: 0", "wrong-value"),
        ("execution-count: two", "wrong-type"),
        ("parameters: [{name: x, style: wild, rules: {}}]", "wrong-value"),
        ("parameters: [{name: x, rules: {}}]", "missing-key"),
        ("parameters: [{name: x, style: single, rules: 5}]", "wrong-type"),
        ("parameter-sets: [{x: {a: 1}}]", "wrong-type"),
    ],
)
def test_a_task_with_a_bad_field_is_broken_at_its_place(field: str, code: str) -> None:
    result = project(f"- task: {{name: t, step: s, parameters: [], {field}}}")
    assert not result.tasks
    [(kind, name, problem)] = result.broken
    assert (kind, name, problem.code, problem.location.line) == ("task", "t", code, 1)
    with pytest.raises(MlrunError):
        select_task(result, "t")


def test_a_task_without_anything_to_vary_is_broken() -> None:
    assert [problem.code for _, _, problem in project("- task: {name: t, step: s}").broken] == ["missing-key"]


def test_a_task_is_selected_like_a_step() -> None:
    assert select_task(project(KINDS), "SWE").name == "sweep"


def test_endpoints_and_deployments_are_typed() -> None:
    result = project(KINDS)
    served, wsgi = result.endpoints.values()
    assert ([item.text for item in served.server_command], served.wsgi, served.port) == (
        ["python serve.py"],
        None,
        9000,
    )
    assert [(item.name, item.path) for item in served.files] == [("model", "m.pkl")]
    assert (wsgi.wsgi, wsgi.server_command, wsgi.port) == ("app:main", (), 8000)
    assert result.deployments["live"].target == "cluster"


@pytest.mark.parametrize(
    ("item", "code"),
    [
        ("endpoint: {name: e, image: i}", "missing-key"),
        ("endpoint: {name: e, image: i, wsgi: a, server-command: b}", "ambiguous-item"),
        ("endpoint: {name: e, image: i, wsgi: a, port: 80}", "wrong-value"),
        ("endpoint: {name: e, image: i, wsgi: a, port: 70000}", "wrong-value"),
        ("endpoint: {name: e, image: i, wsgi: a, files: [{name: m}]}", "missing-key"),
        ("deployment: {defaults: {target: x}}", "missing-key"),
        ("deployment: {name: d, defaults: {}}", "missing-key"),
        ("policy: {reuse: never}", "missing-key"),
        ("policy: {step: s, reuse: sometimes}", "bad-duration"),
        ("policy: {step: s, retries: -1}", "wrong-value"),
        ("policy: {step: s, retries: 101}", "wrong-value"),
        ("policy: {step: s, priority: 1.5}", "wrong-type"),
        ("policy: {step: s, pool: 1}", "wrong-type"),
        ("policy: {step: s, prune: loss}", "wrong-type"),
        ("policy: {step: s, prune: {rule: median}}", "missing-key"),
        ("policy: {step: s, prune: {metric: loss, goal: less}}", "wrong-value"),
        ("policy: {step: s, prune: {metric: loss, goal: true}}", "wrong-value"),
        ("policy: {step: s, prune: {metric: loss, goal: .nan}}", "wrong-value"),
        ("policy: {step: s, prune: {metric: loss, rule: mean}}", "wrong-value"),
        ("policy: {step: s, prune: {metric: loss, warmup: -1}}", "wrong-value"),
        ("policy: {step: s, prune: {metric: loss, startup: 0}}", "wrong-value"),
        ("policy: {step: s, prune: {metric: loss, reduction: 1}}", "wrong-value"),
        ("policy: {step: s, code: 5}", "wrong-type"),
    ],
)
def test_an_item_of_another_kind_with_a_bad_field_is_broken(item: str, code: str) -> None:
    result = project(f"- step: {{name: s, image: i, command: c}}\n- {item}\n")
    assert [(kind, problem.code) for kind, _, problem in result.broken] == [(item.partition(":")[0], code)]
    assert list(result.steps) == ["s"]


def test_a_policy_is_typed() -> None:
    policy = project(KINDS).policies["train"]
    assert (policy.reuse, policy.retries, policy.pool, policy.code) == (86400, 2, "gpu", ("src/**",))
    open_ = project("- step: {name: s, image: i, command: c}\n- policy: {step: s}").policies["s"]
    assert (open_.reuse, open_.retries, open_.pool, open_.code) == (None, None, None, None)
    never = project("- policy: {step: s, reuse: never, code: a.py}").policies["s"]
    assert (never.reuse, never.code) == (0, ("a.py",))
    assert (open_.priority, open_.pruning, project("- policy: {step: s, priority: -3}").policies["s"].priority) == (
        None,
        None,
        -3,
    )


def test_a_rule_for_pruning_is_typed() -> None:
    def pruning(text: str) -> Pruning | None:
        return project(f"- policy: {{step: s, prune: {{{text}}}}}").policies["s"].pruning

    place = Location("f.yaml", 1, 37)
    assert pruning("metric: loss") == Pruning("loss", place)
    assert pruning("metric: loss, goal: minimize, rule: halving, warmup: 0, startup: 1, reduction: 2") == Pruning(
        "loss", place, "minimize", PruningRule.HALVING, 0, 1, 2
    )
    near = pruning("metric: loss, goal: 0.5")
    assert near is not None
    assert near.goal == 0.5


@pytest.mark.parametrize(
    "item",
    [
        "step: {name: x, image: i, command: c}",
        "task: {name: x, step: s, parameters: []}",
        "endpoint: {name: xx, image: i, wsgi: a}",
        "pipeline: {name: x, nodes: [], edges: []}",
        "deployment: {name: x}",
    ],
)
def test_two_items_of_one_kind_and_name_are_a_warning_for_every_kind(item: str) -> None:
    [problem] = project(f"- {item}\n- {item}\n").problems
    assert (problem.code, problem.severity, problem.location.line) == ("duplicate-name", "warning", 2)
    assert "on line 1 too" in problem.message


def test_of_two_policies_for_one_step_the_last_counts() -> None:
    result = project(
        "- step: {name: s, image: i, command: c}\n- policy: {step: s, retries: 1}\n- policy: {step: s, retries: 2}\n"
    )
    assert [problem.code for problem in result.problems] == ["duplicate-name"]
    assert result.policies["s"].retries == 2


def test_items_of_different_kinds_may_have_one_name() -> None:
    step, task = "- step: {name: x, image: i, command: c}\n", "- task: {name: x, step: x, parameters: []}\n"
    assert project(step + task).problems == ()


def test_the_further_fields_of_a_pipeline_are_typed() -> None:
    pipeline = project(KINDS).pipelines["all"]
    a, b, c = pipeline.nodes
    assert a.override is not None
    assert [(item.source, item.destination) for item in a.override.mounts] == [("/x", "/y")]
    assert (b.task, b.step, c.step) == ("sweep", None, None)
    assert (c.deployment, c.endpoints, c.aliases) == ("live", ("predict",), ("prod",))
    assert pipeline.reuse_executions is True
    assert [name for name, _ in pipeline.ignored] == ["environment", "configuration"]


def test_reuse_that_nobody_speaks_of_differs_from_reuse_refused() -> None:
    text = "- pipeline: {{name: p, nodes: [], edges: []{}}}"
    assert project(text.format("")).pipelines["p"].reuse_executions is None
    refused = project(text.format(", reuse-executions: false")).pipelines["p"]
    assert (refused.reuse_executions, refused.ignored) == (False, ())


@pytest.mark.parametrize(
    "said",
    [
        "target: n.parameter.lr",
        "targets: n.parameter.lr",
        "targets: [n.parameter.lr]",
        "target: n.parameters.lr",
        "targets: [n.parameters.lr]",
        "targets: [n.parameter-value.lr]",
    ],
)
def test_a_pipeline_parameter_names_its_targets_in_any_spelling(said: str) -> None:
    result = project(f"- pipeline: {{name: p, nodes: [], edges: [], parameters: [{{name: x, {said}}}]}}")
    assert result.pipelines["p"].parameters[0].targets == (("n", "lr"),)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("target: n.lr", "bad-target"),
        ("targets: [n.input.lr]", "bad-target"),
        ("target: n.parameter.a, targets: [n.parameter.b]", "ambiguous-item"),
    ],
)
def test_a_bad_target_breaks_its_pipeline(said: str, code: str) -> None:
    result = project(f"- pipeline: {{name: p, nodes: [], edges: [], parameters: [{{name: x, {said}}}]}}")
    assert [problem.code for _, _, problem in result.broken] == [code]


@pytest.mark.parametrize("mount", ["/a", "a:/b", ":/b", "/a:b", "/a:/", "5", "[]", "{source: /a}",
                                   "{source: /a, destination: b}"])  # fmt: skip
def test_a_mount_that_makes_no_sense_breaks_its_step(mount: str) -> None:
    mount = f'"{mount}"' if mount.startswith(("/", "a", ":")) else mount
    result = project(f"- step: {{name: a, image: b, command: c, mounts: [{mount}]}}")
    assert [kind for kind, _, _ in result.broken] == ["step"]


@pytest.mark.parametrize("field", ["time-limit", "no-output-timeout"])
def test_every_duration_of_a_step_is_checked_alike(field: str) -> None:
    text = "- step: {{name: a, image: b, command: c, {}: {}}}"
    assert [problem.code for _, _, problem in project(text.format(field, "0")).broken] == ["bad-duration"]
    [problem] = project(text.format(field, "1 month")).problems
    assert (problem.code, field in problem.message) == ("odd-duration", True)


def test_an_override_may_empty_a_variable() -> None:
    nodes = (
        "[{name: n, type: execution, step: s, override: {environment-variables: [{name: A, default: ''}, {name: B}]}}]"
    )
    override = project(f"- pipeline: {{name: p, nodes: {nodes}, edges: []}}").pipelines["p"].nodes[0].override
    assert override is not None
    assert override.environment_variables == {"A": "", "B": None}


def test_a_broken_item_leaves_the_others_usable() -> None:
    result = project("- step: {name: good, image: a, command: b}\n- step: {name: bad, image: a}\n")
    assert list(result.steps) == ["good"]
    assert [(kind, name) for kind, name, _ in result.broken] == [("step", "bad")]
    assert select_step(result, "good").name == "good"


def test_selecting_a_broken_step_raises_its_own_located_problem() -> None:
    result = project("- step: {name: bad, image: a}\n")
    with pytest.raises(MlrunError, match="has no `command`") as caught:
        select_step(result, "bad")
    assert caught.value.code is ExitCode.SPEC
    assert str(caught.value.location) == "f.yaml:1:9"
    assert len(caught.value.problems) == 1


def test_the_last_of_two_steps_counts_even_if_it_is_broken() -> None:
    good, bad = "- step: {name: a, image: b, command: c}\n", "- step: {name: a, image: b}\n"
    assert project(bad + good).steps["a"].image == "b"
    assert "a" not in project(good + bad).steps


def test_any_selection_in_an_unreadable_file_raises_the_reason() -> None:
    for select in (select_step, select_pipeline):
        with pytest.raises(MlrunError) as caught:
            select(project("- step: {"), "a")
        assert caught.value.code is ExitCode.SPEC
        assert caught.value.location is not None


THREE = "".join(f"- step: {{name: {name}, image: a, command: b}}\n" for name in ("Train", "train-more", "evaluate"))


@pytest.mark.parametrize(
    ("asked", "found"),
    [("Train", "Train"), ("train", "Train"), ("train-", "train-more"), ("EVAL", "evaluate"), ("e", "evaluate")],
)
def test_a_step_is_found_by_its_name_or_a_unique_prefix(asked: str, found: str) -> None:
    assert select_step(project(THREE), asked).name == found


@pytest.mark.parametrize(
    ("asked", "said"), [("tra", "could be any"), ("", "no step"), ("evalaute", "no step"), ("x", "no step")]
)
def test_an_unknown_step_is_a_usage_error_with_a_hint(asked: str, said: str) -> None:
    with pytest.raises(MlrunError, match=said) as caught:
        select_step(project(THREE), asked)
    assert caught.value.code is ExitCode.USAGE
    assert caught.value.hint


def test_a_close_name_is_proposed() -> None:
    with pytest.raises(MlrunError) as caught:
        select_step(project(THREE), "evalaute")
    assert caught.value.hint == "did you mean `evaluate`?"


@pytest.mark.parametrize(
    ("limit", "seconds"),
    [("90", 90), ('"90"', 90), ("1h30m", 5400), ("1h 30m 5s", 5405), ("1h,2m", 3720), ("1 month", 60), ("2w", 1209600),
     ("1.5d", 129600), ("5 ms", 300), ('""', None), ('"  "', None), ("~", None)],
)  # fmt: skip
def test_durations_are_read_as_valohai_reads_them(limit: str, seconds: float | None) -> None:
    step = project(f"- step: {{name: a, image: b, command: c, time-limit: {limit.replace(',', '')}}}")
    assert step.steps["a"].time_limit == seconds


@pytest.mark.parametrize("limit", ["0", "-5", "0s", "abc", "1.2.3h", "5 x", "true", "1e99", "9999999w", "[]"])
def test_a_duration_that_makes_no_sense_breaks_its_step(limit: str) -> None:
    result = project(f"- step: {{name: a, image: b, command: c, time-limit: {limit}}}")
    assert [problem.code for _, _, problem in result.broken] == ["bad-duration"]


@pytest.mark.parametrize("name", ["../x", "a/b", ".", "..", "'a\\tb'", '"\\u202e"', "x" * 65])
def test_an_input_name_is_one_component_of_a_path(name: str) -> None:
    name = '"a\\tb"' if name.startswith("'") else name
    result = project(f"- step: {{name: a, image: b, command: c, inputs: [{{name: {name}}}]}}")
    assert [problem.code for _, _, problem in result.broken] == ["bad-input-name"]


@pytest.mark.parametrize("name", ["../../x", '"\\e[31m"', "x" * 10_000, "Train model (MNIST)", "日本"])
def test_the_name_of_a_step_is_any_text(name: str) -> None:
    assert len(project(f"- step: {{name: {name}, image: b, command: c}}").steps) == 1


class TestFilesThatAreNone:
    def refused(self, path: Path) -> MlrunError:
        with pytest.raises(MlrunError) as caught:
            load_project(path, "shown.yaml")
        assert caught.value.code is ExitCode.SPEC
        assert "shown.yaml" in caught.value.message
        return caught.value

    def test_a_missing_file(self, tmp_path: Path) -> None:
        assert "there is no" in self.refused(tmp_path / "none.yaml").message

    def test_a_folder(self, tmp_path: Path) -> None:
        assert "folder" in self.refused(tmp_path).message

    def test_a_pipe_that_nobody_writes_to(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        assert "pipe" in self.refused(tmp_path / "pipe").message

    def test_a_socket(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("s")
            assert "socket" in self.refused(tmp_path / "s").message

    def test_a_device(self) -> None:
        assert "device" in self.refused(Path("/dev/zero")).message

    def test_a_link_that_leads_back_to_itself(self, tmp_path: Path) -> None:
        (tmp_path / "loop").symlink_to("loop")
        assert "symbolic link" in self.refused(tmp_path / "loop").message

    def test_a_file_below_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "a").touch()
        assert "there is no" in self.refused(tmp_path / "a" / "b").message

    def test_a_file_of_100_megabytes(self, tmp_path: Path) -> None:
        with (tmp_path / "big").open("wb") as file:
            file.truncate(100 << 20)
        assert "more than 4 MiB" in self.refused(tmp_path / "big").message

    def test_a_name_with_a_nul(self) -> None:
        assert "is no name of a file" in self.refused(Path("a\0b")).message

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
    def test_an_unreadable_file(self, tmp_path: Path) -> None:
        (tmp_path / "secret").touch(mode=0)
        assert "may not be read" in self.refused(tmp_path / "secret").message


def test_a_file_is_loaded_under_its_shown_name(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("- step: {name: a, image: b, command: c}")
    assert load_project(tmp_path / "x.yaml", "shown").steps["a"].location.file == "shown"


def test_loading_a_project_does_not_load_the_schema_library() -> None:
    code = "import sys, runner.spec.project as p; p.parse_project(b'[]', 'f'); print('jsonschema' in sys.modules)"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
