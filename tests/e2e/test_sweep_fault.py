"""Sweeps in which something is wrong: values that mean something to a shell, grids without end, Ctrl-C in the middle.
What ran is kept, nothing is left running, and `mlrun resume` does the rest."""

import json
import os
import resource
import signal

import pytest

from tests.e2e.conftest import Make, Project
from tests.patience import wait_for

YAML = """\
- step:
    name: say
    image: busybox
    command: cat "$VH_CONFIG_DIR/parameters.json"
    parameters:
      - {name: word, type: string, default: x}
      - {name: json, type: string, default: x}
- step:
    name: echo
    image: busybox
    command: "printf '<%s>' {parameters}"
    parameters:
      - {name: word, type: string, default: x}
      - {name: json, type: string, optional: true}
      - {name: sweep, type: string, optional: true}
      - {name: a b, type: string, optional: true}
- step:
    name: count
    image: busybox
    command:
      - sleep {parameter-value:seconds}
      - echo {parameter-value:n} > "$VH_OUTPUTS_DIR/n.txt"
    parameters:
      - {name: n, type: integer}
      - {name: seconds, type: float, default: 0.2}
- step:
    name: six
    image: busybox
    command: echo {parameters}
    parameters:
      - {name: a, type: integer, default: 1}
      - {name: b, type: integer, default: 1}
      - {name: c, type: integer, default: 1}
      - {name: d, type: integer, default: 1}
      - {name: e, type: integer, default: 1}
      - {name: f, type: integer, default: 1}
- task:
    name: endless
    step: six
    parameters:
      - {name: a, style: linear, rules: {start: 1, end: 100, step: 1}}
      - {name: b, style: linear, rules: {start: 1, end: 100, step: 1}}
      - {name: c, style: linear, rules: {start: 1, end: 100, step: 1}}
      - {name: d, style: linear, rules: {start: 1, end: 100, step: 1}}
      - {name: e, style: linear, rules: {start: 1, end: 100, step: 1}}
      - {name: f, style: linear, rules: {start: 1, end: 100, step: 1}}
- task:
    name: fine
    step: six
    parameters:
      - {name: a, style: linear, rules: {start: 0, end: 1, step: 0.000000000001}}
- task:
    name: odd
    step: say
    parameters:
      - {name: word, style: multiple, rules: {items: WORDS}}
- pipeline:
    name: spread
    parameters:
      - {name: a, targets: [tune.parameter.a], default: [1, 2]}
    nodes:
      - {name: tune, type: task, step: six}
      - {name: one, type: execution, step: six}
    edges:
      - [tune.parameter.a, one.parameter.a]
"""

WORDS = [
    "it's",
    'say "hi"',
    "two\nlines",
    "$(touch harm) `id`",
    "ünï 日本 ☃",
    "--json",
    "{parameter-value:word}",
    "\\",
    " ",
    "*",
    "x" * 5000,
]


@pytest.fixture
def project(make: Make) -> Project:
    return make(YAML.replace("WORDS", json.dumps(WORDS)))


def trials(project: Project, task: str) -> dict[str, str]:
    """The state of each trial of the latest run."""
    return {name: node["state"] for name, node in project.show()["nodes"].items() if node["trial_of"] == task}


# --- values


def test_a_value_means_itself_whatever_it_would_mean_to_a_shell(project: Project) -> None:
    done = project.succeeds("task", "odd", "--no-reuse", "-j", "2")
    run = project.show()
    for number, word in enumerate(WORDS, 1):
        execution = run["executions"][run["nodes"][f"odd.{number}"]["executions"][0]]
        assert execution["job"]["parameters"]["word"] == word
        assert json.loads(project.log(str(execution["counter"])))["word"] == word
    assert "Traceback" not in done.err
    shown = project.succeeds("task", "show", "odd", "--json").json()
    assert sorted(one["parameters"]["word"] for one in shown["trials"]) == sorted(WORDS)
    # Whatever it is, each trial has one line.
    table = [line for line in project.succeeds("task", "show", "odd").out.splitlines() if line.strip()]
    assert len(table) < len(WORDS) + 8, "\n".join(table)
    assert len([line for line in done.err.splitlines() if ": succeeded [" in line]) == len(WORDS), done.err


def test_the_same_values_come_from_the_command_line(project: Project) -> None:
    for word in ("it's", 'say "hi"', "$(id)", "ünï ☃", "two\nlines"):
        project.succeeds("exec", "--sweep", f"word={word},b", "--no-reuse", "echo")
        run = project.show()
        execution = run["executions"][run["nodes"]["echo.1"]["executions"][0]]
        assert execution["job"]["parameters"] == {"word": word}
        assert f"<--word={word}>" in project.log(str(execution["counter"]))


def test_parameters_called_as_options_are_reached(project: Project) -> None:
    sweeps = ("--sweep", "json=1,2", "--sweep", "sweep=3", "--sweep", "a b=4")
    # Behind the name of the step, an option that the step has is the step's.
    assert "`--sweep`: takes one value" in project.refused("exec", "echo", *sweeps, code=2)
    project.succeeds("exec", *sweeps, "--no-reuse", "echo")
    values = [one["job"]["parameters"] for one in project.show()["executions"].values()]
    assert sorted(one["json"] for one in values) == ["1", "2"]
    assert {(one["sweep"], one["a b"]) for one in values} == {("3", "4")}


# --- grids without end

GRID = [word for name in "abcdef" for word in ("--sweep", f"{name}=1..100")]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("task", "endless"), 10, "1,000,000,000,000 trials, more than 100,000"),
        (("task", "endless", "--dry-run"), 10, "1,000,000,000,000 trials, more than 100,000"),
        (("task", "fine"), 10, "more than 100,000"),
        (("exec", "six", *GRID), 2, "1,000,000,000,000 trials, more than 100,000"),
        (("exec", "six", "--sweep", "a=1..1000000000000"), 2, "more than 100,000"),
        (("exec", "six", "--sweep", "a=0..1..1e-300"), 2, "these are more than 100,000\n"),
        (("exec", "six", "--sweep", "a=0..1e400"), 2, "is no number"),
        (("exec", "six", "--sweep", "a=0..inf"), 2, "`0..inf` is not an integer"),
        (("exec", "six", "--sweep", "a=nan"), 2, "`nan` is not an integer"),
        (("exec", "six", "--sweep", "a=1..2..0"), 2, "a `step` of 0 never reaches the end"),
        (("exec", "six", "--sweep", "a=1..100", "--trials", "1000000000000"), 2, "ask for fewer `--trials`"),
        (("exec", "six", "--sweep", "a=1,2", "--trials", "0"), 2, "0 is not in the range"),
        (("exec", "six", "--sweep", "=1,2"), 2, "has no values"),
    ],
)
def test_a_grid_without_end_is_refused_at_once_and_takes_no_memory(
    project: Project, words: tuple[str, ...], code: int, said: str
) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert said in project.refused(*words, code=code)
    # Kibibytes of the greediest of all processes so far.
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss <= max(before, 300_000)


def test_random_trials_of_a_grid_without_end_are_drawn_at_once(project: Project) -> None:
    done = project.succeeds("exec", "six", *GRID, "--trials", "3", "--no-reuse")
    assert set(trials(project, "six").values()) == {"succeeded"}, str(done)
    assert len(trials(project, "six")) == 3


def test_a_list_that_varies_cannot_go_into_one_value(project: Project) -> None:
    done = project.fails("pipeline", "spread", "--no-reuse", code=41)
    run = project.show()
    assert run["nodes"]["tune"]["state"] == "succeeded"
    assert run["nodes"]["one"]["reason"] == "input"
    assert "not a list" in run["nodes"]["one"]["detail"], str(done)


# --- Ctrl-C


@pytest.mark.parametrize("times", [1, 2])
def test_after_ctrl_c_in_a_sweep_the_rest_of_it_runs_on_request(project: Project, times: int) -> None:
    running = project.start("exec", "count", "--no-reuse", "--sweep", "n=1..12", "--seconds", "0.5", "-j", "2")
    running.until("[2/12]")
    running.signal(signal.SIGINT)
    if times == 2:
        wait_for(lambda: "stopping" in running.text() or running.process.poll() is not None, "stop")
        running.signal(signal.SIGINT)
    done = running.end()
    assert done.code == 130, str(done)
    run = project.show()
    assert run["state"] == "stopped"
    assert run["nodes"]["count"]["state"] == "stopped"
    kept = {name: run["nodes"][name]["executions"] for name, state in trials(project, "count").items()
            if state == "succeeded"}  # fmt: skip
    assert 2 <= len(kept) < 12
    assert all(execution["state"] in {"succeeded", "stopped"} for execution in run["executions"].values())

    project.succeeds("resume", "latest")

    run = project.show()
    assert set(trials(project, "count").values()) == {"succeeded"}
    assert len(trials(project, "count")) == 12
    assert {name: run["nodes"][name]["executions"] for name in kept} == kept
    chosen = [run["nodes"][f"count.{n}"]["parameters"] for n in range(1, 13)]
    assert chosen == [{"n": n} for n in range(1, 13)]


@pytest.mark.parametrize("way", ["interrupt", "twice", "stop"])
def test_a_sweep_of_a_thousand_trials_stopped_in_the_middle_leaves_nothing_running(
    project: Project, way: str, marker: str
) -> None:
    running = project.start(
        "exec", "count", "--no-reuse", "--sweep", "n=1..1000", "--seconds", f"0.{marker}", "-j", "8"
    )
    running.until("[20/1000]")
    if way == "stop":
        project.succeeds("stop", "run:latest")
    else:
        running.signal(signal.SIGINT)
        if way == "twice":
            running.signal(signal.SIGINT)
    done = running.end()
    assert done.code == (1 if way == "stop" else 130), str(done)
    run = project.show()
    assert run["state"] == "stopped"
    assert set(trials(project, "count").values()) <= {"succeeded", "stopped", "skipped"}
    assert {one["state"] for one in run["executions"].values()} <= {"succeeded", "stopped"}
    assert sleeping(f"0.{marker}") == 0


@pytest.fixture
def marker() -> str:
    """Seconds that nobody else sleeps for."""
    return f"3{os.getpid():07d}"


def sleeping(seconds: str) -> int:
    """How many processes sleep so long."""
    found = 0
    for place in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{place}/cmdline", "rb") as file:
                found += file.read().split(b"\0")[:2] == [b"sleep", seconds.encode()]
        except OSError:
            continue
    return found
