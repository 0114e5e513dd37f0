"""What a check of a store says, and what it does about it."""

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from runner.digest import hash_bytes
from runner.store.catalog import data_of
from runner.store.identity import new_id
from runner.store.removal import Removals
from runner.store.sealed import seal
from runner.store.trash import Trash
from runner.upkeep.anomaly import Report
from runner.upkeep.batch import trash_batches
from runner.upkeep.check import Wish, check
from runner.upkeep.disk import names


def check_of(scene: Any, *, read_data: bool = False, writable: bool = True, seconds: float | None = None) -> Report:
    with scene.writing() if writable else scene.reading() as store:
        return check(store, Wish(read_data=read_data, writable=writable, seconds=seconds))[0]


def place(scene: Any, digest: str) -> Path:
    return Path(scene.layout.objects / digest[:2] / digest)


def spoil(path: Path, data: bytes | None = None) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[::-1] if data is None else data)
    path.chmod(0o444)


def codes(report: Report) -> list[str]:
    return [anomaly.code for anomaly in report.damages]


def test_what_executions_gave_up_is_not_missing_and_what_others_need_is(scene: Any) -> None:
    first = scene.execute("train", {"model": b"the model"})
    second = scene.execute("test", {"model": b"the model", "report": b"fine"})
    Removals(scene.layout).append([{"type": "files-dropped", "executions": [first.id]}])
    place(scene, hash_bytes(b"the model")).unlink()
    report = check_of(scene)
    (anomaly,) = report.damages
    assert (anomaly.code, anomaly.digest) == ("object-missing", hash_bytes(b"the model"))
    assert [(touch.execution, touch.counter, touch.name) for touch in anomaly.touched] == [(second.id, 2, "model")]
    Removals(scene.layout).append([{"type": "files-dropped", "executions": [second.id]}])
    report = check_of(scene)
    assert codes(report) == []
    assert report.dropped == 2


def test_code_that_is_missing_is_damage_though_the_execution_gave_its_files_up(scene: Any) -> None:
    lost = scene.execute()
    Removals(scene.layout).append([{"type": "files-dropped", "executions": [lost.id]}])
    place(scene, hash_bytes(b"print('train')")).unlink()
    (anomaly,) = check_of(scene).damages
    assert [(touch.kind, touch.name) for touch in anomaly.touched] == [("code", "0.py")]


def test_names_and_versions_keep_what_they_mean(scene: Any) -> None:
    made = scene.execute("train", {"model": b"the model"})
    scene.name(made, "prod")
    scene.version(data_of(made), "models", "v1")
    Removals(scene.layout).append([{"type": "files-dropped", "executions": [made.id]}])
    place(scene, hash_bytes(b"the model")).unlink()
    (anomaly,) = check_of(scene).damages
    assert [(touch.kind, touch.name) for touch in anomaly.touched] == [("alias", "prod"), ("dataset", "models/v1")]


def test_a_damaged_object_is_set_aside_and_stays_missing_until_it_is_made_again(scene: Any) -> None:
    scene.execute("train", {"model": b"the model"})
    digest = hash_bytes(b"the model")
    for number, data in enumerate((b"the modem", b"the modes", b"other size")):
        spoil(place(scene, digest), data)
        report = check_of(scene, read_data=True)
        assert codes(report) == ["object-damaged"]
        aside = scene.layout.quarantine / (digest if not number else f"{digest}~{number + 1}")
        assert aside.read_bytes() == data
        assert not place(scene, digest).exists()
        (again,) = check_of(scene).damages
        assert "a damaged copy is in" in again.what
        scene.execute("train", {"model": b"the model"})
        report = check_of(scene, read_data=True)
        assert codes(report) == []
        assert [note.code for note in report.notes].count("quarantined") == number + 1


def test_a_good_copy_in_the_trash_replaces_a_damaged_object(scene: Any) -> None:
    scene.execute("train", {"model": b"the model"})
    digest = hash_bytes(b"the model")
    trash = Trash(scene.layout)
    assert trash.move(trash.begin("gc", "me"), place(scene, digest))
    place(scene, digest).write_bytes(b"the modem")
    (anomaly,) = check_of(scene, read_data=True).damages
    assert "restored from the trash" in anomaly.done
    assert place(scene, digest).read_bytes() == b"the model"


def test_the_file_that_an_input_was_read_from_restores_it_unless_it_has_changed(scene: Any, tmp_path: Path) -> None:
    with scene.writing() as store:
        digest = store.objects.put_bytes(b"a,b\n")
    origin = tmp_path / "table.csv"
    origin.write_bytes(b"a,c\n")
    _with_input(scene, digest, 4, str(origin))
    place(scene, digest).unlink()
    (anomaly,) = check_of(scene).damages
    assert not anomaly.done
    origin.write_bytes(b"a,b\n")
    (anomaly,) = check_of(scene).damages
    assert anomaly.done == f"restored from `{origin}`"
    assert not check_of(scene, read_data=True).damages


def _with_input(scene: Any, digest: str, size: int, origin: str) -> None:
    """An execution that got a file from a path."""
    from runner.store.identity import new_id

    made = scene.execute()
    with scene.writing() as store:
        run = scene.run_of(made)
        header = {"kind": "exec", "name": "train", "project": run.project, "title": None, "tags": (), "argv": (),
                  "code": run.code, "spec": run.spec, "plan": {"nodes": [{"name": "train", "step": "train"}]},
                  "executor": "fake", "host": {}, "version": "1"}  # fmt: skip
        writer = store.begin_run(header)
        id, counter = new_id(), writer.new_execution_counter()
        file = {"name": "table.csv", "digest": digest, "size": size, "origin": origin, "metadata": {}}
        job = {**made.job, "inputs": [{"name": "data", "files": [file]}]}
        writer.append([{"type": "execution-created", "id": id, "node": "train", "counter": counter, "job": job}])
        writer.append(
            [
                {"type": "execution-finished", "id": id, "state": "succeeded", "outputs": []},
                {"type": "run-finished", "state": "succeeded"},
            ]
        )
        writer.close()


def test_the_reading_stops_in_time_goes_on_there_and_tells_when_everything_was_read(scene: Any) -> None:
    digests = sorted(scene.put(b"%d of these" % number) for number in range(20))
    spoil(place(scene, digests[-1]))
    positions = []
    for _ in range(len(digests) + 1):
        report = check_of(scene, read_data=True, seconds=1e-9)
        assert report.reading is not None
        assert report.reading.objects >= 1
        if report.reading.is_full:
            break
        positions.append(report.reading.position)
    assert positions == sorted(set(positions))
    assert report.reading.is_full
    assert codes(report) == ["object-damaged"]
    assert (scene.layout.quarantine / digests[-1]).exists()
    whole = check_of(scene, read_data=True).reading
    assert whole is not None
    assert whole.last_full is not None
    assert whole.objects == len(digests) - 1


def test_what_comes_behind_the_point_that_was_reached_is_read_in_the_next_round(scene: Any) -> None:
    digests = sorted(scene.put(b"%d of these" % number) for number in range(100))
    first = digests[0]
    aside = place(scene, first).read_bytes()
    place(scene, first).unlink()
    part = check_of(scene, read_data=True, seconds=1e-9).reading
    assert part is not None
    assert not part.is_full
    place(scene, first).write_bytes(aside[::-1] + b"!")
    place(scene, first).chmod(0o444)
    reports = [check_of(scene, read_data=True) for _ in range(2)]
    assert [codes(report) for report in reports] == [[], ["object-damaged"]]


def test_an_object_that_others_move_about_is_never_missing(scene: Any) -> None:
    scene.execute("train", {"model": b"the model" * 1000})
    digest = hash_bytes(b"the model" * 1000)
    stop = threading.Event()

    def move() -> None:
        trash = Trash(scene.layout)
        while not stop.is_set():
            batch = trash.begin("gc", "me")
            trash.move(batch, place(scene, digest))
            trash.bring_back(digest)
            trash.destroy(batch)

    mover = threading.Thread(target=move)
    mover.start()
    try:
        for _ in range(15):
            report = check_of(scene, read_data=True, writable=False)
            assert report.damages == []
    finally:
        stop.set()
        mover.join()


def test_a_batch_that_another_begins_at_this_moment_says_what_it_is(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = scene.layout.trash / new_id()
    folder.mkdir(parents=True)

    def listed(path: Path) -> list[str]:
        if path == folder and not (folder / "batch").exists():
            told = {"id": folder.name, "time": "2026-01-01T00:00:00.000Z", "why": "gc", "by": "me"}
            (folder / "batch").write_bytes(seal(told))
            (folder / "objects").mkdir()
        return names(path)

    monkeypatch.setattr("runner.upkeep.batch.names", listed)
    assert list(trash_batches(scene.layout)) == []
    (folder / "batch").unlink()
    monkeypatch.undo()
    assert [anomaly.code for anomaly in trash_batches(scene.layout)] == ["batch-unreadable"]


@pytest.mark.usefixtures("bound")
def test_what_may_not_be_read_is_told_and_left_where_it_is(scene: Any) -> None:
    scene.execute("train", {"model": b"the model"})
    path = place(scene, hash_bytes(b"the model"))
    path.chmod(0)
    (anomaly,) = check_of(scene, read_data=True).damages
    assert (anomaly.what, anomaly.done) == ("may not be read by this user", "")
    path.chmod(0o444)
    assert check_of(scene, read_data=True).damages == []


def test_what_is_in_use_is_brought_back_from_the_trash(scene: Any) -> None:
    scene.execute("train", {"model": b"the model"})
    digest = hash_bytes(b"the model")
    trash = Trash(scene.layout)
    trash.move(trash.begin("gc", "me"), place(scene, digest))
    report = check_of(scene)
    assert codes(report) == []
    assert [note.code for note in report.notes] == ["brought-back"]
    assert place(scene, digest).exists()


def test_a_lease_that_says_something_else_is_written_again(scene: Any) -> None:
    run = scene.run_of(scene.execute())
    owner = scene.layout.run(run.id).owner
    good = owner.read_bytes()
    owner.write_bytes(good.replace(b'"pid": ', b'"pid": 9'))
    (anomaly,) = check_of(scene).damages
    assert (anomaly.code, anomaly.touched[0].run_counter) == ("owner-damaged", 1)
    assert owner.read_bytes() == good
    assert codes(check_of(scene)) == []


def test_a_run_that_only_the_index_knows_is_missing(scene: Any, tmp_path: Path) -> None:
    run = scene.run_of(scene.execute())
    scene.layout.run(run.id).path.rename(tmp_path / "gone")
    (anomaly,) = check_of(scene).damages
    assert (anomaly.code, anomaly.place, anomaly.touched[0].run_counter) == ("run-missing", f"runs/{run.id}", 1)


def test_a_damaged_journal_in_the_trash_is_told_before_somebody_brings_it_back(scene: Any) -> None:
    run = scene.run_of(scene.execute())
    trash = Trash(scene.layout)
    batch = trash.begin("rm", "me")
    trash.move(batch, scene.layout.run(run.id).path)
    journal = trash.folder(batch) / "runs" / run.id / "journal"
    journal.write_bytes(journal.read_bytes().replace(b"train", b"brain", 1))
    owner = journal.with_name("owner")
    good = owner.read_bytes()
    owner.write_bytes(good.replace(b'"pid": ', b'"pid": 9'))
    places = {anomaly.place for anomaly in check_of(scene).damages}
    assert str(journal.relative_to(scene.root)) in places
    journal.write_bytes(journal.read_bytes().replace(b"brain", b"train", 1))
    places = {anomaly.place for anomaly in check_of(scene).damages}
    assert str(owner.relative_to(scene.root)) in places
    owner.write_bytes(good)
    assert not [one for one in check_of(scene).damages if one.place.startswith("trash/")]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE runs SET row = replace(row, 'train', 'brain')",
        "UPDATE executions SET row = replace(row, 'train', 'brain')",
        "DELETE FROM runs",
        "UPDATE counters SET last = 0",
        "UPDATE runs SET project = 'another'",
        "UPDATE runs SET created = ''",
        "UPDATE executions SET project = 'another'",
        "UPDATE executions SET counter = 55",
        "UPDATE executions SET seal = zeroblob(8)",
        "DELETE FROM data",
        "UPDATE data SET digest = ''",
        "UPDATE inputs SET digest = zeroblob(32)",
    ],
)
def test_an_index_that_says_something_else_is_told_and_rebuilt_away(scene: Any, change: str) -> None:
    import sqlite3

    made = scene.execute(outputs={"model": b"m"})
    scene.execute("score", inputs=data_of(made))
    connection = sqlite3.connect(scene.layout.index)
    connection.execute(change)
    connection.commit()
    connection.close()
    report = check_of(scene, writable=False)
    assert set(codes(report)) == {"index-differs"}
    assert "mlrun store rebuild" in report.damages[0].remedy
    with scene.writing() as store:
        store.rebuild({"user": "me"})
    assert codes(check_of(scene)) == []


def test_a_name_whose_writer_was_killed_is_no_damage_and_one_that_was_changed_is(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scene.execute("train", {"model": b"the model", "other": b"another"})
    scene.name(made, "prod")
    path = next((scene.layout.refs / "alias").iterdir())
    with scene.writing() as store, pytest.raises(KeyboardInterrupt), store.refs.changing({"user": "me"}) as change:
        change.set_alias("prod", data_of(made)[1])
        monkeypatch.setattr("runner.store.naming.replace_file", _killed)
    monkeypatch.undo()
    report = check_of(scene)
    assert codes(report) == []
    assert [note.code for note in report.notes] == ["ref-behind"]
    path.write_bytes(path.read_bytes().replace(b"model", b"modem"))
    assert codes(check_of(scene)) == ["ref-damaged"]
    path.unlink()
    assert codes(check_of(scene)) == ["ref-damaged"]


def _killed(*arguments: Any) -> None:
    raise KeyboardInterrupt


def test_strangers_and_odd_modes_are_notes(scene: Any) -> None:
    digest = scene.put(b"something")
    place(scene, digest).chmod(0o600)
    (scene.layout.objects / "ab" / "README").write_text("hello")
    (scene.layout.objects / "cd" / f"ab{'0' * 62}").write_text("misplaced")
    (scene.layout.scratch / ".new-1-dead").write_text("half")
    report = check_of(scene, read_data=True)
    assert codes(report) == []
    assert sorted(note.code for note in report.notes if note.code != "leftover") == ["mode", "stranger", "stranger"]


def test_undecodable_names_are_shown_and_no_trouble(scene: Any) -> None:
    scene.execute("train", {"caf\udce9\n.txt": b"text"})
    place(scene, hash_bytes(b"text")).unlink()
    os.close(os.open(os.fsencode(scene.layout.objects) + b"/ab/\xff\n", os.O_CREAT | os.O_WRONLY))
    report = check_of(scene)
    assert [anomaly.touched[0].name for anomaly in report.damages] == ["caf\udce9\n.txt"]
    assert any("\\xff\\n" in note.place for note in report.notes)


def test_ctrl_c_keeps_what_was_reached_and_damage_that_was_found(scene: Any) -> None:
    digests = sorted(scene.put(b"%d of these" % number) for number in range(12))
    spoil(place(scene, digests[0]))
    seen: list[int] = []

    def tell(objects: int, size: int) -> None:
        seen.append(objects)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with scene.writing() as store:
        report, interrupted = check(store, Wish(read_data=True, tell=tell))
    assert interrupted
    assert codes(report) == ["object-damaged"]
    assert report.reading is not None
    assert report.reading.position == digests[2]
    reading = check_of(scene, read_data=True).reading
    assert reading is not None
    assert (reading.objects, reading.is_full) == (9, True)


def test_a_store_of_somebody_else_is_only_looked_at(scene: Any) -> None:
    scene.execute("train", {"model": b"the model"})
    spoil(place(scene, hash_bytes(b"the model")))
    before = {path: path.lstat().st_mtime_ns for path in sorted(scene.root.rglob("*"))}
    report = check_of(scene, read_data=True, writable=False)
    assert codes(report) == ["object-damaged"]
    assert {path: path.lstat().st_mtime_ns for path in sorted(scene.root.rglob("*"))} == before
