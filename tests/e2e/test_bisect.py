"""The commit that broke a metric is found over a real history, in ordinary runs that reuse what did not change."""

import hashlib
import os
import signal
from pathlib import Path

import pytest

YAML = """\
- step:
    name: prepare
    image: busybox
    command: python prepare.py
- step:
    name: train
    image: busybox
    command: python train.py
    inputs: [{name: data}]
    parameters: [{name: C, type: float, default: 1.0}]
- step:
    name: evaluate
    image: busybox
    command: python evaluate.py
    inputs: [{name: model}]
- pipeline:
    name: Training
    nodes:
      - {name: prepare, type: execution, step: prepare}
      - {name: train, type: execution, step: train}
      - {name: evaluate, type: execution, step: evaluate}
    edges:
      - [prepare.output.*, train.input.data]
      - [train.output.*, evaluate.input.model]
"""

PREPARE = "open('/valohai/outputs/data.txt', 'w').write('data')\n"
TRAIN = "VERSION = {version}\nopen('/valohai/outputs/model.txt', 'w').write('{model}')\n"
EVALUATE = """\
import json
good = open('/valohai/inputs/model/model.txt').read() == 'good'
print(json.dumps({'accuracy': 0.95 if good else 0.5, 'speed': 7}))
"""
CULPRIT, BROKEN, FAILING = 8, 5, 6
"""The commits, from 1 to 12: since when the model is bad, whose file cannot be read, and whose run fails."""


@pytest.fixture
def history(make):
    """A project of 12 commits by first parents, oldest first, with another branch merged into them."""
    project = make(YAML, {"prepare.py": PREPARE, "evaluate.py": EVALUATE, "train.py": "", "README.md": ""})
    project.git("branch", "side")
    commits = []
    for version in range(1, 13):
        project.write("train.py", TRAIN.format(version=version, model="bad" if version >= CULPRIT else "good"))
        project.write("valohai.yaml", YAML + ("- [broken\n" if version == BROKEN else ""))
        project.write("prepare.py", "raise SystemExit(3)\n" if version == FAILING else PREPARE)
        if version == CULPRIT:
            project.write("README.md", "more\nand more\n")
        project.git("add", "--all")
        project.git("commit", "--quiet", "--message", f"change {version}")
        commits.append(project.git("rev-parse", "HEAD").strip())
    return project, commits


def tree(folder: Path) -> dict[str, tuple[int, str]]:
    """Everything below a folder, `.git` too: when it was changed, and its content."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_culprit_is_named_with_what_it_changed_and_the_metric_on_both_sides(history) -> None:
    project, commits = history
    project.write("train.py", "this is being edited")
    before = tree(project.folder)

    done = project.succeeds("bisect", "Training", "--metric", "accuracy < 0.9")

    assert tree(project.folder) == before
    lines = done.out.splitlines()
    assert lines[0] == f"{commits[CULPRIT - 1]} broke it"
    assert "  change 8" in lines
    assert [line.split() for line in lines if "train.py" in line] == [["train.py", "+2", "-2"]]
    assert [line.split() for line in lines if "README.md" in line] == [["README.md", "+2", "-0"]]
    assert f"before: accuracy = 0.95 ({commits[CULPRIT - 2][:10]}" in done.out
    assert f"since:  accuracy = 0.5 ({commits[CULPRIT - 1][:10]}" in done.out


def test_every_step_is_an_ordinary_run_that_reuses_what_did_not_change(history) -> None:
    project, commits = history
    first = project.succeeds(
        "bisect", "Training", "--metric", "evaluate.accuracy < 0.9", "--good", commits[0], "--json"
    ).json()
    assert first["culprit"] == commits[CULPRIT - 1]
    assert (first["good"]["commit"], first["bad"]["commit"]) == (commits[CULPRIT - 2], commits[CULPRIT - 1])
    assert (first["good"]["values"], first["bad"]["values"]) == (
        {"evaluate.accuracy": 0.95},
        {"evaluate.accuracy": 0.5},
    )
    assert len(first["tried"]) <= 7
    runs = {run["id"]: run for run in project.runs()}
    for trial in first["tried"]:
        if trial["run"] is None:
            continue
        assert runs[trial["run"]]["commit"] == trial["commit"]
        assert runs[trial["run"]]["dirty"] is False
    # What two commits have in common ran once.
    assert sum(one["reused"] for one in first["tried"]) >= len([one for one in first["tried"] if one["run"]]) - 1

    second = project.succeeds(
        "bisect", "Training", "--metric", "accuracy < 0.9", "--good", commits[0], "--bad", "HEAD", "--json"
    ).json()
    assert second["culprit"] == first["culprit"]
    judged = [one for one in second["tried"] if one["judgement"] != "skipped"]
    assert [one["reused"] for one in judged] == [3] * len(judged), judged


def test_commits_that_cannot_be_judged_are_passed_over_and_told(history) -> None:
    project, commits = history
    # The middle of these is the commit whose run fails, and then comes the one whose file is broken.
    done = project.succeeds(
        "bisect", "Training", "--metric", "accuracy < 0.9", "--good", commits[2], "--bad", commits[7], "--json"
    )
    tried = {one["commit"]: one for one in done.json()["tried"]}
    broken, failing = tried[commits[BROKEN - 1]], tried[commits[FAILING - 1]]
    assert (broken["judgement"], broken["run"]) == ("skipped", None)
    assert "valohai.yaml" in broken["why"]
    assert failing["judgement"] == "skipped" and "prepare" in failing["why"]
    assert done.json()["culprit"] == commits[CULPRIT - 1]
    assert "skipped: " in done.err and "after it" in done.err


def test_where_the_neighbours_cannot_be_judged_all_suspects_are_named(history) -> None:
    project, commits = history
    done = project.mlrun(
        "bisect", "Training", "--metric", "accuracy < 2 and param.C > 0", "--good", commits[FAILING - 1], "--json"
    )
    # Its run fails, so that it cannot be good.
    assert done.code == 2 and "nothing can be said of it" in done.err

    project.write("evaluate.py", EVALUATE.replace("7", "9"))
    project.write("prepare.py", "raise SystemExit(1)\n")
    project.git("commit", "--quiet", "--all", "--message", "slower, and fails")
    project.write("prepare.py", PREPARE)
    project.git("commit", "--quiet", "--all", "--message", "mended")
    done = project.mlrun("bisect", "Training", "--metric", "speed > 7", "--good", commits[-1])
    assert done.code == 1, str(done)
    lines = done.out.splitlines()
    assert lines[0].startswith("one of 2 commits broke it")
    assert [line.strip() for line in lines if "mended" in line or "slower" in line] == ["mended", "slower, and fails"]


def test_parameters_of_the_command_line_hold_for_every_commit(history) -> None:
    project, commits = history
    done = project.mlrun("bisect", "Training", "--metric", "param.C > 1", "--train.C", "2.5", "--good", commits[10])
    assert done.code == 2
    assert f"{commits[10][:10]} should be good, and is bad: the condition holds (param.C = 2.5)" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("Training",), "needs a condition"),
        (("Training", "--metric", "accuracy <"), "`--metric` is not understood"),
        (("Training", "--metric", "accuracy > 2"), "should be bad, and is good"),
        (("Training", "--metric", "acuracy < 1"), "it has no `acuracy` (did you mean `accuracy`?)"),
        (("Training", "--metric", "a < 1", "--good", "HEAD"), "are the same commit"),
        (("Training", "--metric", "a < 1", "--good", "HEAD", "--bad", "HEAD~3"), "`HEAD` is newer than `HEAD~3`"),
        (("Training", "--metric", "a < 1", "--good", "side"), "is not among the first parents"),
        (("Training", "--metric", "a < 1", "--bad", "nowhere"), "there is no commit `nowhere`"),
        (("Nothing", "--metric", "a < 1"), "there is no `Nothing` to run"),
        (("Training", "--metric", "accuracy < 2"), "no commit back to"),
    ],
)
def test_what_cannot_be_looked_for_is_refused_with_a_reason(history, words, said) -> None:
    project, _ = history
    project.git("checkout", "--quiet", "side")
    project.write("side.txt", "")
    project.git("add", "side.txt")
    project.git("commit", "--quiet", "--message", "aside")
    project.git("checkout", "--quiet", "-")
    done = project.mlrun("bisect", *words)
    assert done.code == 2, str(done)
    assert said in done.err and done.out == ""


def test_an_interrupt_leaves_nothing_and_the_same_command_goes_on(history, alive) -> None:
    project, commits = history
    marker = f"31{os.getpid()}.5"
    project.write("evaluate.py", f"import time; print('ready', flush=True); time.sleep({marker})\n" + EVALUATE)
    project.git("commit", "--quiet", "--all", "--message", "slow")
    running = project.start("bisect", "Training", "--metric", "accuracy < 0.9", "-v")
    running.until("ready")
    running.signal(signal.SIGINT)
    done = running.end()
    assert done.code == 130, str(done)
    assert "the same command goes on with it" in done.err
    assert not alive(marker)
    assert [run["state"] for run in project.runs()] == ["stopped"]
    again = project.succeeds("bisect", "Training", "--metric", "accuracy < 0.9", "--bad", commits[-1], "--json").json()
    assert again["culprit"] == commits[CULPRIT - 1]
