"""The witness on file systems that tell less: by access times alone most of this would go unseen."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from runner.job import Workspace
from runner.store.record import Reading
from runner.worker.stage import MODIFIED
from runner.worker.witness import Witness

ADMINISTRATOR = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
IMAGE = 320 << 20
"""Bytes, of which next to none are written: no smaller XFS can be made."""

pytestmark = pytest.mark.root


def run(*command: str | Path) -> None:
    """Run what only root may; skips the test where it fails."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount file systems")
    if shutil.which(str(command[0]), path=ADMINISTRATOR) is None:
        pytest.skip(f"`{command[0]}` is not installed")
    environment = {**os.environ, "PATH": ADMINISTRATOR}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"`{command[0]}`: {done.stderr.strip()}")


def image(folder: Path, make: Sequence[str]) -> Path:
    path = folder / "image"
    with path.open("wb") as file:
        file.truncate(IMAGE)
    run(*make, path)
    return path


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """An empty folder on another file system; the parameter says on which."""
    place, kind = tmp_path / "mounted", request.param
    for name in ("mounted", "lower", "upper", "work"):
        (tmp_path / name).mkdir()
    with ExitStack() as stack:
        if kind == "overlay":
            layers = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
            run("mount", "-t", "overlay", "-o", layers, "overlay", place)
        elif kind == "tmpfs":
            run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place)
        elif kind == "xfs with reflinks":
            run("mount", "-o", "loop", image(tmp_path, ["mkfs.xfs", "-q", "-m", "reflink=1"]), place)
        else:
            run("mount", "-o", "loop,noatime", image(tmp_path, ["mkfs.ext4", "-q", "-F"]), place)
        stack.callback(subprocess.run, ["umount", place], check=True)
        yield place


def filled(folder: Path) -> Workspace:
    workspace = Workspace.below(folder / "a run")
    for path in (workspace.inputs, workspace.repository / "pkg"):
        path.mkdir(parents=True)
    for name in ("a.py", "b.py", "pkg/c.py"):
        (workspace.repository / name).write_text(name)
        os.utime(workspace.repository / name, ns=(MODIFIED, MODIFIED))
    return workspace


def step(workspace: Workspace, script: str, place: Path | None = None) -> Reading:
    witness = Witness(workspace)
    command = ["sh", "-ec", f"true <.; {script}"]
    subprocess.run(command, cwd=place or workspace.repository, stdout=subprocess.DEVNULL, check=True)
    return witness.close()


@pytest.mark.parametrize("place", ["overlay", "tmpfs", "xfs with reflinks", "ext4 without access times"], indirect=True)
@pytest.mark.parametrize(
    "script", ["cp pkg/c.py ../new", "cat pkg/c.py", "cp pkg/c.py new.py", "tar cf ../new pkg/c.py"]
)
def test_what_was_read_is_seen_on_every_file_system(place: Path, script: str) -> None:
    assert step(filled(place), script) == Reading(("pkg/c.py",), None, ())


@pytest.mark.parametrize("place", ["overlay", "tmpfs", "xfs with reflinks", "ext4 without access times"], indirect=True)
def test_a_file_that_is_not_read_does_not_count_on_any_of_them(place: Path) -> None:
    assert step(filled(place), "ls -lR; test -e a.py; echo 1 >new; cat new") == Reading((), None, ())


def test_reads_through_a_read_only_mount_are_seen(tmp_path: Path) -> None:
    workspace, shown = filled(tmp_path), tmp_path / "shown"
    shown.mkdir()
    run("mount", "--bind", workspace.repository, shown)
    try:
        run("mount", "-o", "remount,bind,ro", shown)
        reading = step(workspace, "cat pkg/c.py", shown)
    finally:
        subprocess.run(["umount", shown], check=True)
    assert reading == Reading(("pkg/c.py",), None, ())
