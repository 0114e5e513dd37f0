"""What all reading verbs have in common: they start fast, end quietly and write nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.errors import ExitCode

from .conftest import Project

VERBS = [
    ["list"],
    ["list", "runs"],
    ["list", "--where", "loss < 1", "--json"],
    ["show"],
    ["show", "1"],
    ["logs", "1"],
    ["logs", "1", "--time"],
    ["metrics", "1"],
    ["metrics", "1", "--events"],
    ["outputs", "1"],
    ["lineage", "1/model.pkl"],
    ["lineage", "1/model.pkl", "--format", "svg"],
    ["stop", "run:1"],
]
HEAVY = ["docker", "git", "jsonschema", "rich", "pydantic", "yaml", "requests", "asyncio"]


@pytest.fixture
def ended(project: Project) -> Project:
    """A project with one ended run."""
    project.run(metrics={"loss": 0.5}, outputs={"model.pkl": b"model"}, log=b"hello\n")
    return project


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_a_reader_that_goes_away_causes_no_complaint(ended: Project, verb: list[str]) -> None:
    process = subprocess.Popen([sys.executable, "-m", "runner", *verb], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    talk = process.stderr.read().decode()
    process.stderr.close()
    process.wait()
    assert "Traceback" not in talk
    assert "BrokenPipe" not in talk
    assert "bug" not in talk


@pytest.mark.parametrize("verb", [["schema"], ["list", "--json"], ["outputs", "1"]], ids=" ".join)
def test_a_reader_that_has_enough_is_no_failure(ended: Project, verb: list[str]) -> None:
    unbuffered = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen([sys.executable, "-m", "runner", *verb], stdout=subprocess.PIPE, env=unbuffered) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait() == ExitCode.OK


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("verb", [["schema"], ["list"], ["lint", "-"]], ids=" ".join)
def test_a_full_disk_below_the_output_is_told_and_no_bug(ended: Project, verb: list[str], unbuffered: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "runner", *verb],
            input="- step: {name: a, image: python, command: x}",
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        )
    assert done.returncode == ExitCode.DISK
    assert "error: cannot write the output: No space left on device\nhint: make room for it\n" in done.stderr
    assert "bug" not in done.stderr


def test_no_reading_verb_loads_what_is_heavy(ended: Project) -> None:
    code = f"""
import contextlib, io, sys
from runner.cli.main import run
with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())):
    codes = [run(verb) for verb in {VERBS!r}]
print(sum(codes), sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0 []"


def everything(root: Path) -> list[tuple[str, int, int]]:
    return sorted(
        (str(path), path.lstat().st_size, path.lstat().st_mtime_ns) for path in root.rglob("*") if path.is_file()
    )


def test_no_reading_verb_writes_into_the_store(ended: Project) -> None:
    before = everything(ended.root)
    for verb in VERBS:
        subprocess.run([sys.executable, "-m", "runner", *verb], capture_output=True, check=True)
    assert everything(ended.root) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_may_only_be_read_can_be_read(ended: Project) -> None:
    ended.store.close()
    folders = [ended.root, *(path for path in ended.root.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        for verb in VERBS:
            done = subprocess.run([sys.executable, "-m", "runner", *verb], capture_output=True, text=True)
            assert (done.returncode, done.stderr.count("error")) == (0, 0), verb
    finally:
        for folder in folders:
            os.chmod(folder, 0o700)


def test_letters_that_the_encoding_of_the_output_lacks_are_escaped(project: Project) -> None:
    project.run(outputs={"café": b""}, log="☃\n".encode())
    for verb, shown in (["outputs", "1"], r"caf\xe9"), (["show", "1"], r"caf\xe9"):
        done = subprocess.run(
            [sys.executable, "-m", "runner", *verb],
            capture_output=True,
            env=os.environ | {"PYTHONIOENCODING": "ascii"},
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert shown.encode() in done.stdout


def test_a_damaged_journal_ends_with_the_code_of_the_store(ended: Project) -> None:
    (journal,) = ended.root.glob("runs/*/journal")
    journal.write_bytes(journal.read_bytes().replace(b"succeeded", b"SUCCEEDED"))
    done = subprocess.run([sys.executable, "-m", "runner", "show", "1"], capture_output=True, text=True)
    assert done.returncode == 30
    assert "damaged" in done.stderr
    assert "hint:" in done.stderr


def test_a_store_of_a_newer_format_is_refused(ended: Project) -> None:
    (ended.root / "format").chmod(0o600)
    (ended.root / "format").write_text("mlrun store, format 99\n")
    for verb in VERBS:
        done = subprocess.run([sys.executable, "-m", "runner", *verb], capture_output=True, text=True)
        assert done.returncode == 30
        assert "format 99" in done.stderr
