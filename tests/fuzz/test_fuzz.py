"""Mutants of the example files are understood or refused with a place, quickly and in little memory.

`make test-fuzz` runs many more of them; `run.py` is the program.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).with_name("run.py")
SEED = os.environ.get("FUZZ_SEED") or "20240229"
ORIGINAL = "- step:\n    name: train\n    image: busybox\n    command: 'true'\n"


def fuzz(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(RUN), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=600, check=False)


def test_no_mutant_gives_a_traceback_or_reaches_a_limit(official_examples: Path | None, tmp_path: Path) -> None:
    folders = [Path(__file__).parents[1] / "examples", *([official_examples] if official_examples else [])]
    done = fuzz("--count", 1000, "--seed", SEED, *folders, folder=tmp_path)
    print(done.stdout)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert f"seed {SEED}: 1000 mutants of " in done.stdout
    assert list(tmp_path.iterdir()) == []


PLANTED = {
    "raise ValueError('planted')": "ValueError in bug.py:use",
    "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)": "SIGSEGV",
    "bytearray(400 << 20)": "MemoryError in bug.py:use",
    "import resource, signal; resource.setrlimit(resource.RLIMIT_CPU, (1, 9)); any(iter(int, 1))": "of work",
    "import signal; signal.alarm(1); signal.pause()": "of waiting",
}


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_found_and_its_file_made_small(bug: str, tmp_path: Path) -> None:
    (tmp_path / "originals").mkdir()
    (tmp_path / "originals" / "one.yaml").write_text(ORIGINAL)
    program = tmp_path / "bug.py"
    program.write_text(f"def use(data):\n    if b'image' in data and data != {ORIGINAL.encode()!r}:\n        {bug}\n")
    shrinkings = 2 if "of" in PLANTED[bug] else 400
    arguments = ["--shrinkings", shrinkings, "--use", program, tmp_path / "originals"]
    done = fuzz("--seed", 1, "--only", 4, *arguments, folder=tmp_path)
    assert done.returncode == 1, f"{done.stdout}\n{done.stderr}"
    assert "mutant 4 of seed 1, from 0/one.yaml: " in done.stdout
    assert PLANTED[bug] in done.stdout
    [small] = tmp_path.glob("mutant-1-4-*.yaml")
    assert b"image" in small.read_bytes()
    assert "of" in PLANTED[bug] or small.read_bytes() == b"image"


def test_a_seed_and_a_number_make_the_same_mutant_again(tmp_path: Path) -> None:
    (tmp_path / "originals").mkdir()
    (tmp_path / "originals" / "one.yaml").write_text(ORIGINAL)
    program = tmp_path / "bug.py"
    program.write_text(f"def use(data):\n    assert data == {ORIGINAL.encode()!r}, data\n")
    arguments = ["--seed", 5, "--only", 3, "--shrinkings", 0, "--use", program, tmp_path / "originals"]
    runs = [fuzz(*arguments, folder=tmp_path) for _ in "ab"]
    said = [[line for line in done.stdout.splitlines() if line.startswith("AssertionError")] for done in runs]
    assert said[0] and said[0] == said[1]
