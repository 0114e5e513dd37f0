"""Pins, tags, names and numbers outlive the index; runs are removed and brought back; many commands at once."""

import signal

import pytest

YAML = """\
- step:
    name: make
    image: busybox
    command: echo content > "$VH_OUTPUTS_DIR/file.txt"
- step:
    name: wait
    image: busybox
    command:
      - echo ready
      - trap 'exit 0' TERM
      - while :; do sleep 0.05; done
"""


@pytest.fixture
def project(make, tmp_path):
    return make(YAML).with_variables(MLRUN_STORE=str(tmp_path / "own-store"), MLRUN_EXECUTOR="process")


VERBS = (
    ("list", "--json", "--columns", "id,counter,run,step,state,tag"),
    ("list", "runs", "--json", "--columns", "id,counter,name,state,tag"),
    ("list", "--json", "--columns", "counter", "--where", 'tag == "good"'),
    ("show", "1", "--json"),
    ("pin", "--list", "--json"),
    ("tag", "--list", "--json"),
    ("alias", "--json"),
    ("dataset", "list", "--json"),
    ("datum", "show", "prod", "--uses", "--json"),
)


def told(project):
    """What every reading verb says of what was there before."""
    return [project.succeeds(*verb).json() for verb in VERBS]


def counters(project, *more):
    return [row["counter"] for row in project.succeeds("list", "--json", *more).json()]


@pytest.mark.parametrize("after", ["deleted", "damaged", "rebuilt"])
def test_nothing_is_lost_with_the_index_while_a_run_is_in_flight(project, after):
    for _ in range(2):
        project.succeeds("exec", "make")
    project.succeeds("tag", "1", "good")
    project.succeeds("tag", "run:2", "good")
    project.succeeds("pin", "2", "--note", "why")
    project.succeeds("alias", "prod", "1/file.txt")
    project.succeeds("dataset", "add", "d/v1", "1/file.txt")
    assert "execution 2 is pinned" in project.refused("rm", "run:2", code=40)
    project.succeeds("rm", "run:2", "--force")
    running = project.start("exec", "wait")
    running.until("ready")
    before = told(project)
    index = project.command.store / "index.sqlite"
    if after == "rebuilt":
        project.succeeds("store", "rebuild")
    elif after == "deleted":
        index.unlink()
    else:
        index.write_bytes(b"\0" * 10_000)
    assert told(project) == before
    project.succeeds("exec", "make")
    assert counters(project) == counters(project, "runs") == [4, 3, 1]
    assert "run 3 is under way" in project.refused("rm", "run:3", code=31)
    running.signal(signal.SIGTERM)
    running.end()
    states = {row["counter"]: row["state"] for row in project.succeeds("list", "--json").json()}
    assert states == {1: "succeeded", 3: "stopped", 4: "succeeded"}


def test_a_removed_run_comes_back_whole(project, tmp_path):
    project.succeeds("exec", "make")
    before = [project.show("1"), project.log("1"), project.outputs("1", tmp_path / "before")]
    project.succeeds("rm", "1")
    assert "there is no execution `1`" in project.refused("show", "1", code=2)
    project.succeeds("gc", "--yes", "--keep-last", "9")
    while project.mlrun("gc", "--undo").code == 0:
        pass
    assert [project.show("1"), project.log("1"), project.outputs("1", tmp_path / "after")] == before


def test_many_commands_at_once_on_one_store_meet_no_lock(project):
    started = [project.start("exec", "make") for _ in range(8)]
    counters(project)
    ended = [running.end() for running in started]
    assert [done.code for done in ended] == [0] * 8, "\n".join(map(str, ended))
    words = [project.start("tag", str(number), f"t{number % 3}", "all") for number in range(1, 9)]
    assert [one.end().code for one in words] == [0] * 8
    assert sorted(counters(project, "--where", 'tag == "all"')) == list(range(1, 9))
    gone = [project.start("rm", f"run:{number}") for number in range(1, 5)]
    assert [one.end().code for one in gone] == [0] * 4
    assert sorted(counters(project, "runs")) == [5, 6, 7, 8]
