"""`mlrun list` over a store."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.cli.cell import now
from runner.cli.main import run
from runner.cli.subject import list_executions, list_keys, list_runs
from runner.digest import Digest
from runner.state import State
from runner.store.record import Code

from .conftest import COMMIT, Project


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert run(["list", "--json", *arguments]) == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return rows


def counters(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[int]:
    return [row["counter"] for row in listed(capsys, *arguments)]


def test_before_anything_has_run_a_friendly_line_is_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLRUN_STORE", str(tmp_path / "none"))
    assert run(["list"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "nothing has run yet" in captured.err
    assert not (tmp_path / "none").exists()
    assert listed(capsys) == []
    assert run(["list", "--format", "csv"]) == 0
    assert capsys.readouterr().out.startswith("counter,id,run")


def test_a_project_whose_runs_ran_nothing_is_told_where_they_are(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.begin(kind="pipeline").end()
    for arguments in (["list"], ["list", "--where", 'step == "train"']):
        assert run(arguments) == 0
        assert "no node has run itself; `mlrun list runs` shows the runs" in capsys.readouterr().err


def test_the_newest_stands_first(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        project.run()
    assert counters(capsys) == [3, 2, 1]
    assert counters(capsys, "--reverse") == [1, 2, 3]
    assert counters(capsys, "--limit", "2") == [3, 2]


def test_the_table_has_the_fields_and_the_metrics(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.run(metrics={"loss": 0.123456789, "accuracy": 1}, parameters={"C": 0.5})
    run(["list"])
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["counter", "step", "state", "created", "duration", "commit", "loss", "accuracy"]
    assert row.split() == ["1", "train", "succeeded", "just", "now", "12", "s", "01234567", "0.12346", "1"]


def test_a_dirty_commit_is_marked(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.run(code=Code(Digest("0" * 64), "f" * 40, "main", dirty=True))
    run(["list"])
    assert "ffffffff*" in capsys.readouterr().out


def test_where_filters_by_metric_parameter_and_field(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.run(metrics={"loss": 0.2}, parameters={"model": "svm"})
    project.run(metrics={"loss": 0.2}, parameters={"model": "lda"})
    project.run(metrics={"loss": "NaN"}, parameters={"model": "svm"}, tags=("best",))
    project.run(state="failed")
    assert counters(capsys, "--where", 'loss < 0.3 and param.model == "svm"') == [1]
    assert counters(capsys, "--where", 'state == "failed"') == [4]
    assert counters(capsys, "--where", 'tag == "best"') == [3]
    assert counters(capsys, "--where", "metric.loss > 0") == [2, 1]


def test_a_misspelt_name_in_a_condition_is_noted(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.run(metrics={"loss": 0.2})
    assert run(["list", "--where", "los < 1"]) == 0
    captured = capsys.readouterr()
    assert "did you mean `loss`?" in captured.err
    assert "none of 1 executions matches" in captured.err


def test_sorting_puts_nan_and_missing_values_last(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    for loss in (0.5, "NaN", 0.1, None):
        project.run(metrics={} if loss is None else {"loss": loss})
    assert counters(capsys, "--sort", "loss") == [3, 1, 4, 2]
    assert counters(capsys, "--sort", "loss", "--reverse") == [1, 3, 4, 2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--where", "loss <"], "at its end"),
        (["--where", ""], "is empty"),
        (["--sort", "los"], "nothing here has a `los`"),
        (["--columns", "step,stat"], "nothing here has a `stat`"),
        (["--columns", "C"], "nothing here has a `C`"),
        (["--columns", " , "], "names no column"),
        (["--format", "xml"], "there is no format `xml`"),
        (["exections"], "there is no list `exections`"),
        (["--limit", "-1"], "-1"),
        (["--limit", "many"], "many"),
        (["--unknown"], "--unknown"),
    ],
)
def test_bad_input_is_a_usage_error_with_a_hint(
    project: Project, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    project.run(metrics={"loss": 1}, parameters={"C": 1})
    assert run(["list", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert "hint:" in captured.err
    assert "Traceback" not in captured.err


def test_columns_are_exactly_those_asked_for(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.run(metrics={"loss": 0.25}, parameters={"C": 0.5})
    run(["list", "--columns", "counter,param.C,loss,exit_code", "--format", "csv"])
    assert capsys.readouterr().out == "counter,param.C,loss,exit_code\n1,0.5,0.25,0\n"
    assert listed(capsys, "--columns", "loss,commit") == [{"loss": 0.25, "commit": COMMIT}]


def test_csv_is_exact_and_complete(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.run(metrics={"loss": 0.1 + 0.2, "confusion": [[1, 2], [3, 4]]}, parameters={"C": 0.5})
    run(["list", "--format", "csv"])
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["loss"] == "0.30000000000000004"
    assert row["confusion"] == "[[1, 2], [3, 4]]"
    assert row["param.C"] == "0.5"
    assert row["created"].endswith("Z")
    assert row["duration"] == "12.5"


def test_markdown_is_a_table(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.run(metrics={"loss": 0.5})
    run(["list", "--format", "md", "--columns", "step,loss"])
    assert capsys.readouterr().out == "| step | loss |\n| --- | ---: |\n| train | 0.5 |\n"


def test_runs_are_listed_with_their_nodes(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    telling = project.begin("a", "b", kind="pipeline", name="both")
    telling.finish(telling.start("a"))
    telling.finish(telling.start("b"), "failed")
    telling.end("failed")
    for arguments in (["runs"], ["--runs"]):
        (row,) = listed(capsys, *arguments)
        assert (row["name"], row["state"], row["nodes"], row["failed"]) == ("both", "failed", 2, 1)
        assert row["executions"] == [1, 2]
    assert run(["list", "runs"]) == 0
    assert "both" in capsys.readouterr().out


def test_what_runs_is_listed_with_its_metrics_so_far(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    telling = project.begin()
    id = telling.start()
    telling.measure(id, loss=0.75)
    telling.flushed(id, "metrics", b"0.75")
    (row,) = listed(capsys, "--where", "loss == 0.75")
    assert row["state"] == "running"
    assert row["duration"] >= 0
    telling.finish(id)
    telling.end()


def test_what_lost_its_runner_keeps_the_metrics_it_reported(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    telling = project.begin()
    id = telling.start()
    telling.measure(id, loss=0.75)
    telling.die()
    (row,) = listed(capsys, "--where", "loss == 0.75")
    assert row["state"] == "interrupted"
    project.store.reconcile()
    (row,) = listed(capsys, "--where", "loss == 0.75")
    assert row["state"] == "interrupted"


def test_other_projects_are_listed_only_when_asked_for(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.run()
    project.run(project=replace(project.ref, id="other", name="elsewhere"))
    assert len(listed(capsys)) == 1
    assert {row["project"] for row in listed(capsys, "--all-projects")} == {"project", "elsewhere"}


def test_hostile_names_cannot_move_the_cursor(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.run(node="evil\x1b[2J\nstep", metrics={"loss\x1b[31m": "a\x07b"}, tags=("\x9b31m",))
    for form in ("table", "md", "json"):
        assert run(["list", "--format", form]) == 0
        out = capsys.readouterr().out
        assert not set("\x1b\x07\x9b") & set(out)
    assert run(["list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_outside_a_project_everything_is_listed(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.run()
    monkeypatch.chdir(tmp_path)
    assert len(listed(capsys)) == 1


@pytest.mark.parametrize("index", ["kept", "deleted"])
def test_a_run_that_cannot_be_read_is_told_in_one_line(
    project: Project, index: str, capsys: pytest.CaptureFixture[str]
) -> None:
    telling = project.begin()
    telling.start()
    telling.die()
    id, journal = telling.writer.id, telling.writer.folder.journal
    with journal.open("ab") as file:
        file.write(b"junk\n")
    if index == "deleted":
        (project.root / "index.sqlite").unlink()
    for arguments in (["list"], ["list", "runs"]):
        assert run(arguments) == 0
        captured = capsys.readouterr()
        assert captured.out == ""
        (line,) = captured.err.splitlines()
        assert line.startswith(f"run {id} cannot be read: the journal `{journal}` is damaged")
    for name in ("1", "run:1", id):
        assert run(["show", name]) == 30
        assert f"`{journal}` is damaged" in capsys.readouterr().err
    project.run()
    assert counters(capsys) == [2]


@pytest.mark.parametrize("of_runs", [False, True], ids=["executions", "runs"])
def test_what_is_chosen_by_a_few_values_is_chosen_as_by_whole_rows(project: Project, of_runs: bool) -> None:
    nan = float("nan")
    for number, metrics in enumerate(
        [{"loss": nan, "deep": {"a": 1}}, {"loss": 0.5, "step": 3}, {}, {"acc": [1, "x"]}]
    ):
        project.run(metrics=metrics, parameters={"C": number, "n": nan}, tags=(f"t{number}",))
    project.run(state=State.FAILED)
    gone, live = project.begin(), project.begin()
    for telling in (gone, live):
        id = telling.start(parameters={"C": "ä"})
        telling.measure(id, loss=1.5)
        telling.flushed(id, "metrics", b"loss")
    (execution, *_) = live.writer.run().executions
    with project.store.refs.changing({"user": "me"}) as change:
        change.tag("execution", execution, "given", own=False)
        change.untag("run", project.store.find_run(project.ref.id, "1").id, "t0", own=True)
    moment = now()
    whole = (list_runs if of_runs else list_executions)(moment, None, all_projects=False).rows
    keys = {key for row in whole for key in row.names()} | {"metadata.loss", "parameter.C", "metric.step", "nothing"}
    assert len(whole) == 7

    def text(value: object) -> str:
        return f"{value!r}"

    for key in sorted(keys):
        some = list_keys(moment, [key], of_runs=of_runs, all_projects=False)
        assert [text(row.value(key)) for row in some.rows] == [text(row.value(key)) for row in whole], key
        assert [text(row) for row in some.complete(some.rows[1:])] == [text(row) for row in whole[1:]]
    live.end()
    gone.die()


def test_of_one_run_all_executions_are_listed_and_no_others(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        project.run()
    run_id = listed(capsys, "--run", "1")[0]["run_id"]
    assert counters(capsys, "--run", "1") == counters(capsys, "--run", run_id) == [1]
    assert counters(capsys, "--run", "run:2", "--where", 'step == "none"') == []
    assert counters(capsys, "--run", "latest", "--sort", "counter") == [2]
    assert run(["list", "runs", "--run", "1"]) == 2
    assert "`--run` chooses among executions" in capsys.readouterr().err
    assert run(["list", "--run", "9"]) == 2
