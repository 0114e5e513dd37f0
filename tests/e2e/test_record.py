"""What a run leaves behind: enough to find it, to trust it and to look at it again."""

import json
import os
from datetime import datetime

import pytest
from blake3 import blake3

YAML = """\
- step:
    name: train
    image: python:3.12
    command:
      - cat code.py new.py
      - 'echo "{\\"loss\\": 0.5}"'
      - 'echo "{\\"loss\\": NaN, \\"epoch\\": 2}"'
      - cp "$VH_INPUTS_DIR/data/words.txt" "$VH_OUTPUTS_DIR/copy.txt"
      - mkdir "$VH_OUTPUTS_DIR/deep"
      - echo "{parameter-value:rate}" > "$VH_OUTPUTS_DIR/deep/rate.txt"
      - rm code.py
    parameters:
      - {name: rate, type: float, default: 0.5}
    inputs:
      - {name: data, default: words.txt}
    environment-variables:
      - {name: WORD, default: hello}
- step:
    name: look
    image: busybox
    command: ls -A
- step:
    name: told
    image: busybox
    command: 'cat "$VH_CONFIG_DIR/execution.json"'
"""
FILES = {"code.py": "first\n", "words.txt": "some words\n", ".gitignore": "ignored\n"}


@pytest.fixture
def project(make):
    return make(YAML, FILES)


def ids_of_git(project) -> dict[str, tuple[int, bytes]]:
    """Every file of `.git` with its time and content."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes())
        for path in (project.folder / ".git").rglob("*")
        if path.is_file()
    }


def test_a_run_records_where_its_code_came_from(project):
    head = project.git("rev-parse", "HEAD").strip()
    project.git("remote", "add", "origin", "https://me:hunter2@example.com/iris.git")
    project.git("tag", "v1")
    project.write("new.py", "new\n")

    project.succeeds("exec", "train")

    code = project.show()["code"]
    assert (code["commit"], code["branch"], code["dirty"]) == (head, "main", True)
    assert code["describe"].startswith("v1")
    assert "example.com/iris.git" in code["remote"]
    assert "hunter2" not in json.dumps(project.show())


def test_a_clean_tree_is_not_dirty_and_a_detached_head_has_no_branch(project):
    project.write("new.py", "new\n")
    project.commit()
    project.git("checkout", "--quiet", "--detach")

    project.succeeds("exec", "train")

    code = project.show()["code"]
    assert (code["branch"], code["dirty"]) == (None, False)


def test_the_exact_bytes_of_a_dirty_tree_are_in_the_store(project):
    project.write("code.py", "changed\n")
    project.write("new.py", "never added\n")
    project.write("ignored", "secret\n")

    done = project.succeeds("exec", "train")

    assert done.out.startswith("changed\nnever added\n")
    tree = project.command.object(project.show()["code"]["snapshot"]).decode()
    for name, text in (("code.py", "changed\n"), ("new.py", "never added\n")):
        digest = blake3(text.encode()).hexdigest()
        assert digest in tree
        assert name in tree
        assert project.command.object(digest) == text.encode()
    assert blake3(b"secret\n").hexdigest() not in tree
    assert "ignored" not in tree.replace(".gitignore", "")


def test_a_step_changes_neither_the_checkout_nor_the_users_git(project):
    project.write("new.py", "new\n")
    before = ids_of_git(project)

    project.succeeds("exec", "train")
    project.succeeds("exec", "look")

    assert ids_of_git(project) == before
    assert (project.folder / "code.py").read_text() == "first\n"
    assert sorted(os.listdir(project.folder)) == [
        ".git",
        ".gitignore",
        "code.py",
        "new.py",
        "valohai.yaml",
        "words.txt",
    ]


def test_a_step_sees_what_git_would_see(project):
    project.write("new.py", "new\n")
    project.write("ignored", "x")

    done = project.succeeds("exec", "look")

    assert done.out.split() == [".gitignore", "code.py", "new.py", "valohai.yaml", "words.txt"]


def test_an_execution_records_what_it_ran_and_with_what(project):
    project.write("new.py", "new\n")

    project.succeeds("exec", "--var", "WORD=bye", "train", "--rate", "0.25")

    execution = project.show("latest")
    job = execution["job"]
    assert job["image"] == "python:3.12"
    assert job["script"]["items"][5] == 'echo "0.25" > "$VH_OUTPUTS_DIR/deep/rate.txt"'
    assert job["parameters"] == {"rate": 0.25}
    assert job["environment"]["WORD"] == "bye"
    (file,) = job["inputs"][0]["files"]
    assert (file["name"], file["size"]) == ("words.txt", 11)
    assert file["digest"] == blake3(b"some words\n").hexdigest()
    assert file["origin"].endswith("words.txt")
    assert (execution["state"], execution["reason"], execution["exit_code"]) == ("succeeded", "exit", 0)
    assert execution["identity"]["id"]
    times = [datetime.fromisoformat(execution[name]) for name in ("created", "started", "finished")]
    assert times == sorted(times)
    assert execution["duration"] > 0


def test_a_run_records_the_command_line_the_file_and_the_machine(project):
    project.write("new.py", "new\n")

    project.succeeds("exec", "--title", "a title", "train", "--rate=0.25")

    run = project.show()
    assert run["argv"] == ["exec", "--title", "a title", "train", "--rate=0.25"]
    assert (run["kind"], run["name"], run["title"]) == ("exec", "train", "a title")
    assert run["spec"] == blake3(YAML.encode()).hexdigest()
    assert project.command.object(run["spec"]) == YAML.encode()
    assert run["plan"]["nodes"][0]["definition"]["name"] == "train"
    assert run["project"]["root"] == str(project.folder)
    assert run["host"]
    assert run["version"]


def test_outputs_and_logs_are_objects_named_by_the_hash_of_their_content(project):
    project.write("new.py", "new\n")
    project.succeeds("exec", "train")

    execution = project.show("latest")
    outputs = {file["name"]: file for file in execution["outputs"]}
    assert set(outputs) == {"copy.txt", "deep/rate.txt"}
    for file in outputs.values():
        data = project.command.object(file["digest"])
        assert blake3(data).hexdigest() == file["digest"]
        assert len(data) == file["size"]
    log = project.command.object(execution["log"]["stdout"]).decode()
    assert log.startswith("first\nnew\n")


def test_every_object_of_the_store_is_named_by_its_content_and_read_only(project):
    project.write("new.py", "new\n")
    project.succeeds("exec", "train")

    objects = [path for path in (project.command.store / "objects").rglob("*") if path.is_file()]

    assert objects
    for path in objects:
        assert blake3(path.read_bytes()).hexdigest() == path.name
        assert path.stat().st_mode & 0o777 == 0o444


def test_all_metric_events_are_kept_and_a_bare_nan_too(project):
    project.write("new.py", "new\n")
    project.succeeds("exec", "train")

    events = project.succeeds("metrics", "latest", "--events", "--json").json_lines()

    assert [event["values"].get("epoch") for event in events] == [None, 2]
    last = project.show("latest")["metrics"]
    assert last["epoch"] == 2
    assert str(last["loss"]).lower() == "nan"


def test_a_step_is_told_who_it_is(project):
    done = project.succeeds("exec", "--tag", "a", "told")

    told = json.loads(done.out)
    execution = project.show("latest")
    assert told["valohai.execution-id"] == execution["id"]
    assert told["valohai.execution-counter"] == execution["counter"]
    assert told["valohai.execution-step"] == "told"
    assert told["valohai.execution-tags"] == ["a"]
    assert execution["job"]["environment"]["VH_EXECUTION_ID"] == execution["id"]


def test_counters_are_of_the_project_and_a_clone_is_the_same_project(project, tmp_path):
    project.succeeds("exec", "look")
    project.git("clone", "--quiet", str(project.folder), str(tmp_path / "clone"))

    project.succeeds("exec", "look", folder=tmp_path / "clone")

    assert [run["counter"] for run in project.runs()] == [2, 1]
    assert [row["counter"] for row in project.succeeds("list", "--json").json()] == [2, 1]


def test_an_execution_is_named_by_counter_latest_or_the_start_of_its_id(project):
    project.succeeds("exec", "look")
    project.succeeds("exec", "told")

    id = project.show("latest")["id"]
    assert project.show("2")["id"] == project.show(id)["id"] == project.show(id[:-4])["id"] == id
    assert project.show("1")["step"] == "look"
    assert project.show("run:2")["name"] == "told"


def test_the_record_outlives_the_repository(project):
    project.succeeds("exec", "look")
    id = project.show("latest")["id"]
    (project.folder / "valohai.yaml").unlink()
    (project.folder / ".git").rename(project.folder.parent / "gone")

    shown = project.succeeds("show", id, "--json").json()

    assert shown["step"] == "look"
    assert project.succeeds("logs", id).out.split()[0] == ".gitignore"


def test_the_index_can_be_thrown_away(make, tmp_path):
    project = make(YAML, FILES).with_variables(MLRUN_STORE=str(tmp_path / "store"))
    project.succeeds("exec", "look")
    for path in project.command.store.glob("index.sqlite*"):
        path.unlink()

    assert [run["counter"] for run in project.runs()] == [1]
    project.succeeds("exec", "look")
    assert [run["counter"] for run in project.runs()] == [2, 1]


def test_reading_writes_nothing(make, tmp_path):
    project = make(YAML, FILES).with_variables(MLRUN_STORE=str(tmp_path / "store"))
    project.succeeds("exec", "look")

    def state() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in project.command.store.rglob("*")}

    before = state()
    for words in (["list"], ["list", "runs"], ["show"], ["logs"], ["metrics"], ["outputs"], ["lint"], ["doctor"]):
        project.succeeds(*words)

    assert state() == before


def test_reading_verbs_make_no_store(make, tmp_path):
    project = make(YAML, FILES).with_variables(MLRUN_STORE=str(tmp_path / "store"))

    assert project.runs() == []
    assert "hint: " in project.refused("show", code=2)
    assert not project.command.store.exists()


def test_commands_at_the_same_time_get_numbers_of_their_own(project):
    running = [project.start("exec", "look") for _ in range(4)]

    assert [one.end().code for one in running] == [0] * 4
    assert sorted(run["counter"] for run in project.runs()) == [1, 2, 3, 4]
    assert sorted(row["counter"] for row in project.succeeds("list", "--json").json()) == [1, 2, 3, 4]
