"""The variables that hold results still, as steps find them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.repeating import FILES, YAML


@pytest.fixture
def project(make: Callable[..., Any], tmp_path: Path) -> Any:
    """A project with a store of its own."""
    return make(YAML, FILES).with_variables(MLRUN_STORE=str(tmp_path / "store"))


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


@pytest.mark.parametrize("executor", ["process", "sandbox"])
def test_steps_get_them_whoever_runs_them_and_whatever_the_caller_has(
    make: Callable[..., Any], tmp_path: Path, request: pytest.FixtureRequest, executor: str
) -> None:
    if executor == "sandbox":
        request.getfixturevalue("sandbox")
    callers = {"TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "99", "SOURCE_DATE_EPOCH": "5"}
    project = make("- step:\n    name: look\n    image: busybox\n    command: [env > $VH_OUTPUTS_DIR/env.txt]\n")
    project.with_variables(**callers).succeeds("exec", "--executor", executor, "look")

    seen = project.outputs("latest", tmp_path / "out")["env.txt"].decode().splitlines()
    found = dict(line.split("=", 1) for line in seen if "=" in line)
    defaults = project.show("latest")["job"]["defaults"]
    assert defaults.keys() == FIXED | {"OMP_NUM_THREADS"}
    assert {name: found.get(name) for name in defaults} == defaults
    assert not callers.items() & found.items()


def test_a_new_commit_changes_none_of_them_so_that_nothing_runs_again(project: Any) -> None:
    project.succeeds("pipeline", "whole")
    project.git("commit", "--quiet", "--allow-empty", "--message", "later", "--date", "2030-01-01T00:00:00")

    project.succeeds("pipeline", "whole")

    assert {node["state"] for node in project.show("run:latest")["nodes"].values()} == {"reused"}
