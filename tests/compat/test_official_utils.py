"""A project that uses what the unmodified `valohai-utils` offers to a running step, in every executor.

The library and what it needs are copied into the project, as they were installed from PyPI, so that a container without
a network finds them. The project runs once per executor; each test is about one thing that it wrote down.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

valohai = pytest.importorskip("valohai", reason="valohai-utils is not installed")
from valohai_yaml import parse  # noqa: E402

pytestmark = pytest.mark.e2e

PROJECT = Path(__file__).with_name("utils_project")
COMMAND = Path(sysconfig.get_path("scripts")) / "mlrun"
IMAGE = "mlrun-test/sklearn:1"
PATIENCE = 300.0
TITLE = "every feature"
PAIR = {"one.txt": "packed one", "two.txt": "packed two"}


def library() -> list[Distribution]:
    """`valohai-utils` and everything that it needs."""
    found: dict[str, Distribution] = {}
    pending = ["valohai-utils"]
    while pending:
        name = pending.pop()
        if name.lower() in found:
            continue
        try:
            found[name.lower()] = distribution(name)
        except PackageNotFoundError:
            continue
        needs = map(Requirement, found[name.lower()].requires or ())
        pending += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return list(found.values())


def copy_library(target: Path) -> None:
    for package in library():
        for file in package.files or ():
            if ".." in file.parts or "__pycache__" in file.parts or file.suffix == ".pyi":
                continue
            place = target / file
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(str(package.locate_file(file))), place)


def changed_files(package: Distribution) -> Iterator[str]:
    """Files of an installed package that are not what was published."""
    for file in package.files or ():
        if file.hash is not None:
            data = Path(str(package.locate_file(file))).read_bytes()
            digest = urlsafe_b64encode(hashlib.new(file.hash.mode, data).digest()).rstrip(b"=").decode()
            if digest != file.hash.value:
                yield str(file)


def make_archives(folder: Path) -> None:
    for name, text in PAIR.items():
        (folder / name).write_text(text)
    with zipfile.ZipFile(folder / "pair.zip", "w") as archive:
        for name in PAIR:
            archive.write(folder / name, name)
    with tarfile.open(folder / "pair.tar", "w") as archive:
        for name in PAIR:
            archive.add(folder / name, name)
    for name in PAIR:
        (folder / name).unlink()


@dataclass(frozen=True)
class Ran:
    """The project after its run in one executor."""

    executor: str
    folder: Path
    environment: Mapping[str, str]

    def mlrun(self, *words: str | Path) -> str:
        done = subprocess.run(
            [COMMAND, *map(str, words)],
            cwd=self.folder,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=PATIENCE,
        )
        assert done.returncode == 0, f"{words} → {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def exec(self, *words: str | Path) -> None:
        network = [] if self.executor == "process" else ["--network", "none"]
        self.mlrun("exec", "--executor", self.executor, *network, *words)

    def outputs(self, step: str) -> dict[str, bytes]:
        """What the latest execution of a step left, by name."""
        folder = self.folder.parent / f"outputs-{step}"
        if not folder.exists():
            rows = json.loads(self.mlrun("list", "--where", f'step == "{step}"', "--json"))
            self.mlrun("outputs", rows[0]["id"], "-d", folder)
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    @cached_property
    def record(self) -> Any:
        rows = json.loads(self.mlrun("list", "--where", 'step == "everything"', "--json"))
        return json.loads(self.mlrun("show", rows[0]["id"], "--json"))

    @cached_property
    def log(self) -> str:
        return self.mlrun("logs", self.record["id"])

    def facts(self, name: str, step: str = "everything") -> Any:
        return json.loads(self.outputs(step)[f"{name}.json"])

    @cached_property
    def seen(self) -> Any:
        """What `everything.py` wrote down."""
        return self.facts("everything")


def working(environment: Mapping[str, str], folder: Path, executor: str) -> None:
    """Skips, with the reason, where the executor or its image is not here."""
    done = subprocess.run([COMMAND, "doctor", "--json"], cwd=folder, env=dict(environment), capture_output=True)
    probe = json.loads(done.stdout)["executors"][executor]
    if not probe["works"]:
        pytest.skip(f"{executor}: {os.environ.get('MLRUN_TEST_NO_ENGINE') or probe['sentence']}")
    if executor == "docker":
        client = pytest.importorskip("docker").from_env(environment=dict(environment))
        try:
            if not client.images.list(IMAGE):
                pytest.skip(f"docker: image {IMAGE} is not here")
        finally:
            client.close()


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("docker", marks=pytest.mark.docker),
        pytest.param("sandbox", marks=pytest.mark.sandbox),
        "process",
    ],
)
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Everything that is looked at below has happened, in one executor."""
    home = tmp_path_factory.mktemp(f"utils-{request.param}")
    folder = home / "project"
    shutil.copytree(PROJECT, folder)
    passed = {name: os.environ[name] for name in ("DOCKER_HOST", "TMPDIR") if name in os.environ}
    environment = {
        "PATH": f"{COMMAND.parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "MLRUN_STORE": str(home / "store"),
        **passed,
    }
    working(environment, folder, request.param)
    copy_library(folder / "vendor")
    make_archives(folder / "data")
    for words in (
        ["init", "--quiet"],
        ["add", "--all", "--force"],
        ["-c", "user.name=A", "-c", "user.email=a@b", "commit", "--quiet", "-m", "all"],
    ):
        subprocess.run(["git", *words], cwd=folder, env=environment, check=True, stdin=subprocess.DEVNULL)
    ran = Ran(request.param, folder, environment)
    if request.param == "docker":
        _check_interpreter(ran)
    ran.exec("--title", TITLE, "everything", "--epochs", "7", "--no-verbose", "--label", 'it\'s $5 "big"')
    ran.exec("bare")
    return ran


@pytest.fixture(scope="module")
def reread(ran: Ran) -> Any:
    """What a later step found that takes files of the first one by alias and by dataset."""
    ran.exec("again")
    return ran.facts("again", "again")


def _check_interpreter(ran: Ran) -> None:
    """The library needs a compiled package: it loads only into the Python it was installed for."""
    ran.exec("version")
    printed = ran.mlrun("logs", "latest").strip()
    if printed != str(sys.version_info[:2]):
        pytest.skip(f"docker: the image's Python is {printed}, this one's {sys.version_info[:2]}")


# --- parameters


def test_the_library_is_the_published_one() -> None:
    changed = [file for package in library() if package.name.startswith("valohai") for file in changed_files(package)]
    assert changed == []
    assert distribution("valohai-utils").version.startswith("0.8.")


def test_the_step_uses_the_library_of_the_project(ran: Ran) -> None:
    assert re.search(r"/(repository|vendor)/.*valohai/__init__.py$", ran.seen["library"])


def test_parameters_have_the_types_of_the_file_and_what_prepare_says_does_not_count(ran: Ran) -> None:
    assert ran.seen["parameters"] == {
        "epochs": 7,
        "rate": 0.5,
        "label": 'it\'s $5 "big"',
        "verbose": False,
        "quiet": False,
        "dashed-name": 1.5,
        "absent": None,
        "layers": [64, 32],
        "words": ["a", "b c"],
    }
    assert ran.seen["unknown parameter"] is None


def test_a_parameter_without_a_value_is_the_default_of_the_call(ran: Ran) -> None:
    assert ran.seen["fallback"] == "the default"


def test_the_command_line_of_the_program_wins_and_its_values_survive_the_shell(ran: Ran) -> None:
    facts = ran.facts("overriding")
    assert facts["epochs"] == 9
    assert facts["label"] == 'it\'s $5 "big"'
    assert (facts["rate"], facts["dashed-name"]) == (0.5, 1.5)
    assert (facts["verbose"], facts["quiet"]) == (False, False)
    # The library splits a list that comes on the command line at its commas and leaves the items texts.
    assert (facts["layers"], facts["words"]) == (["64", "32"], ["a", "b c"])


# --- inputs


def test_an_input_has_a_path_and_a_folder(ran: Ran) -> None:
    assert ran.seen["single"] == f"{ran.seen['folder']}/a.txt"
    assert ran.seen["folder"].endswith("/inputs/single")
    if ran.executor != "process":
        assert ran.seen["folder"] == "/valohai/inputs/single"


def test_an_input_of_several_files_gives_all_paths_and_those_that_match(ran: Ran) -> None:
    assert ran.seen["many"] == {"a.txt": "first", "b.txt": "second"}
    assert ran.seen["filtered"] == {"b.txt": "second"}
    assert ran.seen["mixed"] == {"a.txt": "first", "leaf.txt": "leaf one"}


def test_an_input_can_be_read_as_a_stream(ran: Ran) -> None:
    assert ran.seen["stream"] == "first"
    assert ran.seen["streams"] == ["first", "second"]


def test_an_input_that_keeps_directories_is_filtered_by_relative_paths(ran: Ran) -> None:
    assert ran.seen["tree"] == {"label1/leaf.txt": "leaf one", "label2/leaf.txt": "leaf two"}


def test_an_input_may_get_another_file_name(ran: Ran) -> None:
    assert ran.seen["renamed"] == {"another.txt": "first"}


def test_an_empty_optional_input_has_no_path_and_the_default_of_the_call_stands_in(ran: Ran) -> None:
    assert ran.seen["nothing"] == [None, "instead"]


def test_an_input_that_only_prepare_knows_does_not_exist(ran: Ran) -> None:
    assert ran.seen["unknown input"] is None


@pytest.mark.parametrize("kind", ["zipped", "tarred"])
def test_an_archive_is_unpacked_unless_it_is_wanted_as_it_is(ran: Ran, kind: str) -> None:
    assert ran.seen[kind] == PAIR
    assert ran.seen[f"{kind}, filtered"] == {"one.txt": "packed one"}
    assert ran.seen[f"{kind}, streamed"] == sorted(PAIR.values())
    assert ran.seen[f"{kind}, closed"] == {"zipped": "pair.zip", "tarred": "pair.tar"}[kind]


def test_the_command_line_of_the_program_may_name_another_file_for_an_input(ran: Ran) -> None:
    assert ran.facts("overriding")["single"] == "data/many/b.txt"


def test_a_step_that_declares_nothing_gets_what_prepare_says(ran: Ran) -> None:
    assert ran.facts("bare", "bare") == {
        "epochs": 3,
        "label": "from prepare",
        "many": ["first", "second"],
        "single": "first",
    }


# --- outputs


def test_outputs_lie_where_the_path_said(ran: Ran) -> None:
    outputs = ran.outputs("everything")
    assert outputs["top.txt"] == b"top"
    assert outputs["models/deep/model.txt"] == b"model"
    assert ran.seen["outputs folder"].endswith("/outputs")


@pytest.mark.parametrize("kind", ["zip", "tar", "tgz"])
def test_compressed_outputs_hold_the_files_and_replace_them(ran: Ran, kind: str) -> None:
    outputs = ran.outputs("everything")
    assert not [name for name in outputs if name.startswith(f"raw-{kind}/")]
    packed = ran.folder.parent / f"packed-{kind}"
    archive = ran.folder.parent / "outputs-everything" / f"packed.{kind}"
    shutil.unpack_archive(archive, packed, "gztar" if kind == "tgz" else kind)
    assert {path.name: path.read_text() for path in packed.iterdir()} == {
        name: f"{kind} {name}" for name in ("one.txt", "two.txt")
    }


def test_originals_of_a_compressed_output_may_stay(ran: Ran) -> None:
    assert {"kept/kept.txt", "kept.zip"} <= set(ran.outputs("everything"))


def test_live_upload_takes_a_file_while_the_step_runs_and_keeps_every_version(ran: Ran) -> None:
    assert ran.seen["taken while it runs"] == [True, True, True]
    outputs = ran.outputs("everything")
    assert outputs["checkpoints/weights.txt"] == b"epoch 1"
    assert outputs["checkpoints/weights.txt~2"] == b"epoch 2"
    assert outputs["late.zip"][:2] == b"PK"


# --- metadata


def test_what_the_logger_prints_arrives_as_metrics(ran: Ran) -> None:
    metrics = ran.record["metrics"]
    assert (metrics["epoch"], metrics["accuracy"], metrics["loss"], metrics["name"]) == (2, 0.5, 0.25, "text")
    assert "NaN" in str(metrics["broken"]) or metrics["broken"] is None


def test_output_properties_belong_to_their_files_and_are_no_output_themselves(ran: Ran) -> None:
    outputs = {output["name"]: output for output in ran.record["outputs"]}
    assert "valohai.metadata.jsonl" not in outputs
    model = outputs["models/deep/model.txt"]["metadata"]
    assert model["accuracy"] == 0.5
    assert model["valohai.tags"] == ["good", "small"]
    assert outputs["top.txt"]["metadata"]["second"] is True


def test_an_alias_leads_a_later_step_to_the_file_and_its_properties(reread: Any) -> None:
    text, metadata, uri, datum, checksums = reread["best"]["model.txt"]
    assert text == "model"
    assert metadata[0]["accuracy"] == 0.5
    assert metadata[0]["valohai.tags"] == ["good", "small"]
    assert uri == f"datum://{datum}"
    assert "blake3" in checksums


def test_a_dataset_version_leads_a_later_step_to_all_its_files(ran: Ran, reread: Any) -> None:
    assert {name: found[0] for name, found in reread["results"].items()} == {"model.txt": "model", "top.txt": "top"}
    assert reread["paths"] == ["model.txt", "top.txt"]
    assert "Created dataset version 'dataset://results/v1' with 2 files" in ran.log


# --- the execution itself


def test_the_program_knows_which_execution_it_is(ran: Ran) -> None:
    record = ran.record
    assert ran.seen["execution"] == {"counter": record["counter"], "id": record["id"], "title": TITLE}


def test_a_step_outside_a_distributed_task_is_told_so(ran: Ran) -> None:
    assert ran.seen["distributed"] is False


def test_members_of_a_distributed_task_find_one_another(ran: Ran) -> None:
    ran.mlrun("pipeline", "together", "--executor", ran.executor)
    rows = json.loads(ran.mlrun("list", "--where", 'step == "together"', "--json"))
    found = []
    for row in rows:
        folder = ran.folder.parent / f"together-{row['counter']}"
        ran.mlrun("outputs", row["id"], "-d", folder)
        found.append(json.loads((folder / "together.json").read_text()))
    found.sort(key=lambda facts: int(facts["rank"]))
    assert [(facts["distributed"], facts["member"], facts["rank"], facts["count"]) for facts in found] == [
        (True, str(rank), rank, 4) for rank in range(4)
    ]
    assert len({facts["group"] for facts in found}) == 1
    assert len(set(found[0]["addresses"])) == 4
    assert all(facts["addresses"] == found[0]["addresses"] for facts in found)
    assert all(facts["ranks"] == [0, 1, 2, 3] for facts in found)
    assert [facts["sum"] for facts in found] == [6, 0, 0, 0]


def test_a_described_group_is_read_with_its_ranks(ran: Ran) -> None:
    assert ran.facts("member") == {
        "distributed": True,
        "group": "task-5f0c",
        "member": "10",
        "rank": 1,
        "count": 2,
        "ranks": {"10": 1, "9": 0},
        "master": "10.0.0.3",
        "me": ["one", {"1234": "1234"}, False],
    }


def test_a_status_detail_is_ignored_in_silence(ran: Ran) -> None:
    assert ran.seen["warnings of set_status_detail"] == []


def test_a_trigger_is_not_there_and_one_that_is_required_is_an_error_of_the_library(ran: Ran) -> None:
    assert ran.seen["trigger"] is None
    assert ran.seen["required trigger"].startswith("TriggerException: ")


def test_nothing_of_the_library_is_warned_about(ran: Ran) -> None:
    assert ran.record["warnings"] == []


# --- written by the library


def test_a_pipeline_that_the_library_writes_runs(ran: Ran) -> None:
    config = parse((PROJECT / "valohai.yaml").read_text())
    written = valohai.Pipeline(config, name="written")
    first, second = written.execution("bare"), written.execution("again")
    first.output("bare.json").to(second.input("best"))
    first.output("*.json").to(second.input("results"))
    config.pipelines["written"] = written.to_yaml()
    (ran.folder / "written.yaml").write_text(json.dumps(config.serialize()))
    network = [] if ran.executor == "process" else ["--network", "none"]

    done = ran.mlrun("pipeline", "--executor", ran.executor, *network, "--yaml", "written.yaml", "--json", "written")

    run = json.loads(done)
    assert run["state"] == "succeeded"
    assert set(run["nodes"]) == {"bare_1", "again_1"}
