"""How executions and runs are named on the command line."""

from pathlib import Path

import pytest

from runner.cli.subject import find, find_execution, find_under_way
from runner.errors import ExitCode, MlrunError

from .conftest import Project


def refused(text: str) -> MlrunError:
    with pytest.raises(MlrunError) as caught:
        find(text)
    assert caught.value.code == ExitCode.USAGE
    return caught.value


def test_a_number_is_an_execution_and_not_a_run(project: Project) -> None:
    telling = project.begin("a", "b", kind="pipeline")
    ids = [telling.start("a"), telling.start("b")]
    for id in ids:
        telling.finish(id)
    telling.end()
    assert find("2").execution.id == ids[1]
    assert find("run:1").chosen is None
    assert "there is no run `2`" in refused("run:2").message


def test_latest_is_the_newest(project: Project) -> None:
    project.run()
    id = project.run()
    assert find("latest").execution.id == id
    assert find("run:latest").run.counter == 2


def test_an_id_names_an_execution_or_a_run(project: Project) -> None:
    id = project.run()
    run_id = find("run:1").run.id
    assert find(id).execution.id == id
    assert find(run_id).run.id == run_id
    assert find(run_id).chosen is None
    assert find(f"run:{run_id[:18]}").run.id == run_id


def test_a_prefix_of_several_ids_is_refused_with_the_ids(project: Project) -> None:
    ids = [project.run(), project.run()]
    error = refused(ids[0][:4])
    assert "could be any of 2" in error.message
    assert ids[1] in (error.hint or "")


@pytest.mark.parametrize(
    "text", ["99", "0", "-1", "train", "ffffffff", "run:", "run:99", "", "1; ls", "\x1b[31m", "²", "９"]
)
def test_what_names_nothing_is_a_usage_error(project: Project, text: str) -> None:
    project.run()
    assert refused(text).hint


def test_a_run_where_an_execution_is_needed_is_refused(project: Project) -> None:
    project.run()
    with pytest.raises(MlrunError) as caught:
        find_execution("run:1")
    assert "needs an execution" in caught.value.message


def test_before_anything_has_run_nothing_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLRUN_STORE", str(tmp_path / "none"))
    assert "nothing has been run" in (refused("latest").hint or "")
    assert not (tmp_path / "none").exists()


def test_outside_a_project_ids_latest_and_numbers_of_one_project_still_work(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = project.run()
    monkeypatch.chdir(tmp_path)
    assert find("latest").execution.id == id
    assert find(id).execution.id == id
    assert find("1").execution.id == id


def test_the_run_under_way_needs_no_name(project: Project) -> None:
    project.run()
    assert find_under_way() is None
    telling = project.begin()
    found = find_under_way()
    assert found is not None
    assert found.run.id == telling.writer.id
    other = project.begin()
    with pytest.raises(MlrunError) as caught:
        find_under_way()
    assert "`run:3`, `run:2`" in caught.value.message
    other.end()
    telling.end()


def test_a_run_whose_runner_is_gone_is_not_under_way_unless_it_is_asked_for(project: Project) -> None:
    telling = project.begin()
    telling.start()
    telling.die()
    assert find_under_way() is None
    found = find_under_way(lost=True)
    assert found is not None
    assert found.run.id == telling.writer.id
