"""`mlrun alias`, `dataset`, `model` and `datum`: names of data, set and looked at."""

import hashlib
import json
from pathlib import Path

import pytest

from runner.cli.main import run
from runner.digest import hash_bytes
from runner.store.datum import datum_id

from .conftest import Project

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def one(project: Project) -> str:
    """The id of an execution that left files, one with a hostile name and hostile properties."""
    telling = project.begin()
    id = telling.start()
    outputs = []
    for name, metadata in {
        "model.pkl": {"note": 1, "evil\x1b[2J": "\x1b]0;t\a"},
        "deep/a.csv": {},
        "deep/b.csv": {},
        "evil\x1b[2J\n\udcff": {},
    }.items():
        digest = project.store.objects.put_bytes(name.encode("utf-8", "surrogateescape"))
        outputs.append({"name": name, "digest": digest, "size": len(name), "metadata": metadata})
    finished = {"type": "execution-finished", "id": id, "state": "succeeded", "reason": "exit", "outputs": outputs}
    telling.writer.append([finished])
    telling.logs.pop(id).close()
    telling.end()
    return id


def out(capsys: Capture, *arguments: str, code: int = 0) -> str:
    assert run(list(arguments)) == code
    captured = capsys.readouterr()
    text = captured.out + captured.err
    assert "\x1b" not in text
    assert "Traceback" not in text
    return text


def test_an_alias_is_set_moved_shown_and_removed(one: str, capsys: Capture) -> None:
    id = datum_id(one, "model.pkl")
    assert f"`datum://prod` is model.pkl ({id})" in out(capsys, "alias", "prod", "1/model.pkl")
    out(capsys, "alias", "prod", "latest/deep/a.csv")
    shown = out(capsys, "alias", "prod")
    assert "datum://prod" in shown
    assert shown.index("a.csv", shown.index("history")) < shown.index("model.pkl")
    assert datum_id(one, "deep/a.csv") in out(capsys, "alias")
    out(capsys, "alias", "--remove", "prod")
    assert "there are no aliases" in out(capsys, "alias")
    assert "there is no alias `prod`" in out(capsys, "alias", "prod", code=2)
    assert "there is no alias `prod`" in out(capsys, "alias", "--remove", "prod", code=2)


def test_the_history_of_an_alias_survives_its_removal(one: str, project: Project, capsys: Capture) -> None:
    out(capsys, "alias", "prod", "1/model.pkl")
    out(capsys, "alias", "--remove", "prod")
    out(capsys, "alias", "prod", "1/deep/b.csv")
    history = json.loads(out(capsys, "alias", "prod", "--json"))["history"]
    assert [entry["type"] for entry in history] == ["alias-set", "alias-removed", "alias-set"]


@pytest.mark.parametrize(
    "reference", ["1/model.pkl", "latest/*.pkl", "ID", "ID8", "DIGEST", "datum://ID", "EXEC/model.pkl"]
)
def test_one_file_can_be_named_in_many_ways(one: str, capsys: Capture, reference: str) -> None:
    id = datum_id(one, "model.pkl")
    text = reference.replace("ID8", id[:8]).replace("ID", id).replace("EXEC", one[:13])
    shown = json.loads(out(capsys, "datum", "show", text.replace("DIGEST", hash_bytes(b"model.pkl")), "--json"))
    assert (shown["id"], shown["name"], shown["metadata"]["note"]) == (id, "model.pkl", 1)
    assert (shown["made_by"]["execution"], shown["made_by"]["counter"]) == (one, 1)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["datum", "show", "1/model.pk"], 2, "did you mean `model.pkl`?"),
        (["datum", "show", "1/deep/*"], 2, "means 2 files"),
        (["datum", "show", "7/model.pkl"], 2, "there is no execution"),
        (["datum", "show", "nothing"], 41, "there is no datum `nothing`"),
        (["datum", "show", "dataset://nothing/v1"], 41, "there is no dataset"),
        (["datum", "show", "\x1b[2J"], 41, "there is no datum"),
        (["alias", "a/b", "1/model.pkl"], 2, "holds a `/`"),
        (["alias", "", "1/model.pkl"], 2, "is empty"),
        (["alias", "x", "--remove", "x"], 2, "stands alone"),
        (["dataset", "show", "nothing"], 2, "there is no dataset"),
        (["dataset", "add", "iris", "1/model.pkl"], 2, "names no version"),
        (["dataset", "add", "iris/v1"], 2, "needs files"),
        (["dataset", "add", "iris/latest", "1/model.pkl"], 2, "always the newest"),
        (["dataset", "add", "iris/a/b", "1/model.pkl"], 2, "holds a `/`"),
        (["dataset", "add", "iris/v1", "--from", "v0"], 41, "there is no dataset"),
    ],
)
def test_bad_input_is_one_line_with_a_hint(
    one: str, project: Project, capsys: Capture, arguments: list[str], code: int, said: str
) -> None:
    assert said in out(capsys, *arguments, code=code)
    assert project.store.refs.history() == []


def test_a_version_is_made_from_files_and_from_another_version(one: str, capsys: Capture) -> None:
    assert "has 2 files" in out(capsys, "dataset", "add", "iris/v1", "1/deep/*", "--alias", "prod")
    assert "has 2 files" in out(
        capsys, "dataset", "add", "dataset://iris/v2", "1/model.pkl", "--from", "v1", "--exclude", "*/b.csv"
    )
    assert "versions do not change" in out(capsys, "dataset", "add", "iris/v1", "1/model.pkl", code=2)
    shown = json.loads(out(capsys, "dataset", "show", "iris/latest", "--json"))
    assert [datum["name"] for datum in shown["data"]] == ["deep/a.csv", "model.pkl"]
    assert json.loads(out(capsys, "dataset", "show", "iris/prod", "--json"))["version"]["name"] == "v1"
    page = out(capsys, "dataset", "show", "iris")
    assert page.index("v2") < page.index("v1")
    assert "prod" in page
    assert "dataset://iris/v2" in out(capsys, "dataset", "show", "iris/latest")
    assert "iris" in out(capsys, "dataset", "list")
    assert json.loads(out(capsys, "dataset", "list", "--json"))[0]["aliases"] == {"prod": "v1"}


def test_versions_of_a_model_are_numbered(one: str, capsys: Capture) -> None:
    for number in (1, 2):
        assert f"`model://churn/v{number}`" in out(
            capsys, "model", "add", "churn", "1/model.pkl", f"1/deep/{'ab'[number - 1]}.csv"
        )
    assert "model://churn/v1" in out(capsys, "model", "show", "churn/1")
    assert "there are no datasets" in out(capsys, "dataset", "list")


def test_everything_about_a_datum_is_told(one: str, project: Project, capsys: Capture) -> None:
    out(capsys, "alias", "prod", "1/model.pkl")
    out(capsys, "dataset", "add", "iris/v1", "1/model.pkl")
    telling = project.begin()
    file = {
        "name": "m",
        "digest": hash_bytes(b"model.pkl"),
        "size": 9,
        "origin": f"datum://{datum_id(one, 'model.pkl')}",
    }
    user = telling.start(inputs=[{"name": "model", "files": [file]}])
    telling.finish(user)
    telling.end()
    shown = json.loads(out(capsys, "datum", "show", "prod", "--uses", "--checksums", "--json"))
    assert shown["aliases"] == ["prod"]
    assert shown["versions"] == ["dataset://iris/v1"]
    assert [(one["execution"], one["input"]) for one in shown["used_by"]] == [(user, "model")]
    assert shown["checksums"]["md5"] == hashlib.md5(b"model.pkl").hexdigest()
    page = out(capsys, "datum", "show", "prod", "--uses", "--checksums")
    for word in ("sha256", "execution 1 (train, succeeded) of run 1", "dataset://iris/v1", "execution 2", "as model"):
        assert word in page
    assert "evil\\x1b[2J" in page


def test_a_file_that_was_brought_in_is_a_datum_without_a_maker(project: Project, capsys: Capture) -> None:
    digest = project.store.objects.put_bytes(b"brought in")
    assert "brought in from elsewhere" in out(capsys, "datum", "show", digest)


def test_show_and_outputs_tell_properties_and_ids(one: str, capsys: Capture) -> None:
    assert "model.pkl: note" in out(capsys, "show", "1")
    rows = json.loads(out(capsys, "outputs", "1", "--json"))
    assert {row["name"]: row["datum"] for row in rows}["model.pkl"] == datum_id(one, "model.pkl")
    assert datum_id(one, "deep/a.csv") in out(capsys, "outputs", "1")


def test_looking_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv("MLRUN_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    for arguments in (["alias"], ["dataset", "list"], ["model", "list"]):
        out(capsys, *arguments)
    out(capsys, "datum", "show", "x", code=41)
    out(capsys, "alias", "x", "y", code=41)
    assert list(tmp_path.iterdir()) == []
