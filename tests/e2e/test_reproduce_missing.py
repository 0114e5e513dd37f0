"""`mlrun reproduce` where something is missing: it is named with what it takes to get it, and nothing is made up."""

import json
import shutil
import signal
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.repeating import FILES, YAML, identify, report


@pytest.fixture
def project(make: Callable[..., Any], tmp_path: Path) -> Any:
    """A project with a store of its own."""
    return make(YAML, FILES).with_variables(MLRUN_STORE=str(tmp_path / "store"))


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


def test_an_input_whose_address_is_gone_comes_from_the_store_or_is_missing_with_its_address(
    project: Any, tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "raw.csv").write_text("a\n1\n")
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path / "site")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        address = f"http://me:s3cr3tly@127.0.0.1:{server.server_port}/raw.csv"
        project.succeeds("exec", "prepare", "--raw", address)
        server.shutdown()
        thread.join()

    assert report(project.mlrun("reproduce", "latest", "--json"))["verdict"] == "identical"
    (file,) = project.show("latest")["job"]["inputs"][0]["files"]
    (project.command.store / "objects" / file["digest"][:2] / file["digest"]).unlink()
    done = project.mlrun("reproduce", "latest")
    assert done.code == 51, str(done)
    assert f"(4 bytes, {file['digest']}, from http://127.0.0.1:{server.server_port}/raw.csv)" in done.out
    assert "s3cr3tly" not in done.out + done.err


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
