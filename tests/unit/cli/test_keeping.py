"""`mlrun pin`, `tag`, `rm` and `store rebuild`: what stays, what it is called, what goes."""

import json
from dataclasses import replace

import pytest

from runner.cli.main import run
from runner.errors import ExitCode
from runner.store.datum import datum_id
from runner.store.lease import current_owner, write_owner
from runner.store.record import Run
from runner.store.store import Store

from .conftest import Project

Capture = pytest.CaptureFixture[str]


def out(capsys: Capture, *arguments: str, code: int = 0) -> str:
    assert run(list(arguments)) == code
    captured = capsys.readouterr()
    text = captured.out + captured.err
    assert "\x1b" not in text
    assert "Traceback" not in text
    return text


def data(capsys: Capture, *arguments: str) -> list[dict[str, object]]:
    assert run([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, list)
    return found


def numbers(capsys: Capture, *arguments: str) -> list[object]:
    return [row["counter"] for row in data(capsys, "list", *arguments)]


def test_runs_executions_and_files_are_pinned_listed_and_let_go(project: Project, capsys: Capture) -> None:
    id = project.run(outputs={"model.pkl": b"m"})
    project.run()
    assert "execution 1 is pinned" in out(capsys, "pin", "1", "--note", "the paper\x1b[2J")
    assert "run 2 is pinned" in out(capsys, "pin", "run:2")
    assert "`model.pkl` is pinned" in out(capsys, "pin", "1/model.pkl")
    told = {(one["what"], one["id"]) for one in data(capsys, "pin", "--list")}
    run_id = project.store.find_run(project.ref.id, "2").id
    assert told == {("execution", id), ("run", run_id), ("datum", datum_id(id, "model.pkl"))}
    shown = out(capsys, "pin", "--list")
    for word in ("1 train", "run:2 train", "model.pkl", "the paper"):
        assert word in shown
    assert "the paper" in out(capsys, "show", "1")
    out(capsys, "pin", "--remove", "1", "run:2", datum_id(id, "model.pkl"))
    assert "nothing is pinned" in out(capsys, "pin", "--list")
    assert "execution 1 is not pinned" in out(capsys, "pin", "--remove", "1", code=2)


def test_pinning_again_keeps_the_note_unless_another_is_given(project: Project, capsys: Capture) -> None:
    project.run()
    out(capsys, "pin", "1", "--note", "the paper")
    out(capsys, "pin", "1")
    assert [one["note"] for one in data(capsys, "pin", "--list")] == ["the paper"]
    out(capsys, "pin", "1", "--note", "the talk")
    assert [one["note"] for one in data(capsys, "pin", "--list")] == ["the talk"]


def test_a_file_that_is_gone_cannot_be_pinned(project: Project, capsys: Capture) -> None:
    id = project.run(outputs={"model.pkl": b"m"})
    _, execution = project.store.find_execution(None, id)
    project.store.objects.path(execution.outputs[0].digest).unlink()
    assert "is missing from the store" in out(capsys, "pin", "1/model.pkl", code=30)
    assert data(capsys, "pin", "--list") == []


def test_the_pin_of_something_that_is_gone_can_be_taken_away(project: Project, capsys: Capture) -> None:
    id = project.run()
    out(capsys, "pin", "1")
    out(capsys, "rm", "1", "--force")
    assert id in out(capsys, "pin", "--list")
    out(capsys, "pin", "--remove", id[:13])
    assert data(capsys, "pin", "--list") == []


@pytest.mark.parametrize(
    "arguments",
    [("pin",), ("pin", "99"), ("pin", "nothing"), ("pin", "1/none"), ("pin", "--list", "1"), ("tag",), ("tag", "1"),
     ("tag", "99", "x"), ("tag", "1", ""), ("tag", "1", "a\nb"), ("tag", "--list", "1"),
     ("tag", "1", "x", "--json"), ("pin", "1", "--json"), ("rm",), ("rm", "99"),
     ("pin", "run:99"), ("pin", "--remove", "1"), ("pin", "--remove", "1", "--note", "x"), ("rm", "run:99")],
)  # fmt: skip
def test_what_cannot_be_done_is_a_usage_error(project: Project, capsys: Capture, arguments: tuple[str, ...]) -> None:
    project.run()
    out(capsys, *arguments, code=2)
    assert numbers(capsys) == [1]


def test_tags_are_given_shown_filtered_by_and_taken_away(project: Project, capsys: Capture) -> None:
    project.run(tags=("nightly",))
    project.run(tags=("nightly", "odd\x1b[2J"))
    live = project.begin()
    live.start()
    assert "execution 1 of run:1 has `nightly`, `a/b`, `best`" in out(capsys, "tag", "1", "best", "a/b", "best")
    out(capsys, "tag", "run:2", "good")
    out(capsys, "tag", "3", "best")
    assert numbers(capsys, "--where", 'tag == "best"') == [3, 1]
    assert numbers(capsys, "runs", "--where", 'tag == "good"') == [2]
    assert numbers(capsys, "--where", 'tag == "good"') == [2]
    assert numbers(capsys, "--where", 'tag == "nightly" and not (tag == "best")') == [2]
    assert "nightly, a/b, best" in out(capsys, "show", "1")
    (shown,) = data(capsys, "list", "--where", "counter == 1")
    assert shown["tag"] == ["nightly", "a/b", "best"]
    told = {one["tag"]: (one["runs"], one["executions"]) for one in data(capsys, "tag", "--list")}
    assert told == {"nightly": (2, 2), "best": (0, 2), "good": (1, 1), "a/b": (0, 1), "odd\x1b[2J": (1, 1)}
    out(capsys, "tag", "--list")
    out(capsys, "tag", "1", "nightly", "a/b", "--remove")
    out(capsys, "tag", "run:2", "nightly", "odd\x1b[2J", "--remove")
    assert numbers(capsys, "--where", 'tag == "nightly"') == []
    assert numbers(capsys, "runs", "--where", 'tag == "nightly"') == [1]
    out(capsys, "tag", "1", "nightly")
    assert numbers(capsys, "--where", 'tag == "nightly"') == [1]
    live.die()


def test_a_run_is_removed_by_its_number_its_id_or_its_only_execution(project: Project, capsys: Capture) -> None:
    for _ in range(3):
        project.run(outputs={"m": b"m" * 2000})
    ids = [row["id"] for row in data(capsys, "list", "runs")]
    text = out(capsys, "rm", "run:1", "2", str(ids[0]), "1")
    for word in ("run 1 (train) is removed, with 1 execution", "run 3", "1 file (2.0 kB)", "mlrun gc --undo"):
        assert word.replace("kB", "") in text.replace("KiB", "kB").replace("kB", "")
    assert numbers(capsys) == []
    project.run()
    assert numbers(capsys) == numbers(capsys, "runs") == [4]


def test_a_removal_counts_only_files_that_are_there(project: Project, capsys: Capture) -> None:
    id = project.run(outputs={"gone.bin": b"g" * 5000, "model.pkl": b"m" * 7})
    _, execution = project.store.find_execution(None, id)
    digests = {output.name: output.digest for output in execution.outputs}
    project.store.objects.path(digests["gone.bin"]).unlink()
    assert "1 file (7 B) stays in the store" in out(capsys, "rm", "1")


def test_one_of_several_executions_cannot_be_removed(project: Project, capsys: Capture) -> None:
    telling = project.begin("a", "b")
    for node in ("a", "b"):
        telling.finish(telling.start(node))
    telling.end()
    text = out(capsys, "rm", "1", code=2)
    assert "execution 1 is one of 2 of run 1" in text
    assert "`mlrun rm run:1`" in text
    out(capsys, "rm", "run:1")


def test_a_run_under_way_is_never_removed(project: Project, capsys: Capture) -> None:
    telling = project.begin()
    telling.start()
    for more in ((), ("--force",)):
        text = out(capsys, "rm", "run:1", *more, code=31)
        assert "run 1 is under way" in text
        assert "mlrun stop" in text
    write_owner(telling.writer.folder.owner, replace(current_owner(), start_time=1))
    telling.die()
    out(capsys, "rm", "run:1")
    assert numbers(capsys) == []


def test_what_needs_a_run_refuses_its_removal_until_it_is_forced(project: Project, capsys: Capture) -> None:
    id = project.run(outputs={"model.pkl": b"m", "same": b"same"})
    datum = datum_id(id, "model.pkl")
    telling = project.begin()
    digest = project.store.catalog.datum(datum).digest
    file = {"name": "model.pkl", "digest": digest, "size": 1, "origin": f"datum://{datum}", "metadata": {}}
    telling.finish(telling.start(inputs=[{"name": "model", "files": [file]}]))
    telling.end()
    out(capsys, "rm", "run:1", code=40)
    for together in (["run:2"], ["run:1", "run:2"]):
        out(capsys, "rm", *together)
        assert run(["gc", "--undo"]) == 0
    out(capsys, "alias", "prod", datum)
    out(capsys, "dataset", "add", "d/v1", "1/same")
    out(capsys, "pin", "1/same")
    text = out(capsys, "rm", "run:2", "run:1", code=40)
    assert "run 1 is needed: `same` is pinned, and 2 more" in text
    assert numbers(capsys, "runs") == [2, 1]
    text = out(capsys, "rm", "run:1", "--force")
    for word in ("alias `prod`", "dataset `d/v1`", "`same` is pinned", "execution 2 of run 2 (train) got files of it"):
        assert word in text
    assert numbers(capsys, "runs") == [2]
    assert "whose record is gone" in out(capsys, "datum", "show", "prod")


def test_content_that_merely_equals_an_input_is_no_tie(project: Project, capsys: Capture) -> None:
    project.run(outputs={"empty": b""})
    telling = project.begin()
    digest = project.store.objects.put_bytes(b"")
    file = {"name": "empty", "digest": digest, "size": 0, "origin": "/home/me/empty", "metadata": {}}
    telling.finish(telling.start(inputs=[{"name": "x", "files": [file]}]))
    telling.end()
    out(capsys, "rm", "run:1")


def test_a_run_that_cannot_be_read_is_removed_by_force_only(project: Project, capsys: Capture) -> None:
    project.run()
    found = project.store.find_run(project.ref.id, "1")
    with project.store.layout.run(found.id).journal.open("ab") as file:
        file.write(b"junk\n")
    out(capsys, "rm", "run:1", code=30)
    assert "could not be read" in out(capsys, "rm", "run:1", "--force")
    project.run()
    assert numbers(capsys) == [2]


def test_the_users_of_a_file_are_found_without_reading_other_runs(
    project: Project, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = project.run(outputs={"model.pkl": b"m"})
    datum = datum_id(id, "model.pkl")
    digest = project.store.catalog.datum(datum).digest
    file = {"name": "model.pkl", "digest": digest, "size": 1, "origin": f"datum://{datum}", "metadata": {}}
    telling = project.begin()
    telling.finish(telling.start(inputs=[{"name": "model", "files": [file, file]}]))
    telling.end()
    live = project.begin()
    live.start(inputs=[{"name": "model", "files": [file]}])
    for _ in range(3):
        project.run()
    read: list[str] = []
    real = Store.run

    def counting(store: Store, run_id: str) -> Run:
        read.append(run_id)
        return real(store, run_id)

    monkeypatch.setattr(Store, "run", counting)
    assert run(["datum", "show", "1/model.pkl", "--uses", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [one["counter"] for one in document["used_by"]] == [2, 3]
    assert len(set(read)) == 3
    live.die()


@pytest.mark.parametrize("limit", ["", " ", "0", "-5m", "abc", "50ms", "1month"])
def test_a_check_is_not_limited_by_what_is_no_duration(project: Project, capsys: Capture, limit: str) -> None:
    project.run()
    assert "write it like `10m`" in out(capsys, "store", "check", "--time-limit", limit, code=2)


def test_a_check_takes_minutes_by_their_letter(project: Project, capsys: Capture) -> None:
    project.run()
    assert run(["store", "check", "--time-limit", "10m"]) != ExitCode.USAGE
    assert "not everything was looked at" not in capsys.readouterr().err


def test_a_check_makes_folders_that_are_gone_again_and_does_not_call_the_store_read_only(
    project: Project, capsys: Capture
) -> None:
    project.run(outputs={"model.pkl": b"m"})
    project.store.close()
    objects = project.store.layout.objects
    objects.rename(objects.with_name("elsewhere"))
    text = out(capsys, "store", "check", code=30)
    assert "is missing" in text
    assert "cannot be written" not in text
    assert objects.is_dir()


def test_a_rebuild_says_what_it_found(project: Project, capsys: Capture) -> None:
    project.run()
    broken = project.run()
    project.store.close()
    project.store.layout.index.write_bytes(b"\0" * 5000)
    assert "the index has 2 runs and 2 executions" in out(capsys, "store", "rebuild")
    journal = project.store.layout.run(project.store.find_execution(None, broken)[0].id).journal
    journal.write_bytes(b"X" + journal.read_bytes()[1:])
    text = out(capsys, "store", "rebuild", code=30)
    assert "is damaged" in text
    assert "the index has 1 run and 1 execution" in text
    assert numbers(capsys) == [1]
