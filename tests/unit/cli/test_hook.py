"""The hook for pre-commit: a sound manifest, an entry that exists, and the files it is for."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.cli.main import run

MANIFEST = Path(__file__).parents[3] / ".pre-commit-hooks.yaml"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def hook() -> dict[str, Any]:
    (found,) = yaml.safe_load(MANIFEST.read_text("utf-8"))
    return dict(found)


def test_pre_commit_accepts_the_manifest() -> None:
    clientlib = pytest.importorskip("pre_commit.clientlib")
    (found,) = clientlib.load_manifest(str(MANIFEST))
    assert (found["id"], found["language"], found["pass_filenames"]) == ("mlrun-lint", "python", True)


@pytest.mark.parametrize(
    "path", ["valohai.yaml", "valohai.yml", "sub/folder/valohai.yaml", "train.valohai.yaml", "sub/a.b.valohai.yml"]
)
def test_the_hook_is_for_files_of_the_language(hook: dict[str, Any], path: str) -> None:
    assert re.search(hook["files"], path)


@pytest.mark.parametrize(
    "path", ["valohai.yaml.example", "myvalohai.yaml", ".valohai.yaml", "valohai.yaml/readme.md", "valohaiXyaml"]
)
def test_the_hook_is_for_no_other_file(hook: dict[str, Any], path: str) -> None:
    assert not re.search(hook["files"], path)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("- step: {name: a, image: 'busybox:1', command: 'true'}\n", 0),
        ("- step: {name: a, image: 'busybox', command: 'true'}\n- flavour: {}\n", 11),
        ("- step: {name: a}\n", 10),
    ],
)
def test_a_commit_is_stopped_by_warnings_and_errors(hook: dict[str, Any], tmp_path: Path, text: str, code: int) -> None:
    sound, file = tmp_path / "sound.valohai.yaml", tmp_path / "valohai.yaml"
    sound.write_text("- step: {name: a, image: 'busybox:1', command: 'true'}\n")
    file.write_text(text)
    program, *words = shlex.split(hook["entry"])
    assert program == "mlrun"
    assert run([*words, *hook["args"], str(sound), str(file)]) == code
