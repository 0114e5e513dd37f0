"""Faults around a run, and files that mean harm: the run holds to what it was started with."""

import signal
import socket
import time

import pytest

YAML = """\
- step:
    name: wait
    image: busybox
    command:
      - echo ready
      - 'i=0; while [ ! -e "$VH_OUTPUTS_DIR/go" ] && [ $i -lt 600 ]; do sleep 0.1; i=$((i + 1)); done'
      - cat code.txt
      - ls
"""


def test_a_step_sees_its_snapshot_whatever_becomes_of_the_checkout(make):
    project = make(YAML.replace('"$VH_OUTPUTS_DIR/go"', "go"), {"code.txt": "first\n", "other.txt": ""})
    running = project.start("exec", "wait")
    running.until("ready")
    for number in range(50):
        project.write("code.txt", f"edit {number}\n")
        project.write(f"new-{number}.txt", "")
    (project.folder / "other.txt").unlink()
    project.write("valohai.yaml", "- step: {}\n")
    (copy,) = (found.parent for found in (project.command.store / "work").glob("*/repository/other.txt"))
    (copy / "go").touch()

    done = running.end()

    assert done.code == 0, str(done)
    assert done.out.split() == ["ready", "first", "code.txt", "go", "other.txt", "valohai.yaml"]


def test_ctrl_c_does_not_wait_for_a_registry_that_hangs(make, docker):
    docker("mlrun-test/busybox:1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        image = f"127.0.0.1:{server.getsockname()[1]}/nothing:1"
        project = make(f"- step: {{name: get, image: '{image}', command: 'true'}}\n")
        running = project.start("exec", "--executor", "docker", "get")
        server.settimeout(60)
        connection, _ = server.accept()
        with connection:
            running.signal(signal.SIGINT)
            done = running.end()

    assert done.code == 130, str(done)
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "url", ["ext::sh -c touch% MARKER", "--upload-pack=touch MARKER", "file:///etc", "https://example.com/a\rb"]
)
def test_a_hostile_submodule_is_never_fetched(make, tmp_path, url):
    marker = tmp_path / "marker"
    project = make("- step: {name: a, image: busybox, command: ls}\n")
    said = url.replace("MARKER", str(marker)).replace("\r", "\\r")
    project.write(".gitmodules", f'[submodule "evil"]\n\tpath = evil\n\turl = "{said}"\n')
    head = project.git("rev-parse", "HEAD").strip()
    project.git("update-index", "--add", "--cacheinfo", f"160000,{head},evil")
    project.git("commit", "--quiet", "--message", "a submodule")
    (project.folder / "evil").mkdir()

    done = project.succeeds("exec", "a")
    project.succeeds("lint")

    assert not marker.exists()
    assert "evil" in done.err


def test_stars_upon_stars_and_braces_upon_braces_end_soon(make):
    files = {f"data/{a}/{b}/{c}.txt": "" for a in range(8) for b in range(8) for c in range(8)}
    stars = "data/**/**/**/**/**/**/*.txt"
    braces = "echo '" + "{" * 1000 + "}" * 1000 + '\' && ls -R \\"$VH_INPUTS_DIR/data\\" | grep -c txt'
    project = make(
        f'- step: {{name: a, image: busybox, command: "{braces}", inputs: [{{name: data, default: "{stars}", '
        f"keep-directories: full}}]}}\n",
        files,
    )
    began = time.monotonic()

    done = project.succeeds("exec", "a")

    assert done.out.splitlines() == ["{" * 1000 + "}" * 1000, "512"]
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("address", ["file:///etc/shadow", "/proc/self/environ", "/etc/hostname"])
def test_a_file_outside_the_project_is_nothing_that_a_repository_may_ask_for(make, address):
    project = make(
        f"- step: {{name: a, image: busybox, command: 'true', inputs: [{{name: data, default: '{address}'}}]}}\n"
    )

    project.refused("exec", "a", code=40)
