"""`mlrun reproduce`: what is recorded runs again from the store alone, and everything it leaves has a verdict."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.patience import wait_for

YAML = """\
- step:
    name: prepare
    image: busybox
    command: [python3 prepare.py]
    inputs: [{name: raw, default: raw.csv}]
- step:
    name: train
    image: busybox
    command: ["python3 train.py {parameter-value:mode}"]
    parameters: [{name: mode, default: plain}]
    inputs: [{name: data, optional: true}]
- step:
    name: fail
    image: busybox
    command:
      - date; echo started
      - echo partial > "$VH_OUTPUTS_DIR/partial.txt"
      - exit {parameter-value:code}
    parameters: [{name: code, type: integer, default: 3}]
- step:
    name: secret
    image: busybox
    command: [printf %s "$TOKEN" | cksum > "$VH_OUTPUTS_DIR/sum.txt"]
    environment-variables: [{name: TOKEN, optional: false}]
- pipeline:
    name: whole
    nodes:
      - {name: prep, type: execution, step: prepare}
      - {name: fit, type: execution, step: train}
      - {name: noisy, type: execution, step: train, override: {parameters: [{name: mode, default: random}]}}
      - {name: after, type: execution, step: train}
    edges:
      - [prep.output.*.csv, fit.input.data]
      - [prep.output.*.csv, noisy.input.data]
      - [noisy.output.random.bin, after.input.data]
"""
PREPARE = """\
import os
rows = open(os.environ["VH_INPUTS_DIR"] + "/raw/raw.csv").read()
open(os.environ["VH_OUTPUTS_DIR"] + "/clean.csv", "w").write(rows.upper())
"""
TRAIN = """\
import json, os, random, sys, time
mode, out = sys.argv[1], os.environ["VH_OUTPUTS_DIR"]
random.seed(int(os.environ["MLRUN_SEED"]))
noise = int.from_bytes(os.urandom(2), "big") * 1e-14 if mode == "noise" else 0.0
loss = random.random() + noise
print("began", time.strftime("%Y-%m-%d %H:%M:%S"), flush=True)
print(json.dumps({"loss": loss, "identity": os.environ["VH_EXECUTION_ID"]}))
data = os.environ["VH_INPUTS_DIR"] + "/data"
given = sorted(os.listdir(data)) if os.path.isdir(data) else []
model = {"loss": loss, "order": list({"a", "b", "c", "d"}), "given": given, "zone": time.tzname}
open(out + "/model.json", "w").write(json.dumps(model))
open(out + "/table.csv", "w").write("x,y\\n1,%r\\n" % (0.5 + noise))
config = json.load(open(os.environ["VH_CONFIG_DIR"] + "/execution.json"))
open(out + "/identity.txt", "w").write("%(valohai.execution-id)s %(valohai.execution-ctime)s" % config)
if mode == "random":
    open(out + "/random.bin", "wb").write(b"head" + os.urandom(16))
if mode == "time":
    open(out + "/time.txt", "w").write("first\\n%d\\n" % time.time_ns())
if mode == "thing":
    try:
        import thing
    except ImportError:
        sys.exit(4)
    open(out + "/thing.txt", "w").write(thing.VALUE)
if mode == "slow":
    print("slow", flush=True)
    time.sleep(600)
"""
FILES = {"prepare.py": PREPARE, "train.py": TRAIN, "raw.csv": "a,b\n1,2\n"}


@pytest.fixture
def project(make: Callable[..., Any], tmp_path: Path) -> Any:
    """A project with a store of its own."""
    return make(YAML, FILES).with_variables(MLRUN_STORE=str(tmp_path / "store"))


def identify(project: Any, subject: str = "run:latest") -> str:
    """The whole id, which names it everywhere."""
    return str(project.show(subject)["id"])


def report(done: Any) -> Any:
    """The report; its exit code must be the command's."""
    told = done.json()
    assert told["exit"] == done.code, str(done)
    return told


def parts(node: Any) -> dict[tuple[str, str], Any]:
    return {(part["kind"], part["name"]): part for part in node["parts"]}


def test_a_committed_run_is_identical_after_its_repository_is_gone(project: Any, tmp_path: Path) -> None:
    project.succeeds("exec", "train")
    id = identify(project)
    shutil.rmtree(project.folder)

    done = project.command.run("reproduce", id, folder=tmp_path)

    assert done.code == 0, str(done)
    assert "train (execution 1): identical" in done.out
    assert done.out.endswith("verdict: identical\n")
    told = report(project.command.run("reproduce", id, "--json", folder=Path("/")))
    (node,) = told["nodes"]
    files = {name for kind, name in parts(node) if kind == "file"}
    assert files == {"model.json", "table.csv", "identity.txt"}
    assert {part["verdict"] for part in node["parts"] if part["kind"] != "log"} == {"identical"}
    assert parts(node)["metrics", ""]["verdict"] == "identical"


def test_nothing_of_a_repetition_is_recorded_or_left(project: Any) -> None:
    project.succeeds("exec", "train")
    store = project.command.store
    before = project.command.recorded(), sorted(store.glob("objects/*/*")), os.listdir(store / "work")

    project.succeeds("reproduce", "latest")

    assert (project.command.recorded(), sorted(store.glob("objects/*/*")), os.listdir(store / "work")) == before
    assert project.show("latest")["counter"] == 1


def test_the_whole_working_tree_comes_back_however_odd(make: Callable[..., Any], tmp_path: Path) -> None:
    look = """\
import hashlib, os
lines = []
for folder, _, names in os.walk(b"."):
    for name in names:
        path = os.path.join(folder, name)
        found = os.lstat(path)
        data = os.readlink(path) if os.path.islink(path) else open(path, "rb").read()
        lines.append(b"%r %o %d %s" % (path, found.st_mode, found.st_mtime, hashlib.sha256(data).hexdigest().encode()))
open(os.environ["VH_OUTPUTS_DIR"] + "/tree.txt", "wb").write(b"\\n".join(sorted(lines)))
"""
    yaml = "- step:\n    name: look\n    image: busybox\n    command: [python3 look.py]\n"
    project = make(yaml, {"look.py": look, "changed.txt": "before\n"})
    project.write("changed.txt", "after\n")
    (project.folder / "binary").write_bytes(bytes(range(256)) * 5)
    (project.folder / os.fsdecode(b"odd\n\xff name")).write_text("odd")
    (project.folder / "run.sh").write_text("#!/bin/sh\n")
    (project.folder / "run.sh").chmod(0o755)
    (project.folder / "link").symlink_to("nowhere/at all")
    project.succeeds("exec", "look")
    id = identify(project)
    tree = project.outputs("latest", tmp_path / "first")["tree.txt"]
    assert all(word in tree for word in (b"binary", b"\\xff name", b"100755", b"link"))
    shutil.rmtree(project.folder)

    told = report(project.command.run("reproduce", id, "--json", "-d", "again", folder=tmp_path))

    assert told["verdict"] == "identical"
    assert (tmp_path / "again" / "execution-1" / "tree.txt").read_bytes() == tree


@pytest.mark.parametrize(
    ("mode", "name", "where"), [("random", "random.bin", "byte "), ("time", "time.txt", "line 2, byte ")]
)
def test_what_comes_of_chance_differs_and_is_called_so(project: Any, mode: str, name: str, where: str) -> None:
    project.succeeds("exec", "train", "--mode", mode)

    told = report(project.mlrun("reproduce", "latest", "--json"))

    assert told["exit"] == 50
    (node,) = told["nodes"]
    assert (node["verdict"], node["causes"]) == ("different", ["non-deterministic"])
    part = parts(node)["file", name]
    assert part["difference"]["where"].startswith(where)
    assert part["difference"]["before"] != part["difference"]["after"]
    assert part["before"]["digest"] != part["after"]["digest"]
    assert parts(node)["file", "model.json"]["verdict"] == "identical"
    once = report(project.mlrun("reproduce", "latest", "--json", "--once"))["nodes"][0]
    assert (once["verdict"], once["causes"]) == ("different", [])


def test_noise_of_floats_is_equal_within_the_tolerance_and_not_without_one(project: Any) -> None:
    project.succeeds("exec", "train", "--mode", "noise")

    done = project.mlrun("reproduce", "latest")
    assert done.code == 0, str(done)
    assert "model.json    equal, deviation" in done.out
    assert "table.csv     equal, deviation" in done.out
    assert "metrics       equal, deviation" in done.out

    exact = report(project.mlrun("reproduce", "latest", "--tolerance", "0", "--json"))
    found = parts(exact["nodes"][0])
    assert exact["exit"] == 50
    assert found["file", "model.json"]["difference"]["where"] == "$.loss"
    assert found["file", "table.csv"]["difference"]["where"] == "row 2, column `y`"
    assert found["metrics", ""]["difference"]["where"] == "$.loss"


def test_a_tolerance_that_is_none_is_refused(project: Any) -> None:
    project.succeeds("exec", "train")
    for text in ("-1", "1", "nan", "inf"):
        project.refused("reproduce", "latest", "--tolerance", text, code=2)


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment with a package `thing` 1.0."""
    folder = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    write_thing(folder, "1.0")
    return folder


def write_thing(environment: Path, version: str) -> None:
    (site,) = environment.glob("lib/python*/site-packages")
    for old in site.glob("thing-*"):
        shutil.rmtree(old)
    (site / "thing.py").write_text(f"VALUE = 'made by {version}'\n")
    shutil.rmtree(site / "__pycache__", ignore_errors=True)
    about = site / f"thing-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: thing\nVersion: {version}\n")
    (about / "RECORD").write_text(f"thing.py,sha256={version},\n")


def test_another_package_is_a_changed_environment_which_strict_refuses(project: Any, environment: Path) -> None:
    active = project.with_variables(VIRTUAL_ENV=str(environment))
    active.succeeds("exec", "train", "--mode", "thing")
    # Also without being active: the record knows where its interpreter was.
    assert report(project.mlrun("reproduce", "latest", "--json"))["verdict"] == "identical"
    write_thing(environment, "2.0")

    done = project.mlrun("reproduce", "latest")

    assert done.code == 50, str(done)
    assert "changed since the record:\n  package `thing`: 1.0 → 2.0\n" in done.out
    assert "changed: package `thing`: 1.0 → 2.0" in done.err
    assert "train (execution 1): different, changed-environment" in done.out
    assert "thing.txt     different, line 1, byte 8: made by 1.0 → made by 2.0" in done.out
    strict = report(project.mlrun("reproduce", "latest", "--strict", "--json"))
    assert strict["exit"] == 51
    assert strict["nodes"][0]["missing"][0]["need"] == "environment"
    assert strict["nodes"][0]["parts"] == []


def test_a_secret_is_asked_for_by_name_and_never_told(project: Any, tmp_path: Path) -> None:
    value = "tr0ub4dor&3"
    file = tmp_path / "secrets.env"
    file.write_text(f"TOKEN={value}\n")
    project.succeeds("exec", "secret", "--env-file", file)

    without = project.mlrun("reproduce", "latest")
    assert without.code == 51, str(without)
    assert "missing secret `TOKEN`" in without.out
    assert "hint: `mlrun secret set TOKEN`" in without.out

    given = project.mlrun("reproduce", "latest", "--env-file", file)
    assert given.code == 0, str(given)
    assert value not in given.out + given.err
    assert not any(value.encode() in path.read_bytes() for path in project.command.store.rglob("*") if path.is_file())

    file.write_text("TOKEN=another\n")
    other = project.mlrun("reproduce", "latest", "--env-file", file)
    assert other.code == 50, str(other)
    assert "another" not in other.out + other.err
    assert "sum.txt     different, line 1, byte " in other.out
    (differs,) = (
        one
        for one in report(project.mlrun("reproduce", "latest", "--env-file", file, "--json"))["nodes"][0]["parts"]
        if one["kind"] == "file"
    )
    assert (differs["difference"]["before"], differs["difference"]["after"]) == ("", "")


def test_a_failed_run_fails_again_alike_with_the_same_log_but_for_times(project: Any) -> None:
    project.fails("exec", "fail")

    told = report(project.mlrun("reproduce", "latest", "--json"))

    found = parts(told["nodes"][0])
    assert told["verdict"] == "identical"
    assert found["end", ""]["verdict"] == "identical"
    assert found["file", "partial.txt"]["verdict"] == "identical"
    assert found["log", "stdout"]["verdict"] in {"identical", "equal"}


def test_another_end_differs(project: Any, environment: Path) -> None:
    project.with_variables(VIRTUAL_ENV=str(environment)).succeeds("exec", "train", "--mode", "thing")
    (module,) = environment.glob("lib/python*/site-packages/thing.py")
    module.unlink()

    done = project.mlrun("reproduce", "latest")

    assert done.code == 50, str(done)
    assert "end           different, end: exit code 0 → exit code 4, changed-environment" in done.out
    assert "thing.txt     different, file: it is there → nothing" in done.out


def test_each_node_gets_the_recorded_inputs_so_that_one_does_not_spoil_the_next(project: Any) -> None:
    project.succeeds("pipeline", "whole")

    told = report(project.mlrun("reproduce", "run:latest", "--json", "-j", "2"))

    assert {node["node"]: node["verdict"] for node in told["nodes"]} == {
        "prep": "identical",
        "fit": "identical",
        "noisy": "different",
        "after": "identical",
    }
    assert told["exit"] == 50


def test_reused_nodes_are_verified_by_the_executions_that_stand_for_them(project: Any) -> None:
    project.succeeds("pipeline", "whole")
    first = project.show("run:latest")
    project.succeeds("pipeline", "whole")
    second = project.show("run:latest")
    assert second["nodes"]["prep"]["state"] == "reused"

    told = report(project.mlrun("reproduce", second["id"], "--json"))

    by_node = {node["node"]: node for node in told["nodes"]}
    assert by_node["prep"]["run"] == first["id"]
    assert by_node["prep"]["id"] in first["executions"]
    assert by_node["prep"]["verdict"] == by_node["fit"]["verdict"] == "identical"


def test_a_missing_input_is_named_with_digest_size_and_origin(project: Any) -> None:
    project.succeeds("exec", "prepare")
    (file,) = project.show("latest")["job"]["inputs"][0]["files"]
    (project.command.store / "objects" / file["digest"][:2] / file["digest"]).unlink()

    done = project.mlrun("reproduce", "latest")

    assert done.code == 51, str(done)
    assert f"missing input `raw/raw.csv` (8 bytes, {file['digest']}, from " in done.out
    lacks = report(project.mlrun("reproduce", "latest", "--json"))["nodes"][0]["missing"]
    (lack,) = (one for one in lacks if one["need"] == "input")
    assert (lack["name"], lack["digest"], lack["size"]) == ("raw/raw.csv", file["digest"], 8)
    assert lack["origin"].endswith("raw.csv")


def test_missing_code_is_named_by_its_path(project: Any) -> None:
    project.write("own.txt", "only here\n")
    project.succeeds("exec", "train")
    snapshot = project.show("run:latest")["code"]["snapshot"]
    entries = json.loads(project.command.object(snapshot))["entries"]
    (digest,) = (content for path, _, content, _ in entries if path == "own.txt")
    (project.command.store / "objects" / digest[:2] / digest).unlink()

    done = project.mlrun("reproduce", "latest")

    assert done.code == 51, str(done)
    assert f"missing code `own.txt` (10 bytes, {digest})" in done.out


def test_outputs_that_are_gone_are_still_compared_by_their_digests(project: Any) -> None:
    project.succeeds("exec", "train", "--mode", "random")
    for output in project.show("latest")["outputs"]:
        (project.command.store / "objects" / output["digest"][:2] / output["digest"]).unlink()

    told = report(project.mlrun("reproduce", "latest", "--json"))

    found = parts(told["nodes"][0])
    assert found["file", "model.json"]["verdict"] == "identical"
    assert found["file", "random.bin"]["verdict"] == "different"
    assert found["file", "random.bin"]["difference"]["where"] == "content"


def test_an_executor_that_does_not_work_here_is_missing(project: Any) -> None:
    project.succeeds("exec", "train")
    away = project.with_variables(DOCKER_HOST="unix:///nowhere/docker.sock")

    done = away.mlrun("reproduce", "latest", "--executor", "docker")

    assert done.code == 51, str(done)
    assert "missing executor `docker`" in done.out
    project.refused("reproduce", "latest", "--executor", "auto", code=2)


def test_a_host_folder_is_granted_once_more_or_missing(make: Callable[..., Any], tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "a.txt").write_text("seen\n")
    project = make(
        f"- step:\n    name: look\n    image: busybox\n    command: [cat /mnt/shared/a.txt > $VH_OUTPUTS_DIR/a.txt]\n"
        f"    mounts: [{{source: {shared}, destination: /mnt/shared, readonly: true}}]\n"
    )
    project.succeeds("exec", "look", "--allow-mount", shared)

    refused = project.mlrun("reproduce", "latest")
    assert refused.code == 51, str(refused)
    assert "missing permission" in refused.out
    assert f"--allow-mount {shared}" in refused.out
    assert project.mlrun("reproduce", "latest", "--allow-mount", shared).code == 0
    shutil.rmtree(shared)
    gone = project.mlrun("reproduce", "latest", "--allow-mount", shared)
    assert gone.code == 51, str(gone)


def test_the_network_stays_as_it_was_and_is_granted_once_more(project: Any, sandbox: str) -> None:
    project.succeeds("exec", "train", "--network", "host")
    refused = project.mlrun("reproduce", "latest")
    assert refused.code == 51, str(refused)
    assert "--network host" in refused.out
    assert project.mlrun("reproduce", "latest", "--network", "host").code == 0


def test_what_never_ran_or_was_stopped_cannot_be_repeated(project: Any) -> None:
    running = project.start("exec", "train", "--mode", "slow")
    running.until("slow\n")
    under_way = project.mlrun("reproduce", "latest")
    assert under_way.code == 2, str(under_way)
    running.signal(signal.SIGINT)
    assert running.end().code == 130

    done = project.mlrun("reproduce", "latest")

    assert done.code == 51, str(done)
    assert "it was stopped, so there is no end to compare with" in done.out


def test_a_limit_of_time_ends_the_repetition_as_it_ended_the_record(project: Any) -> None:
    text = (project.folder / "valohai.yaml").read_text()
    project.write("valohai.yaml", text.replace("    name: train\n", "    name: train\n    time-limit: 2s\n"))
    project.fails("exec", "train", "--mode", "slow")
    assert project.show("latest")["reason"] == "timeout"

    assert report(project.mlrun("reproduce", "latest", "--json"))["verdict"] == "identical"


def test_a_signal_ends_the_repetition_and_leaves_nothing(make: Callable[..., Any], tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    command = (
        "if [ -e /mnt/shared/wait ]; then touch /mnt/shared/waits; exec sleep 600; fi; echo done > $VH_OUTPUTS_DIR/a"
    )
    project = make(
        f"- step:\n    name: wait\n    image: busybox\n    command: ['{command}']\n"
        f"    mounts: [{{source: {shared}, destination: /mnt/shared}}]\n"
    ).with_variables(MLRUN_STORE=str(tmp_path / "store"))
    project.succeeds("exec", "wait", "--allow-mount", shared)
    work = project.command.store / "work"
    before = set(os.listdir(work))
    (shared / "wait").touch()
    running = project.start("reproduce", "latest", "--allow-mount", str(shared))
    wait_for((shared / "waits").exists, "the repetition")

    running.signal(signal.SIGINT)

    assert running.end().code == 130
    assert set(os.listdir(work)) == before


@pytest.mark.root
def test_it_works_in_a_place_without_any_network(project: Any, sandbox: str, tmp_path: Path) -> None:
    namespace = ["unshare", "--net", "--"]
    if subprocess.run([*namespace, "true"], capture_output=True).returncode != 0:
        pytest.skip("no network name space can be made here")
    project.succeeds("exec", "prepare")
    project.succeeds("push", "run:latest", "--to", tmp_path / "remote")
    id = identify(project)
    elsewhere = project.with_variables(MLRUN_STORE=str(tmp_path / "elsewhere"))
    elsewhere.succeeds("pull", id, "--from", tmp_path / "remote")
    shutil.rmtree(project.folder)

    words = [shutil.which("mlrun", path=elsewhere.command.environment["PATH"]), "reproduce", id, "--json"]
    done = subprocess.run(
        [*namespace, *words], cwd=tmp_path, env=elsewhere.command.environment, capture_output=True, encoding="utf-8"
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["verdict"] == "identical"


def test_code_from_elsewhere_runs_without_isolation_only_if_the_user_says_so(project: Any, tmp_path: Path) -> None:
    project.succeeds("exec", "--executor", "process", "prepare")
    project.succeeds("push", "run:latest", "--to", tmp_path / "remote")
    id = identify(project)
    elsewhere = project.with_variables(MLRUN_STORE=str(tmp_path / "elsewhere"))
    elsewhere.succeeds("pull", id, "--from", tmp_path / "remote")

    refused = elsewhere.mlrun("reproduce", id)
    assert refused.code == 51, str(refused)
    assert "missing permission `process`" in refused.out
    assert elsewhere.mlrun("reproduce", id, "--executor", "process").code == 0
    assert project.mlrun("reproduce", id).code == 0


FIXED = {"MLRUN_SEED", "PYTHONHASHSEED", "TZ", "LC_ALL", "SOURCE_DATE_EPOCH", "CUBLAS_WORKSPACE_CONFIG"}


def test_variables_that_hold_results_still_are_set_recorded_and_overridable(
    make: Callable[..., Any], tmp_path: Path
) -> None:
    project = make(
        "- step:\n    name: look\n    image: busybox\n    command: [env > $VH_OUTPUTS_DIR/env.txt]\n"
        "    environment-variables: [{name: PYTHONHASHSEED, default: '5'}]\n"
    )
    project.succeeds("exec", "look", "--var", "TZ=Asia/Tokyo", "--var", "OMP_NUM_THREADS=3")

    record = project.show("latest")["job"]
    assert record["defaults"].keys() == FIXED - {"TZ", "PYTHONHASHSEED"}
    seen = dict(
        line.split("=", 1)
        for line in project.outputs("latest", tmp_path / "out")["env.txt"].decode().splitlines()
        if "=" in line
    )
    assert record["defaults"].items() <= seen.items()
    assert (seen["TZ"], seen["PYTHONHASHSEED"], seen["OMP_NUM_THREADS"]) == ("Asia/Tokyo", "5", "3")
    assert seen["MLRUN_SEED"] == "1"
    assert "MLRUN_SEED" in project.succeeds("show", "latest").out


def test_a_new_commit_changes_none_of_them_so_that_nothing_runs_again(project: Any) -> None:
    project.succeeds("pipeline", "whole")
    project.git("commit", "--quiet", "--allow-empty", "--message", "later", "--date", "2030-01-01T00:00:00")

    project.succeeds("pipeline", "whole")

    assert {node["state"] for node in project.show("run:latest")["nodes"].values()} == {"reused"}
