"""A file becomes a project; what is broken stays aside."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from runner.errors import ExitCode, MlrunError
from runner.spec.model import KeepDirectories, Multiple, OnError, ParameterType, Project, SocketType
from runner.spec.project import load_project, parse_project, select_pipeline, select_step


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
    assert (step.time_limit, step.source_path, list(step.ignored)) == (5400.0, "a b.py", ["mounts"])
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
        self.refused(Path("a\0b"))

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
