"""A disk that is full in the middle of a pipeline or of a sweep: who lacks room ends with that reason, and once there
is room again the rest runs on request."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Make, Project

MIB = 1 << 20
SIZE, RESERVE = 120 * MIB, 40 * MIB

# What fills the disk stops by itself before it could do harm to any other one.
YAML = """\
- step:
    name: make
    image: busybox
    command: echo made > "$VH_OUTPUTS_DIR/made.txt"
    inputs:
      - {name: above, optional: true}
- step:
    name: big
    image: busybox
    command:
      - dd if=/dev/zero of=/tmp/big bs=1M count={parameter-value:size}
      # As long as it takes to be noticed.
      - if [ {parameter-value:size} -gt 50 ]; then sleep 3; fi
    parameters:
      - {name: size, type: integer, default: 110}
    inputs:
      - {name: above, optional: true}
- pipeline:
    name: p
    nodes:
      - {name: first, type: execution, step: make}
      - {name: big, type: execution, step: big, on-error: TOLD}
      - {name: below, type: execution, step: make}
      - {name: beside, type: execution, step: make}
    edges:
      - [first.output.*, big.input.above]
      - [big.dependency.x, below.dependency.x]
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def project_on(make: Make, disk: Path, told: str, reserve: int = RESERVE) -> Project:
    """The project with its store on the small disk."""
    settings = disk.parent / "config" / "mlrun" / "settings.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(f"reserve = {reserve}\nretry-delay = 0.1\n")
    own = {"MLRUN_STORE": str(disk / "store"), "XDG_CONFIG_HOME": str(settings.parent.parent)}
    return make(YAML.replace("TOLD", told)).with_variables(**own)


def fill(disk: Path, leave: int) -> Path:
    """Take room until so many bytes are left; gives the file that takes it."""
    filler = disk / "filler"
    status = os.statvfs(disk)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, status.f_bavail * status.f_frsize - leave)
    return filler


def grow(disk: Path, size: int) -> None:
    """Make the disk larger."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


@pytest.mark.parametrize(
    ("told", "below"),
    [("stop-next", "skipped"), ("continue", "succeeded"), ("retry", "skipped"), ("stop-all", "skipped")],
)
def test_a_node_that_fills_the_disk_ends_and_the_rest_goes_on_as_the_file_says(
    make: Make, sandbox: str, disk: Path, told: str, below: str
) -> None:
    project = project_on(make, disk, told)
    done = project.fails("pipeline", "p", "--no-reuse", "-j", "1", code=0 if told == "continue" else 32)
    run = project.show()
    states = {name: node["state"] for name, node in run["nodes"].items()}
    assert (states["first"], states["big"], states["below"]) == ("succeeded", "failed", below), str(done)
    assert run["nodes"]["big"]["reason"] == "disk"
    assert "reserve" in run["nodes"]["big"]["detail"]
    assert len(run["nodes"]["big"]["executions"]) == (3 if told == "retry" else 1)


def test_once_there_is_room_the_rest_of_a_pipeline_runs_on_request(make: Make, sandbox: str, disk: Path) -> None:
    project = project_on(make, disk, "stop-next")
    project.fails("pipeline", "p", "--no-reuse", code=32)
    before = project.show()["nodes"]
    grow(disk, 4 * SIZE)
    done = project.succeeds("resume", "latest")
    after = project.show()["nodes"]
    assert {node["state"] for node in after.values()} == {"succeeded"}, str(done)
    assert [after[name]["executions"] == before[name]["executions"] for name in ("first", "beside")] == [True, True]
    assert len(after["big"]["executions"]) == 2
    assert "nothing is missing" in project.succeeds("store", "check").out


def test_a_disk_that_others_fill_ends_the_run_and_it_goes_on_where_it_was(make: Make, sandbox: str, disk: Path) -> None:
    project = project_on(make, disk, "stop-next", reserve=0)
    yaml = project.folder / "valohai.yaml"
    yaml.write_text(yaml.read_text().replace("command: echo made >", "command: sleep 1; echo made >"))
    running = project.start("pipeline", "p", "--no-reuse", "-j", "1", "--big.size=1")
    running.until("first: running")
    filler = fill(disk, leave=0)
    done = running.end()
    assert done.code == 32, str(done)
    assert "Traceback" not in done.err
    assert "full" in done.err or "room" in done.err, str(done)
    filler.unlink()
    project.succeeds("resume", "latest")
    run = project.show()
    assert {node["state"] for node in run["nodes"].values()} == {"succeeded"}
    assert "nothing is missing" in project.succeeds("store", "check").out


def test_a_trial_that_fills_the_disk_fails_alone(make: Make, sandbox: str, disk: Path) -> None:
    project = project_on(make, disk, "stop-next")
    done = project.fails("exec", "big", "--no-reuse", "--sweep", "size=1,110,2", "-j", "1", code=32)
    states = {name: node["state"] for name, node in project.show()["nodes"].items()}
    assert (states["big.1"], states["big.2"]) == ("succeeded", "failed"), str(done)
    kept = project.show()["nodes"]["big.1"]["executions"]
    grow(disk, 4 * SIZE)
    project.succeeds("resume", "latest")
    nodes = project.show()["nodes"]
    assert {node["state"] for node in nodes.values()} == {"succeeded"}
    assert nodes["big.1"]["executions"] == kept
