"""Runs that go on: after their runner was killed, after Ctrl-C, after a person has decided; and in the background."""

import os
import random
import signal
import time

import pytest

from tests.patience import wait_for

KILLS = int(os.environ.get("MLRUN_TEST_KILLS", "4"))
"""How often the runner of the long pipeline is killed; `make test-kill` does so more often."""

STEP = """\
- step:
    name: work
    image: mlrun-test/busybox:1
    command:
      - sleep {parameter-value:seconds}
      - echo "{\\"me\\":" {parameter-value:me}"}"
      - cat /dev/null "$VH_INPUTS_DIR"/above/* > "$VH_OUTPUTS_DIR/all.txt" 2>/dev/null || true
      - echo {parameter-value:me} >> "$VH_OUTPUTS_DIR/{parameter-value:me}.txt"
    parameters:
      - {name: me, type: integer}
      - {name: seconds, type: float, default: 0.05}
    inputs:
      - {name: above, optional: true}
"""

NODES = 20


def graph() -> str:
    """Twenty nodes, each below the one or two before it."""
    lines = [STEP, "- pipeline:\n", "    name: long\n", "    nodes:\n"]
    for number in range(NODES):
        override = f"override: {{parameters: [{{name: me, default: {number}}}]}}"
        lines.append(f"      - {{name: n{number}, type: execution, step: work, {override}}}\n")
    lines.append("    edges:\n")
    for number in range(1, NODES):
        lines += [
            f"      - [n{above}.output.*, n{number}.input.above]\n" for above in {number - 1, number // 2} - {number}
        ]
    return "".join(lines)


SMALL = """\
- step:
    name: quick
    image: mlrun-test/busybox:1
    command: echo made > "$VH_OUTPUTS_DIR/made.txt"
    inputs:
      - {name: above, optional: true}
- step:
    name: slow
    image: mlrun-test/busybox:1
    command:
      - echo ready
      - sleep {parameter-value:seconds}
      - cat "$VH_INPUTS_DIR"/above/* > "$VH_OUTPUTS_DIR/slow.txt"
    parameters:
      - {name: seconds, type: float, default: 0.1}
    inputs:
      - {name: above, optional: true}
    environment-variables:
      - {name: TOKEN, optional: true}
- pipeline:
    name: three
    parameters:
      - {name: seconds, targets: [second.parameter.seconds], default: 0.1}
    nodes:
      - {name: first, type: execution, step: quick}
      - {name: second, type: execution, step: slow}
      - {name: third, type: execution, step: quick}
    edges:
      - [first.output.*, second.input.above]
      - [second.output.*, third.input.above]
- pipeline:
    name: last
    parameters:
      - {name: seconds, targets: [third.parameter.seconds], default: 0.1}
    nodes:
      - {name: first, type: execution, step: quick}
      - {name: second, type: execution, step: quick}
      - {name: third, type: execution, step: slow}
    edges:
      - [first.output.*, second.input.above]
      - [second.output.*, third.input.above]
- pipeline:
    name: gate
    nodes:
      - {name: first, type: execution, step: quick}
      - name: second
        type: execution
        step: quick
        actions:
          - {when: node-starting, then: require-approval}
      - {name: third, type: execution, step: quick}
    edges:
      - [first.output.*, second.input.above]
      - [second.output.*, third.input.above]
- pipeline:
    name: checked
    nodes:
      - name: first
        type: execution
        step: quick
        actions:
          - {when: node-complete, then: require-approval}
      - {name: second, type: execution, step: quick}
    edges:
      - [first.output.*, second.input.above]
"""


UNLIKE = (
    SMALL
    + """\
- step:
    name: fail
    image: mlrun-test/busybox:1
    command: sleep 2; exit 4
- step:
    name: lack
    image: mlrun-test/busybox:1
    command: echo never
    inputs:
      - {name: data}
- pipeline:
    name: unlike
    nodes:
      - {name: first, type: execution, step: quick}
      - {name: late, type: execution, step: fail, on-error: stop-next}
      - {name: lacking, type: execution, step: lack, on-error: stop-next}
    edges:
      - [first.output.nothing.txt, lacking.input.data]
"""
)
"""With a node that fails early because its input is not to be had, and one whose program fails later."""


@pytest.fixture
def project(make):
    return make(SMALL)


def killed(running) -> None:
    """The runner dies and cannot say anything any more."""
    os.killpg(running.pid, signal.SIGKILL)
    running.process.wait()


def attempts(run) -> dict[str, list[str]]:
    """By node, how each of its executions ended."""
    return {name: [run["executions"][id]["state"] for id in node["executions"]] for name, node in run["nodes"].items()}


def test_a_finished_node_never_runs_again_however_often_the_runner_is_killed(make):
    project = make(graph())
    chance = random.Random(os.environ.get("MLRUN_TEST_SEED", "7"))
    kills = 0
    while kills < KILLS:
        before = len(project.runs())
        running = project.start("pipeline", "long", "--no-reuse", "-j", "4")
        wait_for(lambda before=before: len(project.runs()) > before, "recorded run")
        while kills < KILLS:
            time.sleep(chance.uniform(0.2, 1.5))
            if running.process.poll() is not None:
                break
            killed(running)
            kills += 1
            running = project.start("resume", "latest")
        done = running.end()
        # It may have been killed between the end of the run and its own.
        assert done.code == 0 or "nothing of it is left to do" in done.err, str(done)
        check_whole(project.show())
    assert "nothing is missing" in project.succeeds("store", "check").out


def check_whole(run) -> None:
    """Every node has succeeded, once, and got what is above it."""
    assert run["state"] == "succeeded"
    assert {node["state"] for node in run["nodes"].values()} == {"succeeded"}
    for name, ends in attempts(run).items():
        assert ends[-1] == "succeeded", (name, ends)
        assert set(ends[:-1]) <= {"interrupted"}, (name, ends)
    last = run["executions"][run["nodes"][f"n{NODES - 1}"]["executions"][-1]]
    assert {output["name"] for output in last["outputs"]} == {"all.txt", f"{NODES - 1}.txt"}


def test_after_ctrl_c_the_rest_runs_with_the_code_and_values_of_then(project):
    running = project.start("pipeline", "three", "--seconds", "30")
    running.until("ready")
    running.signal(signal.SIGINT)
    assert running.end().code == 130
    project.write("valohai.yaml", SMALL.replace("seconds}\n", "seconds}; exit 9\n"))

    refused = project.mlrun("resume", "run:99")
    assert refused.code == 2, str(refused)
    again = project.start("resume", "latest")
    again.until("ready")
    run = project.show()
    assert run["nodes"]["second"]["state"] == "running"
    assert run["executions"][run["nodes"]["second"]["executions"][-1]]["job"]["parameters"] == {"seconds": 30.0}
    again.signal(signal.SIGINT)
    again.end()

    assert attempts(project.show()) == {"first": ["succeeded"], "second": ["stopped", "stopped"], "third": []}


def test_what_is_kept_is_told_apart_from_what_was_reused(made):
    project = made(SMALL)
    project.succeeds("exec", "quick")
    for options, said in (((), "3 nodes, 1 kept, 1 reused"), (("--no-reuse",), "3 nodes, 2 kept")):
        running = project.start("pipeline", *options, "last", "--seconds", "30")
        running.until("ready")
        running.signal(signal.SIGINT)
        running.end()
        again = project.start("resume", "latest")
        again.until("ready")
        again.signal(signal.SIGINT)
        lines = again.end().err.splitlines()
        assert [line for line in lines if line == said or line.startswith(f"{said}, about")], lines


def test_a_run_that_has_succeeded_or_is_driven_does_not_go_on(project):
    project.succeeds("pipeline", "three")
    assert "nothing of it is left to do" in project.refused("resume", "latest", code=2)

    running = project.start("pipeline", "three", "--seconds", "30")
    running.until("ready")
    assert "is under way: process" in project.refused("resume", "latest", code=31)
    running.signal(signal.SIGINT)
    running.end()


def test_a_secret_that_is_gone_is_told(project, tmp_path):
    secrets = tmp_path / "secrets.env"
    secrets.write_text("TOKEN=very-secret-word\n")
    running = project.start("pipeline", "three", "--seconds", "30", "--env-file", str(secrets))
    running.until("ready")
    killed(running)

    done = project.mlrun("resume", "latest")
    assert done.code not in (0, 1), str(done)
    assert "had the secret `TOKEN`, which is not set any more" in done.err
    assert "very-secret-word" not in str(project.show())


def test_a_parked_run_is_approved_and_goes_on(project):
    parked = project.mlrun("pipeline", "gate", "--no-reuse")
    assert parked.code == 60, str(parked)
    assert project.show()["state"] == "waiting"
    assert project.succeeds("list", "runs", "--json").json()[0]["state"] == "waiting"
    assert "no node `secnd`" in project.refused("approve", "latest", "secnd", code=2)
    assert "`first` of run" in project.refused("approve", "latest", "first", code=2)

    project.succeeds("approve", "latest", "second")

    run = project.show()
    assert run["state"] == "succeeded"
    assert attempts(run) == {"first": ["succeeded"], "second": ["succeeded"], "third": ["succeeded"]}
    (decision,) = run["nodes"]["second"]["decisions"]
    assert decision["approved"]
    assert "@" in decision["by"]
    assert "nothing of it awaits approval" in project.refused("approve", "latest", code=2)


def test_a_parked_run_is_rejected_and_asks_again_when_it_goes_on(project):
    project.fails("pipeline", "gate", "--no-reuse", code=60)
    project.succeeds("reject", "latest")
    run = project.show()
    assert (run["state"], run["nodes"]["second"]["state"], run["nodes"]["third"]["state"]) == (
        "stopped",
        "stopped",
        "skipped",
    )
    project.fails("resume", "latest", code=60)
    project.succeeds("resume", "latest", "--auto-approve")
    assert attempts(project.show())["first"] == ["succeeded"]


def test_what_succeeded_before_it_was_approved_need_not_run_again(project):
    project.fails("pipeline", "checked", "--no-reuse", code=60)
    project.succeeds("reject", "latest", "first")
    project.succeeds("resume", "latest", "--auto-approve")
    assert attempts(project.show()) == {"first": ["succeeded"], "second": ["succeeded"]}


def test_a_parked_run_can_be_stopped(project):
    project.fails("pipeline", "gate", "--no-reuse", code=60)
    assert "stopped" in project.succeeds("stop", "run:latest").err
    assert project.show()["state"] == "stopped"


def test_all_is_approved_beforehand(project):
    project.succeeds("pipeline", "gate", "--no-reuse", "--auto-approve")
    assert project.show()["nodes"]["second"]["decisions"][0]["approved"]


def test_the_process_that_drives_a_run_is_told_of_an_approval(make):
    project = make(
        SMALL.replace(
            "      - {name: first, type: execution, step: quick}\n      - name: second",
            """\
      - {name: first, type: execution, step: quick}
      - {name: busy, type: execution, step: slow, override: {parameters: [{name: seconds, default: 60}]}}
      - name: second""",
        )
    )
    running = project.start("pipeline", "gate", "--no-reuse")
    running.until("awaiting approval")
    project.succeeds("approve", "latest", "second")
    running.until("third: succeeded")
    running.signal(signal.SIGINT)
    running.end()
    assert attempts(project.show())["second"] == ["succeeded"]


def test_a_run_in_the_background_is_named_and_can_be_watched(project):
    done = project.succeeds("pipeline", "three", "--no-reuse", "--detach", "--seconds", "1")
    counter = project.runs()[0]["counter"]
    assert done.out == f"run:{counter}\n"
    watched = project.succeeds("watch", f"run:{counter}")
    assert "third: succeeded" in watched.err + watched.out
    run = project.show(f"run:{counter}")
    assert run["state"] == "succeeded"


def test_a_run_in_the_background_outlives_its_terminal_and_can_be_stopped(project):
    project.succeeds("pipeline", "three", "--no-reuse", "--detach", "--seconds", "60")
    owner = project.show()["owner"]["pid"]
    assert os.getsid(owner) == owner
    os.kill(owner, signal.SIGHUP)
    wait_for(lambda: project.show()["nodes"]["second"]["state"] == "running", "second node")
    watching = project.start("watch")
    watching.until("ready")
    watching.signal(signal.SIGINT)
    assert watching.end().code == 130
    assert project.show()["state"] == "running"
    project.succeeds("stop")
    assert project.show()["state"] == "stopped"
    assert project.mlrun("watch", "latest").code == 1


def test_who_watches_ends_as_the_command_that_drove_the_run(make):
    project = make(UNLIKE)
    assert project.mlrun("pipeline", "unlike").code == 41
    run = project.show()
    assert [run["nodes"][name]["reason"] for name in ("late", "lacking")] == ["exit", "input"]
    assert (run["exit_code"], project.mlrun("watch", "latest").code) == (41, 41)

    assert project.mlrun("resume", "latest").code == 41
    running = project.start("pipeline", "three", "--seconds", "30")
    running.until("ready")
    running.signal(signal.SIGTERM)
    assert running.end().code == 143
    assert project.mlrun("watch", "latest").code == 143


def test_what_keeps_a_run_from_beginning_is_told_before_it_is_in_the_background(project):
    assert "is not a number" in project.refused("pipeline", "three", "--seconds", "x", "--detach", code=2)
    assert "has no option" in project.refused("pipeline", "three", "--nobody.x", "1", "--detach", code=2)


@pytest.mark.docker
def test_a_container_that_outlived_its_runner_is_adopted(make, docker):
    docker("mlrun-test/busybox:1")
    project = make(SMALL).with_variables(MLRUN_EXECUTOR="docker")
    alone = ("--network", "none")
    running = project.start("pipeline", *alone, "three", "--no-reuse", "--seconds", "8")
    running.until("ready")
    killed(running)

    other = project.succeeds("exec", *alone, "quick")
    assert "its container still runs: `mlrun resume run:" in other.err
    done = project.succeeds("resume", "run:1")

    run = project.show("run:1")
    assert attempts(run) == {"first": ["succeeded"], "second": ["succeeded"], "third": ["succeeded"]}, str(done)
    second = run["nodes"]["second"]["executions"][0]
    assert project.log(second) == "ready\n"
    assert run["executions"][second]["duration"] > 7
    assert run["executions"][second]["outputs"][0]["name"] == "slow.txt"


@pytest.mark.docker
def test_a_container_that_outlived_its_runner_is_ended_on_request(make, docker):
    docker("mlrun-test/busybox:1")
    project = make(SMALL).with_variables(MLRUN_EXECUTOR="docker")
    running = project.start("pipeline", "--network", "none", "three", "--no-reuse", "--seconds", "300")
    running.until("ready")
    second = project.show()["nodes"]["second"]["executions"][0]
    killed(running)
    project.succeeds("stop", "run:latest")
    client = pytest.importorskip("docker").from_env()
    try:
        assert not [one for one in client.containers.list(all=True) if second in one.name]
    finally:
        client.close()
    assert project.show()["state"] == "interrupted"
