"""Secrets from the user to the step and nowhere else: not into the store, a list of processes or a terminal."""

import base64
import json
import os
import shlex
import signal
from pathlib import Path
from urllib.parse import quote

import pytest

VALUE = "s3cr'et/to+ken\"%$42"
ENCODINGS = (
    VALUE.encode(),
    json.dumps(VALUE)[1:-1].encode(),
    quote(VALUE, safe="").encode(),
    shlex.quote(VALUE).encode(),
    base64.b64encode(VALUE.encode())[:-4],
    base64.b64encode(b"." + VALUE.encode())[2:-4],
    base64.b64encode(b".." + VALUE.encode())[3:-4],
)

YAML = """\
- step:
    name: talk
    image: busybox
    command:
      - printf 'plain %s\\n' "$TOKEN"
      - printf %s "$TOKEN" | cut -c1-7 | tr -d '\\n'; sleep 0.2; printf '%s\\n' "$TOKEN" | cut -c8-
      - printf '%s' "$TOKEN" | base64; printf '.%s' "$TOKEN" | base64; printf '..%s' "$TOKEN" | base64 >&2
      - 'python3 -c "import json, os; print(json.dumps({\\"key\\": os.environ[\\"TOKEN\\"], \\"loss\\": 1}))"'
      - exit {parameter-value:code}
    parameters: [{name: code, type: integer, default: 0}]
    environment-variables: [{name: TOKEN, optional: false}]
- step:
    name: nosy
    image: busybox
    command:
      - env | grep -c s3cr || true
      - echo "nothing of $OTHER"
    environment-variables: [{name: OTHER, default: default}]
- step:
    name: wait
    image: busybox
    command: echo ready; sleep 60
    environment-variables: [{name: TOKEN}]
- pipeline:
    name: p
    nodes:
      - {name: talk, type: execution, step: talk}
      - {name: nosy, type: execution, step: nosy}
    edges:
      - [talk.dependency.x, nosy.dependency.x]
"""


@pytest.fixture
def project(make, tmp_path):
    return make(YAML).with_variables(XDG_CONFIG_HOME=str(tmp_path / "config"))


def keep(project, value=VALUE, name="TOKEN", *more):
    done = project.mlrun("secret", "set", name, *more, stdin=value + "\n")
    assert done.code == 0, str(done)
    return done


def found_in(folder):
    """Files below `folder` that hold the value in some encoding."""
    return [
        (path, code)
        for path in Path(folder).rglob("*")
        if path.is_file() and not path.is_symlink()
        for code in ENCODINGS
        if code in path.read_bytes()
    ]


@pytest.mark.parametrize("code", [0, 3])
def test_a_stored_secret_reaches_the_step_that_declares_it_and_nothing_else(project, code):
    said = keep(project)
    done = project.mlrun("exec", "talk", "--code", str(code))

    assert done.code == (1 if code else 0), str(done)
    assert done.out.count("***") == 5
    assert found_in(project.command.store) == []
    assert not [code for code in ENCODINGS if code.decode() in done.out + done.err + said.out + said.err]
    assert project.show("latest")["metrics"]["key"] == "***"
    shown = project.succeeds("show", "latest").out
    assert "TOKEN" in shown
    assert VALUE not in shown + project.succeeds("secret", "list").out


def test_a_step_that_does_not_declare_it_does_not_get_it(project):
    keep(project)
    project.succeeds("pipeline", "--no-reuse", "p")

    assert project.log("latest") == "0\nnothing of default\n"


def test_a_required_secret_that_is_missing_is_told_before_anything_starts(project):
    assert "mlrun secret set TOKEN" in project.refused("exec", "talk", code=2)


def test_another_project_has_secrets_of_its_own(project, tmp_path):
    keep(project)
    other = tmp_path / "other"
    other.mkdir()
    (other / "valohai.yaml").write_text(YAML)
    assert "mlrun secret set TOKEN" in project.refused("exec", "--no-git", "talk", code=2, folder=other)
    keep(project, VALUE, "TOKEN", "--everywhere")
    assert project.succeeds("exec", "--no-git", "talk", folder=other).out.count("***") == 5


def test_an_env_file_gives_every_step_its_variables_as_secrets(project, tmp_path):
    file = tmp_path / "secrets.env"
    file.write_text(f"# ours\nTOKEN='{VALUE.replace(chr(39), '')}'\nOTHER=hidden-too\n")
    done = project.succeeds("pipeline", "--no-reuse", "p", "--env-file", file)

    assert "nothing of ***" in project.log("latest")
    assert "hidden-too" not in done.out + done.err
    assert not [
        path for path in project.command.store.rglob("*") if path.is_file() and b"hidden-too" in path.read_bytes()
    ]


def test_an_env_file_in_the_project_must_be_ignored(project):
    project.write(".env", f"TOKEN={VALUE}\n")
    assert ".gitignore" in project.refused("exec", "talk", "--env-file", ".env", code=40)
    project.write(".gitignore", ".env\n")
    project.succeeds("exec", "talk", "--env-file", ".env")
    assert found_in(project.command.store) == []


def test_a_dry_run_names_the_secrets_of_each_node(project):
    keep(project)
    assert "TOKEN is a secret" in project.succeeds("exec", "talk", "--dry-run").out


def test_what_a_killed_runner_left_in_memory_is_removed_by_the_next(project, until):
    keep(project)
    running = project.start("exec", "wait")
    running.until("ready")
    mark = f"mlrun-{os.geteuid()}-{running.pid}-"
    left = [path for path in Path("/dev/shm").iterdir() if path.name.startswith(mark)]
    assert left
    running.signal(signal.SIGKILL)
    running.process.wait(30)
    project.succeeds("exec", "nosy")
    assert [path for path in left if path.exists()] == []


def test_secrets_that_others_can_read_are_not_used(project):
    keep(project)
    (file,) = Path(project.command.environment["XDG_CONFIG_HOME"], "mlrun", "secrets").glob("*.json")
    file.chmod(0o644)
    assert "chmod 600" in project.refused("exec", "talk", code=40)
    file.chmod(0o600)
    project.succeeds("exec", "talk")
