"""From the sources of an input to files in the store."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.data.source import check_sources, fetch
from runner.digest import Digest, hash_bytes
from runner.errors import ExitCode, Location, MlrunError
from runner.plan.model import Source
from runner.spec.model import Input, KeepDirectories

HERE = Location("valohai.yaml", 7, 5)


class Memory:
    """An object store in memory."""

    def put_file(self, fd: int) -> tuple[Digest, int]:
        with os.fdopen(fd, "rb", closefd=False) as file:
            data = file.read()
        return hash_bytes(data), len(data)

    def put_stream(self, chunks: Iterator[bytes]) -> tuple[Digest, int]:
        data = b"".join(chunks)
        return hash_bytes(data), len(data)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("data/a.csv", "data/deep/b.csv", "data/c.txt"):
        (tmp_path / "p" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "p" / name).write_text(name)
    (tmp_path / "secret").write_text("s")
    return tmp_path / "p"


def names(root: Path, uri: str, *, trusted: bool = False, **fields: object) -> list[str]:
    declared = Input("data", HERE, **fields)  # type: ignore[arg-type]
    return [file.name for file in fetch(declared, (Source(uri, str(root), trusted),), root, Memory())]


def refusal(root: Path, uri: str, *, trusted: bool = False) -> MlrunError:
    declared = Input("data", HERE)
    with pytest.raises(MlrunError) as checked:
        check_sources(declared, (Source(uri, str(root), trusted),), root)
    with pytest.raises(MlrunError) as fetched:
        fetch(declared, (Source(uri, str(root), trusted),), root, Memory())
    assert checked.value.message == fetched.value.message
    return fetched.value


def test_a_path_is_one_file_under_its_base_name_with_digest_size_and_origin(root: Path) -> None:
    (file,) = fetch(Input("data", HERE), (Source("data/a.csv", str(root)),), root, Memory())
    assert (file.name, file.digest, file.size) == ("a.csv", hash_bytes(b"data/a.csv"), 10)
    assert file.origin == str(root / "data/a.csv")


def test_a_glob_is_all_its_files(root: Path) -> None:
    assert names(root, "data/*.csv") == ["a.csv"]
    assert names(root, "data/**/*.csv") == ["a.csv", "b.csv"]


def test_a_folder_keeps_its_own_structure(root: Path) -> None:
    assert names(root, "data") == ["a.csv", "c.txt", "deep/b.csv"]


def test_a_file_uri_is_a_path(root: Path) -> None:
    assert names(root, f"file://{root}/data/a.csv") == ["a.csv"]


def test_keep_directories_keeps_as_much_as_it_says(root: Path) -> None:
    assert names(root, "data/**/*.csv", keep_directories=KeepDirectories.SUFFIX) == ["a.csv", "deep/b.csv"]
    assert names(root, "data/**/*.csv", keep_directories=KeepDirectories.FULL) == ["data/a.csv", "data/deep/b.csv"]


def test_filename_renames_a_single_file(root: Path) -> None:
    assert names(root, "data/a.csv", filename="x.csv") == ["x.csv"]
    assert names(root, "data/**/*.csv", filename="x.csv") == ["a.csv", "b.csv"]


@pytest.mark.parametrize(("uri", "what"), [("no.csv", "does not exist"), ("no*.csv", "matches nothing")])
def test_what_is_not_there_is_refused_at_its_place(root: Path, uri: str, what: str) -> None:
    error = refusal(root, uri)
    assert error.code is ExitCode.INPUT
    assert error.location == HERE
    assert what in error.message
    assert refusal(root, uri, trusted=True).location is None


@pytest.mark.parametrize("uri", ["../secret", "/etc/hostname", "file:///etc/hostname", "link", "data/../../secret"])
def test_a_file_outside_the_project_needs_the_users_word(root: Path, uri: str) -> None:
    (root / "link").symlink_to("../secret")
    error = refusal(root, uri)
    assert error.code is ExitCode.POLICY
    assert error.hint is not None
    assert names(root, uri, trusted=True)


@pytest.mark.parametrize("uri", ["", " ", "file://"])
def test_an_empty_address_is_not_the_whole_folder(root: Path, uri: str) -> None:
    error = refusal(root, uri, trusted=True)
    assert error.code is ExitCode.INPUT
    assert "its address is empty" in error.message
    assert names(root, ".", trusted=True)


def test_a_link_that_leads_back_to_itself_is_an_input_error(root: Path) -> None:
    (root / "loop").symlink_to("loop")
    with pytest.raises(MlrunError, match="cannot read") as caught:
        names(root, "loop")
    assert caught.value.code is ExitCode.INPUT


def test_an_unknown_scheme_is_refused_and_a_local_file_is_offered(root: Path) -> None:
    error = refusal(root, "s3://bucket/key")
    assert "`s3://` sources are not supported" in error.message
    assert error.hint == "give a local file in its place: `--data PATH`"


def test_a_pipe_is_refused_and_never_waited_for(root: Path) -> None:
    os.mkfifo(root / "pipe")
    with pytest.raises(MlrunError, match="not a regular file"):
        names(root, "pipe")
