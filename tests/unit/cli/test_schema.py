"""`mlrun schema` prints the schema as it is."""

import json
from pathlib import Path

import pytest

from runner.cli.main import run

FILE = Path(__file__).parents[3] / "schemas" / "valohai.schema.json"


def test_the_schema_is_printed_to_the_letter(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema"]) == 0
    captured = capsys.readouterr()
    assert captured.out == FILE.read_text("utf-8")
    assert captured.err == ""
    assert json.loads(captured.out)["$id"] == "urn:mlrun-yaml:schema:valohai"


def test_the_schema_is_written_to_a_file_old_or_new(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "schema.json"
    for before in (None, "something else", FILE.read_text("utf-8")):
        if before is not None:
            file.write_text(before)
        assert run(["schema", "-o", str(file)]) == 0
        assert file.read_bytes() == FILE.read_bytes()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["", "missing/schema.json"])
def test_a_place_that_cannot_be_written_is_told(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", "-o", str(tmp_path / name)]) == 2
    assert "cannot be written" in capsys.readouterr().err
