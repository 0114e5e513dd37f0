import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from runner.errors import ExitCode, MlrunError
from runner.job import Identity, InputFile, Job, JobInput, Staged, View, Workspace
from runner.store.objects import Objects
from runner.worker.stage import MODIFIED, fill, inputs_document, make_folders

Files = Callable[..., InputFile]
Inputs = Callable[..., Job]


@pytest.fixture
def stage(tmp_path: Path, objects: Objects) -> Callable[..., tuple[Staged, list[str]]]:
    def run(job: Job, view: View | None = None) -> tuple[Staged, list[str]]:
        workspace = Workspace.below(tmp_path / "store" / "work" / job.id)
        make_folders(workspace)
        return fill(job, workspace, view or View(), Identity("host", {}), objects)

    return run


Stage = Callable[..., tuple[Staged, list[str]]]


def own_view(workspace: Workspace) -> View:
    folders = (workspace.inputs, workspace.outputs, workspace.repository, workspace.config, workspace.control)
    return View(*map(str, folders))


def test_the_repository_is_a_writable_copy_with_constant_times(stage: Stage, job: Job) -> None:
    staged, warnings = stage(job)
    repository = staged.workspace.repository
    assert warnings == []
    assert sorted(str(path.relative_to(repository)) for path in repository.rglob("*")) == [
        "tools",
        "tools/run.sh",
        "train.py",
    ]
    assert (repository / "train.py").read_bytes() == b"print(1)\n"
    assert (repository / "train.py").stat().st_nlink == 1
    assert os.access(repository / "tools/run.sh", os.X_OK)
    assert {path.stat().st_mtime_ns for path in repository.rglob("*.*")} == {MODIFIED}
    (repository / "train.py").write_text("changed")


def test_no_python_cache_enters_the_copy(stage: Stage, job: Job, objects: Objects) -> None:
    digest = str(objects.put_bytes(b"x"))
    names = ["a.py", "__pycache__/a.pyc", "sub/__pycache__/b.pyc", "sub/b.py", "not__pycache__"]
    tree = objects.put_tree([(name, "100644", digest, 1) for name in names])
    staged, _ = stage(replace(job, snapshot=tree))
    found = [path.name for path in staged.workspace.repository.rglob("*") if path.is_file()]
    assert sorted(found) == ["a.py", "b.py", "not__pycache__"]


def test_inputs_are_read_only_files_below_their_name(stage: Stage, with_inputs: Inputs, input_file: Files) -> None:
    files = [input_file("a.csv", b"1"), input_file("deep/er/b.csv", b"2"), input_file("deep/c.csv", b"3")]
    staged, _ = stage(with_inputs(data=files))
    top = staged.workspace.inputs / "data"
    assert (top / "a.csv").read_bytes() == b"1"
    assert (top / "deep/er/b.csv").read_bytes() == b"2"
    assert (top / "deep/c.csv").read_bytes() == b"3"
    assert stat.S_IMODE((top / "a.csv").stat().st_mode) == 0o444


def test_an_input_without_files_gets_no_folder_but_is_listed(stage: Stage, with_inputs: Inputs) -> None:
    staged, _ = stage(with_inputs(extra=[]))
    assert list(staged.workspace.inputs.iterdir()) == []
    assert json.loads((staged.workspace.config / "inputs.json").read_text()) == {"extra": {"files": []}}


def test_a_step_that_works_in_our_folders_gets_copies(
    stage: Stage, with_inputs: Inputs, input_file: Files, objects: Objects, tmp_path: Path
) -> None:
    file = input_file("a.csv", b"precious")
    job = with_inputs(data=[file])
    view = own_view(Workspace.below(tmp_path / "store" / "work" / job.id))
    staged, _ = stage(job, view)
    copy = staged.workspace.inputs / "data" / "a.csv"
    copy.chmod(0o644)
    copy.write_bytes(b"overwritten")
    assert objects.verify(file.digest)  # type: ignore[arg-type]


def test_the_inputs_document_has_the_properties_and_the_checksums_that_are_known(input_file: Files) -> None:
    plain, rich = input_file("a.csv", b"1"), replace(input_file("b.csv", b"2"), metadata={"rows": 3})
    given = [JobInput("data", (plain, rich))]
    document = inputs_document(given, View(), lambda digest: {"blake3": digest, "md5": digest[:32]})
    first, second = document["data"]["files"]  # type: ignore[index]
    assert (first["metadata"], second["metadata"]) == ([], [{"rows": 3}])
    assert second["checksums"] == {"blake3": rich.digest, "md5": rich.digest[:32]}


def test_the_inputs_document_says_where_the_step_sees_each_file(
    stage: Stage, with_inputs: Inputs, input_file: Files
) -> None:
    local = input_file("sub/a.csv", b"12")
    remote = input_file("b.csv", b"345", origin="https://example.org/b.csv")
    output = input_file("c.csv", b"6", origin="datum://0190a1b2-0000-5000-8000-000000000001")
    staged, _ = stage(with_inputs(data=[local, remote, output]), View(inputs="/elsewhere"))
    document = json.loads((staged.workspace.config / "inputs.json").read_text())
    assert document["data"]["files"][2]["uri"] == "datum://0190a1b2-0000-5000-8000-000000000001"
    assert document["data"]["files"][2]["datum_id"] == "0190a1b2-0000-5000-8000-000000000001"
    assert document["data"]["files"][:2] == [
        {
            "name": "sub/a.csv",
            "path": "/elsewhere/data/sub/a.csv",
            "size": 2,
            "uri": f"datum://{local.digest}",
            "checksums": {"blake3": local.digest},
            "metadata": [],
            "datum_id": local.digest,
        },
        {
            "name": "b.csv",
            "path": "/elsewhere/data/b.csv",
            "size": 3,
            "uri": "https://example.org/b.csv",
            "checksums": {"blake3": remote.digest},
            "metadata": [],
            "datum_id": remote.digest,
        },
    ]


def test_every_document_is_there_in_json_and_yaml(stage: Stage, job: Job) -> None:
    documents = {"parameters": {"lr": 1e-05, "flag": False, "layers": [64, 32]}, "runtime": {}}
    staged, _ = stage(replace(job, documents=documents))
    config = staged.workspace.config
    assert sorted(path.name for path in config.iterdir()) == [
        f"{name}.{suffix}" for name in ("inputs", "parameters", "runtime") for suffix in ("json", "yaml")
    ]
    for name, document in documents.items():
        assert json.loads((config / f"{name}.json").read_text()) == document
        assert yaml.safe_load((config / f"{name}.yaml").read_text()) == document


def test_of_two_files_with_one_name_the_last_stays_with_a_warning(
    stage: Stage, with_inputs: Inputs, input_file: Files
) -> None:
    first, last = input_file("a.csv", b"1", "/x/a.csv"), input_file("a.csv", b"2", "/y/a.csv")
    staged, warnings = stage(with_inputs(data=[first, last]))
    assert (staged.workspace.inputs / "data/a.csv").read_bytes() == b"2"
    assert len(json.loads((staged.workspace.config / "inputs.json").read_text())["data"]["files"]) == 1
    assert warnings == ["input `data` has two files named `a.csv`: `/y/a.csv` takes the place of `/x/a.csv`"]


def test_the_same_file_twice_is_no_clash(stage: Stage, with_inputs: Inputs, input_file: Files) -> None:
    _, warnings = stage(with_inputs(data=[input_file("a.csv"), input_file("a.csv")]))
    assert warnings == []


@pytest.mark.parametrize(
    "name", ["../a", "/a", "a/../../b", ".", "", "a//b", "a\0b", "a/", "\ud800", "d/" + "x" * 256, "ü" * 128]
)
def test_an_input_file_cannot_leave_its_folder(stage: Stage, with_inputs: Inputs, input_file: Files, name: str) -> None:
    with pytest.raises(MlrunError) as failure:
        stage(with_inputs(data=[input_file(name)]))
    assert failure.value.code is ExitCode.INPUT


@pytest.mark.parametrize("name", ["..", "a/b", "", "."])
def test_an_input_is_one_path_component(stage: Stage, job: Job, input_file: Files, name: str) -> None:
    with pytest.raises(MlrunError) as failure:
        stage(replace(job, inputs=(JobInput(name, (input_file("a"),)),)))
    assert failure.value.code is ExitCode.INPUT


@pytest.mark.parametrize("names", [["a", "a/b"], ["a/b", "a"], ["x/y/z", "x/y"]])
def test_a_file_cannot_be_a_folder_too(stage: Stage, with_inputs: Inputs, input_file: Files, names: list[str]) -> None:
    with pytest.raises(MlrunError) as failure:
        stage(with_inputs(data=[input_file(name) for name in names]))
    assert failure.value.code is ExitCode.INPUT


def test_odd_names_are_kept_byte_for_byte(stage: Stage, with_inputs: Inputs, input_file: Files) -> None:
    names = ["new\nline", os.fsdecode(b"\xff\xfe"), "-rf", " ", "ü", "u\u0308", "\x1b[31m"]
    staged, _ = stage(with_inputs(data=[input_file(name, name.encode("utf-8", "replace")) for name in names]))
    assert sorted(os.listdir(staged.workspace.inputs / "data")) == sorted(names)
    listed = json.loads((staged.workspace.config / "inputs.json").read_text())["data"]["files"]
    assert all(os.path.exists(staged.workspace.inputs / "data" / file["name"]) for file in listed)


def test_the_environment_names_the_folders_and_nothing_overrides_them(stage: Stage, job: Job) -> None:
    environment = {"MODE": "1", "VH_OUTPUTS_DIR": "/tmp", "PYTHONUNBUFFERED": "0"}
    staged, _ = stage(replace(job, environment=environment))
    assert staged.environment == {
        "MODE": "1",
        "PYTHONUNBUFFERED": "0",
        "VH_CONFIG_DIR": "/valohai/config",
        "VH_INPUTS_DIR": "/valohai/inputs",
        "VH_OUTPUTS_DIR": "/valohai/outputs",
        "VH_REPOSITORY_DIR": "/valohai/repository",
    }
    staged, _ = stage(replace(job, id="other"))
    assert staged.environment["PYTHONUNBUFFERED"] == "1"


def test_the_variables_of_the_step_win_over_those_that_hold_results_still(stage: Stage, job: Job) -> None:
    staged, _ = stage(replace(job, environment={"TZ": "Asia/Tokyo"}, defaults={"TZ": "UTC", "LC_ALL": "C.UTF-8"}))
    assert (staged.environment["TZ"], staged.environment["LC_ALL"]) == ("Asia/Tokyo", "C.UTF-8")


def test_any_user_may_write_where_a_step_writes_and_none_may_look_in_from_outside(stage: Stage, job: Job) -> None:
    before = os.umask(0o077)
    try:
        staged, _ = stage(job)
    finally:
        os.umask(before)
    workspace = staged.workspace
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in workspace.root.iterdir()}
    assert stat.S_IMODE(workspace.root.stat().st_mode) == 0o700
    assert modes == {
        "config": 0o755,
        "control": 0o755,
        "inputs": 0o777,
        "outputs": 0o777,
        "repository": 0o777,
        "scratch": 0o777,
    }
    assert stat.S_IMODE((workspace.config / "inputs.json").stat().st_mode) == 0o644


def test_a_missing_object_is_an_error_that_names_it(stage: Stage, with_inputs: Inputs, objects: Objects) -> None:
    with pytest.raises(MlrunError) as failure:
        stage(with_inputs(data=[InputFile("a", "0" * 64, 1, "/a")]))
    assert failure.value.code is ExitCode.STORE
    assert "0" * 64 in failure.value.message
