"""Folders and files that an ordinary user may not write or read. Root may, so root runs this file as somebody else."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import COMMAND

YAML = """\
- step:
    name: train
    image: busybox
    command:
      - cat "$VH_INPUTS_DIR/data/words.txt"
      - echo changed > code.py
      - cp code.py "$VH_OUTPUTS_DIR/"
    inputs:
      - {name: data, default: words.txt}
"""
FILES = {"words.txt": "some words\n", "code.py": "code\n", "deep/more.py": "more\n"}

ordinary = pytest.mark.skipif(
    os.geteuid() == 0, reason="root may write and read everywhere; `test_as_an_ordinary_user` runs it as another user"
)


@pytest.fixture
def project(make):
    return make(YAML, FILES)


def close(folder: Path) -> None:
    """Take the right to write from a whole tree."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))


@ordinary
def test_a_project_that_may_not_be_written_runs(project, tmp_path):
    close(project.folder)

    assert project.succeeds("exec", "train").out == "some words\n"
    assert project.outputs("latest", tmp_path / "results") == {"code.py": b"changed\n"}
    code = project.show()["code"]
    assert (code["branch"], code["dirty"]) == ("main", False)
    assert project.mlrun("lint").code == 0


@ordinary
@pytest.mark.parametrize("kind", ["closed", "parent closed", "file", "below a file", "format closed"])
def test_a_store_that_may_not_be_written_is_told_and_nothing_starts(project, tmp_path, kind):
    store = tmp_path / "place" / "store"
    store.parent.mkdir()
    if kind == "closed":
        store.mkdir(mode=0o555)
    elif kind == "parent closed":
        store.parent.chmod(0o555)
    elif kind == "file":
        store.write_text("a file")
    elif kind == "below a file":
        store.write_text("a file")
        store = store / "store"
    else:
        store.mkdir()
        (store / "format").write_text("mlrun store, format 1\n")
        store.chmod(0o555)
    elsewhere = project.with_variables(MLRUN_STORE=str(store))

    done = elsewhere.mlrun("exec", "train")

    assert done.code == 30, str(done)
    assert done.out == ""
    assert str(store.parent) in done.err
    assert "hint: " in done.err
    assert "MLRUN_STORE" in done.err


@ordinary
def test_a_store_that_may_only_be_read_can_be_read(make, tmp_path):
    project = make(YAML, FILES).with_variables(MLRUN_STORE=str(tmp_path / "store"))
    project.succeeds("exec", "train")
    close(tmp_path / "store")

    assert [run["counter"] for run in project.runs()] == [1]
    assert project.log() == "some words\n"
    assert project.outputs("latest", tmp_path / "results") == {"code.py": b"changed\n"}
    assert "hint: " in project.refused("exec", "train", code=30)


@ordinary
def test_an_input_that_may_not_be_read_is_told(project):
    project.write("secret.csv", "1").chmod(0)

    done = project.fails("exec", "train", "--data", "secret.csv", code=41)

    assert "secret.csv" in done.err
    assert "ermission denied" in done.err
    assert project.show()["nodes"]["train"]["reason"] == "input"


@ordinary
def test_code_that_may_not_be_read_is_told_and_recorded_as_not_captured(project):
    (project.folder / "deep" / "more.py").chmod(0)

    done = project.succeeds("exec", "train")

    assert "not captured: deep/more.py: it may not be read" in done.err
    code = project.show()["code"]
    assert code["dirty"]
    assert code["not_captured"] == ["deep/more.py: it may not be read"]


@ordinary
def test_a_yaml_file_that_may_not_be_read_is_told(project):
    (project.folder / "valohai.yaml").chmod(0)

    said = project.refused("exec", "train", code=10)

    assert "valohai.yaml" in said
    assert "may not be read" in said


@ordinary
def test_init_in_a_folder_that_may_not_be_written_is_told(command, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o555)

    done = command.run("init", "closed/iris", folder=tmp_path)

    assert done.code == 2, str(done)
    assert "hint: " in done.err
    assert os.listdir(tmp_path / "closed") == []


@ordinary
def test_outputs_into_a_folder_that_may_not_be_written_is_told(project, tmp_path):
    project.succeeds("exec", "train")
    (tmp_path / "closed").mkdir(mode=0o555)

    done = project.mlrun("outputs", "latest", "-d", tmp_path / "closed")

    assert done.code not in {0, 3}, str(done)
    assert "closed" in done.err
    assert "hint: " in done.err


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_repository_of_another_user_is_told_with_what_git_says_about_it(project):
    for path in [project.folder, *project.folder.rglob("*")]:
        os.chown(path, 65534, 65534, follow_symlinks=False)

    done = project.mlrun("exec", "train")

    if done.code:
        assert "hint: " in done.err
        assert "safe.directory" in done.err
    else:
        assert project.show()["code"]["commit"]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_as_an_ordinary_user(root, python):
    script = root / "tests" / "machine" / "unprivileged.sh"
    words = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not ordinary_user", str(Path(__file__))]

    done = subprocess.run([script, *words], cwd=root, capture_output=True, text=True, timeout=120, check=False)

    if done.returncode == 10:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
    assert "root may write" not in done.stdout


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_wide_pipeline_of_a_user_who_may_have_few_processes(root):
    nodes = "".join(f"      - {{name: n{number}, type: execution, step: train}}\n" for number in range(80))
    yaml = "- step: {name: train, image: x, command: 'true'}\n- pipeline:\n    name: wide\n    edges: []\n    nodes:\n"
    script = 'cd && printf %s "$0" >valohai.yaml && MLRUN_STORE=$HOME/store MLRUN_EXECUTOR=process exec "$@"'
    words = ["prlimit", "--nproc=64", COMMAND, "pipeline", "wide", "--no-git", "--no-reuse", "--jobs", "2"]
    user = root / "tests" / "machine" / "unprivileged.sh"

    done = subprocess.run(
        [user, "bash", "-c", script, yaml + nodes, *words], cwd=root, capture_output=True, text=True, check=False
    )

    if done.returncode == 10:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout + done.stderr
