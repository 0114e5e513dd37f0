"""`mlrun store pack` and `mlrun store cat`: versions that grow by a line, by the installed command."""

import random
import subprocess
import sysconfig
from pathlib import Path

import pytest
from blake3 import blake3

YAML = """\
- step:
    name: grow
    image: python:3.12
    command: cat "$VH_INPUTS_DIR/data/table.csv" > "$VH_OUTPUTS_DIR/table.csv"
    inputs:
      - {name: data, default: datum://none}
"""
COMMAND = Path(sysconfig.get_path("scripts")) / "mlrun"
SIZE = 3_000_000
VERSIONS = 4
TABLE = random.Random(3).randbytes(SIZE)


@pytest.fixture
def project(make):
    project = make(YAML, {".gitignore": "table.csv\n"})
    return project.with_variables(MLRUN_STORE=str(project.folder.parent / f"store of {project.folder.name}"))


def version(number: int) -> bytes:
    return TABLE + b"one more line\n" * number


def grow(project, last: int = VERSIONS) -> None:
    for number in range(last):
        project.folder.joinpath("table.csv").write_bytes(version(number))
        project.succeeds("exec", "grow", "--data", "table.csv")


def stored(project) -> int:
    return sum(path.lstat().st_blocks * 512 for path in project.command.store.rglob("*") if path.is_file())


def piped(project, *arguments: str, to: str) -> tuple[int, str, str]:
    """The exit code and the errors of the command, and what a shell command makes of its output."""
    with subprocess.Popen(
        [COMMAND, *arguments],
        cwd=project.folder,
        env=project.command.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as command:
        reader = subprocess.run(["sh", "-c", to], stdin=command.stdout, capture_output=True, check=True)
        command.stdout.close()
        errors = command.stderr.read().decode()
    return command.returncode, errors, reader.stdout.decode()


def test_versions_of_a_growing_file_cost_one_after_a_pack_and_all_are_there(project, tmp_path):
    grow(project)
    before = stored(project)
    assert before > VERSIONS * SIZE

    said = project.succeeds("store", "pack", "--dry-run", "--json").json()
    assert stored(project) == before
    done = project.succeeds("store", "pack", "--json").json()

    assert said["objects"] == done["objects"] == VERSIONS - 1
    assert stored(project) - (before - VERSIONS * SIZE) < 1.2 * SIZE
    for number in range(VERSIONS):
        assert project.outputs(str(number + 1), tmp_path / str(number)) == {"table.csv": version(number)}
        code, errors, seen = piped(project, "store", "cat", f"{number + 1}/table.csv", to="sha256sum")
        assert (code, errors) == (0, "")
        assert seen == subprocess.run("sha256sum", input=version(number), capture_output=True).stdout.decode()
    assert project.succeeds("store", "pack").err.startswith("there is nothing to pack")


def test_a_packed_file_is_an_input_as_before(project):
    grow(project, 2)
    project.succeeds("store", "pack")
    old = project.succeeds("outputs", "1", "--json").json()[0]["datum"]

    project.succeeds("exec", "grow", "--data", f"datum://{old}")

    digest = blake3(version(0)).hexdigest()
    assert [file["digest"] for file in project.succeeds("outputs", "3", "--json").json()] == [digest]


def test_cat_names_data_in_every_way(project):
    grow(project, 1)
    project.succeeds("alias", "table", "1/table.csv")
    id = project.succeeds("outputs", "1", "--json").json()[0]["datum"]
    for reference in ("1/table.csv", "latest/*.csv", id, "table", blake3(TABLE).hexdigest()):
        code, errors, seen = piped(project, "store", "cat", reference, to="wc -c")
        assert (code, errors, int(seen)) == (0, "", SIZE)
    assert "no datum" in project.refused("store", "cat", "nothing", code=41)


def test_a_reader_that_has_enough_is_no_failure(project):
    grow(project, 2)
    project.succeeds("store", "pack")
    for number in (1, 2):
        assert piped(project, "store", "cat", f"{number}/table.csv", to="head -c 3 | wc -c") == (0, "", "3\n")


def test_damage_is_refused_before_the_first_byte(project):
    grow(project, 2)
    project.succeeds("store", "pack")
    digest = blake3(version(1)).hexdigest()
    path = project.command.store / "objects" / digest[:2] / digest
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(1000)
        file.write(bytes([TABLE[1000] ^ 1]))

    for number in (1, 2):
        code, errors, seen = piped(project, "store", "cat", f"{number}/table.csv", to="wc -c")
        assert (code, int(seen)) == (30, 0)
        assert digest in errors


def test_damage_is_told_by_a_pack_that_comes_upon_it(project):
    grow(project, 2)
    digest = blake3(version(0)).hexdigest()
    path = project.command.store / "objects" / digest[:2] / digest
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(b"x")

    done = project.fails("store", "pack", code=30)

    assert digest in done.err
    assert path.read_bytes()[:1] == b"x"


def test_without_a_store_there_is_nothing_to_pack_and_none_is_made(project):
    assert "nothing to pack" in project.succeeds("store", "pack").err
    assert not project.command.store.exists()


def test_bad_sizes_are_refused(project):
    assert "is not a size" in project.refused("store", "pack", "--min-size", "much", code=2)
