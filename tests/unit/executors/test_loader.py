import subprocess
import sys

from runner.executors import EXECUTORS, Site
from runner.job import Executor


def test_every_executor_is_listed_under_its_own_name(tmp_path):
    made = {name: load(Site(tmp_path / "store", tmp_path / "cache")) for name, load in EXECUTORS.items()}

    assert {name: executor.name for name, executor in made.items()} == {name: name for name in EXECUTORS}
    assert set(EXECUTORS) == {"docker", "sandbox", "process"}
    assert list(tmp_path.iterdir()) == []


def test_every_executor_has_the_methods_of_the_protocol(tmp_path):
    wanted = {name for name in vars(Executor) if not name.startswith("_")} - {"name"}
    for load in EXECUTORS.values():
        assert wanted <= set(dir(load(Site(tmp_path, tmp_path))))


def test_listing_the_executors_and_asking_where_no_engine_is_loads_no_sdk(tmp_path):
    code = """
import sys
from pathlib import Path
from runner.executors import EXECUTORS, Site
assert "runner.executors.docker" not in sys.modules, "loaded"
site = Site(Path("/nowhere"), Path("/nowhere"), None, {"DOCKER_HOST": "unix:///nowhere/socket", "HOME": "/nowhere"})
assert not EXECUTORS["docker"](site).probe().works
print(sorted({"docker", "requests", "urllib3"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
