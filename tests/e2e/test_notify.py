"""`notify` of the settings, with a program that notes what it is told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

YAML = """\
- step:
    name: good
    image: busybox
    command: echo hello
- step:
    name: bad
    image: busybox
    command: exit 3
"""


@pytest.fixture
def project(made: Callable[..., Any], tmp_path: Path) -> Any:
    return made(YAML, XDG_CONFIG_HOME=str(tmp_path / "config"))


def settings(tmp_path: Path, *more: str) -> Path:
    """Settings with a notifier that appends each message to a file, which is given back."""
    told = tmp_path / "told"
    (tmp_path / "config" / "mlrun").mkdir(parents=True)
    program = f'command = ["sh", "-c", "cat >> {told}; echo >> {told}"]'
    text = "\n".join(["[[notify]]", program, *more])
    (tmp_path / "config" / "mlrun" / "settings.toml").write_text(text)
    return told


def messages(told: Path) -> list[Any]:
    return [json.loads(line) for line in told.read_text().splitlines()] if told.exists() else []


def test_the_end_of_an_unattended_run_is_told(project: Any, tmp_path: Path) -> None:
    told = settings(tmp_path)
    project.succeeds("exec", "good")
    project.fails("exec", "bad")
    good, bad = messages(told)
    assert (good["event"], good["state"], good["number"], good["nodes"]) == ("ended", "succeeded", 1, [])
    assert (bad["event"], bad["occasions"], bad["number"]) == ("failed", ["ended", "failed"], 2)
    assert [(one["node"], one["reason"]) for one in bad["nodes"]] == [("bad", "exit")]
    assert bad["run"] == project.show("run:2")["id"]


def test_a_notifier_that_fails_changes_nothing_but_for_one_line(project: Any, tmp_path: Path) -> None:
    told = settings(tmp_path, "[[notify]]", 'command = ["false"]', "[[notify]]", 'webhook = "http://127.0.0.1:1/key"')
    done = project.succeeds("exec", "good")
    said = done.out + done.err
    assert said.count("nobody was told") == 2
    assert "key" not in said
    assert len(messages(told)) == 1


def test_the_settings_can_be_tried(project: Any, tmp_path: Path) -> None:
    told = settings(tmp_path, 'on = ["failed"]')
    assert "command `sh`: told" in project.succeeds("notify", "test").err
    assert [one["title"] for one in messages(told)] == ["mlrun: a test"]


def test_a_test_that_fails_says_so(project: Any, tmp_path: Path) -> None:
    settings(tmp_path, "[[notify]]", 'command = ["/nonexistent/program"]')
    done = project.mlrun("notify", "test")
    assert done.code == 2
    assert "it cannot be run: No such file or directory" in done.err


def test_settings_that_cannot_be_understood_refuse_the_run(project: Any, tmp_path: Path) -> None:
    settings(tmp_path, "[[notify]]", 'webhook = "htps://example.com/key"')
    said = project.refused("exec", "good", code=2)
    assert "`notify.webhook` is no address" in said
    assert "key" not in said


def test_without_a_notifier_there_is_nothing_to_try(project: Any) -> None:
    assert "your settings have no `notify`" in project.refused("notify", "test", code=2)
