"""The wheel, as somebody installs it who has never seen the checkout. Slow, and last by its name."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PATIENCE = 300


def run(*words: str | Path, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **variables}
    # Where packages come from is this machine's business.
    passed = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name.endswith("_proxy")}
    home = {"HOME": os.environ.get("HOME", str(folder))}
    return subprocess.run(
        words,
        cwd=folder,
        env={**home, **passed, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    words = ["-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--wheel-dir", str(folder)]
    done = run(sys.executable, *words, str(root), folder=folder)
    if done.returncode and "Could not find a version that satisfies the requirement hatchling" in done.stderr:
        pytest.skip("no package index is in reach to build the wheel with")
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A clean environment with nothing but the wheel and what it asks for; gives its folder of programs."""
    folder = tmp_path_factory.mktemp("clean")
    done = run(sys.executable, "-m", "venv", str(folder / "venv"), folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    programs = folder / "venv" / "bin"
    done = run(
        programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel, folder=folder
    )
    if done.returncode and "No matching distribution found" in done.stderr:
        pytest.skip("no package index is in reach to install from")
    assert done.returncode == 0, done.stdout + done.stderr
    return programs


def test_the_wheel_has_the_schema_and_the_example_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())

    for name in (
        "runner/cli/main.py",
        "runner/_data/schemas/valohai.schema.json",
        "runner/_data/example/valohai.yaml.example",
        "runner/_data/example/steps/train.py",
        "runner/_data/example/steps/requirements.txt",
        "runner/_data/example/steps/iris/rule.py",
    ):
        assert name in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"runner", "mlrun_yaml"}
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_the_installed_command_makes_and_checks_a_project(installed, tmp_path):
    where = {"MLRUN_STORE": str(tmp_path / "store"), "HOME": str(tmp_path), "PATH": f"{installed}:{os.environ['PATH']}"}

    def mlrun(*words: str, folder: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        done = run(installed / "mlrun", *words, folder=folder, **where)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    assert mlrun("--version").stdout.startswith("mlrun ")
    mlrun("init", "iris")
    assert "0 errors" in mlrun("lint", folder=tmp_path / "iris").stderr
    assert "train" in mlrun("exec", "train", "--help", folder=tmp_path / "iris").stdout
    mlrun("doctor")
    mlrun("list", folder=tmp_path / "iris")


def test_the_installed_command_runs_a_step(installed, tmp_path, embedded):
    (tmp_path / "valohai.yaml").write_text("- step: {name: hello, image: busybox, command: python -c 'print(6 * 7)'}\n")

    done = run(
        installed / "mlrun",
        "exec",
        "--no-git",
        "--executor",
        embedded,
        "hello",
        folder=tmp_path,
        MLRUN_STORE=str(tmp_path / "store"),
        HOME=str(tmp_path),
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "42\n"
