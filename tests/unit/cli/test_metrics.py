"""`mlrun metrics`: last values and events."""

import csv
import io
import json
from typing import Any

import pytest

from runner.cli.main import run

from .conftest import Project


def out(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert run(["metrics", *arguments]) == 0
    return capsys.readouterr().out


@pytest.fixture
def two(project: Project) -> None:
    """Two executions with events."""
    for loss in (0.5, 0.25):
        telling = project.begin()
        id = telling.start()
        telling.measure(id, epoch=1, loss=loss)
        telling.measure(id, epoch=2, loss=loss / 2, nested={"deep": True})
        telling.measure(id, loss=float("nan"))
        telling.finish(id, metrics={"epoch": 2, "loss": "NaN", "nested": {"deep": True}})
        telling.end()


def test_last_values_stand_side_by_side(two: None, capsys: pytest.CaptureFixture[str]) -> None:
    lines = out(capsys, "1", "2").splitlines()
    assert lines[0].split("  ")[0] == "key"
    assert "1 train" in lines[0]
    assert [line.split() for line in lines[1:]] == [
        ["epoch", "2", "2"],
        ["loss", "NaN", "NaN"],
        ["nested.deep", "true", "true"],
    ]


def test_one_execution_named_twice_is_one(two: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert out(capsys, "2", "latest").splitlines()[0].split() == ["key", "2", "train"]


def test_keys_can_be_chosen(two: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert out(capsys, "1", "--key", "loss", "--format", "csv") == "key,1\nloss,NaN\n"
    rows: list[Any] = json.loads(out(capsys, "1", "--key", "nested.deep", "--json"))
    assert rows[0]["metrics"] == {"nested.deep": True}


def test_events_are_complete_and_in_order(two: None, capsys: pytest.CaptureFixture[str]) -> None:
    events = [json.loads(line) for line in out(capsys, "1", "--events", "--json").splitlines()]
    assert [event["values"] for event in events] == [
        {"epoch": 1, "loss": 0.5},
        {"epoch": 2, "loss": 0.25, "nested.deep": True},
        {"loss": "NaN"},
    ]
    rows = list(csv.DictReader(io.StringIO(out(capsys, "1", "2", "--events", "--format", "csv", "--key", "loss"))))
    assert [(row["execution"], row["loss"]) for row in rows] == [
        ("1", "0.5"), ("1", "0.25"), ("1", "NaN"), ("2", "0.25"), ("2", "0.125"), ("2", "NaN"),
    ]  # fmt: skip
    assert all(row["time"].endswith("Z") for row in rows)


def test_events_of_what_runs_are_there_already(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    telling = project.begin()
    id = telling.start()
    telling.measure(id, loss=0.75)
    telling.flushed(id, "metrics", b"0.75")
    assert "0.75" in out(capsys, "latest")
    assert "0.75" in out(capsys, "latest", "--events")
    telling.finish(id)
    telling.end()


def test_without_metrics_a_line_says_what_a_metric_is(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.run()
    for arguments in ([], ["--events"]):
        assert run(["metrics", "1", *arguments]) == 0
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "no metrics in 1" in captured.err


def test_an_unknown_key_gets_the_closest_one(two: None, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--events"]):
        assert run(["metrics", "1", "--key", "los", *arguments]) == 2
        assert "did you mean `loss`?" in capsys.readouterr().err


def test_markdown_and_bad_formats(two: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert out(capsys, "1", "--key", "epoch", "--format", "md").splitlines()[-1] == "| epoch | 2 |"
    assert run(["metrics", "1", "--format", "yaml"]) == 2
    assert run(["metrics", "7"]) == 2
