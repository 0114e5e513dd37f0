"""`mlrun spin` and `mlrun exec --inputs-from`: one step again, on what an earlier run gives it."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

YAML = """\
- step:
    name: prepare
    image: busybox
    command:
      - echo {parameter-value:text} > "$VH_OUTPUTS_DIR/a.txt"
      - echo never > "$VH_OUTPUTS_DIR/b.txt"
      - 'echo ''{"rows": 7}'''
    parameters:
      - {name: text, default: one}
- step:
    name: train
    image: busybox
    command:
      - echo "C={parameter-value:C} rows={parameter-value:rows} loud={parameter:loud} MODE=$MODE"
      - cat "$VH_INPUTS_DIR/data/"* code.txt
      - printf '{"accuracy":0.5,"rows":%s}\\n' {parameter-value:rows}
      - echo model > "$VH_OUTPUTS_DIR/model.bin"
      - exit {parameter-value:code}
    parameters:
      - {name: C, type: float, default: 1.5}
      - {name: rows, type: integer, default: 1}
      - {name: loud, type: flag, pass-true-as: "yes", pass-false-as: "no"}
      - {name: code, type: integer, default: 0}
    inputs:
      - {name: data, default: data.csv}
    environment-variables:
      - {name: MODE, default: plain}
- step:
    name: stop
    image: busybox
    command: exit 1
- pipeline:
    name: whole
    nodes:
      - {name: prep, type: execution, step: prepare}
      - name: tr
        type: execution
        step: train
        override:
          parameters: [{name: C, default: 2.5}]
    edges:
      - [prep.output.a*, tr.input.data]
      - [prep.metadata.rows, tr.parameter.rows]
- pipeline:
    name: broken
    nodes:
      - {name: prep, type: execution, step: prepare}
      - {name: bad, type: execution, step: stop}
      - {name: tr, type: execution, step: train, override: {parameters: [{name: C, default: 3.5}]}}
      - {name: other, type: execution, step: train}
    edges:
      - [prep.output.a*, tr.input.data]
      - [prep.metadata.rows, tr.parameter.rows]
      - [bad.dependency.x, tr.dependency.x]
      - [bad.output.x, other.input.data]
"""
FILES = {"data.csv": "1,2\n", "code.txt": "first\n"}


@pytest.fixture
def project(make: Callable[..., Any], tmp_path: Path) -> Any:
    (tmp_path / "tmp").mkdir()
    return make(YAML, FILES).with_variables(TMPDIR=str(tmp_path / "tmp"))


def first_lines(done: Any) -> list[str]:
    return [line for line in done.out.splitlines() if not line.startswith("{")]


# --- spin


def test_a_step_spins_on_the_inputs_of_its_latest_execution_with_the_code_of_today(project, tmp_path):
    (tmp_path / "other.csv").write_text("other\n")
    project.succeeds("exec", "train", "--C", "9", "--data", tmp_path / "other.csv")
    project.write("code.txt", "second\n")
    (tmp_path / "other.csv").unlink()

    done = project.succeeds("spin", "train")

    assert first_lines(done) == ["C=9 rows=1 loud= MODE=plain", "other", "second"]


def test_a_spin_leaves_no_record_and_nothing_in_the_store(project):
    project.succeeds("exec", "train")
    project.succeeds("spin", "train")
    store = project.command.store
    before = sorted(path for path in store.rglob("*") if path.is_file() and "cache" not in path.parts)

    done = project.succeeds("spin", "train", "--rows", "3")

    assert sorted(path for path in store.rglob("*") if path.is_file() and "cache" not in path.parts) == before
    assert len(project.runs()) == 1
    assert "nothing is recorded" in done.err
    assert "execution 0" not in done.err
    assert not [name for name in os.listdir(store / "work") if name.startswith("scratch")]


def test_what_the_command_line_gives_a_spin_wins(project, tmp_path):
    (tmp_path / "mine.csv").write_text("mine\n")
    project.succeeds("exec", "train", "--C", "9", "--rows", "5")

    done = project.succeeds("spin", "train", "--C", "4", "--data", tmp_path / "mine.csv", "--loud", "--var", "MODE=x")

    assert first_lines(done) == ["C=4 rows=5 loud=yes MODE=x", "mine", "first"]


def test_the_outputs_of_a_spin_are_in_a_folder_that_it_names(project, tmp_path):
    project.succeeds("exec", "train")

    done = project.succeeds("spin", "train")
    project.succeeds("spin", "train", "-d", tmp_path / "out")

    (named,) = [line for line in done.err.splitlines() if line.startswith("outputs: ")]
    folder = Path(named.rpartition(" in ")[2])
    assert folder.name.startswith("mlrun-train-")
    assert (folder / "model.bin").read_text() == (tmp_path / "out" / "model.bin").read_text() == "model\n"


def test_the_metrics_of_a_spin_come_last(project):
    project.succeeds("exec", "train")

    done = project.succeeds("spin", "train", "--rows", "12")

    table = done.err[done.err.index("metric ") :].splitlines()
    assert [line.split() for line in table] == [["metric", "value"], ["accuracy", "0.5"], ["rows", "12"]]


def test_a_spin_ends_with_the_code_of_its_failure_and_keeps_its_outputs(project, tmp_path):
    project.succeeds("exec", "train")

    done = project.mlrun("spin", "train", "--code", "5", "-d", tmp_path / "out")

    assert done.code == 1, str(done)
    assert "exit 5" in done.err
    assert "rerun.sh" not in done.err
    assert (tmp_path / "out" / "model.bin").exists()


def test_a_spin_can_be_of_an_older_execution(project):
    project.succeeds("exec", "train", "--C", "1")
    project.succeeds("exec", "train", "--C", "2")
    project.succeeds("exec", "prepare")

    assert first_lines(project.succeeds("spin", "train", "--of", "1"))[0].startswith("C=1 ")
    assert first_lines(project.succeeds("spin", "train"))[0].startswith("C=2 ")
    assert "is not one of step `train`" in project.refused("spin", "train", "--of", "3", code=2)


def test_a_step_that_never_ran_spins_on_what_the_file_says(project):
    done = project.succeeds("spin", "train")

    assert first_lines(done)[0].startswith("C=")
    assert "as the file has it" in done.out + done.err


def test_parameters_and_inputs_that_the_step_has_no_more_are_told_and_left_out(project):
    project.succeeds("exec", "train", "--C", "9")
    project.write("valohai.yaml", YAML.replace("name: C, type", "name: D, type").replace("value:C}", "value:D}"))

    done = project.succeeds("spin", "train")

    assert "step `train` has no parameter `C` any more" in done.err
    assert first_lines(done)[0].startswith("C=1.5 ")


def test_a_time_limit_ends_a_spin(make):
    project = make("- step: {name: slow, image: busybox, command: 'sleep 600', time-limit: 1}\n")
    project.fails("exec", "slow")

    done = project.mlrun("spin", "slow")

    assert done.code == 1, str(done)
    assert "time limit" in done.err


SLOW = "- step: {name: slow, image: IMAGE, command: 'echo begun; sleep MARK; exit 1'}\n"


def spin_and_die(project: Any, mark: str, alive: Any, until: Any) -> None:
    """Kill a spin under way; the next run must end and remove what it left."""
    work = project.command.store / "work"
    before = sorted(os.listdir(work))
    running = project.start("spin", "slow")
    running.until("begun")

    running.process.kill()
    running.process.wait()
    project.mlrun("spin", "slow", "--keep-going", "--var", "QUICK=1")

    until(lambda: not alive(mark), "the end of the program")
    assert sorted(os.listdir(work)) == before


def test_what_a_killed_spin_left_is_removed_by_the_next_run(make, alive, until):
    mark = f"6{time.monotonic_ns()}"
    text = SLOW.replace("IMAGE", "busybox").replace("sleep MARK", f'[ -n "$QUICK" ] || sleep {mark}')
    project = make(text)
    project.fails("exec", "slow", "--var", "QUICK=1")

    spin_and_die(project, mark, alive, until)


@pytest.mark.docker
def test_a_container_that_a_killed_spin_left_is_removed_by_the_next_run(docker, make, alive, until):
    mark = f"6{time.monotonic_ns()}"
    text = SLOW.replace("IMAGE", docker("mlrun-test/busybox:1"))
    text = text.replace("sleep MARK", f'[ -n "$QUICK" ] || sleep {mark}')
    project = make(text).with_variables(MLRUN_EXECUTOR="docker")
    settings = project.command.store.parent / "settings" / "mlrun"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "settings.toml").write_text('network = "none"\n')
    project = project.with_variables(XDG_CONFIG_HOME=str(settings.parent))
    project.fails("exec", "slow", "--var", "QUICK=1")

    spin_and_die(project, mark, alive, until)


# --- inputs from a run


def test_a_node_is_repeated_alone_in_the_context_of_its_run(project):
    project.succeeds("pipeline", "--no-reuse", "whole")
    project.write("code.txt", "second\n")

    done = project.succeeds("exec", "train", "--inputs-from", "latest")

    assert first_lines(done) == ["C=2.5 rows=7 loud= MODE=plain", "one", "second"]
    run = project.show()
    assert run["kind"] == "exec"
    before = project.show("run:1")
    assert run["plan"]["inputs-from"] == {
        "run": before["id"],
        "counter": 1,
        "node": "tr",
        "execution": before["nodes"]["tr"]["executions"][0],
    }
    assert "node `tr` of run:1" in project.succeeds("show", "run:latest").out
    (given,) = project.show("latest")["job"]["inputs"]
    assert [file["name"] for file in given["files"]] == ["a.txt"]
    assert given["files"][0]["origin"].startswith("datum://")


@pytest.mark.parametrize("name", ["1", "run:1", "latest", "run:latest"])
def test_a_run_is_named_in_many_ways(project, name):
    project.succeeds("pipeline", "--no-reuse", "whole")
    project.succeeds("exec", "prepare", "--text", "two")

    if name != "run:latest":
        assert "one" in project.succeeds("exec", "train", "--inputs-from", name).out
    id = project.show("run:1")["id"]
    assert "one" in project.succeeds("exec", "train", "--inputs-from", id).out


def test_the_command_line_wins_over_the_run(project, tmp_path):
    (tmp_path / "mine.csv").write_text("mine\n")
    project.succeeds("pipeline", "--no-reuse", "whole")

    done = project.succeeds("exec", "train", "--inputs-from", "latest", "--C", "8", "--data", tmp_path / "mine.csv")

    assert first_lines(done) == ["C=8 rows=7 loud= MODE=plain", "mine", "first"]


def test_a_node_that_never_ran_gets_what_its_upstreams_left(project):
    project.fails("pipeline", "--no-reuse", "broken")
    assert not project.show("run:1")["nodes"]["tr"]["executions"]

    done = project.succeeds("exec", "train", "--inputs-from", "1", "--node", "tr")

    assert first_lines(done) == ["C=3.5 rows=7 loud= MODE=plain", "one", "first"]
    assert project.show()["plan"]["inputs-from"]["execution"] is None


def test_an_upstream_that_failed_is_told_unless_the_command_line_gives_what_it_would_bring(project):
    project.fails("pipeline", "--no-reuse", "broken")

    said = project.refused("exec", "train", "--inputs-from", "1", "--node", "other", code=2)
    done = project.succeeds("exec", "train", "--inputs-from", "1", "--node", "other", "--data", "data.csv")

    assert "node `bad` of run 1 is failed" in said
    assert first_lines(done)[1:] == ["1,2", "first"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--inputs-from", "1"], "has 2 nodes of this step: `tr`, `other`"),
        (["--inputs-from", "1", "--node", "tt"], "has no node `tt`"),
        (["--inputs-from", "1", "--node", "prep"], "runs step `prepare`"),
        (["--inputs-from", "99"], "there is no run `99`"),
        (["--node", "tr"], "needs `--inputs-from RUN`"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_makes_no_sense_is_refused(project, words, said):
    project.fails("pipeline", "--no-reuse", "broken")

    assert said in project.refused("exec", "train", *words, code=2)


def test_a_run_without_the_step_and_a_project_without_runs_are_told(project):
    assert "no pipeline with step `train`" in project.refused("exec", "train", "--inputs-from", "latest", code=2)
    project.succeeds("exec", "prepare")
    assert "has no node of step `train`" in project.refused("exec", "train", "--inputs-from", "1", code=2)


def test_a_dry_run_shows_where_the_inputs_come_from(project):
    project.succeeds("pipeline", "--no-reuse", "whole")

    done = project.succeeds("exec", "--dry-run", "train", "--inputs-from", "latest")

    assert "data ← datum://" in done.out
    assert "rows = 7" in done.out
