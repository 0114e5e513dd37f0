"""`mlrun doctor`: what it finds on odd machines."""

import json
from pathlib import Path
from typing import Any

import pytest

from runner.cli import doctor
from runner.cli.main import run
from runner.job import Probe
from runner.store.filesystem import FileSystem

from .conftest import Project


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLRUN_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("MLRUN_EXECUTOR", raising=False)


@pytest.fixture
def executors(monkeypatch: pytest.MonkeyPatch) -> dict[str, Probe]:
    probes = {
        "docker": Probe(False, "no daemon", "start it"),
        "sandbox": Probe(True, "bubblewrap works"),
        "process": Probe(True, "isolates nothing"),
    }
    monkeypatch.setattr(doctor, "probe_executors", lambda settings: probes)
    monkeypatch.setattr(doctor, "describe_podman", lambda settings, probes: ())
    return probes


def report(capsys: pytest.CaptureFixture[str]) -> Any:
    run(["doctor", "--json"])
    return json.loads(capsys.readouterr().out)


def test_auto_takes_the_first_that_works(executors: dict[str, Probe], capsys: pytest.CaptureFixture[str]) -> None:
    assert report(capsys)["auto"] == "sandbox"
    executors["sandbox"] = Probe(False, "no bubblewrap")
    assert report(capsys)["auto"] is None


def test_the_executor_of_the_settings_is_the_one_that_counts(
    executors: dict[str, Probe], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLRUN_EXECUTOR", "process")
    assert report(capsys)["auto"] == "process"
    monkeypatch.setenv("MLRUN_EXECUTOR", "docker")
    assert report(capsys)["auto"] is None


def test_the_exit_code_tells_whether_anything_works(executors: dict[str, Probe]) -> None:
    assert run(["doctor"]) == 0
    executors.update({name: Probe(False, "broken", "mend it") for name in executors})
    assert run(["doctor"]) == 20


def test_why_an_executor_does_not_work_is_said_with_a_hint(
    executors: dict[str, Probe], capsys: pytest.CaptureFixture[str]
) -> None:
    run(["doctor"])
    page = capsys.readouterr().out
    assert "no daemon" in page
    assert "hint: start it" in page


def test_what_podman_does_otherwise_is_named(
    executors: dict[str, Probe], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(capsys)["podman"] == []
    monkeypatch.setattr(doctor, "describe_podman", lambda settings, probes: ("its images are its own",))
    assert report(capsys)["podman"] == ["its images are its own"]
    run(["doctor"])
    assert "Podman, other than Docker\n  its images are its own\n" in capsys.readouterr().out


def test_looking_makes_no_store(
    tmp_path: Path, executors: dict[str, Probe], capsys: pytest.CaptureFixture[str]
) -> None:
    found = report(capsys)
    assert found["store"]["exists"] is False
    assert found["store"]["free"] > 0
    assert not (tmp_path / "store").exists()


def test_a_damaged_store_is_told_and_not_touched(
    tmp_path: Path, executors: dict[str, Probe], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "format").write_text("something else\n")
    assert "format" in report(capsys)["store"]["problem"]


def test_runs_that_cannot_be_read_are_told_under_the_store(
    project: Project, executors: dict[str, Probe], capsys: pytest.CaptureFixture[str]
) -> None:
    project.run()
    assert report(capsys)["store"]["unreadable"] == {}
    ids = []
    for _ in range(2):
        telling = project.begin()
        telling.end()
        with telling.writer.folder.journal.open("ab") as file:
            file.write(b"junk\n")
        ids.append(telling.writer.id)
    assert list(report(capsys)["store"]["unreadable"]) == ids
    assert run(["doctor"]) == 0
    page = capsys.readouterr().out
    assert all(f"  unreadable run {id}: the journal `" in page for id in ids)


def test_a_folder_without_git_and_project_is_told(
    executors: dict[str, Probe], capsys: pytest.CaptureFixture[str]
) -> None:
    found = report(capsys)
    assert found["git"] is None
    assert found["project"]["file"] is None
    run(["doctor"])
    assert "in no git repository" in capsys.readouterr().out


def test_a_store_on_a_network_is_warned_of(
    executors: dict[str, Probe], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = report(capsys)["store"]["file_system"]
    assert found["kind"]
    assert found["network"] is False
    monkeypatch.setattr(doctor, "look", lambda path: FileSystem("nfs", True))
    doctor.examine()
    out = capsys.readouterr().out
    assert "on         nfs" in out
    assert "warning    a network file system: runs are refused; set `MLRUN_STORE`" in out
