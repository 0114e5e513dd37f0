"""Looking at all records: what others do meanwhile is no damage, and a look that was cut short is gone on with."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.app.withdrawal import withdraw
from runner.digest import hash_bytes
from runner.upkeep import survey as module
from runner.upkeep.anomaly import Report
from runner.upkeep.inventory import Inventory
from runner.upkeep.survey import Survey


def surveyed(scene: Any, *, is_over: Callable[[], bool] = lambda: False, behind: str = "") -> tuple[Survey, str]:
    with scene.reading() as store:
        survey = Survey(store, Inventory(store.layout), Report(), is_over)
        survey.names()
        return survey, survey.runs(behind)


def codes(survey: Survey) -> list[str]:
    return [one.code for one in survey.report.anomalies]


def journal_of(scene: Any, execution: Any) -> Path:
    return Path(scene.layout.run(scene.run_of(execution).id).journal)


def test_an_empty_store_is_whole(scene: Any) -> None:
    survey, last = surveyed(scene)
    assert (last, codes(survey), survey.report.whole) == ("", [], True)
    scene.writing().close()
    survey, last = surveyed(scene)
    assert (last, codes(survey), survey.report.runs) == ("", [], 0)


def test_a_look_that_was_cut_short_goes_on_behind_the_last_run(scene: Any) -> None:
    runs = [scene.run_of(scene.execute("train", {"model": b"%d" % number})).id for number in range(3)]
    looks = iter([False, True])
    survey, last = surveyed(scene, is_over=lambda: next(looks))
    assert (last, survey.report.whole, survey.report.runs) == (runs[0], False, 1)
    survey, last = surveyed(scene, behind=last)
    assert (last, survey.report.whole, survey.report.runs) == ("", True, 2)


def test_a_run_that_looks_wrong_beside_its_writer_is_right_at_the_second_look(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scene.execute("train", {"model": b"the model"})
    owner = scene.layout.run(scene.run_of(made).id).owner
    content, looks = module.content_of, []

    def behind(path: Path) -> bytes | None:
        looks.append(path)
        return b"of before" if len(looks) == 1 else content(path)

    monkeypatch.setattr(module, "content_of", behind)
    survey, _ = surveyed(scene)
    assert codes(survey) == []
    assert looks == [owner, owner]
    assert survey.report.runs == 1


def test_a_run_that_is_removed_meanwhile_is_not_missing(scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = scene.execute("train", {"model": b"the model"})
    folder = scene.layout.run(scene.run_of(made).id).path
    recorded = module.recorded_run

    def removed(asked: Any) -> Any:
        if folder.exists():
            withdraw(scene.settings, [folder.name], force=True)
        return recorded(asked)

    monkeypatch.setattr(module, "recorded_run", removed)
    survey, _ = surveyed(scene)
    assert codes(survey) == []


def test_an_index_that_is_no_database_is_told_once_and_hides_no_run(scene: Any) -> None:
    for number in range(3):
        scene.execute("train", {"model": b"%d" % number})
    scene.layout.index.write_bytes(b"no database" * 1000)
    survey, _ = surveyed(scene)
    assert codes(survey) == ["index-damaged"]
    assert survey.report.executions == 3


def test_an_index_that_somebody_writes_is_waited_for_no_longer_than_it_takes(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.store.agreement._BUSY_SECONDS", 0.0)
    scene.execute("train", {"model": b"the model"})
    connection = sqlite3.connect(scene.layout.index, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    survey, _ = surveyed(scene)
    connection.close()
    assert codes(survey) == ["index-busy"]
    assert survey.report.damages == []
    assert survey.report.runs == 1


def test_without_an_index_journals_alone_decide(scene: Any) -> None:
    scene.execute("train", {"model": b"the model"})
    scene.layout.index.unlink()
    survey, _ = surveyed(scene)
    assert (codes(survey), survey.report.runs) == ([], 1)


@pytest.mark.usefixtures("bound")
def test_a_journal_that_may_not_be_read_concerns_its_run_only(scene: Any) -> None:
    first = scene.execute("train", {"model": b"a"})
    scene.execute("train", {"model": b"b"})
    journal = journal_of(scene, first)
    run = scene.run_of(first)
    journal.chmod(0)
    survey, _ = surveyed(scene)
    (anomaly,) = survey.report.damages
    assert (anomaly.code, anomaly.place) == ("journal-damaged", f"runs/{run.id}/journal")
    assert [(touch.run, touch.run_counter) for touch in anomaly.touched] == [(run.id, 1)]
    assert survey.report.runs == 1


def test_a_journal_that_lost_its_end_is_told_by_the_index(scene: Any) -> None:
    journal = journal_of(scene, scene.execute("train", {"model": b"the model"}))
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]))
    survey, _ = surveyed(scene)
    assert [one.code for one in survey.report.damages] == ["journal-shortened"]
    journal.write_bytes(b"")
    survey, _ = surveyed(scene)
    assert [one.code for one in survey.report.damages] == ["journal-damaged"]


def test_a_tree_that_cannot_be_read_is_a_suspect_and_its_runs_are_counted(scene: Any) -> None:
    made = scene.execute("train", {"model": b"the model"})
    tree = scene.run_of(made).code.snapshot
    (scene.layout.objects / tree[:2] / tree).unlink()
    survey, _ = surveyed(scene)
    assert survey.suspects == {tree: "is missing"}
    assert survey.report.executions == 1


def test_an_object_of_another_size_than_its_record_says_is_a_suspect(scene: Any) -> None:
    scene.execute("train", {"model": b"the model"})
    digest = hash_bytes(b"the model")
    path = scene.layout.objects / digest[:2] / digest
    path.chmod(0o644)
    path.write_bytes(b"the")
    survey, _ = surveyed(scene)
    assert survey.suspects == {digest: "has 3 bytes instead of 9"}
