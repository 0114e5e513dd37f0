"""`mlrun inputs`: what an execution got, and the map."""

import json
from pathlib import Path

import pytest

from runner.cli.main import run
from runner.errors import ExitCode
from runner.store.checksum import Checksums

from .conftest import Project


@pytest.fixture
def given(project: Project) -> str:
    """The digest of the one file that the latest execution got."""
    digest = project.store.objects.put_bytes(b"a,b\n")
    file = {"name": "deep/a.csv", "digest": digest, "size": 4, "origin": "s3://b/deep/a.csv", "metadata": {"rows": 1}}
    telling = project.begin()
    id = telling.start(inputs=[{"name": "data", "files": [file]}, {"name": "extra", "files": []}])
    telling.finish(id)
    telling.end()
    return digest


def test_the_files_are_listed_with_their_origin(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inputs"]) == ExitCode.OK
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["input", "name", "size", "digest", "origin"]
    assert row.split() == ["data", "deep/a.csv", "4", "B", given[:16], "s3://b/deep/a.csv"]


def test_json_has_whole_digests_known_checksums_and_properties(
    project: Project, given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Checksums(project.root / "cache" / "checksums", project.store.objects).compute(given, ["md5"])  # type: ignore[arg-type]
    assert run(["inputs", "1", "--json"]) == ExitCode.OK
    (file,) = json.loads(capsys.readouterr().out)["data"]
    assert file["digest"] == given
    assert set(file["checksums"]) == {"blake3", "md5"}
    assert file["metadata"] == {"rows": 1}


def test_an_execution_without_input_files_says_so(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.run()
    assert run(["inputs"]) == ExitCode.OK
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "execution 1 got no input files\n")


def test_the_map_is_written_listed_and_taken_back(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inputs", "map", "s3://b/", "data/"]) == ExitCode.OK
    assert run(["inputs", "map", "s3://c/x", "http://me:pw@h/x"]) == ExitCode.OK
    assert "pw" not in capsys.readouterr().err
    assert run(["inputs", "map"]) == ExitCode.OK
    assert capsys.readouterr().out.split()[-4:] == ["s3://b/", f"{project.folder}/data/", "s3://c/x", "http://h/x"]
    assert run(["inputs", "map", "--remove", "s3://b/", "--remove", "s3://c/x"]) == ExitCode.OK
    assert run(["inputs", "map", "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out) == {}


def test_an_empty_map_says_how_it_is_written(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inputs", "map"]) == ExitCode.OK
    assert "mlrun inputs map OLD NEW" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["map", "one"], "two addresses"),
        (["map", "a", "b", "c"], "two addresses"),
        (["map", "--remove", "s3://d/x"], "is not in the map"),
        (["map", "a", "b", "--remove", "c"], "exclude each other"),
        (["1", "2"], "one word too many"),
        (["--remove", "x"], "is about the map"),
        (["99"], "there is no execution"),
    ],
)
def test_what_is_not_meant_is_refused(
    given: str, capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    assert run(["inputs", *arguments]) == ExitCode.USAGE
    assert why in capsys.readouterr().err


def test_a_close_address_is_offered(project: Project, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run(["inputs", "map", "s3://bucket/train.csv", str(tmp_path)])
    run(["inputs", "map", "--remove", "s3://bucket/trian.csv"])
    assert "did you mean `s3://bucket/train.csv`?" in capsys.readouterr().err
