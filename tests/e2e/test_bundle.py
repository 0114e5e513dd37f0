"""A run leaves a machine in one file, is checked and repeated on another one, and takes no secret along."""

import base64
import binascii
import html
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus
from uuid import uuid4

import pytest

from runner.export import FORMATS

BUSYBOX = "mlrun-test/busybox:1"

YAML = """\
- step:
    name: train
    image: busybox
    command: ["cat code.txt - < $VH_INPUTS_DIR/data/raw.csv > $VH_OUTPUTS_DIR/model.bin; echo '{\\"loss\\": 1}'"]
    inputs: [{name: data, default: raw.csv}]
- step:
    name: check
    image: busybox
    command: ["echo v{parameter-value:v}; wc -c < $VH_INPUTS_DIR/model/model.bin > $VH_OUTPUTS_DIR/size.txt"]
    inputs: [{name: model}]
    parameters: [{name: v, type: integer, default: 1}]
- step:
    name: talk
    image: busybox
    command:
      - printf 'plain %s\\n' "$TOKEN"; printf '%s' "$TOKEN" | base64
      - printf '%s' out > $VH_OUTPUTS_DIR/out.txt
    environment-variables: [{name: TOKEN, optional: false}]
- pipeline:
    name: whole
    parameters: [{name: v, targets: [check.parameters.v], default: 1}]
    nodes:
      - {name: train, type: execution, step: train}
      - {name: check, type: execution, step: check}
    edges:
      - [train.output.*, check.input.model]
"""
VALUE = "s3cr'et/to+ken\"%<42"
SPELLINGS = (
    VALUE.encode(),
    json.dumps(VALUE)[1:-1].encode(),
    json.dumps(json.dumps(VALUE))[3:-3].encode(),
    quote(VALUE, safe="").encode(),
    quote_plus(VALUE).encode(),
    shlex.quote(VALUE).encode(),
    html.escape(VALUE).encode(),
    base64.b64encode(VALUE.encode())[:-4],
    base64.b64encode(b"." + VALUE.encode())[2:-4],
    base64.b64encode(b".." + VALUE.encode())[3:-4],
    binascii.hexlify(VALUE.encode()),
)


@pytest.fixture
def project(make: Callable[..., Any], tmp_path: Path) -> Any:
    files = {"code.txt": "code\n", "raw.csv": "a,b\n1,2\n"}
    variables = {"MLRUN_STORE": str(tmp_path / "store"), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    return make(YAML, files).with_variables(**variables)


def test_a_bundle_is_the_same_file_whoever_writes_it_and_opens_elsewhere(project: Any, tmp_path: Path) -> None:
    project.succeeds("pipeline", "whole")
    project.succeeds("export", "run:1", "--format", "bundle", "-o", tmp_path / "a.mlrun")
    elsewhere = project.with_variables(MLRUN_STORE=str(tmp_path / "other"), XDG_CONFIG_HOME=str(tmp_path / "new"))
    told = elsewhere.succeeds("open", tmp_path / "a.mlrun", "--json").json()
    id = project.show("run:1")["id"]
    assert (told["runs"], told["new"], told["refused"]) == ([id], [id], {})
    elsewhere.succeeds("verify", id)
    elsewhere.succeeds("export", id, "--format", "bundle", "-o", tmp_path / "b.mlrun")
    assert (tmp_path / "a.mlrun").read_bytes() == (tmp_path / "b.mlrun").read_bytes()
    again = elsewhere.succeeds("open", tmp_path / "a.mlrun", "--json").json()
    assert (again["new"], again["known"], again["received"]) == ([], [id], 0)
    project.succeeds("open", tmp_path / "a.mlrun", "--store", tmp_path / "third")
    assert len(list((tmp_path / "third" / "runs").iterdir())) == 1


def test_what_stands_for_reused_nodes_comes_along(project: Any, tmp_path: Path) -> None:
    project.succeeds("pipeline", "whole")
    project.succeeds("pipeline", "whole", "--v=2")
    second = project.show("run:2")
    assert second["nodes"]["train"]["state"] == "reused", second["nodes"]
    done = project.succeeds("export", "run:2", "--format", "bundle", "-o", tmp_path / "a.mlrun")
    assert "2 runs" in done.err
    elsewhere = project.with_variables(MLRUN_STORE=str(tmp_path / "other"))
    told = elsewhere.succeeds("open", tmp_path / "a.mlrun", "--json").json()
    assert told["runs"] == [second["id"], project.show("run:1")["id"]]
    project.succeeds("key", "make")
    project.succeeds("export", "run:2", "--format", "slsa", "-o", tmp_path / "s.json")
    project.succeeds("verify", tmp_path / "s.json")
    elsewhere.succeeds("verify", tmp_path / "s.json")
    statement = json.loads(base64.b64decode(json.loads((tmp_path / "s.json").read_text())["payload"]))
    assert [one["name"] for one in statement["subject"]] == ["train/model.bin", "check/size.txt"]
    elsewhere.succeeds("rm", project.show("run:1")["id"], "--force")
    assert "not with all that it reused" in elsewhere.refused("verify", tmp_path / "s.json", code=41)


def test_a_bundle_is_opened_and_repeated_without_any_network(project: Any, sandbox: str, tmp_path: Path) -> None:
    namespace = ["unshare", *(["--map-root-user"] if os.geteuid() else []), "--net", "--"]
    if subprocess.run([*namespace, "true"], capture_output=True).returncode != 0:
        pytest.skip("no network name space can be made here")
    project.succeeds("pipeline", "whole", "--executor", "sandbox")
    project.succeeds("export", "run:1", "--format", "bundle", "-o", tmp_path / "a.mlrun")
    shutil.rmtree(project.folder)
    shutil.rmtree(project.command.store)
    elsewhere = project.with_variables(MLRUN_STORE=str(tmp_path / "other"), XDG_CONFIG_HOME=str(tmp_path / "new"))
    environment = elsewhere.command.environment
    words = [shutil.which("mlrun", path=environment["PATH"]), "open", str(tmp_path / "a.mlrun"), "--run"]
    done = subprocess.run([*namespace, *words], cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 new run" in done.stderr and "identical" in done.stdout + done.stderr


@pytest.mark.parametrize("how", ["cut", "flipped", "other"])
def test_a_file_that_is_wrong_is_refused_in_one_line(project: Any, tmp_path: Path, how: str) -> None:
    project.succeeds("exec", "train")
    path = tmp_path / "a.mlrun"
    project.succeeds("export", "run:1", "--format", "bundle", "-o", path)
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes({"cut": path.read_bytes()[:-600], "flipped": bytes(data), "other": b"PK\3\4" * 500}[how])
    elsewhere = project.with_variables(MLRUN_STORE=str(tmp_path / "other"))
    assert "is refused" in elsewhere.refused("open", path, code=30)
    assert "there is no file" in elsewhere.refused("open", tmp_path / "nothing", code=41)
    assert not list((tmp_path / "other" / "objects").rglob("*/*"))


def test_a_file_that_is_there_stays(project: Any, tmp_path: Path) -> None:
    project.succeeds("exec", "train")
    project.write("run-1.mlrun", "mine")
    assert "there already" in project.refused("export", "run:1", "--format", "bundle", code=42)
    assert (project.folder / "run-1.mlrun").read_text() == "mine"
    assert "is about a bundle" in project.refused("export", "run:1", "--format", "prov", "--with-image", code=2)
    assert "the files themselves" in project.refused("export", "run:1", "--format=bundle", "--metadata-only", code=2)
    assert "not a stream" in project.refused("export", "run:1", "--format", "bundle", "-o", "-", code=2)


def test_no_export_holds_the_value_of_a_secret(project: Any, tmp_path: Path) -> None:
    done = project.mlrun("secret", "set", "TOKEN", stdin=VALUE + "\n")
    assert done.code == 0, str(done)
    assert "***" in project.succeeds("exec", "talk").out
    project.succeeds("key", "make")
    made = tmp_path / "made"
    made.mkdir()
    for name in FORMATS:
        project.succeeds("export", "run:1", "--format", name, "-o", made / name)
    project.succeeds("export", "run:1", "--format", "bundle", "-o", made / "bundle")
    payload = json.loads((made / "slsa").read_text())["payload"]
    (made / "payload").write_bytes(base64.b64decode(payload))
    assert b"TOKEN" in (made / "payload").read_bytes()
    files = [path for path in made.rglob("*") if path.is_file()]
    assert len(files) > len(FORMATS)
    held = [(path.name, spelling) for path in files for spelling in SPELLINGS if spelling in path.read_bytes()]
    assert held == []
    private = (tmp_path / "config" / "mlrun" / "keys" / "signing.pem").read_bytes().splitlines()[1]
    assert not [path.name for path in files if private in path.read_bytes()]


@pytest.fixture
def image(docker: Callable[[str], str]) -> Any:
    """An image that is nowhere else: a copy of another one with a name and an id of its own."""
    client = pytest.importorskip("docker").from_env()
    # Podman 4 calls everything that it imports `latest`.
    name = f"mlrun-test/{uuid4().hex}:latest"
    container = client.containers.create(docker(BUSYBOX), ["true"])
    try:
        client.api.import_image_from_data(b"".join(container.export()), *name.split(":"))
        yield name
    finally:
        container.remove(force=True)
        for one in client.images.list(name):
            client.images.remove(one.id, force=True)
        client.close()


@pytest.mark.docker
def test_an_image_comes_along_and_is_loaded_where_it_is_not(
    make: Callable[..., Any], image: str, tmp_path: Path
) -> None:
    yaml = f"- step:\n    name: train\n    image: {image}\n    command: [echo model > $VH_OUTPUTS_DIR/model.bin]\n"
    project = make(yaml).with_variables(MLRUN_STORE=str(tmp_path / "store"))
    project.succeeds("exec", "train", "--executor", "docker")
    id = project.show("latest")["identity"]["id"]
    path, again = tmp_path / "a.mlrun", tmp_path / "b.mlrun"
    told = project.succeeds("export", "run:1", "--format", "bundle", "-o", tmp_path / "without.mlrun")
    assert f"needs the image `{image}`, which `--with-image` puts into the file" in told.err
    assert "1 image" in project.succeeds("export", "run:1", "--format", "bundle", "--with-image", "-o", path).err
    project.succeeds("export", "run:1", "--format", "bundle", "--with-image", "-o", again)
    assert path.read_bytes() == again.read_bytes()

    client = pytest.importorskip("docker").from_env()
    try:
        client.images.remove(id, force=True)
        assert not client.images.list(image)
        assert "is not on this machine any more" in project.refused(
            "export", "run:1", "--format", "bundle", "--with-image", "-o", tmp_path / "c.mlrun", code=21
        )
        elsewhere = project.with_variables(MLRUN_STORE=str(tmp_path / "other"))
        elsewhere.succeeds("open", path, "--no-image")
        assert not client.images.list(image)
        told = elsewhere.succeeds("open", tmp_path / "without.mlrun", "--json")
        assert told.json()["images_lacking"] == [image] and "is not in the bundle" in told.err
        done = elsewhere.mlrun("reproduce", project.show("run:1")["id"])
        assert done.code == 51 and f"missing image `{id}`" in done.out
        assert elsewhere.succeeds("open", path, "--json").json()["images"] == [image]
        assert [one.id for one in client.images.list(image)] == [id]
        elsewhere.succeeds("reproduce", project.show("run:1")["id"])
    finally:
        client.close()
