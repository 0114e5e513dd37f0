"""The conformance suite again, as a user without any privilege, which is what most users are."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest

UID = 54321
"""A user that no machine has; a number is enough to be one, and leaves nothing behind."""

NEEDED = ("pytest", "pluggy", "iniconfig", "packaging", "pygments", "blake3", "hypothesis", "sortedcontainers")
HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MINUTES = 10

pytestmark = pytest.mark.root


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of that user, and a copy of what the suite needs: where the project lies he may not look."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user; this run is the suite as an ordinary one already")
    folder = Path(tempfile.mkdtemp(prefix="mlrun-user-"))
    shutil.copytree(ROOT / "runner", folder / "code/runner", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(HERE, folder / "code/tests/contract", ignore=shutil.ignore_patterns("__pycache__"))
    for path in (ROOT / "tests").glob("*.py"):
        shutil.copy(path, folder / "code/tests")
    shutil.copy(ROOT / "pyproject.toml", folder / "code")
    for name in NEEDED:
        for file in distribution(name).files or ():
            target = folder / "site" / file
            if ".." not in file.parts and "__pycache__" not in file.parts:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file.locate(), target)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, UID, UID)
    yield folder
    shutil.rmtree(folder)


def as_user(home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    # Up to its own exec, `setpriv` still finds its way through folders that are closed to the user: hence the shell.
    become = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--inh-caps=-all"]
    return subprocess.run(
        [*become, "/bin/sh", "-c", 'exec "$@"', "sh", *command],
        cwd=home / "code",
        env={"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": str(home / "site")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60 * MINUTES,
    )


def interpreter(home: Path) -> str:
    """A Python that this user may run and for which the copied packages were built."""
    wanted = f"import sys, blake3, pytest; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    for candidate in (sys.executable, os.path.realpath(sys.executable), "/usr/local/bin/python3", "/usr/bin/python3"):
        if Path(candidate).exists() and as_user(home, candidate, "-c", wanted).returncode == 0:
            return candidate
    version = "{}.{}".format(*sys.version_info)
    pytest.skip(f"there is no Python {version} here that another user may run")


@pytest.mark.parametrize("name", ["sandbox", "process"])
def test_the_suite_holds_for_an_ordinary_user(home, name):
    python = interpreter(home)
    options = ["-q", "-p", "no:cacheprovider", f"--basetemp={home}/tmp", "-k", f"{name} and not docker"]
    suite = [f"tests/contract/test_{part}.py" for part in ("executor", "interact", "limit", "secret")]
    done = as_user(home, python, "-m", "pytest", *suite, *options)
    summary = done.stdout.strip().splitlines()[-1:]

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    if not any("passed" in line for line in summary):
        pytest.skip(f"{name} does not work for an ordinary user here:\n{done.stdout[-1000:]}")
