"""Where the example project is found, and what of it becomes a project."""

from pathlib import Path

import pytest

import runner
from runner.cli.example import example_files, example_folder
from runner.errors import MlrunError


def fill(folder: Path) -> Path:
    """An example with what a used checkout has lying about."""
    (folder / "steps" / "__pycache__").mkdir(parents=True)
    (folder / "valohai.yaml.example").write_bytes(b"yaml")
    (folder / "steps" / "train.py").write_bytes(b"train")
    (folder / "steps" / "old.pyc").write_bytes(b"")
    (folder / "steps" / "__pycache__" / "train.cpython-311.pyc").write_bytes(b"")
    return folder


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the package is installed."""
    monkeypatch.setattr(runner, "__file__", str(tmp_path / "site" / "runner" / "__init__.py"))
    return tmp_path / "site" / "runner"


@pytest.mark.parametrize("place", ["runner/_data/example", "."])
def test_the_example_is_in_the_wheel_or_at_the_root_of_a_checkout(package: Path, place: str) -> None:
    folder = fill(package.parent / place)
    assert example_folder() == folder.resolve()


def test_an_installation_without_the_example_says_so(package: Path) -> None:
    with pytest.raises(MlrunError) as caught:
        example_folder()
    assert caught.value.hint


def test_no_compiled_file_becomes_part_of_a_project(tmp_path: Path) -> None:
    files = dict(example_files(fill(tmp_path)))
    assert files["valohai.yaml"] == b"yaml"
    assert sorted(files) == [".gitignore", "README.md", "steps/train.py", "valohai.yaml"]
