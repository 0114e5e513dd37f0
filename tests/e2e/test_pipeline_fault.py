"""Pipelines in which something is wrong: values and files that do not fit, programs that never end, names that nobody
expects. One line says what and where, the others go on as `on-error` says, and what was done stays done."""

import json
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import Make, Project

STEPS = """\
- step:
    name: make
    image: busybox
    command:
      - found={parameter-value:found}; echo "{\\"found\\":$found}"
      - echo x > "$VH_OUTPUTS_DIR/x.txt"
    parameters:
      - {name: found, type: string, default: '5'}
- step:
    name: take
    image: busybox
    command: cat "$VH_CONFIG_DIR/parameters.json"
    parameters:
      - {name: n, type: integer, default: 1, min: 0, max: 9}
    inputs:
      - {name: data, optional: true}
- step:
    name: need
    image: busybox
    command: ls "$VH_INPUTS_DIR/data"
    inputs:
      - {name: data}
- step:
    name: hang
    image: busybox
    command:
      - echo ready
      - trap '' TERM
      - while :; do sleep {parameter-value:seconds}; done
    parameters:
      - {name: seconds, type: integer, default: 1000}
- step:
    name: late
    image: busybox
    time-limit: 1
    command:
      - if [ {parameter-value:n} -eq 2 ]; then sleep 1000; fi
      - echo x > "$VH_OUTPUTS_DIR/x.txt"
    parameters:
      - {name: n, type: integer, default: 2}
- step:
    name: silent
    image: busybox
    no-output-timeout: 1
    command: if [ {parameter-value:n} -eq 2 ]; then sleep 1000; fi
    parameters:
      - {name: n, type: integer, default: 2}
"""


def pipeline(nodes: str, edges: str = "") -> str:
    """The steps above with a pipeline `p` of nodes `NAME=STEP[:on-error] …` and an edge per line."""
    lines = [STEPS, "- pipeline:\n", "    name: p\n", "    nodes:\n"]
    for word in nodes.split():
        name, _, step = word.partition("=")
        step, _, told = step.partition(":")
        lines.append(f"      - {{name: {name}, type: execution, step: {step}, on-error: {told or 'stop-all'}}}\n")
    wires = "".join(f"      - [{edge.strip()}]\n" for edge in edges.splitlines() if edge.strip())
    return "".join([*lines, "    edges:\n" + wires if wires else "    edges: []\n"])


def states(project: Project) -> dict[str, str]:
    return {name: node["state"] for name, node in project.show()["nodes"].items()}


def detail(project: Project, node: str) -> str:
    """What is told of the end of `node`: its reason and one line."""
    shown = project.show()["nodes"][node]
    assert "\n" not in shown["detail"]
    return f"{shown['reason']}: {shown['detail']}"


# --- what is refused before anything runs


@pytest.mark.parametrize(
    ("nodes", "edges", "said"),
    [
        ("a=need", "a.output.*, a.input.data", "`a`"),
        ("a=need b=need", "a.output.*, b.input.data\nb.output.*, a.input.data", "wait for each other"),
        ("a=make b=take", "a.metadata.found, b.parameter.m", "no parameter `m`"),
        ("a=make b=take", "a.metadata.found, b.input.data", "cannot carry metadata to input"),
        ("a=make", "a.output.*, b.input.data", "no node `b`"),
        ("a=make a=take", "", "`a`"),
        ("a=make b=need", "", "`data`"),
    ],
    ids=["itself", "cycle", "no parameter", "no way", "dead end", "twice", "nothing for an input"],
)
def test_a_graph_that_cannot_work_runs_nothing(make: Make, nodes: str, edges: str, said: str) -> None:
    project = make(pipeline(nodes, edges))
    assert said in project.refused("pipeline", "p", code=2 if said == "`data`" else 10)


# --- what only shows while it runs


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ("[1, 2]", "takes one value, not a list (`n` takes an integer from 0 to 9; a list needs"),
        ('"deep"', "`deep` is not an integer"),
        ("2.5", "2.5"),
        ("77", "77"),
        ('{"a": 1}', "n"),
    ],
)
@pytest.mark.parametrize("told", ["stop-next", "continue"])
def test_a_value_that_does_not_fit_ends_its_node_alone(make: Make, found: str, said: str, told: str) -> None:
    project = make(
        pipeline(
            f"a=make b=take:{told} c=take d=take",
            "a.metadata.found, b.parameter.n\nb.dependency.x, c.dependency.x\na.dependency.x, d.dependency.x",
        )
    )
    done = project.fails("pipeline", "p", "--no-reuse", f"--a.found={found}", code=0 if told == "continue" else 41)
    assert states(project) == {
        "a": "succeeded",
        "b": "failed",
        "c": "skipped" if told == "stop-next" else "succeeded",
        "d": "succeeded",
    }, str(done)
    assert said in detail(project, "b")
    assert detail(project, "b").startswith("input: valohai.yaml:")


def test_a_pattern_that_means_no_file_ends_its_node_and_the_run_can_go_on(make: Make) -> None:
    yaml = pipeline("a=make b=need c=take", "a.output.*.bin, b.input.data\na.dependency.x, c.dependency.x")
    project = make(yaml)
    done = project.fails("pipeline", "p", "--no-reuse", code=41)
    assert detail(project, "b").startswith("input: valohai.yaml:"), str(done)
    assert "`a.output.*.bin` matches no file for `b.input.data`" in detail(project, "b")
    # It goes on with the file of then, and ends as it did then; what was done is not done again.
    before = project.show()["nodes"]["a"]["executions"]
    project.fails("resume", "latest", code=41)
    assert project.show()["nodes"]["a"]["executions"] == before


# --- what never ends


@pytest.mark.parametrize(("step", "reason"), [("late", "timeout"), ("silent", "no-output")])
def test_a_node_that_never_ends_is_ended_and_the_others_go_on(make: Make, step: str, reason: str) -> None:
    project = make(
        pipeline(
            f"a={step}:stop-next b=take c=take d=make", "a.dependency.x, b.dependency.x\nd.dependency.x, c.dependency.x"
        )
    )
    done = project.fails("pipeline", "p", "--no-reuse")
    assert states(project) == {"a": "failed", "b": "skipped", "c": "succeeded", "d": "succeeded"}, str(done)
    assert project.show()["nodes"]["a"]["reason"] == reason


@pytest.mark.parametrize(("step", "reason"), [("late", "timeout"), ("silent", "no-output")])
def test_a_trial_that_never_ends_is_ended_and_the_others_go_on(make: Make, step: str, reason: str) -> None:
    project = make(STEPS)
    done = project.fails("exec", step, "--no-reuse", "--sweep", "n=1..4", "-j", "2")
    assert states(project) == {
        step: "failed",
        f"{step}.1": "succeeded",
        f"{step}.2": "failed",
        f"{step}.3": "succeeded",
        f"{step}.4": "succeeded",
    }, str(done)
    assert project.show()["nodes"][f"{step}.2"]["reason"] == reason


def test_a_node_that_does_not_listen_is_stopped_from_elsewhere(make: Make, tmp_path: Path) -> None:
    settings = tmp_path / "config" / "mlrun" / "settings.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("grace = 1\n")
    project = make(pipeline("a=make b=hang c=take", "a.dependency.x, b.dependency.x\nb.dependency.x, c.dependency.x"))
    project = project.with_variables(XDG_CONFIG_HOME=str(tmp_path / "config"))
    running = project.start("pipeline", "p", "--no-reuse")
    running.until("ready")
    project.succeeds("stop", "run:latest")
    assert running.end().code == 1
    assert states(project) == {"a": "succeeded", "b": "stopped", "c": "skipped"}


# --- the same at the same time


def test_two_runs_of_a_pipeline_at_once_do_what_is_alike_once(made: Make) -> None:
    lines = pipeline("a=make b=need c=take", "a.output.*, b.input.data\nb.dependency.x, c.dependency.x")
    project = made(lines.replace("echo x >", "sleep 1; echo x >"))
    both = [project.start("pipeline", "p") for _ in range(2)]
    ends = [running.end() for running in both]
    assert [end.code for end in ends] == [0, 0], "\n".join(map(str, ends))
    runs = [project.show(f"run:{number}") for number in (1, 2)]
    for name in "abc":
        assert sorted(run["nodes"][name]["state"] for run in runs) == ["reused", "succeeded"], name
    assert "nothing is missing" in project.succeeds("store", "check").out


def test_a_runner_that_stands_still_is_waited_for_and_goes_on(make: Make) -> None:
    project = make(
        pipeline("a=hang b=take", "a.dependency.x, b.dependency.x").replace("while :; do sleep", "for i in 1; do sleep")
    )
    running = project.start("pipeline", "p", "--no-reuse", "--a.seconds=1")
    running.until("ready")
    running.signal(signal.SIGSTOP)
    try:
        assert project.show()["state"] == "running"
        assert "is under way: process" in project.refused("resume", "latest", code=31)
        project.succeeds("exec", "take", "--n=3")
    finally:
        running.signal(signal.SIGCONT)
    assert running.end().code == 0
    run = next(run for run in project.runs() if run["name"] == "p")
    assert {node["state"] for node in project.show(f"run:{run['counter']}")["nodes"].values()} == {"succeeded"}


# --- names that nobody expects

ODD = [
    'it\'s "a" (node)',
    "ünï 日本 ☃",
    "n" * 200,
    "/etc/x y",
    "--json",
    "$(touch /tmp/x); `id`",
    "run:1",
    "latest",
    "\\",
    "*",
]


def test_odd_names_of_nodes_work_everywhere(make: Make, tmp_path: Path) -> None:
    lines = [STEPS, "- pipeline:\n", "    name: p\n", "    nodes:\n"]
    lines += [f"      - {{name: {json.dumps(name)}, type: execution, step: make}}\n" for name in ODD]
    lines += ["      - {name: last, type: execution, step: need}\n", "    edges:\n"]
    lines += [f"      - [{json.dumps(name + '.output.*')}, last.input.data]\n" for name in ODD]
    project = make("".join(lines))
    running = project.succeeds("pipeline", "p", "--no-reuse")
    assert all(name in running.err for name in ODD), str(running)
    run = project.show()
    assert set(run["nodes"]) == {*ODD, "last"}
    assert {node["state"] for node in run["nodes"].values()} == {"succeeded"}
    assert {file["name"] for item in run["executions"][run["nodes"]["last"]["executions"][0]]["job"]["inputs"]
            for file in item["files"]} == {"x.txt"}  # fmt: skip
    for name in ODD:
        place = tmp_path / "out"
        project.succeeds("outputs", "run:latest", "--node", name, "-d", place)
        assert (place / "x.txt").read_text() == "x\n"
        (place / "x.txt").unlink()
    project.succeeds("report", "run:latest", "-o", tmp_path / "report.html")
    project.succeeds("pipeline", "p", "--dry-run")
    project.succeeds("pipeline", "p", f"--{ODD[0]}.found=7")
