"""The store is kept small: what may go is told, goes, and comes back."""

import json
import os
import stat

import pytest

YAML = """\
- step:
    name: train
    image: busybox
    command: echo {parameter-value:text} | tee "$VH_OUTPUTS_DIR/model.txt"
    parameters: [{name: text, type: string, default: one}]
- step:
    name: use
    image: busybox
    command: cat "$VH_INPUTS_DIR/model/model.txt"
    inputs: [{name: model, optional: true}]
- step:
    name: fail
    image: busybox
    command: echo half > "$VH_OUTPUTS_DIR/half.txt"; exit 1
- step:
    name: wait
    image: busybox
    command: 'cat "$VH_INPUTS_DIR/model/model.txt"; echo waiting; sleep 1000'
    inputs: [{name: model, optional: true}]
"""


@pytest.fixture
def project(make, tmp_path):
    project = make(YAML).with_variables(MLRUN_STORE=str(tmp_path / "store"))
    yield project
    project.command.close()


def train(project, *texts: str) -> None:
    for text in texts:
        project.succeeds("exec", "train", "--text", text)


def everything(project) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in project.command.store.rglob("*") if path.is_file()}


def test_what_would_go_is_told_and_nothing_is_touched(project):
    train(project, "one", "two", "three")
    before = everything(project)
    done = project.succeeds("gc", "--keep-last", "1")
    assert "keeps the newest 1 execution of each step" in done.out
    (row,) = (line for line in done.out.splitlines() if "train" in line)
    assert "1, 2" in row and "not among the newest 1 of its step" in row
    assert "nothing was removed" in done.err and "--yes" in done.err
    assert everything(project) == before


def test_without_a_policy_a_young_store_keeps_everything(project):
    train(project, "one")
    done = project.succeeds("gc", "--yes")
    assert "the newest 10 executions" in done.out and "30 d" in done.out
    assert "there was nothing to remove" in done.err


def test_removed_files_are_told_of_as_removed_and_come_back(project, tmp_path):
    train(project, "one", "two")
    done = project.succeeds("gc", "--keep-last", "1", "--yes")
    assert "mlrun gc --undo" in done.err
    assert "removed by `mlrun gc` on" in project.succeeds("show", "1").out
    assert "removed by `mlrun gc`" in project.succeeds("outputs", "1").err
    assert "removed by `mlrun gc`" not in project.succeeds("show", "2").out
    done = project.succeeds("gc", "--undo")
    assert "1 execution" in done.err
    assert "removed by" not in project.succeeds("show", "1").out
    assert project.outputs("1", tmp_path / "back") == {"model.txt": b"one\n"}
    refusal = project.refused("gc", "--undo", code=2)
    assert "nothing to undo" in refusal


def test_destroyed_files_are_never_called_damage(project, tmp_path):
    train(project, "one", "two")
    project.succeeds("gc", "--keep-last", "1", "--now")
    assert os.listdir(project.command.store / "trash") == []
    said = project.refused("outputs", "1", "-d", tmp_path / "out", code=41)
    assert "the files of execution 1 were removed by `mlrun gc`" in said and "damage" not in said
    said = project.refused("logs", "1", code=41)
    assert "removed by `mlrun gc`" in said
    assert project.outputs("2", tmp_path / "two") == {"model.txt": b"two\n"}
    train(project, "one")
    assert project.outputs("latest", tmp_path / "again") == {"model.txt": b"one\n"}


def test_whoever_asks_for_a_destroyed_file_is_told_since_when_it_is_gone(project):
    train(project, "one")
    datum = json.loads(project.succeeds("outputs", "1", "--json").out)[0]["datum"]
    project.succeeds("exec", "use", "--model", f"datum://{datum}")
    project.succeeds("gc", "--keep-last", "0", "--now")
    asked = [("store", "cat", "1/model.txt"), ("shell", "2", "--", "true"), ("exec", "use", "--inputs-from", "2")]
    asked += [("exec", "use", "--model", f"datum://{datum}"), ("spin", "use"), ("pin", "1/model.txt")]
    for words in asked:
        done = project.mlrun(*words)
        assert (done.code, done.out) == (41, ""), str(done)
        assert "`model.txt` is not in this store since 20" in done.err, str(done)
    project.succeeds("store", "check")
    assert len(json.loads(project.succeeds("list", "--json").out)) == 2


def test_aliased_files_and_the_inputs_of_what_stays_survive(project, tmp_path):
    train(project, "one", "two", "three")
    project.succeeds("alias", "prod", "1/model.txt")
    datum = project.succeeds("outputs", "2", "--json").json()[0]["datum"]
    project.succeeds("exec", "use", "--model", f"datum://{datum}")
    report = project.succeeds("gc", "--keep-last", "1", "--now", "--json").json()
    assert report["losses"] == []
    assert report["kept"] == {"pinned or named": 1, "among the newest": 2, "an input of one that is kept": 1}
    assert project.outputs("1", tmp_path / "1") == {"model.txt": b"one\n"}
    assert project.log("4") == "two\n"


def test_a_pinned_execution_keeps_its_files(project, tmp_path):
    train(project, "one", "two")
    project.succeeds("pin", "1")
    project.succeeds("gc", "--keep-last", "0", "--now")
    assert project.outputs("1", tmp_path / "1") == {"model.txt": b"one\n"}
    project.refused("outputs", "2", "-d", tmp_path / "2", code=41)


def test_what_a_run_under_way_uses_stays(project):
    train(project, "one")
    datum = project.succeeds("outputs", "1", "--json").json()[0]["datum"]
    running = project.start("exec", "wait", "--model", f"datum://{datum}")
    running.until("waiting")
    report = project.succeeds("gc", "--keep-last", "0", "--now", "--json").json()
    assert report["kept"] == {"under way": 1, "an input of one that is kept": 1}
    project.succeeds("stop")
    running.end()
    assert "one\n" in project.log("2")


def test_the_folder_of_a_failure_goes_with_its_execution(project):
    project.fails("exec", "fail")
    (folder,) = (project.command.store / "work").iterdir()
    report = project.succeeds("gc", "--keep-last", "0", "--yes", "--json").json()
    assert [left["path"] for left in report["folders"]] == [str(folder)]
    assert not folder.exists()
    project.succeeds("gc", "--undo")
    assert (folder / "rerun.sh").exists()


def test_another_project_keeps_everything_if_only_one_is_named(project, make, tmp_path):
    train(project, "one")
    other = project.folder.parent / "other"
    other.mkdir()
    (other / "valohai.yaml").write_text(YAML)
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "x")):
        project.git("-C", str(other), *words)
    project.succeeds("exec", "train", "--text", "two", folder=other)
    report = project.command.run("gc", "--project", "here", "--keep-last", "0", "--json", folder=other).json()
    assert [loss["project_name"] for loss in report["losses"]] == ["other"]
    report = project.succeeds("gc", "--project", "project", "--keep-last", "0", "--json").json()
    assert [loss["project_name"] for loss in report["losses"]] == ["project"]
    assert "no project `othr`" in project.refused("gc", "--project", "othr", code=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--keep-last=-1"], "`-1` is not a number of executions"),
        (["--keep-last", "ten"], "`ten` is not a number of executions"),
        (["--keep-within", "1 month"], "`1 month` is not an age"),
        (["--keep-within", "soon"], "`soon` is not an age"),
        (["--keep-within=-3d"], "`-3d` is not an age"),
        (["--undo", "--yes"], "`--undo` stands alone"),
        (["--undo", "--keep-last", "0"], "`--undo` stands alone"),
        (["--project", "here", "--all-projects"], "exclude each other"),
        (["--undo"], "there is no store"),
    ],
)
def test_nonsense_is_refused(project, arguments, message):
    assert message in project.refused("gc", *arguments, code=2)


def test_a_store_that_is_not_there_is_not_made(project):
    for arguments in (["gc"], ["gc", "--yes"], ["gc", "--now"], ["du"]):
        assert "there is no store" in project.succeeds(*arguments).err
    assert not project.command.store.exists()


@pytest.mark.parametrize("setting", ["keep-last = -1", 'keep-within = "1 month"', 'quota = "much"', "keep-last = 1.5"])
def test_a_wrong_setting_is_named(project, setting):
    settings = project.command.scratch / ".config" / "mlrun" / "settings.toml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(setting)
    try:
        assert str(settings) in project.refused("gc", code=2)
    finally:
        settings.unlink()


def test_the_settings_say_what_stays(project):
    train(project, "one", "two")
    settings = project.command.scratch / ".config" / "mlrun" / "settings.toml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text('keep-last = 1\nkeep-within = "0h"\n')
    try:
        assert project.succeeds("gc", "--json").json()["losses"][0]["executions"] == [1]
        assert project.succeeds("gc", "--keep-last", "2", "--json").json()["losses"] == []
    finally:
        settings.unlink()


def test_a_damaged_journal_stops_the_removal_and_names_the_run(project):
    train(project, "one", "two")
    run = project.show("run:1")["id"]
    journal = project.command.store / "runs" / run / "journal"
    data = bytearray(journal.read_bytes())
    data[100] ^= 4
    journal.write_bytes(data)
    said = project.refused("gc", "--keep-last", "0", "--now", code=30)
    assert run in said and "mlrun store check" in said


def test_a_store_that_cannot_be_written_can_be_looked_at(project, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    train(project, "one", "two")
    objects = project.command.store / "objects"
    objects.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        project.succeeds("gc", "--keep-last", "1")
        project.succeeds("du")
        assert "Permission denied" in project.refused("gc", "--keep-last", "1", "--yes", code=30)
    finally:
        objects.chmod(0o700)


def test_the_room_is_told_by_whoever_takes_it(project):
    train(project, "one", "two")
    project.succeeds("gc", "--keep-last", "1", "--yes")
    page = project.succeeds("du").out
    for word in ("whole", "trash", "records", "total", "until", "project"):
        assert word in page
    report = project.succeeds("du", "--by", "execution", "--json").json()
    assert report["total"] == sum(part["size"] for part in report["parts"].values())
    assert {one["name"]: one["own"]["files"] > 0 for one in report["holders"]}["2"]
    assert report["trash"][0]["why"] == "gc" and report["gc_would_free"] == {"files": 0, "size": 0}
    assert "there is no way to tell `age`" in project.refused("du", "--by", "age", code=2)
    assert json.loads(json.dumps(report)) == report
