"""A disk that steps may not fill: a small one, mounted for the test."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

MIB = 1 << 20
SIZE, RESERVE = 400 * MIB, 200 * MIB

# Each stops by itself before it could do harm to any other disk.
YAML = """\
- step:
    name: outputs
    image: busybox
    command:
      - echo first > "$VH_OUTPUTS_DIR/first"
      - dd if=/dev/zero of="$VH_OUTPUTS_DIR/big" bs=1M count=390
- step:
    name: repository
    image: busybox
    command: dd if=/dev/zero of=big bs=1M count=390
- step:
    name: temporary
    image: busybox
    command: dd if=/dev/zero of=/tmp/big bs=1M count=390
- step:
    name: log
    image: busybox
    command: yes a line that is printed again and again | head -c 390000000
- step:
    name: nothing
    image: busybox
    command: 'true'
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


def free(place: Path) -> int:
    status = os.statvfs(place)
    return status.f_bavail * status.f_frsize


@pytest.mark.parametrize("step", ["outputs", "repository", "temporary", "log"])
def test_a_step_that_fills_the_disk_ends_before_the_reserve_is_gone(make, sandbox, disk, step):
    settings = disk.parent / "config" / "mlrun" / "settings.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(f"reserve = {RESERVE}\n")
    own = {"MLRUN_STORE": str(disk / "store"), "XDG_CONFIG_HOME": str(settings.parent.parent)}
    project = make(YAML).with_variables(**own)

    done = project.fails("exec", "--executor", sandbox, step, code=32)

    assert "has less than its reserve of 200 MiB left" in done.err
    assert free(disk) > RESERVE // 4, "it went far beyond the reserve"
    (row,) = project.succeeds("list", "--json").json()
    assert (row["state"], row["reason"]) == ("failed", "disk")
    if step == "outputs":
        left = project.succeeds("outputs", "latest", "--json").json()
        assert "first" in {output["name"] for output in left}
        assert "reserve" in project.refused("exec", "--executor", sandbox, "nothing", code=32)
