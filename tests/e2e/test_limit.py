"""What ends a step that is alive, and what of the machine it may have."""

import os
import subprocess
from pathlib import Path

import pytest

BUSYBOX = "mlrun-test/busybox:1"
YAML = """\
- step:
    name: silent
    image: busybox
    command: [echo one, sleep 1000]
    no-output-timeout: 1
- step:
    name: talking
    image: busybox
    command: 'for i in 1 2 3 4 5 6 7 8; do sleep 0.4; printf . >&2; done'
    no-output-timeout: 3
- step:
    name: learning
    image: busybox
    command:
      - 'for i in 1 2 3 4; do echo "{\\"epoch\\": $i, \\"val-loss\\": 0.$((9 - i))}"; done'
      - echo kept > "$VH_OUTPUTS_DIR/model.txt"
      - 'echo "{\\"done\\": true, \\"val-loss\\": 0.01}"'
      - sleep 1000
    stop-condition: val-loss < {LEAST} and metadata.epoch >= 3
- step:
    name: using
    image: busybox
    command: cat "$VH_INPUTS_DIR/model/model.txt"
    inputs: [{name: model}]
- step:
    name: crashing
    image: busybox
    command: ['echo "{\\"loss\\": 5}"', exit 4]
    stop-condition: loss < 1
- step:
    name: hungry
    image: busybox
    command: head -c 500000000 /dev/zero | tail >/dev/null
    resources: {memory: {max: 67}}
- step:
    name: bounded
    image: busybox
    command: echo on
    resources: {cpu: {min: 1, max: 1}, memory: {min: 1, max: 500}}
    time-limit: 1h
- pipeline:
    name: early
    nodes:
      - {name: learn, type: execution, step: learning}
      - {name: use, type: execution, step: using}
    edges: [[learn.output.*, use.input.model]]
""".replace("{LEAST}", "0.1")


@pytest.fixture
def project(make):
    return make(YAML)


def test_a_step_that_prints_nothing_for_too_long_is_ended(project):
    done = project.fails("exec", "silent")

    execution = project.show("latest")
    assert (execution["state"], execution["reason"]) == ("failed", "no-output")
    assert execution["detail"] == "it printed nothing for 1 s"
    assert "silent: stopping (execution 1) - no-output" in done.err
    assert "it printed nothing for 1 s" in done.err
    assert project.log().startswith("one\n")


def test_any_byte_on_either_stream_keeps_a_step_alive(project):
    done = project.succeeds("exec", "talking")

    assert "." * 8 in done.err


def test_a_stop_condition_that_holds_ends_the_step_with_success_and_the_pipeline_goes_on(project):
    done = project.succeeds("pipeline", "--no-reuse", "early")

    learn = next(one for one in project.show()["executions"].values() if one["node"] == "learn")
    assert (learn["state"], learn["reason"]) == ("succeeded", "stop-condition")
    assert learn["detail"] == "`val-loss < 0.1 and metadata.epoch >= 3` holds: epoch = 4, val-loss = 0.01"
    assert [file["name"] for file in learn["outputs"]] == ["model.txt"]
    assert "holds: epoch = 4, val-loss = 0.01" in done.err
    assert "kept" in done.out
    assert "holds: epoch = 4" in project.succeeds("show", "run:latest").out
    assert "stop-condition" in project.succeeds("list").out


def test_a_step_that_fails_by_itself_is_no_success_of_its_stop_condition(project):
    project.fails("exec", "crashing")

    execution = project.show("latest")
    assert (execution["state"], execution["reason"], execution["exit_code"]) == ("failed", "exit", 4)


def test_a_step_that_takes_too_much_memory_is_ended_and_told_its_limit_and_its_peak(project):
    done = project.fails("exec", "hungry")

    execution = project.show("latest")
    assert (execution["state"], execution["reason"]) == ("failed", "oom")
    assert "out of memory: the limit is 64 MiB, the peak was " in done.err
    assert project.succeeds("list", "--columns", "state,reason").out.split()[-2:] == ["failed", "oom"]


def test_limits_are_recorded_and_shown(project):
    project.succeeds("exec", "bounded", "--var", "VH_CPU_LIMIT=1")

    job = project.show("latest")["job"]
    assert job["allowance"] == {"cpus": 1.0, "cpu_set": [], "memory": 500_000_000, "shm": 250_000_000, "devices": {}}
    assert job["time_limit"] == 3600
    page = project.succeeds("show", "latest").out
    assert "time limit" in page
    assert "memory" in page


ENDS = {
    "silent": ("failed", "no-output"),
    "learning": ("succeeded", "stop-condition"),
    "crashing": ("failed", "exit"),
    "hungry": ("failed", "oom"),
    "late": ("failed", "timeout"),
    "bounded": ("succeeded", "exit"),
}


@pytest.mark.parametrize("executor", ["docker", "process"])
@pytest.mark.parametrize("step", ENDS)
def test_every_limit_ends_a_step_of_every_executor_with_its_own_reason(make, docker, step, executor):
    late = "- step: {name: late, image: busybox, command: [echo on, sleep 1000], time-limit: 1}\n"
    project = make((YAML + late).replace("image: busybox", f"image: {BUSYBOX}"))
    network = "host"
    if executor == "docker":
        docker(BUSYBOX)
        network = "none"

    done = project.mlrun("exec", "--executor", executor, "--network", network, step)

    execution = project.show("latest")
    assert (execution["state"], execution["reason"]) == ENDS[step], str(done)
    assert done.code == (0 if execution["state"] == "succeeded" else 1)


# --- limits that cannot be


@pytest.mark.parametrize(
    ("field", "code", "said"),
    [
        ("resources: {cpu: {max: 1.0e+9}}", 10, "valohai.yaml:5:28"),
        ("resources: {cpu: {max: 0}}", 10, "cannot run with at most 0 CPUs"),
        ("resources: {memory: {max: -1}}", 10, "valohai.yaml:5:31"),
        ("resources: {memory: {max: 1}}", 10, "cannot run with at most 1 MB of memory"),
        ("resources: {devices: all}", 10, "valohai.yaml:5:26"),
        ("time-limit: 1.0e+99", 10, "valohai.yaml:5:17"),
        ("no-output-timeout: 0", 10, "valohai.yaml:5:24"),
        ("stop-condition: loss <", 10, "is not understood"),
        ("stop-condition: 1 < 2", 10, "reads no metric"),
        ("stop-condition: 'true'", 10, "reads no metric"),
        ("stop-condition: loss < parameter.nothing", 10, "reads parameter `nothing`, which the step lacks"),
        ("environment-variables: [{name: VH_CPU_LIMIT, default: many}]", 10, "`VH_CPU_LIMIT` is `many`"),
        ("resources: {cpu: {min: 99000}}", 20, "needs at least 99000 CPUs, and this machine has "),
        ("resources: {memory: {min: 9.0e+8}}", 20, "MB of memory, and this machine has "),
        ("environment-variables: [{name: VH_CPU_LIMIT, default: '0,8191'}]", 20, "needs processor 8191"),
    ],
)
def test_a_limit_that_cannot_be_kept_is_refused_before_the_start(make, field, code, said):
    project = make(f"- step:\n    name: odd\n    image: busybox\n    command: 'true'\n    {field}\n")

    told = project.refused("exec", "odd", code=code)

    assert "valohai.yaml:" in told
    assert said in told


def test_a_wrong_number_of_processors_on_the_command_line_is_refused(project):
    told = project.refused("exec", "silent", "--var", "VH_CPU_LIMIT=few", code=2)

    assert "`VH_CPU_LIMIT` is `few`" in told


# --- devices


GPU_YAML = """\
- step:
    name: gpu
    image: busybox
    command: echo on
    resources: {devices: {DEVICE: 2}}
"""


def test_a_device_needs_the_word_of_the_user(make):
    project = make(GPU_YAML.replace("DEVICE", "nvidia.com/gpu"))

    told = project.refused("exec", "gpu", code=40)

    assert "valohai.yaml:2:11" in told
    assert "hint: allow it with `--gpus 2`" in told
    assert project.succeeds("exec", "gpu", "--gpus", "0").out == "on\n"


def test_another_device_names_its_own_flag(make):
    project = make(GPU_YAML.replace("DEVICE", "example.com/npu"))

    assert "`--allow-devices`" in project.refused("exec", "gpu", code=40)
    assert "which mlrun does not know" in project.refused("exec", "--allow-devices", "gpu", code=20)


def test_a_granted_device_that_is_not_there_is_refused_before_the_start(make):
    if any(name.startswith("nvidia") for name in os.listdir("/dev")):
        pytest.skip("this machine has a GPU")
    project = make(GPU_YAML.replace("DEVICE", "nvidia.com/gpu"))
    settings = Path(project.command.environment["HOME"], ".config", "mlrun", "settings.toml")

    assert "this machine has none" in project.refused("exec", "--gpus", "all", "gpu", code=20)
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text('devices = "all"\n')
    try:
        assert "needs 2 of the device `nvidia.com/gpu`" in project.refused("exec", "gpu", code=20)
    finally:
        settings.unlink()
    assert "no number of GPUs" in project.refused("exec", "--gpus", "many", "gpu", code=2)


# --- host folders


def mounting(source: str, more: str = "") -> str:
    return (
        "- step:\n    name: look\n    image: busybox\n    command: cat /mnt/data/file\n"
        f"    mounts:\n      - {{source: '{source}', destination: /mnt/data{more}}}\n"
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = Path(os.path.realpath(tmp_path)) / "da:ta"
    folder.mkdir()
    (folder / "file").write_text("from the host\n")
    return folder


def test_a_host_folder_needs_the_word_of_the_user(make, sandbox, data):
    project = make(mounting(str(data)))

    told = project.refused("exec", "look", code=40)
    assert "valohai.yaml:6:9" in told
    assert f"`--allow-mount {data}`" in told

    done = project.succeeds("exec", "--executor", sandbox, "--allow-mount", data, "look")
    assert done.out == "from the host\n"
    assert project.show("latest")["job"]["mounts"] == [{"source": str(data), "target": "/mnt/data", "read_only": False}]
    assert str(data) in project.succeeds("show", "latest").out


def test_a_failed_step_with_a_host_folder_can_be_run_again_by_hand(make, sandbox, data):
    project = make(mounting(str(data)).replace("cat /mnt/data/file", "cat /mnt/data/file; exit 3"))
    project.fails("exec", "--executor", sandbox, "--allow-mount", data, "look")
    script = f"{project.show('latest')['work']}/rerun.sh"

    again = subprocess.run(
        ["bash", script], env=project.command.environment, capture_output=True, text=True, check=False
    )

    assert (again.returncode, again.stdout) == (3, "from the host\n"), again.stderr


def test_settings_grant_a_folder_for_good_and_may_keep_it_read_only(make, sandbox, data):
    project = make(mounting(str(data)))
    settings = Path(project.command.environment["HOME"], ".config", "mlrun", "settings.toml")
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(f'mounts = ["{data.parent}:ro"]\n')
    try:
        done = project.succeeds("exec", "--executor", sandbox, "look")
    finally:
        settings.unlink()

    assert project.show("latest")["job"]["mounts"][0]["read_only"] is True
    assert "is mounted read-only, as you have allowed it" in done.err


def test_a_nodes_own_mounts_take_the_place_of_those_of_its_step(make, sandbox, data):
    project = make(
        mounting("/srv") + "- pipeline:\n    name: p\n    edges: []\n    nodes:\n      - name: n\n"
        "        type: execution\n"
        f"        step: look\n        override: {{mounts: [{{source: '{data}', destination: /mnt/data}}]}}\n"
    )

    told = project.refused("pipeline", "--no-reuse", "p", code=40)
    assert f"`--allow-mount {data}`" in told
    done = project.succeeds("pipeline", "--no-reuse", "--executor", sandbox, "--allow-mount", data, "p")
    assert "from the host" in done.out


def test_a_link_counts_for_what_it_leads_to(make, data, tmp_path):
    link = Path(os.path.realpath(tmp_path)) / "link"
    link.symlink_to("/opt")
    project = make(mounting(str(link)))

    told = project.refused("exec", "--allow-mount", data.parent, "look", code=40)

    assert "which leads to `/opt`" in told


@pytest.mark.parametrize("source", ["/", "/run", "/var/run/docker.sock", "/run/../run/docker.sock"])
def test_nobody_mounts_the_socket_of_an_engine(make, source):
    project = make(mounting(source))

    told = project.refused("exec", "--allow-mount", "/", "--allow-mount", source, "look", code=40)

    assert "socket" in told or "without `..`" in told


def test_nobody_mounts_the_store(make):
    project = make(mounting("PLACE"))
    project.write("valohai.yaml", mounting(str(project.command.store)))

    told = project.refused("exec", "--allow-mount", project.command.store, "look", code=40)

    assert "no step may have the store of mlrun" in told


@pytest.mark.parametrize("source", ["/etc", "/etc/ssl", "/proc", "relative"])
def test_a_permission_for_everything_is_none_for_what_is_sensitive(make, source):
    project = make(mounting(source))

    project.refused("exec", "--allow-mount", "/", "look", code=40)


def test_a_folder_that_is_not_there_is_an_input_that_is_missing(make, data):
    project = make(mounting(f"{data}/gone"))

    told = project.refused("exec", "--allow-mount", data, "look", code=41)

    assert "no such file or directory" in told


@pytest.mark.parametrize("target", ["/valohai/inputs", "/outputs/x", "/proc", "/mnt/../valohai"])
def test_nothing_is_laid_over_what_is_ours(make, data, target):
    project = make(mounting(str(data)).replace("/mnt/data}", f"{target}}}"))

    told = project.refused("exec", "--allow-mount", data, "look", code=10)

    assert "where nothing can be mounted" in told


def test_a_volume_of_a_network_is_not_made(make, data):
    project = make(mounting(str(data), ", type: nfs"))

    assert "of type `nfs`" in project.refused("exec", "--allow-mount", data, "look", code=10)
