"""Why something runs: `mlrun why`, `--dry-run`, and how nodes for which an earlier execution stands are shown."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

YAML = """\
- step:
    name: make
    image: busybox
    command: python make.py {parameters}
    parameters:
      - {name: size, type: integer, default: 3}
    inputs:
      - {name: words, default: words.txt}
    environment-variables:
      - {name: MODE, default: plain}
- step:
    name: use
    image: busybox
    command: python use.py
    inputs:
      - {name: data}
- pipeline:
    name: both
    nodes:
      - {name: first, type: execution, step: make}
      - {name: second, type: execution, step: use}
    edges:
      - [first.output.*.txt, second.input.data]
"""
FILES = {
    "make.py": """\
import sys
words = open("/valohai/inputs/words/words.txt").read()
open("/valohai/outputs/made.txt", "w").write(words.strip() + sys.argv[1])
print('{"made": 1}')
""",
    "use.py": 'print(open("/valohai/inputs/data/made.txt").read())\n',
    "words.txt": "hello\n",
    "README.md": "nothing reads this\n",
}


@pytest.fixture
def fresh(make, tmp_path):
    """A project with a store of its own, in which nothing has run."""
    return make(YAML, FILES).with_variables(MLRUN_STORE=str(tmp_path / "store"))


@pytest.fixture
def project(fresh):
    """A project whose pipeline has run once."""
    fresh.succeeds("pipeline", "both")
    return fresh


def fates(project, *words):
    told = project.succeeds("pipeline", "both", "--dry-run", "--json", *words).json()
    return {node["name"]: node["fate"] for node in told["nodes"]}


def why(project, *words):
    return project.succeeds("why", *words).out


def everything_below(folder: Path):
    """Every name, size and time of change."""
    return sorted(
        (path, os.lstat(path).st_size, os.lstat(path).st_mtime_ns)
        for top, folders, files in os.walk(folder)
        for path in (os.path.join(top, name) for name in (*folders, *files))
    )


def test_what_has_not_changed_would_be_reused_and_the_start_says_how_many(project):
    project.write("README.md", "other words\n")
    project.write("use.py", "# a comment\n" + FILES["use.py"])

    assert fates(project) == {"first": "reused", "second": "reused"}
    assert "would be reused: execution 1 of run 1" in why(project, "first")
    done = project.succeeds("pipeline", "both")

    assert "2 nodes, all reused" in done.err
    assert "first: reused execution 1 of run 1, " in done.err
    assert "made=1" in done.out


def test_a_file_that_was_read_shows_its_very_lines(project):
    project.write("use.py", FILES["use.py"] + "print('more')\n")

    assert fates(project) == {"first": "reused", "second": "runs"}
    assert "runs: use.py changed (1 line)" in project.succeeds("pipeline", "both", "--dry-run").out
    page = why(project, "second")
    assert "would run: the nearest is execution 2 of run 1" in page
    assert "+print('more')" in page
    assert "make.py" not in page


def test_values_and_input_files_are_told_and_those_below_depend_on_what_is_written(project):
    project.write("words.txt", "goodbye\n")

    page = project.succeeds("pipeline", "both", "--dry-run", "--first.size", "4", "--var", "MODE=loud").out

    assert "2 nodes: 1 runs, 1 depends on others" in page
    assert "runs: parameter size: 3 → 4, variable MODE: plain → loud, and 1 more cause" in page
    assert "depends on what first writes" in page
    assert "  input words: file words.txt changed" in why(project, "first").splitlines()
    told = project.succeeds("why", "second", "--json").json()
    assert (told["fate"], told["upstream"]) == ("depends", ["first"])


def test_a_node_that_depends_on_others_and_differs_itself_says_both(project):
    project.write("words.txt", "goodbye\n")
    project.write("use.py", FILES["use.py"] + "print('more')\n")

    page = project.succeeds("pipeline", "both", "--dry-run").out
    assert "depends on what first writes; besides, use.py changed (1 line)" in page
    head, *lines = why(project, "second").splitlines()
    assert head.startswith(
        "node second of pipeline both depends on what first writes, and would run if that came out as it was: "
        "the nearest is execution 2 of run 1"
    )
    assert "      +print('more')" in lines
    assert lines[-2:] == ["above it:", "  first runs: input words: file words.txt changed"]
    told = project.succeeds("why", "second", "--json").json()
    assert told.keys() == {
        "subject", "kind", "pipeline", "name", "step", "image", "fate", "upstream", "causes", "nearest"
    }  # fmt: skip
    assert (told["fate"], told["nearest"]["counter"]) == ("depends", 2)
    # Also where the one above runs in any case.
    page = project.succeeds("pipeline", "both", "--dry-run", "--refresh", "first").out
    assert "depends on what first writes; besides, use.py changed (1 line)" in page


def test_a_new_file_counts_for_every_step_and_is_named(project):
    project.write("helper.py", "")

    assert "new file helper.py" in why(project, "first")


def test_nothing_is_written_by_a_question(project):
    project.write("use.py", FILES["use.py"] + "print('more')\n")
    project.write("words.txt", "goodbye\n")
    before = everything_below(project.command.store)

    why(project, "first")
    why(project, "second")
    why(project, "1")
    why(project, "run:1", "second")
    fates(project, "--first.size", "9")

    assert everything_below(project.command.store) == before


def test_where_nothing_ever_ran_no_store_is_made(fresh):
    assert "no earlier execution of the step that succeeded is recorded" in why(fresh, "first")
    assert not fresh.command.store.exists()


def test_a_past_execution_is_told_against_the_one_before_it(project):
    project.write("make.py", FILES["make.py"].replace("strip()", "upper()"))
    project.succeeds("pipeline", "both")

    page = why(project, "3")
    assert "execution 3 (node first of run 2) ran: the nearest before it was execution 1 of run 1" in page
    assert "+open(" in page
    assert "no earlier execution of the step that succeeded is recorded" in why(project, "1")
    told = project.succeeds("why", "run:2", "second", "--json").json()
    assert [cause["sentence"] for cause in told["causes"]] == ["input data: file made.txt changed"]


def test_an_execution_that_nobody_wanted_to_save_says_so(project):
    project.succeeds("pipeline", "both", "--no-reuse")
    project.succeeds("exec", "make")

    off = "reuse was off, by `--no-reuse` or by `reuse-executions: false`"
    assert f"ran: {off}; execution 1 of run 1" in why(project, "3")
    assert "looks for nothing to reuse without `--reuse`" in why(project, "5")


def test_a_past_execution_is_told_by_the_settings_that_it_ran_with(project):
    settings = project.command.scratch / ".config" / "mlrun" / "settings.toml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text('code-key = "bytes"\n')
    project.write("use.py", "# a comment\n" + FILES["use.py"])
    project.succeeds("pipeline", "both")
    settings.unlink()

    page = why(project, "run:2", "second")
    assert "use.py changed (1 line)" in page
    assert "+# a comment" in page


def test_a_reused_node_leads_to_the_execution_that_stands_for_it(project):
    project.succeeds("pipeline", "both")

    page = why(project, "run:2", "second")
    assert "node second of run 2 was reused: execution 2 of run 1" in page
    assert "the 1 file that it had read" in page
    assert "hello--size=3" in project.succeeds("logs", "--node", "second").out
    assert project.succeeds("outputs", "run:2", "--node", "first", "--json").json()[0]["name"] == "made.txt"
    assert project.succeeds("metrics", "--node", "first", "--json").json()[0]["metrics"] == {"made": 1}
    shown = project.succeeds("show", "run:2").out
    assert "reused  #1  execution 1 of run 1, " in shown
    newest = project.succeeds("list", "runs", "--format", "json").json()[0]
    assert (newest["state"], newest["nodes"], newest["reused"]) == ("succeeded", 2, 2)


def test_a_step_by_itself_is_asked_about_as_with_reuse(project):
    project.write("valohai.yaml", YAML[: YAML.index("- pipeline")])
    project.write("make.py", FILES["make.py"] + "print('more')\n")

    page = why(project, "make")

    assert "step make with `--reuse` would run: the nearest is execution 1 of run 1" in page
    assert "make.py changed (1 line)" in page


def test_what_cannot_be_asked_is_said(project):
    project.write("valohai.yaml", YAML + YAML[YAML.index("- pipeline") :].replace("name: both", "name: again"))

    for words, said in (
        (["nope"], "there is no node, step or execution `nope`"),
        (["first"], "several pipelines have a node `first`: `both`, `again`"),
        (["run:1", "third"], "run 1 has no node `third`"),
        (["1", "first"], "`1` is an execution, which has no nodes"),
        (["first", "--pipeline", "neither"], "neither"),
    ):
        done = project.mlrun("why", *words)
        assert done.code == 2, str(done)
        assert said in done.err

    assert "of pipeline again would be reused" in why(project, "first", "--pipeline", "again")


def test_an_address_elsewhere_is_not_asked_for(project):
    project.write("valohai.yaml", YAML.replace("default: words.txt", "default: https://data.invalid/words.txt"))

    assert fates(project) == {"first": "asks", "second": "depends"}
    assert "asks https://data.invalid/words.txt" in why(project, "first")


def test_memory_and_time_are_estimated_by_what_a_step_took_before(fresh):
    fresh.write("make.py", "import time\nx = b'x' * 50_000_000\ntime.sleep(1)\n")
    fresh.succeeds("exec", "make")

    told = fresh.succeeds("exec", "make", "--dry-run", "--json").json()["estimate"]

    assert told["seconds"] >= 1
    assert told["memory"] >= 50_000_000
    assert "of memory, 0 B of outputs, by what it took before" in fresh.succeeds("exec", "make", "--dry-run").out


def test_what_another_project_has_done_is_what_a_node_is_told_against(project, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(project.folder, other, ignore=shutil.ignore_patterns(".git"))
    twin = replace(project, folder=other)
    twin.git("init", "--quiet", "--initial-branch=main")
    twin.commit()
    assert "reused execution 1 of run 1 of project `project`" in twin.succeeds("pipeline", "both").err
    twin.write("use.py", FILES["use.py"] + "print('more')\n")

    assert "would run: the nearest is execution 2 of run 1" in why(twin, "second")
