"""`mlrun lineage`: from a file to what made it, and to what was made from it."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from runner.cli.main import run
from runner.digest import hash_bytes
from runner.errors import ExitCode
from runner.state import State
from runner.store.catalog import write_listing
from runner.store.datum import SCHEME, datum_id
from runner.store.record import Reused
from runner.store.trash import Trash
from tests.unit.cli.conftest import COMMIT, Project

RAW = b"sepal,petal\n1,2\n"
TRAINING = b"1,2\n"
MODEL = b"the weights"
ADDRESS = "https://somebody:s3cret@example.com/iris.csv"


def given(input: str, name: str, data: bytes, origin: str) -> dict[str, Any]:
    """One file of an input, as a job has it."""
    file = {"name": name, "digest": hash_bytes(data), "size": len(data), "origin": origin, "metadata": {}}
    return {"name": input, "files": [file]}


def execute(
    project: Project,
    node: str,
    inputs: Sequence[Mapping[str, Any]] = (),
    outputs: Mapping[str, bytes] | None = None,
    state: State = State.SUCCEEDED,
    parameters: Mapping[str, Any] | None = None,
    **more: Any,
) -> str:
    """A run of one execution; gives the execution's id."""
    for one in inputs:
        for file in one["files"]:
            file.setdefault("metadata", {})
    telling = project.begin(node, **more)
    id = telling.start(node, parameters, inputs)
    telling.finish(id, state, outputs, {"accuracy": 0.93} if node == "evaluate" else {})
    telling.end(state)
    return id


def datum(execution: str, name: str) -> str:
    return SCHEME + datum_id(execution, name)


@pytest.fixture
def pipeline(project: Project) -> dict[str, str]:
    """Three executions, each of which got what the one before left; their ids by step."""
    project.store.objects.put_bytes(RAW)
    ids = {
        "preprocess": execute(project, "preprocess", [given("raw", "iris.csv", RAW, ADDRESS)], {"train.csv": TRAINING})
    }
    source = given("train-set", "train.csv", TRAINING, datum(ids["preprocess"], "train.csv"))
    ids["train"] = execute(project, "train", [source], {"model.pkl": MODEL}, parameters={"C": 0.5})
    model = given("model", "model.pkl", MODEL, datum(ids["train"], "model.pkl"))
    ids["evaluate"] = execute(project, "evaluate", [model], {"report.json": b"{}"})
    return ids


def lineage(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert run(["lineage", *words]) == ExitCode.OK
    return capsys.readouterr().out


def document(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    return json.loads(lineage(capsys, *words, "--format", "json"))


def test_a_file_that_was_copied_out_of_the_store_leads_to_its_training_data_code_and_parameters(
    pipeline: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "of a colleague.bin"
    copy.write_bytes(MODEL)
    out = lineage(capsys, str(copy), "--up")
    assert out.startswith(f"of a colleague.bin  11 B  {hash_bytes(MODEL)}\n")
    assert "execution 2 (train) of run 2" in out
    assert "C=0.5" in out
    assert f"code commit {COMMIT[:12]}, snapshot 0000000000000000" in out
    assert "train-set/train.csv" in out
    assert "execution 1 (preprocess) of run 1" in out
    assert f"raw/iris.csv  16 B  {hash_bytes(RAW)[:16]}  from https://example.com/iris.csv" in out
    assert "evaluate" not in out


def test_everything_that_was_made_from_a_file_is_told_with_its_results(
    pipeline: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "iris.csv"
    copy.write_bytes(RAW)
    out = lineage(capsys, str(copy), "--down")
    told = [
        out.index(word) for word in ("(preprocess)", "train.csv", "(train)", "model.pkl", "(evaluate)", "report.json")
    ]
    assert told == sorted(told)
    assert "metrics accuracy 0.93" in out
    assert "got raw/iris.csv" in out


def test_without_a_direction_both_are_told(pipeline: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    out = lineage(capsys, "2/model.pkl")
    above, below = out.split("\nmade from it\n")
    assert "(preprocess)" in above and "(evaluate)" in below
    assert "(evaluate)" not in above and "(preprocess)" not in below


def test_a_file_that_nobody_left_tells_where_it_came_from(
    pipeline: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "iris.csv"
    copy.write_bytes(RAW)
    out = lineage(capsys, str(copy), "--up")
    assert "no execution left it: it came from elsewhere" in out
    assert "from https://example.com/iris.csv" in out


@pytest.mark.parametrize("form", ["text", "json", "svg"])
def test_no_password_of_an_address_is_shown(
    pipeline: dict[str, str], form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = lineage(capsys, "run:1", "--format", form)
    assert "example.com" in out
    assert "s3cret" not in out


def test_an_unknown_file_is_an_error_that_names_its_digest(
    pipeline: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "model.pkl"
    copy.write_bytes(b"changed since")
    assert run(["lineage", str(copy)]) == ExitCode.INPUT
    assert hash_bytes(b"changed since") in capsys.readouterr().err


@pytest.mark.parametrize("word", ["none.pkl", "no/such/file", "77", "datum://none"])
def test_a_word_that_means_nothing_is_an_error(
    pipeline: dict[str, str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["lineage", word]) in {ExitCode.USAGE, ExitCode.INPUT}
    assert word.removeprefix("no/").removeprefix(SCHEME).split("/")[0] in capsys.readouterr().err


def test_the_start_of_several_digests_is_ambiguous(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    first = hash_bytes(b"0")
    other = next(data for n in range(1, 10**6) if hash_bytes(data := b"%d" % n).startswith(first[:4]))
    execute(project, "train", (), {"a": b"0", "b": other})
    assert run(["lineage", first[:4]]) == ExitCode.USAGE
    printed = capsys.readouterr()
    assert f"`{first[:4]}` could be any of 2 data" in printed.err
    assert first in printed.err
    assert run(["lineage", first[:12]]) == ExitCode.OK


def test_what_is_no_regular_file_is_said_and_never_read(
    pipeline: dict[str, str], project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project.folder)
    Path("folder").mkdir()
    Path("link").symlink_to("nothing")
    os.mkfifo("pipe")
    for word, said in {
        "folder": "is a folder",
        ".": "is a folder",
        "./folder": "is a folder",
        "pipe": "is no regular file",
        "./pipe": "is no regular file",
        "/dev/zero": "is no regular file",
        "link": "it is a link to what is not there",
        "./link": "it is a link to what is not there",
        "./nothing": "there is no file `./nothing`",
        "x" * 5_000: "there is no file",
        "x/" * 3_000: "there is no file",
    }.items():
        assert run(["lineage", word]) == ExitCode.USAGE, word
        assert said in capsys.readouterr().err, word


def test_a_link_leads_to_the_file_that_it_names(
    pipeline: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model").write_bytes(MODEL)
    (tmp_path / "link").symlink_to("model")
    assert "execution 2 (train) of run 2" in lineage(capsys, str(tmp_path / "link"), "--up")


def test_every_way_to_name_an_output_means_the_same(
    project: Project, pipeline: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    id = datum_id(pipeline["train"], "model.pkl")
    known = project.store.catalog.datum(id)
    with project.store.refs.changing({"user": "me"}) as change:
        change.set_alias("best", known)
        change.make_version(("model", "iris"), "v1", write_listing(project.store.objects, [known]), [known], {})
    for word in ("2/model.pkl", id, SCHEME + id, id[:13], "best", f"{SCHEME}best", "model://iris/v1"):
        found = document(capsys, word)
        assert [one["digest"] for one in found["subject"]["data"]] == [known.digest], word
        assert found["subject"]["meant"] == [pipeline["train"]], word
    for word in (known.digest, known.digest[:16], known.digest[:4].upper()):
        found = document(capsys, word)
        assert [one["digest"] for one in found["subject"]["data"]] == [known.digest], word
        assert found["subject"]["meant"] == [], "a digest means content, whoever left it"
    assert "datum://best, model://iris/v1" in lineage(capsys, "best")


def test_an_execution_and_a_run_lead_to_the_same(pipeline: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    one, run_ = document(capsys, "2"), document(capsys, "run:2")
    assert one["subject"]["kind"] == "execution" and run_["subject"]["kind"] == "run"
    assert one["executions"] == run_["executions"]
    assert {execution["id"] for execution in one["executions"]} == set(pipeline.values())


def test_the_json_has_every_node_once_and_edges_between_them(
    pipeline: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = document(capsys, "2/model.pkl")
    assert found["format"] == 1
    assert {one["digest"]: one["presence"] for one in found["data"]} == {
        hash_bytes(data): "present" for data in (RAW, TRAINING, MODEL, b"{}")
    }
    assert found["code"] == [{"snapshot": "0" * 64, "commit": COMMIT, "branch": "main", "remote": None, "dirty": False}]
    files = {(edge["execution"], edge["data"]): edge for edge in found["used"] if edge["kind"] == "data"}
    assert files[pipeline["train"], hash_bytes(TRAINING)]["maker"] == pipeline["preprocess"]
    assert files[pipeline["train"], hash_bytes(TRAINING)]["exact"] is True
    assert files[pipeline["preprocess"], hash_bytes(RAW)]["maker"] is None
    made = {(edge["execution"], edge["name"]): edge["data"] for edge in found["generated"]}
    assert made[pipeline["train"], "model.pkl"] == hash_bytes(MODEL)
    values = {one["id"]: one["values"] for one in found["parameters"]}
    used = {edge["execution"]: edge["parameters"] for edge in found["used"] if edge["kind"] == "parameters"}
    assert values[used[pipeline["train"]]] == {"C": 0.5}


def test_all_that_left_the_same_content_are_told_newest_first_and_the_one_that_is_meant_is_marked(
    project: Project, pipeline: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(project, "train", [given("train-set", "other.csv", b"other", "other.csv")], {"model.pkl": MODEL})
    again = given("train-set", "train.csv", TRAINING, datum(pipeline["preprocess"], "train.csv"))
    execute(project, "train", [again], {"model.pkl": MODEL}, parameters={"C": 0.5})
    out = lineage(capsys, "2/model.pkl", "--up")
    lines = [line for line in out.splitlines() if line.startswith("execution")]
    assert [line.split()[1] for line in lines] == ["5", "4", "2"]
    assert [line.split()[1] for line in lines if "means this one" in line] == ["2"]
    copy = tmp_path / "model.pkl"
    copy.write_bytes(MODEL)
    lines = [line for line in lineage(capsys, str(copy), "--up").splitlines() if line.startswith("execution")]
    assert lines[2] == "execution 2 (train) of run 2, from the same as execution 5"
    assert not any("means this one" in line for line in lines)


def test_content_that_came_back_by_another_way_is_known_by_its_digest(
    project: Project, pipeline: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    execute(project, "evaluate", [given("model", "mine.pkl", MODEL, "/home/me/mine.pkl")])
    out = lineage(capsys, "4", "--up")
    assert "from /home/me/mine.pkl: the same content as an output of" in out
    assert "execution 2 (train) of run 2" in out
    assert "execution 4 (evaluate) of run 4" in lineage(capsys, "2", "--down")


def test_what_got_the_same_content_from_another_maker_was_not_made_from_this_one(
    project: Project, pipeline: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    execute(project, "train", [given("train-set", "other.csv", b"other", "other.csv")], {"model.pkl": MODEL})
    assert "(evaluate)" not in lineage(capsys, "4", "--down")
    assert "(evaluate)" in lineage(capsys, "2", "--down")


def test_empty_files_are_no_link_unless_they_are_named(
    project: Project, pipeline: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    first = execute(project, "ingest", outputs={"empty": b""})
    execute(project, "look", [given("any", "empty", b"", "/tmp/empty")])
    execute(project, "look", [given("any", "empty", b"", datum(first, "empty"))])
    assert "(ingest)" not in lineage(capsys, "5", "--up")
    assert "(ingest)" in lineage(capsys, "6", "--up")
    out = lineage(capsys, "4", "--down")
    assert "execution 6 (look)" in out and "execution 5 (look)" not in out


def test_the_execution_that_stands_for_a_node_is_the_maker_and_who_reused_it_is_told(
    project: Project, pipeline: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    (journal,) = [one.writer for one in project.told if pipeline["train"] in one.writer.run().executions]
    reused = Reused(pipeline["train"], 2, journal.run().id)
    for _ in range(2):
        telling = project.begin("train")
        telling.writer.append([{"type": "node-moved", "node": "train", "state": "reused", "reused": asdict(reused)}])
        telling.end()
    under_way = project.begin("train")
    under_way.writer.append([{"type": "node-moved", "node": "train", "state": "reused", "reused": asdict(reused)}])
    assert "reused by run 6, run 5, run 4" in lineage(capsys, "2", "--up")
    out = lineage(capsys, "run:4")
    assert "execution 2 (train) of run 2" in out
    project.store.rebuild({"user": "me"})
    assert "reused by run 6, run 5, run 4" in lineage(capsys, "2", "--up")
    project.store.remove_run(telling.writer.run().id, Trash(project.store.layout).begin("rm", "me"))
    assert "reused by run 6, run 4" in lineage(capsys, "2", "--up")


def test_a_value_that_another_execution_gave_is_part_of_the_lineage(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = [
        {"name": "tune", "step": "tune", "edges": []},
        {"name": "train", "step": "train", "edges": [["tune.metadata.best-c", "train.parameter.C"]]},
    ]
    telling = project.begin(plan={"nodes": nodes})
    tune = telling.start("tune")
    telling.finish(tune)
    telling.finish(telling.start("train", {"C": 2}), outputs={"model.pkl": MODEL})
    telling.end()
    out = lineage(capsys, "2", "--up")
    assert "value best-c → C" in out
    assert "execution 1 (tune) of run 1" in out
    assert "execution 2 (train) of run 1" in lineage(capsys, "1", "--down")
    assert "best-c" in lineage(capsys, "2", "--format", "svg")


def test_what_was_purged_removed_or_lost_is_shown_as_such(
    project: Project, pipeline: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["purge", hash_bytes(TRAINING), "--yes", "--force", "--reason", "a person asked"]) == ExitCode.OK
    project.store.objects.path(hash_bytes(RAW)).unlink()
    out = lineage(capsys, "3", "--up")
    assert "[purged on" in out and "a person asked" in out
    assert "[not in this store]" in out
    presence = {one["digest"]: one["presence"] for one in document(capsys, "3")["data"]}
    assert presence[hash_bytes(TRAINING)] == "purged"
    assert presence[hash_bytes(RAW)] == "missing"
    assert presence[hash_bytes(MODEL)] == "present"


def test_an_execution_whose_record_was_removed_is_told_as_gone(
    project: Project, pipeline: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    (first,) = [one.writer.run().id for one in project.told if pipeline["preprocess"] in one.writer.run().executions]
    project.store.remove_run(first, Trash(project.store.layout).begin("rm", "me"))
    out = lineage(capsys, "2", "--up")
    assert f"from {datum(pipeline['preprocess'], 'train.csv')}, whose maker is not in this store any more" in out


def test_a_broken_journal_hides_one_execution_and_not_the_rest(
    project: Project, pipeline: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    (first,) = [one.writer.run().id for one in project.told if pipeline["preprocess"] in one.writer.run().executions]
    project.store.layout.run(first).journal.write_bytes(b"nonsense\n")
    found = document(capsys, "2")
    assert found["gone"] == [pipeline["preprocess"]]
    assert "whose record is not in this store any more" in lineage(capsys, "2", "--up")


def test_names_of_steps_and_files_cannot_move_the_cursor_nor_break_the_picture(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    wild = "a\x1b[31m<b>&\u202e.csv"
    execute(project, "train", [given("in", wild, RAW, f"/tmp/{wild}")], {wild: MODEL}, parameters={wild: wild})
    out = lineage(capsys, "1")
    assert "\x1b" not in out and "\u202e" not in out
    picture = lineage(capsys, "1", "--format", "svg")
    assert "\x1b" not in picture and "<b>" not in picture
    ElementTree.fromstring(picture)


def test_the_picture_stands_alone_and_shows_every_execution(
    pipeline: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    picture = lineage(capsys, "2/model.pkl", "--format", "svg")
    root = ElementTree.fromstring(picture)
    texts = "\n".join(text for element in root.iter() for text in element.itertext())
    for word in ("preprocess", "train", "evaluate", "model.pkl", "iris.csv", "report.json", "C=0.5"):
        assert word in texts, word
    assert "<script" not in picture
    assert not [element for element in root.iter() if any(name.endswith("href") for name in element.attrib)]


def test_many_siblings_are_folded_and_all_of_them_can_be_had(
    project: Project, pipeline: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    telling = project.begin("evaluate")
    for _ in range(130):
        model = given("model", "model.pkl", MODEL, datum(pipeline["train"], "model.pkl"))
        telling.finish(telling.start("evaluate", inputs=[model]))
    telling.end()
    out = lineage(capsys, "2/model.pkl", "--down")
    assert len(out.splitlines()) < 60
    assert "… and 90 more executions of evaluate: 34 … 123" in out
    assert "… and 31 more executions that got it" in out
    found = document(capsys, "2/model.pkl", "--down")
    assert found["more"]["users"] == {hash_bytes(MODEL): 31}
    everything = document(capsys, "2/model.pkl", "--down", "--all")
    assert not everything["more"]["users"]
    assert len(everything["executions"]) == 132
    picture = ElementTree.fromstring(lineage(capsys, "2/model.pkl", "--format", "svg", "--all"))
    texts = [text for element in picture.iter() for text in element.itertext()]
    assert "127 executions: 3 … 129" in texts


def test_what_is_further_away_than_was_asked_for_is_counted(
    pipeline: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["lineage", "3", "--up", "--depth", "1"]) == ExitCode.OK
    printed = capsys.readouterr()
    assert "execution 2 (train) of run 2 …" in printed.out
    assert "(preprocess)" not in printed.out
    assert "2 executions not told here: `--depth N` tells more" in printed.err
    assert run(["lineage", "3", "--depth", "0"]) == ExitCode.USAGE


def test_a_name_that_is_a_file_and_an_execution_means_the_file(
    pipeline: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("2").write_bytes(RAW)
    assert document(capsys, "2")["subject"]["kind"] == "file"
    Path("2").unlink()
    assert document(capsys, "2")["subject"]["kind"] == "execution"


def test_a_run_of_which_nothing_ran_has_no_lineage(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    telling = project.begin("train")
    telling.writer.append([{"type": "node-moved", "node": "train", "state": "failed", "reason": "input"}])
    telling.end("failed")
    assert run(["lineage", "run:1"]) == ExitCode.USAGE
    assert run(["compare", "run:1", "run:1"]) == ExitCode.USAGE
    assert capsys.readouterr().err.count("run 1 has no execution: nothing of it ran") == 2


def test_looking_changes_nothing(
    project: Project, pipeline: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    def files() -> dict[str, int]:
        return {str(path): path.lstat().st_mtime_ns for path in project.root.rglob("*")}

    before = files()
    lineage(capsys, "2/model.pkl")
    assert files() == before
