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
from tests.repeating import FILES, YAML, identify, parts, report


@pytest.fixture
def project(make: Callable[..., Any], tmp_path: Path) -> Any:
    """A project with a store of its own."""
    return make(YAML, FILES).with_variables(MLRUN_STORE=str(tmp_path / "store"))


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


def test_outputs_that_are_gone_are_still_compared_by_their_digests(project: Any) -> None:
    project.succeeds("exec", "train", "--mode", "random")
    for output in project.show("latest")["outputs"]:
        (project.command.store / "objects" / output["digest"][:2] / output["digest"]).unlink()

    told = report(project.mlrun("reproduce", "latest", "--json"))

    found = parts(told["nodes"][0])
    assert found["file", "model.json"]["verdict"] == "identical"
    assert found["file", "random.bin"]["verdict"] == "different"
    assert found["file", "random.bin"]["difference"]["where"] == "content"


def test_a_limit_of_time_ends_the_repetition_as_it_ended_the_record(project: Any) -> None:
    text = (project.folder / "valohai.yaml").read_text()
    project.write("valohai.yaml", text.replace("    name: train\n", "    name: train\n    time-limit: 6s\n"))
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


def test_a_signal_ends_a_long_comparison_too(make: Callable[..., Any], tmp_path: Path) -> None:
    write = """\
import gzip, os
member = gzip.compress(bytes(100 << 20), 1)
with open(os.environ["VH_OUTPUTS_DIR"] + "/large.gz", "wb") as file:
    file.write(gzip.compress(b"", mtime=int.from_bytes(os.urandom(4), "big")))
    for _ in range(200):
        file.write(member)
"""
    yaml = "- step:\n    name: write\n    image: busybox\n    command: [python3 write.py]\n"
    project = make(yaml, {"write.py": write}).with_variables(MLRUN_STORE=str(tmp_path / "store"))
    project.succeeds("exec", "write")
    work = project.command.store / "work"
    before = set(os.listdir(work))
    running = project.start("reproduce", "latest")
    wait_for(lambda: [*work.glob("scratch-*/trial-*/objects/*")], "what the repetition leaves")

    running.signal(signal.SIGINT)

    done = running.end()
    assert done.code == 130
    assert "write (execution 1): never-ran: stopped" in done.out
    assert set(os.listdir(work)) == before


def test_many_files_that_are_identical_are_counted_and_not_listed(make: Callable[..., Any]) -> None:
    command = "cd $VH_OUTPUTS_DIR; for i in $(seq 100 199); do echo $i > $i.txt; done; date +%s%N > time.txt"
    project = make(f"- step:\n    name: many\n    image: busybox\n    command: ['{command}']\n")
    project.succeeds("exec", "many")

    done = project.mlrun("reproduce", "latest", "--once")

    assert done.code == 50, str(done)
    assert "  100 files are identical\n" in done.out
    assert "  time.txt    different" in done.out
    assert "150.txt" not in done.out
    assert "150.txt" in project.mlrun("reproduce", "latest", "--once", "--json").out


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
