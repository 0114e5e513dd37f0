"""What a step costs in Docker beyond the container itself."""

import os
from pathlib import Path
from typing import Any

import docker as sdk
from docker.utils import kwargs_from_env

from benchmarks.bare import container_request
from benchmarks.chain import chain_lane
from benchmarks.measure import race, timed
from benchmarks.project import chain_text, make_project
from benchmarks.report import LeftOut, Report, Row
from benchmarks.setting import Setting
from runner.executors.docker import DockerExecutor
from runner.executors.site import Site
from runner.job import Network
from runner.settings import Settings

IMAGE = "mlrun-test/busybox:1"
HINT = "`python tests/machine/engine.py run -- python -m benchmarks docker` starts one with it"


def measure(setting: Setting) -> Report:
    """A chain of `true` steps beside create, start, wait and remove of the same container, three of each in turn."""
    store = Path(os.environ["MLRUN_STORE"])
    check_image(Site(store, store / "cache"))
    project = make_project(setting.folder / "project", chain_text(4, IMAGE))
    # A private engine may have no bridge, and setting up a network is not what is measured here.
    settings = Settings(store, executor="docker", network=Network.NONE)
    request = container_request(setting.folder, IMAGE, settings)
    api = sdk.APIClient(**kwargs_from_env(), version="auto")
    api.trust_env = False
    try:
        lanes = [chain_lane("step", project, settings), timed("bare", lambda: run_bare(api, request), times=3)]
        found = race(lanes, setting.rounds_or(10))
    finally:
        api.close()
    step, bare = found["step"], found["bare"]
    rows = [
        Row("a step of mlrun", step, (bare, "bare container")),
        Row("create, start, wait, remove", bare),
        Row("overhead", step - bare, None, "< 50 ms"),
        Row("once per run, before the first step", found["step: begin"]),
    ]
    return Report(rows, ["the bare container has the step's own configuration; both without a network"])


def check_image(site: Site) -> None:
    """Look for the image. Raises LeftOut where no engine answers or the one that does has not got the image."""
    executor = DockerExecutor(site)
    probe = executor.probe()
    if not probe.works:
        raise LeftOut(f"{probe.sentence}; {HINT}")
    try:
        found = executor.resolve(IMAGE)
    finally:
        executor.close()
    if found is None:
        raise LeftOut(f"the engine has no image `{IMAGE}`; {HINT}")


def run_bare(api: Any, request: dict[str, Any]) -> None:
    """Create, start, wait and remove. Raises RuntimeError for a container that fails."""
    container = api.create_container_from_config(request)["Id"]
    try:
        api.start(container)
        status = api.wait(container)["StatusCode"]
    finally:
        api.remove_container(container, force=True)
    if status != 0:
        raise RuntimeError(f"the bare container ended with {status}")
