"""An object store beside the store."""

from pathlib import Path

from runner.app.overlay import Overlay
from runner.store.layout import Layout
from runner.store.objects import Objects


def test_what_is_put_aside_is_not_in_the_store_and_both_are_read(tmp_path: Path) -> None:
    layout = Layout.create_or_open(tmp_path / "store")
    base = Objects(layout)
    known = base.put_bytes(b"known")
    overlay = Overlay(base, tmp_path / "overlay")
    (tmp_path / "file").write_bytes(b"new")

    digest, size = overlay.adopt(tmp_path / "file")

    assert size == 3
    assert not base.has(digest)
    for wanted, content in ((known, b"known"), (digest, b"new")):
        with overlay.open(wanted) as file:
            assert file.read() == content
        overlay.materialise(wanted, tmp_path / f"copy-{wanted}", writable=True)
        assert (tmp_path / f"copy-{wanted}").read_bytes() == content


def test_an_open_file_is_put_aside_from_where_its_descriptor_stands_as_into_the_store(tmp_path: Path) -> None:
    layout = Layout.create_or_open(tmp_path / "store")
    base = Objects(layout)
    content = bytes(range(256)) * 9000
    (tmp_path / "file").write_bytes(content)

    with (tmp_path / "file").open("rb") as file:
        file.seek(5)
        with Overlay(base, tmp_path / "overlay").gathering() as overlay:
            digest, size = overlay.put_file(file.fileno())
        file.seek(5)
        assert base.put_file(file.fileno())[0] == digest

    assert size == len(content) - 5
    with overlay.open(digest) as found:
        assert found.read() == content[5:]


def test_a_store_beside_that_took_nothing_has_no_folder(tmp_path: Path) -> None:
    layout = Layout.create_or_open(tmp_path / "store")
    base = Objects(layout)

    with Overlay(base, tmp_path / "overlay").open(base.put_bytes(b"known")) as file:
        assert file.read() == b"known"

    assert not (tmp_path / "overlay").exists()
