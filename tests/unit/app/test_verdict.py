"""A verdict is remembered, and never a stale, foreign or broken one."""

import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import runner
from runner.app import verdict
from runner.app.verdict import MAX_ENTRIES, find_mendable, find_problems, refuse_broken
from runner.errors import MlrunError, Problem
from runner.spec.project import parse_project

GOOD = b"- step: {name: a, image: 'busybox:1', command: 'true'}\n"
BAD = b"- step: {name: a, image: 'busybox:1'}\n"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were really checked, by name."""
    lint = importlib.import_module("runner.spec.lint")
    found: list[str] = []
    check = lint.lint

    def noted(project: object, *rest: object) -> list[Problem]:
        found.append(getattr(project, "file", ""))
        problems: list[Problem] = check(project, *rest)
        return problems

    monkeypatch.setattr(lint, "lint", noted)
    return found


def entries(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.json"))


@pytest.mark.parametrize("data", [GOOD, BAD, b"", b"\xff", b"- step: null\n  name: '\\ud800'\n"])
def test_a_file_that_has_not_changed_is_not_checked_again(cache: Path, looked: list[str], data: bytes) -> None:
    first = find_problems(data, "f.yaml", cache)
    assert find_problems(data, "f.yaml", cache) == first
    assert looked == ["f.yaml"]


def test_the_name_of_the_file_is_not_remembered(cache: Path, looked: list[str]) -> None:
    find_problems(BAD, "secret.yaml", cache)
    (problem,) = find_problems(BAD, "other.yaml", cache)
    assert problem.location.file == "other.yaml"
    assert looked == ["secret.yaml"]
    assert "secret" not in entries(cache)[0].read_text()


def test_a_changed_file_is_checked(cache: Path, looked: list[str]) -> None:
    find_problems(BAD, "f.yaml", cache)
    assert find_problems(GOOD, "f.yaml", cache) == []
    assert len(looked) == 2


def test_questions_have_answers_of_their_own(cache: Path) -> None:
    data = b"- step: null\n  name: a\n  image: 'busybox:1'\n  command: 'true'\n"
    assert [problem.code for problem in find_problems(data, "f", cache)] == ["flat-item"]
    assert [problem.code for problem in find_mendable(data, "f", cache)] == ["flat-item"]
    refuse_broken(parse_project(data, "f"), parse_project(data, "f").steps.values(), cache)
    assert len(entries(cache)) == 3


def test_a_run_is_refused_from_memory_too(cache: Path) -> None:
    data = b"- step: {name: a, image: 'busybox:1', command: 'true', colour: red}\n"
    project = parse_project(data, "f.yaml")
    said = []
    for _ in range(2):
        with pytest.raises(MlrunError) as caught:
            refuse_broken(project, project.steps.values(), cache)
        said.append((caught.value.message, caught.value.location, caught.value.hint))
    assert said[0] == said[1]
    assert len(entries(cache)) == 1


def test_other_code_of_the_same_version_does_not_believe_it(
    cache: Path, looked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy" / "runner"
    shutil.copytree(Path(runner.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(runner, "__file__", str(copy / "__init__.py"))

    def check() -> None:
        verdict._program.cache_clear()
        find_problems(GOOD, "f.yaml", cache)

    check()
    check()
    assert len(looked) == 1
    status = (copy / "spec" / "tree.py").stat()
    with (copy / "spec" / "tree.py").open("r+") as file:
        file.write("'")
    os.utime(copy / "spec" / "tree.py", ns=(status.st_atime_ns, status.st_mtime_ns))
    check()
    assert len(looked) == 2
    verdict._program.cache_clear()


def test_other_versions_and_another_schema_do_not_believe_it(
    cache: Path, looked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(Path(runner.__file__).parent, copy / "runner", ignore=shutil.ignore_patterns("__pycache__"))
    schema, library = copy / "schemas" / "valohai.json", tmp_path / "leval.py"
    schema.parent.mkdir()
    schema.write_text("{}")
    library.write_text("")
    found = {name: importlib.util.find_spec(name) for name in ("yaml", "jsonschema")}
    found["leval"] = importlib.util.spec_from_file_location("leval", library)
    monkeypatch.setattr(runner, "__file__", str(copy / "runner" / "__init__.py"))
    monkeypatch.setattr(verdict, "find_spec", found.get)
    changes: tuple[Callable[[], object], ...] = (
        lambda: None,
        lambda: monkeypatch.setattr(runner, "__version__", "99.0"),
        lambda: library.write_text("1"),
        lambda: schema.write_text("[]"),
        lambda: monkeypatch.setattr("sys.version", "99.0"),
    )
    for change in changes:
        change()
        verdict._program.cache_clear()
        find_problems(GOOD, "f.yaml", cache)
    verdict._program.cache_clear()
    assert len(looked) == len(changes)


def test_a_program_that_does_not_know_itself_remembers_nothing(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "__file__", str(tmp_path / "archive.zip" / "__init__.py"))
    verdict._program.cache_clear()
    assert find_problems(GOOD, "f.yaml", cache) == []
    verdict._program.cache_clear()
    assert not cache.exists()


def test_a_program_without_one_of_its_libraries_remembers_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict, "find_spec", lambda name: None)
    verdict._program.cache_clear()
    assert find_problems(GOOD, "f.yaml", cache) == []
    verdict._program.cache_clear()
    assert not cache.exists()


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\n[]", b"{", b"0" * 64 + b"\n[]", b"0" * (1 << 20)])
def test_a_broken_entry_is_passed_over_and_made_good(cache: Path, looked: list[str], content: bytes) -> None:
    found = find_problems(BAD, "f.yaml", cache)
    (entry,) = entries(cache)
    whole = entry.read_bytes()
    entry.write_bytes(content)
    assert find_problems(BAD, "f.yaml", cache) == found
    assert entry.read_bytes() == whole


def test_a_cut_or_altered_entry_is_passed_over(cache: Path, looked: list[str]) -> None:
    found = find_problems(BAD, "f.yaml", cache)
    (entry,) = entries(cache)
    whole = entry.read_bytes()
    for content in (whole[:-1], whole.replace(b"error", b"warn!"), whole + b" "):
        entry.write_bytes(content)
        assert find_problems(BAD, "f.yaml", cache) == found
    assert len(looked) == 4


def test_the_entry_of_another_file_is_passed_over(cache: Path) -> None:
    find_problems(GOOD, "f.yaml", cache)
    (good,) = entries(cache)
    find_problems(BAD, "f.yaml", cache)
    (bad,) = set(entries(cache)) - {good}
    shutil.copy(good, bad)
    assert find_problems(BAD, "f.yaml", cache) != []


def test_an_entry_that_cannot_be_read_is_no_error(cache: Path) -> None:
    find_problems(GOOD, "f.yaml", cache)
    (entry,) = entries(cache)
    entry.unlink()
    entry.mkdir()
    assert find_problems(GOOD, "f.yaml", cache) == []
    assert not list(cache.rglob("*.tmp"))


@pytest.mark.parametrize("place", ["file", "below a file", "loop", "long"])
def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    caches = {"file": "file", "below a file": "file/cache", "loop": "loop/cache", "long": "x" * 300}
    assert find_problems(GOOD, "f.yaml", tmp_path / caches[place]) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "loop"]


def test_nobody_else_may_read_what_is_remembered(cache: Path) -> None:
    find_problems(GOOD, "f.yaml", cache)
    (entry,) = entries(cache)
    assert entry.parent.stat().st_mode & 0o077 == 0


def test_the_number_of_entries_is_bounded(cache: Path) -> None:
    find_problems(GOOD, "f.yaml", cache)
    (first,) = entries(cache)
    for number in range(MAX_ENTRIES + 5):
        (first.parent / f"{number}.{'tmp' if number % 2 else 'json'}").write_text("")
        os.utime(first.parent / f"{number}.{'tmp' if number % 2 else 'json'}", (number, number))
    os.utime(first, (0, 0))
    find_problems(BAD, "f.yaml", cache)
    left = [path for path in first.parent.iterdir() if path.name != ".gitignore"]
    assert len(left) == MAX_ENTRIES
    assert first not in left


def test_a_long_verdict_is_not_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict, "MAX_BYTES", 50)
    assert find_problems(BAD, "f.yaml", cache) == find_problems(BAD, "f.yaml", cache)
    assert entries(cache) == []


def test_nothing_is_remembered_without_a_cache(looked: list[str]) -> None:
    find_problems(GOOD, "f.yaml", None)
    find_problems(GOOD, "f.yaml", None)
    assert len(looked) == 2
