"""A project folder made from the example."""

import os
import subprocess
from pathlib import Path

import pytest

from runner.cli.main import run
from runner.spec.lint import lint
from runner.spec.project import load_project


@pytest.fixture(autouse=True)
def neutral_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A git without the caller's settings, so without an identity."""
    for name in list(os.environ):
        if name.startswith("GIT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.chdir(tmp_path)


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def test_a_new_project_is_a_clean_repository_with_one_commit(tmp_path: Path) -> None:
    assert run(["init", "iris"]) == 0
    assert git(tmp_path / "iris", "status", "--porcelain") == ""
    assert git(tmp_path / "iris", "rev-list", "--count", "HEAD") == "1"
    assert git(tmp_path / "iris", "log", "-1", "--format=%an <%ae>") == "mlrun <mlrun@localhost>"


def test_the_example_has_no_errors(tmp_path: Path) -> None:
    run(["init", "iris"])
    project = load_project(tmp_path / "iris" / "valohai.yaml", "valohai.yaml")
    assert "train" in project.steps
    assert [problem for problem in lint(project) if problem.severity == "error"] == []


def test_the_next_commands_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    run(["init", "my iris"])
    talk = capsys.readouterr().err
    assert "cd 'my iris'" in talk
    assert 'mlrun pipeline "Training Pipeline"' in talk


def test_the_commit_carries_the_users_own_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "gitconfig"
    config.write_text("[user]\nname = Ada\nemail = ada@example.org\n[init]\ndefaultBranch = trunk\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    run(["init", "iris"])
    assert git(tmp_path / "iris", "log", "-1", "--format=%an <%ae>") == "Ada <ada@example.org>"
    assert git(tmp_path / "iris", "symbolic-ref", "--short", "HEAD") == "trunk"


def test_hooks_of_the_user_do_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = tmp_path / "hooks" / "pre-commit"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\nexit 1\n")
    hook.chmod(0o755)
    config = tmp_path / "gitconfig"
    config.write_text(f"[core]\nhooksPath = {hook.parent}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    assert run(["init", "iris"]) == 0
    assert not (tmp_path / "ran").exists()


def test_two_projects_made_at_once_are_different_projects(tmp_path: Path) -> None:
    run(["init", "one"])
    run(["init", "two"])
    assert git(tmp_path / "one", "rev-parse", "HEAD") != git(tmp_path / "two", "rev-parse", "HEAD")


def test_a_repository_without_a_commit_is_filled(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    assert run(["init"]) == 0
    assert git(tmp_path, "rev-list", "--count", "HEAD") == "1"


def test_an_existing_project_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "valohai.yaml").write_text("mine")
    assert run(["init"]) == 2
    assert "already" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["valohai.yaml"]


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis\x1b.tex").write_text("mine")
    assert run(["init"]) == 2
    talk = capsys.readouterr().err
    assert "hint:" in talk
    assert "\x1b" not in talk
    assert len(os.listdir(tmp_path)) == 1


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "iris").write_text("")
    assert run(["init", "iris"]) == 2
    assert run(["init", "iris/deeper"]) == 2


def test_a_folder_inside_a_repository_becomes_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    assert run(["init", "iris"]) == 0
    assert "repository of its own" in capsys.readouterr().err
    assert Path(git(tmp_path / "iris", "rev-parse", "--show-toplevel")) == (tmp_path / "iris").resolve()


def test_without_git_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(["init", "iris"]) == 2
    assert "hint: install git" in capsys.readouterr().err
    assert not (tmp_path / "iris").exists()
