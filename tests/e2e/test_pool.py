"""Pools and retries as the user's settings say: within one run, and across all that are under way on the machine."""

import signal
from itertools import pairwise
from pathlib import Path

import pytest

from runner.store.pool import Pools

YAML = """\
- step:
    name: guarded
    image: busybox
    command:
      - date +%s%N > /valohai/outputs/began.txt
      - sleep 0.2
      - date +%s%N > /valohai/outputs/ended.txt
- step: {name: loose, image: busybox, command: "true"}
- step: {name: flaky, image: busybox, command: "echo again; exit 7"}
- policy: {step: guarded, pool: port}
- policy: {step: loose, pool: nowhere}
- policy: {step: flaky, retries: 1}
- pipeline:
    name: p
    nodes:
      - {name: a, type: execution, step: guarded}
      - {name: b, type: execution, step: guarded}
      - {name: c, type: execution, step: guarded}
    edges: []
- pipeline:
    name: again
    nodes: [{name: f, type: execution, step: flaky, on-error: continue}]
    edges: []
"""
WAITS = "step `guarded` waits for pool `port`, held by another run"


@pytest.fixture
def project(make, tmp_path):
    settings = tmp_path / "config" / "mlrun" / "settings.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("jobs = 3\nretry-delay = 0\n[pools]\nport = 1\n")
    return make(YAML).with_variables(XDG_CONFIG_HOME=str(tmp_path / "config"), XDG_CACHE_HOME=str(tmp_path / "cache"))


def held_elsewhere(tmp_path: Path) -> Pools:
    """What another run has: the only place."""
    pools = Pools(tmp_path / "cache" / "mlrun" / "pools")
    assert pools.take("port", 1, "another run") is not None
    return pools


def test_executions_in_a_mutex_never_run_at_the_same_time(project, tmp_path) -> None:
    done = project.succeeds("pipeline", "p", "--no-reuse")
    assert "waits for pool" not in done.out + done.err
    spans = []
    for node in "abc":
        found = project.outputs(node_of(project, node), tmp_path / node)
        spans.append((int(found["began.txt"]), int(found["ended.txt"])))
    spans.sort()
    assert all(ended <= began for (_, ended), (began, _) in pairwise(spans)), spans


def node_of(project, node: str) -> str:
    """The execution of a node of the latest run."""
    return next(str(one["counter"]) for one in project.show()["executions"].values() if one["node"] == node)


def test_an_execution_waits_for_the_place_that_another_run_has(project, tmp_path) -> None:
    others = held_elsewhere(tmp_path)
    running = project.start("exec", "guarded")
    running.until(WAITS)
    others.close()
    done = running.end()
    assert done.code == 0, str(done)
    assert (done.out + done.err).count(WAITS) == 1


def test_ctrl_c_ends_who_waits_for_a_place(project, tmp_path) -> None:
    others = held_elsewhere(tmp_path)
    running = project.start("exec", "guarded")
    running.until(WAITS)
    running.signal(signal.SIGINT)
    done = running.end()
    assert done.code == 130, str(done)
    assert project.show()["state"] == "stopped"
    others.close()
    project.succeeds("exec", "guarded")


def test_a_place_is_free_again_once_its_run_was_killed(project) -> None:
    running = project.start("exec", "guarded")
    running.until("running")
    running.signal(signal.SIGKILL)
    running.end()
    project.succeeds("exec", "guarded")


def test_a_pool_without_a_size_bounds_nothing_and_the_run_says_so(project) -> None:
    done = project.succeeds("exec", "loose")
    assert (done.out + done.err).count("pool `nowhere` bounds nothing") == 1


def test_a_policy_says_how_often_a_failed_execution_is_run_again(project) -> None:
    project.succeeds("pipeline", "again")
    attempts = [one for one in project.show()["executions"].values() if one["node"] == "f"]
    assert [(one["state"], one["exit_code"]) for one in attempts] == [("failed", 7)] * 2
    project.fails("exec", "flaky", code=1)
    assert len(project.show()["executions"]) == 2
