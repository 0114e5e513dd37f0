"""Archives of images are checked before an engine sees them."""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from runner.app.container import Images, check_nameless
from runner.digest import hash_bytes
from runner.errors import ExitCode, MlrunError

ID = "sha256:" + "a" * 64


def archive(*members: tuple[str, bytes | str]) -> bytes:
    """A tar; a text is where a link leads."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, data in members:
            one = tarfile.TarInfo(name)
            if isinstance(data, str):
                one.type, one.linkname = tarfile.SYMTYPE, data
                tar.addfile(one)
            else:
                one.size = len(data)
                tar.addfile(one, io.BytesIO(data))
    return file.getvalue()


def listed(value: Any) -> bytes:
    return json.dumps(value).encode()


GOOD = archive(
    ("blobs/sha256/ab", b"layer"),
    ("manifest.json", listed([{"Config": "x", "RepoTags": None, "Layers": []}])),
    ("index.json", listed({"manifests": [{"digest": "sha256:x", "annotations": {"other": "x"}}]})),
)


class Engine:
    """An engine that has what it was given, under the id that its archive tells."""

    def __init__(self, *there: str, gives: str = ID) -> None:
        self.there = {*there}
        self.gives = gives
        self.called: dict[str, str] = {}

    def save(self, id: str) -> Iterator[bytes]:
        yield from (GOOD[:100], GOOD[100:])

    def load(self, archive: BinaryIO) -> None:
        assert archive.read() == GOOD
        self.there.add(self.gives)

    def has(self, image: str) -> bool:
        return image in self.there or image in self.called

    def call(self, id: str, image: str) -> None:
        assert image not in self.called
        self.called[image] = id


def test_an_image_comes_and_gets_its_name(tmp_path: Path) -> None:
    engine = Engine()
    Images(engine, tmp_path).load(ID, "python:3.12", [GOOD[:7], GOOD[7:]], hash_bytes(GOOD))
    assert (engine.there, engine.called) == ({ID}, {"python:3.12": ID})
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_another_image_has_stays_with_it(tmp_path: Path) -> None:
    engine = Engine("python:3.12")
    Images(engine, tmp_path).load(ID, "python:3.12", [GOOD], hash_bytes(GOOD))
    assert (engine.there, engine.called) == ({ID, "python:3.12"}, {})


def test_an_image_that_is_there_is_not_loaded_again(tmp_path: Path) -> None:
    engine = Engine(ID)
    Images(engine, tmp_path).load(ID, "python@sha256:" + "b" * 64, [b"anything"], hash_bytes(b"other"))
    assert (engine.there, engine.called) == ({ID}, {})


def test_an_archive_with_other_bytes_never_reaches_the_engine(tmp_path: Path) -> None:
    engine = Engine()
    with pytest.raises(MlrunError, match="other content") as caught:
        Images(engine, tmp_path).load(ID, "python", [GOOD], hash_bytes(b"other"))
    assert caught.value.code is ExitCode.IMAGE and not engine.there


def test_an_archive_with_names_never_reaches_the_engine(tmp_path: Path) -> None:
    named = archive(("manifest.json", listed([{"RepoTags": ["python:3.12"]}])))
    engine = Engine()
    with pytest.raises(MlrunError, match="names of its own"):
        Images(engine, tmp_path).load(ID, "python", [named], hash_bytes(named))
    assert not engine.there


def test_another_image_than_the_record_names_is_refused_and_gets_no_name(tmp_path: Path) -> None:
    engine = Engine(gives="sha256:" + "b" * 64)
    with pytest.raises(MlrunError, match="is not the image"):
        Images(engine, tmp_path).load(ID, "python", [GOOD], hash_bytes(GOOD))
    assert not engine.called


def test_an_image_that_is_gone_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(MlrunError, match="not on this machine any more"), Images(Engine(), tmp_path).saved(ID, "x"):
        pass
    with Images(Engine(ID), tmp_path).saved(ID, "x") as (file, _):
        assert file.read() == GOOD


@pytest.mark.parametrize(
    "data",
    [
        archive(("manifest.json", listed([{"RepoTags": ["python:3.12"]}]))),
        archive(("manifest.json", listed([])), ("manifest.json", listed([{"RepoTags": ["python:3.12"]}]))),
        archive(("./manifest.json", listed([]))),
        archive(("x/../manifest.json", listed([]))),
        archive(("/manifest.json", listed([]))),
        archive(("manifest.json", "blobs/x")),
        archive(("../manifest.json", listed([]))),
        archive(("repositories", listed({"python": {"3.12": "x"}}))),
        archive(("index.json", listed({"manifests": [{"annotations": {"io.containerd.image.name": "python"}}]}))),
        archive(("index.json", listed({"manifests": [{"annotations": {"org.opencontainers.image.ref.name": "x"}}]}))),
        archive(("index.json", b"[" * 100_000)),
        archive(("index.json", b"{")),
        archive(("manifest.json", b" " * (17 << 20))),
        GOOD[:700],
        b"",
        b"x" * 2000,
    ],
    ids=range(16),
)
def test_an_archive_that_would_name_an_image_is_refused(data: bytes) -> None:
    with pytest.raises(MlrunError) as caught:
        check_nameless(io.BytesIO(data), "python:3.12")
    assert caught.value.code is ExitCode.IMAGE


def test_an_archive_without_names_is_fine() -> None:
    check_nameless(io.BytesIO(GOOD), "python:3.12")
