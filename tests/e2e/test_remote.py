"""A colleague who pulls: looks, copies out, uses, repeats, and is not tricked into running what was pulled."""

import json
import os
import re
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

YAML = """\
- step:
    name: make
    image: mlrun-test/busybox:1
    command:
      - echo hello
      - |
        echo '{"acc": 0.5}'
      - echo {parameter-value:word} > /valohai/outputs/model.txt
      - mkdir /valohai/outputs/deep && echo deep > /valohai/outputs/deep/odd
    parameters:
      - {name: word, type: string, default: first}
- step:
    name: use
    image: mlrun-test/busybox:1
    command: cat /valohai/inputs/model/* > /valohai/outputs/seen.txt
    inputs:
      - {name: model}
- pipeline:
    name: both
    nodes:
      - {name: make, type: execution, step: make}
      - {name: use, type: execution, step: use}
    edges:
      - [make.output.model.txt, use.input.model]
"""


@pytest.fixture
def mine(make: Any, tmp_path: Path) -> Any:
    return make(YAML).with_variables(MLRUN_STORE=str(tmp_path / "mine"))


@pytest.fixture
def yours(mine: Any, tmp_path: Path) -> Any:
    """A clone of the repository, and a store of its own."""
    mine.git("clone", "--quiet", str(mine.folder), str(tmp_path / "clone"))
    return replace(mine, folder=tmp_path / "clone").with_variables(MLRUN_STORE=str(tmp_path / "yours"))


@pytest.fixture
def remote(tmp_path: Path) -> str:
    return str(tmp_path / "remote")


def test_a_colleague_looks_copies_out_uses_and_repeats(mine: Any, yours: Any, remote: str, tmp_path: Path) -> None:
    mine.succeeds("exec", "make", "--word", "other")
    mine.succeeds("pipeline", "--no-reuse", "both", "--title", "first light")
    yours.succeeds("exec", "make", "--word", "own")
    pushed = mine.succeeds("push", "--to", remote, "--json")
    assert len(pushed.json()["runs"]) == 2
    assert "2 runs at" in pushed.err
    assert len(yours.succeeds("pull", "--from", remote, "--json").json()["new"]) == 2
    there, here = mine.show("run:2"), yours.show("run:3")
    assert (here["id"], here["title"], here["code"]) == (there["id"], "first light", there["code"])
    assert re.search(rf"came from +{re.escape(remote)}, ", yours.succeeds("show", "run:3").out)
    assert yours.outputs("3", tmp_path / "out") == {"model.txt": b"first\n", "deep/odd": b"deep\n"}
    assert yours.log("3") == mine.log("2")
    assert {row["counter"] for row in yours.runs()} == {1, 2, 3}
    model = yours.succeeds("datum", "show", "3/model.txt", "--json").json()["id"]
    yours.succeeds("exec", "use", "--model", f"datum://{model}")
    assert yours.outputs("latest", tmp_path / "used")["seen.txt"] == b"first\n"
    yours.succeeds("exec", "use", "--inputs-from", "run:3")
    assert yours.outputs("latest", tmp_path / "again")["seen.txt"] == b"first\n"


def test_records_alone_can_be_looked_at(mine: Any, yours: Any, remote: str) -> None:
    mine.succeeds("pipeline", "--no-reuse", "both")
    mine.succeeds("push", "--to", remote)
    yours.succeeds("fetch", "--from", remote)
    assert yours.show("1")["metrics"] == {"acc": 0.5}
    assert "acc" in yours.succeeds("list").out
    assert "model.txt" in yours.succeeds("show", "run:1").out
    assert yours.mlrun("outputs", "1", "-d", "x").code != 0
    assert "with files again" in yours.succeeds("pull", "run:1", "--from", remote).err
    yours.succeeds("outputs", "1", "-d", "x")


def test_a_remote_of_the_settings_is_meant_by_its_name(mine: Any, yours: Any, remote: str, tmp_path: Path) -> None:
    mine.succeeds("exec", "make")
    (tmp_path / "config/mlrun").mkdir(parents=True)
    (tmp_path / "config/mlrun/settings.toml").write_text(f'[remotes]\nshare = "{remote}"\nlab = "ssh://lab/x"\n')
    mine = mine.with_variables(XDG_CONFIG_HOME=str(tmp_path / "config"))
    assert "`lab`, `share`" in mine.refused("push", code=2)
    assert "did you mean `share`" in mine.refused("push", "--to", "shear", code=2)
    mine.succeeds("push", "--to", "share")
    run = mine.show()["id"]
    yours.succeeds("pull", run[:13], "--from", remote)
    assert yours.show()["id"] == run


def test_a_pulled_execution_does_not_bring_its_executor(mine: Any, yours: Any, remote: str) -> None:
    mine.succeeds("exec", "make", "--executor", "process")
    mine.succeeds("push", "--to", remote)
    yours.succeeds("pull", "--from", remote)
    trusting = yours.with_variables(MLRUN_EXECUTOR="process")
    assert "without isolation" in trusting.refused("shell", "1", "--", "true", code=40)
    assert trusting.succeeds("shell", "1", "--executor", "process", "--", "echo", "in").out == "in\n"
    shown = yours.succeeds("show", "1").out
    assert "kept folder" not in shown


def test_a_damaged_remote_is_told_by_name(mine: Any, yours: Any, remote: str) -> None:
    mine.succeeds("exec", "make")
    mine.succeeds("push", "--to", remote)
    (output,) = [one for one in mine.show("1")["outputs"] if one["name"] == "model.txt"]
    path = Path(remote, "objects", output["digest"][:2], output["digest"])
    path.chmod(0o600)
    path.write_bytes(b"worse\n")
    done = yours.mlrun("pull", "--from", remote)
    assert done.code == 30
    assert all(word in done.err for word in (output["digest"], mine.show()["id"], remote, "hint: "))
    assert yours.runs() == []
    mine.succeeds("push", "--to", remote, "--again")
    yours.succeeds("pull", "--from", remote)


def test_an_interrupted_push_goes_on(mine: Any, yours: Any, remote: str, tmp_path: Path, until: Any) -> None:
    mine.write("make.py", "for n in range(60): open(f'/valohai/outputs/{n}', 'wb').write(bytes([n]) * 9_000_000)")
    mine.write("valohai.yaml", "- step: {name: big, image: x, command: python3 make.py}\n")
    mine.commit()
    mine.succeeds("exec", "big")
    running = mine.start("push", "--to", remote)
    until(lambda: Path(remote, "objects").exists(), "the first object")
    running.signal(signal.SIGINT)
    done = running.end()
    assert done.code in {130, 0}
    if done.code:
        assert "goes on from there" in done.err
        assert not list(Path(remote).glob("runs/*/*"))
    mine.succeeds("push", "--to", remote)
    assert len(yours.succeeds("pull", "--from", remote, "--json").json()["new"]) == 1


def test_a_host_behind_ssh(mine: Any, yours: Any, ssh_host: Any) -> None:
    address = ssh_host.address("/srv/mlrun")
    keys = {"HOME": str(ssh_host.home), "SSH_AUTH_SOCK": None}
    mine.succeeds("exec", "make")
    mine.with_variables(**keys).succeeds("push", "--to", address)
    assert mine.with_variables(**keys).succeeds("push", "--to", address, "--json").json()["sent"] == 0
    yours.with_variables(**keys).succeeds("pull", "--from", address)
    assert yours.show()["id"] == mine.show()["id"]
    (ssh_host.home / ".ssh/known_hosts").write_text("")
    assert "known_hosts" in yours.with_variables(**keys).refused("fetch", "--from", address, code=41)


def test_an_object_store(mine: Any, yours: Any, s3_server: Any, tmp_path: Path) -> None:
    pytest.importorskip("s3fs")
    address, keys = f"s3://lab/{os.getpid()}/{tmp_path.name}", {"AWS_ENDPOINT_URL": s3_server.address, **s3_server.keys}
    mine.succeeds("pipeline", "--no-reuse", "both")
    mine.with_variables(**keys).succeeds("push", "--to", address)
    pulled = json.loads(yours.with_variables(**keys).succeeds("pull", "--from", address, "--json").out)
    assert pulled["refused"] == {}
    assert yours.show()["id"] == mine.show()["id"]


def test_a_purge_at_the_remote_counts_here_only_by_the_users_word(mine: Any, yours: Any, remote: str) -> None:
    mine.succeeds("exec", "make")
    mine.succeeds("push", "--to", remote)
    (model,) = [one for one in mine.show("1")["outputs"] if one["name"] == "model.txt"]
    mine.succeeds("purge", "--remote", remote, "--yes", model["digest"])
    pulled = yours.succeeds("pull", "--from", remote)
    assert "1 file not brought, destroyed for good at the remote: `model.txt`" in pulled.err
    assert "--accept-purges" in pulled.err
    yours.succeeds("exec", "make")
    yours.succeeds("store", "check")
    assert yours.outputs("2", Path(remote).parent / "own")["model.txt"] == b"first\n"
    told = yours.succeeds("pull", "run:1", "--from", remote, "--accept-purges")
    assert f"`mlrun purge {model['digest']}`" in told.err
    yours.succeeds("purge", "--yes", model["digest"])
    again = yours.mlrun("exec", "make")
    assert again.code != 0 and "was purged on" in again.err


def test_a_place_without_a_remote_is_told(yours: Any, remote: str) -> None:
    assert "there is no remote store" in yours.refused("pull", "--from", remote, code=41)
    assert "there is no remote store" in yours.refused("fetch", "--from", remote, code=41)


def test_what_only_the_record_of_is_here_is_no_input_and_says_how_to_get_it(mine: Any, yours: Any, remote: str) -> None:
    yours.succeeds("exec", "make", "--word", "own")
    mine.succeeds("pipeline", "--no-reuse", "both")
    mine.succeeds("push", "--to", remote)
    yours.succeeds("fetch", "--from", remote)
    hint = f"`mlrun pull run:2 --from {remote}`"
    assert "of execution 2 is not here" in (said := yours.refused("logs", "2", code=41)) and hint in said
    assert hint in yours.refused("outputs", "2", "-d", "x", code=41)
    assert hint in yours.succeeds("show", "2").out
    (model,) = [one for one in yours.show("2")["outputs"] if one["name"] == "model.txt"]
    datum = yours.succeeds("datum", "show", "2/model.txt", "--json").json()["id"]
    for words in (
        ("exec", "use", "--model", f"datum://{datum}"),
        ("exec", "use", "--model", f"datum://{model['digest']}"),
        ("exec", "use", "--inputs-from", "run:2"),
        ("alias", "prod", "2/model.txt"),
        ("dataset", "add", "words/v1", "2/model.txt"),
    ):
        assert "`mlrun pull`" in yours.refused(*words, code=41), words
    assert len(yours.runs()) == 2
    yours.succeeds("store", "check")
    yours.succeeds("pull", "run:2", "--from", remote)
    yours.succeeds("exec", "use", "--model", f"datum://{datum}")


def test_a_pulled_run_sets_no_variable_of_a_step_of_ours(mine: Any, yours: Any, remote: str) -> None:
    """Such as `LD_PRELOAD` or `BASH_ENV`, which let a step run what somebody else left."""
    text = f"{YAML}      - [make.environment-variable.MODE, use.environment-variable.BASH_ENV]\n"
    text = text.replace(
        "    parameters:\n", "    environment-variables: [{name: MODE, default: bad.sh}]\n    parameters:\n"
    )
    declared = "    environment-variables: [{name: BASH_ENV, optional: true}]\n"
    mine.write("valohai.yaml", text.replace("      - {name: model}\n", "      - {name: model}\n" + declared))
    mine.commit()
    mine.succeeds("pipeline", "--no-reuse", "both")
    assert mine.show("2")["job"]["environment"]["BASH_ENV"] == "bad.sh"
    mine.succeeds("push", "--to", remote)
    yours.succeeds("pull", "--from", remote)
    told = "step `use` has no variable `BASH_ENV`"
    assert told in yours.succeeds("exec", "use", "--inputs-from", "run:1").err
    assert "BASH_ENV" not in yours.show("3")["job"]["environment"]
    assert told in yours.succeeds("spin", "use", "--of", "2").err
    assert "as the file has it" in yours.succeeds("spin", "make").err
