"""The patterns of `.vhignore` mean what they mean to git."""

import random
import subprocess
from pathlib import Path

import pytest

from runner.provenance.ignore import Ignore

PATHS = [
    "a", "b", "a.py", "b.pyc", "data/a", "data/b/c.csv", "src/data/x", "src/a.py", "src/deep/er/a.py", "build/x",
    "a b", "a ", "#x", "!x", "[x]", "x", "x.y.z", "src/build/y", "über", "src/b/a", "logs/1.log", "logs/keep/2.log",
    "a/b/c/d", "\\x", "-x", "a-b", "A",
]  # fmt: skip
PIECES = ["a", "b", "x", "*", "**", "?", "/", ".py", "data", "src", "build", "[ab]", "[!a]", "[a-c]", "!", " ",
          "#", "**/", "/**", "logs", "keep", "[[:alpha:]]", "-", "ü"]  # fmt: skip


def git_says(folder: Path, patterns: str) -> set[str]:
    (folder / ".git" / "info" / "exclude").write_bytes(patterns.encode())
    done = subprocess.run(
        ["git", "-c", "core.excludesFile=/dev/null", "check-ignore", "--no-index", "-z", "--stdin"],
        cwd=folder,
        input="\0".join(PATHS).encode() + b"\0",
        capture_output=True,
        check=False,
    )
    return {name.decode() for name in done.stdout.split(b"\0") if name}


def we_say(patterns: str) -> set[str]:
    ignore = Ignore(patterns.encode())
    return {path for path in PATHS if ignore.leaves_out(path.encode())}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tmp_path


@pytest.mark.parametrize(
    "patterns",
    [
        "*.py",
        "/a",
        "a",
        "data/",
        "src/data",
        "**/a.py",
        "src/**",
        "src/**/a.py",
        "a/**/d",
        "*\n!a.py",
        "*\n!src\n!src/a.py",
        "logs/*\n!logs/keep",
        "logs/\n!logs/keep",
        "\\#x\n\\!x",
        "# comment\n\n  \nx",
        "a\\ \nb",
        "a ",
        "[x]",
        "\\[x\\]",
        "[!a-w]",
        "[]x]*",
        "\\\\x",
        "über\r\nb\r",
        "\ufeffa",
        "x\\",
        "[",
        "!",
        "/",
        "**",
        "a**",
        "*/",
    ],
)
def test_known_traps_are_read_as_git_reads_them(repository: Path, patterns: str) -> None:
    assert we_say(patterns) == git_says(repository, patterns)


def test_random_patterns_are_read_as_git_reads_them(repository: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(150):
        lines = ["".join(chance.choices(PIECES, k=chance.randint(1, 5))) for _ in range(chance.randint(1, 4))]
        patterns = "\n".join(lines)
        assert we_say(patterns) == git_says(repository, patterns), patterns


def test_caches_of_python_are_always_left_out() -> None:
    ignore = Ignore(b"!__pycache__")
    assert ignore.leaves_out(b"a/__pycache__/x.pyc")
    assert not ignore.leaves_out(b"a/pycache/x.py")


def test_folders_may_lie_deeper_than_python_can_recurse() -> None:
    deep = b"d/" * 5000
    assert not Ignore().leaves_out(deep + b"x")
    assert Ignore(b"d/d/d/\n").leaves_out(deep + b"x")
