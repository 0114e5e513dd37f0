"""A chain of container steps as one command, beside the containers alone and beside another tool's chain."""

import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import docker as sdk
from docker.utils import kwargs_from_env

from benchmarks.bare import container_request
from benchmarks.chain import run_pipeline
from benchmarks.container import IMAGE, check_image, run_bare
from benchmarks.measure import Lane, race, timed
from benchmarks.peer import find_peer
from benchmarks.project import chain_text, make_project
from benchmarks.report import LeftOut, Report, Row
from benchmarks.setting import Setting, run
from runner.executors import Site
from runner.job import Network
from runner.settings import Settings


def measure(setting: Setting) -> Report:
    """A chain of 10 `true` steps in Docker beside ten bare containers and, on request, beside the same in cwltool."""
    store = Path(os.environ["MLRUN_STORE"])
    check_image(Site(store, store / "cache"))
    length = setting.size(10, 3)
    project = make_project(setting.folder / "project", chain_text(length, IMAGE))
    settings = Settings(store, executor="docker", network=Network.NONE)
    request = container_request(setting.folder, IMAGE, settings)
    words = ["mlrun", "pipeline", "chain", "--executor", "docker", "--network", "none", "--no-reuse"]
    api = sdk.APIClient(**kwargs_from_env(), version="auto")
    api.trust_env = False
    notes = ["the bare containers have the steps' own configuration; all without a network"]
    lanes = [
        _steps(project, settings),
        timed("bare", lambda: [run_bare(api, request) for _ in range(length)]),
        timed("command", lambda: run(words, project)),
    ]
    try:
        lanes.append(timed("peer", _peer(setting, length)))
        notes.append("cwltool: `--parallel` off, its own default, and images pulled by nobody")
    except LeftOut as reason:
        notes.append(str(reason))
    try:
        found = race(lanes, setting.rounds_or(5))
    finally:
        api.close()
    bare = (found["bare"], "bare containers")
    rows = [
        Row(
            f"{length} steps of mlrun, from the record of the run to the end of the last",
            found["steps"],
            bare,
            "1.15 ×",
        ),
        Row(f"{length} × create, start, wait, remove", found["bare"]),
        Row("mlrun pipeline, the whole command", found["command"], bare),
    ]
    if "peer" in found:
        rows.append(Row("cwltool, the whole command", found["peer"], (found["command"], "mlrun"), "≥ 2 ×"))
    return Report(rows, notes)


def _steps(project: Path, settings: Settings) -> Lane:
    def lane() -> Mapping[str, float]:
        began = time.perf_counter()
        begin, ends = run_pipeline(project, "chain", settings)
        return {"steps": ends[-1] - began - begin}

    return lane


def _peer(setting: Setting, length: int) -> Any:
    """What runs the same chain as a workflow of the Common Workflow Language. Raises LeftOut."""
    peer = find_peer(setting, "cwltool")
    if shutil.which("docker") is None:
        raise LeftOut("cwltool needs the command `docker`")
    folder = setting.folder / "cwltool"
    folder.mkdir()
    tool = {
        "cwlVersion": "v1.2",
        "class": "CommandLineTool",
        "baseCommand": "true",
        "requirements": {"DockerRequirement": {"dockerImageId": IMAGE, "dockerPull": IMAGE}},
        "inputs": {"after": {"type": "Any?"}},
        "outputs": {"done": {"type": "File[]", "outputBinding": {"glob": "nothing*"}}},
    }
    steps = {
        f"n{number}": {
            "run": "true.cwl",
            "in": {"after": f"n{number - 1}/done"} if number else {},
            "out": ["done"],
        }
        for number in range(length)
    }
    workflow = {"cwlVersion": "v1.2", "class": "Workflow", "inputs": {}, "outputs": {}, "steps": steps}
    (folder / "true.cwl").write_text(json.dumps(tool))
    (folder / "chain.cwl").write_text(json.dumps(workflow))
    words = [peer.program, "--quiet", "--disable-pull", "--no-match-user", "chain.cwl"]
    return lambda: run(words, folder)
