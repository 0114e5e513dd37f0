"""A step that fails: what is said, what is recorded, what is kept."""

import subprocess

import pytest

YAML = """\
- step:
    name: broken
    image: busybox
    command:
      - echo line {parameter-value:number}
      - echo kept > "$VH_OUTPUTS_DIR/so-far.txt"
      - cat "$VH_INPUTS_DIR/data/word.txt"
      - 'echo "{\\"progress\\": 0.25}"'
      - echo "the reason" >&2
      - exit 3
      - echo never
    parameters:
      - {name: number, type: integer, default: 1}
    inputs:
      - {name: data, default: word.txt}
- step:
    name: chatty
    image: busybox
    command: for i in $(seq 1000); do echo line $i; done; exit 1
- step:
    name: missing
    image: busybox
    command: no-such-program --flag
- step:
    name: killed
    image: busybox
    command: kill -KILL $$
- step:
    name: slow
    image: busybox
    command: ["trap 'exit 0' TERM", "while :; do sleep 0.1; done"]
    time-limit: 1
- step:
    name: odd
    image: busybox
    command:
      - ln -s /etc/passwd "$VH_OUTPUTS_DIR/link"
      - mkfifo "$VH_OUTPUTS_DIR/pipe"
      - echo fine > "$VH_OUTPUTS_DIR/fine.txt"
"""


@pytest.fixture
def project(make):
    return make(YAML, {"word.txt": "a word\n"})


def test_its_last_lines_exit_code_and_reason_are_shown_and_the_command_ends_with_1(project):
    done = project.fails("exec", "broken", "--number=5")

    assert "broken: failed (execution 1)" in done.err
    assert "command 6 of 7 failed (exit 3): `exit 3`" in done.err
    assert done.err.index("the reason\n") < done.err.index("broken: failed")
    assert done.out.splitlines()[:2] == ["line 5", "a word"]
    assert "never" not in done.out


def test_the_record_is_kept_with_outputs_metrics_and_log_so_far(project, tmp_path):
    project.fails("exec", "broken")

    execution = project.show("latest")
    assert (execution["state"], execution["reason"], execution["exit_code"]) == ("failed", "exit", 3)
    assert execution["metrics"] == {"progress": 0.25}
    assert project.outputs("latest", tmp_path / "results") == {"so-far.txt": b"kept\n"}
    assert "the reason" in project.succeeds("logs", "latest", "--stderr").out
    assert [(row["state"], row["exit_code"]) for row in project.succeeds("list", "--json").json()] == [("failed", 3)]


def test_its_work_folder_can_be_run_again_by_hand(project):
    done = project.fails("exec", "broken", "--number=5")
    work = project.show("latest")["work"]
    assert f"{work}/rerun.sh" in done.err

    again = subprocess.run(
        ["bash", f"{work}/rerun.sh"], env=project.command.environment, capture_output=True, text=True, check=False
    )

    assert again.returncode == 3
    assert "line 5\na word\n" in again.stdout
    assert "the reason" in again.stderr


def test_a_long_log_is_printed_and_kept_whole(project):
    done = project.fails("exec", "chatty")

    assert done.out.splitlines() == project.log().splitlines() == [f"line {number}" for number in range(1, 1001)]


def test_the_last_lines_of_a_failed_node_are_repeated_at_the_end_of_a_pipeline(project):
    project.write(
        "valohai.yaml",
        YAML + "- pipeline: {name: p, edges: [[talk.dependency.x, fall.dependency.x]], nodes: "
        "[{name: talk, type: execution, step: chatty}, {name: fall, type: execution, step: broken}]}\n",
    )

    done = project.fails("pipeline", "--no-reuse", "p")

    tail = done.err[done.err.index("failed: talk: ") :]
    assert "  │ line 1000\n" in tail
    assert "  │ line 900\n" not in tail
    assert "rerun.sh" in tail
    assert project.show()["nodes"]["fall"]["state"] == "skipped"


def test_a_program_that_is_not_there_is_named(project):
    done = project.fails("exec", "missing")

    assert "no-such-program" in done.err
    assert project.show("latest")["exit_code"] == 127


def test_a_step_that_is_killed_says_so(project):
    done = project.fails("exec", "killed")

    assert "signal" in done.err or "killed" in done.err
    assert project.show("latest")["state"] == "failed"


def test_a_step_over_its_time_limit_is_ended(project):
    done = project.fails("exec", "slow")

    execution = project.show("latest")
    assert (execution["state"], execution["reason"]) == ("failed", "timeout")
    assert "it ran longer than its time limit of 1 s" in done.err
    assert execution["duration"] < 10
    assert "rerun.sh" in done.err


def test_outputs_that_are_no_files_are_told_and_the_rest_is_kept(project, tmp_path):
    done = project.succeeds("exec", "odd")

    assert project.outputs("latest", tmp_path / "results") == {"fine.txt": b"fine\n"}
    assert "`link`" in done.err
    assert "`pipe`" in done.err


def test_the_next_run_is_not_disturbed(project):
    project.fails("exec", "broken")
    project.fails("exec", "broken")

    assert [run["counter"] for run in project.runs()] == [2, 1]
