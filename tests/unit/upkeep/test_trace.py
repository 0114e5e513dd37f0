"""Every place where bytes of a file are, and none where only others' bytes are."""

import os
from pathlib import Path
from typing import Any

import pytest

from runner.digest import hash_bytes
from runner.upkeep.inventory import Inventory
from runner.upkeep.trace import Traces, find_traces

SECRET = b"somebody's name, and where they live" * 10


def traces_of(scene: Any, data: bytes = SECRET) -> Traces:
    return find_traces(scene.layout, Inventory(scene.layout), hash_bytes(data), len(data), [])


def kept(scene: Any, name: str, data: bytes) -> Path:
    """A file in a work folder that is kept."""
    path = Path(scene.layout.work / "0" / name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_a_store_without_it_has_no_trace(scene: Any) -> None:
    scene.execute("train", {"model": b"the model"})
    kept(scene, "same-size", b"x" * len(SECRET))
    assert traces_of(scene) == Traces()


def test_the_object_goes_last_for_it_tells_what_the_rest_looks_like(scene: Any) -> None:
    digest = scene.put(SECRET)
    copy = kept(scene, "copy", SECRET)
    half = scene.layout.scratch / ".new-1-dead"
    half.write_bytes(SECRET[:20])
    found = traces_of(scene).found
    assert [trace.path for trace in found] == [copy, half, scene.layout.objects / digest[:2] / digest]
    assert [trace.what for trace in found] == ["a file of a work folder", "a half-written copy", "the object"]


def test_an_unfinished_file_that_goes_on_otherwise_or_further_is_not_its(scene: Any) -> None:
    scene.put(SECRET)
    for name, data in (("other", SECRET[:20] + b"?"), ("longer", SECRET + b"?"), ("empty", b"")):
        (scene.layout.scratch / f".new-1-{name}").write_bytes(data)
    assert [trace.what for trace in traces_of(scene).found] == ["the object"]


def test_links_are_not_followed_and_pipes_not_opened(scene: Any, tmp_path: Path) -> None:
    scene.put(SECRET)
    (tmp_path / "outside").write_bytes(SECRET)
    folder = kept(scene, "other", b"").parent
    (folder / "link").symlink_to(tmp_path / "outside")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    assert [trace.what for trace in traces_of(scene).found] == ["the object"]


def test_a_hard_link_is_a_trace_inside_the_store_and_is_counted_outside(scene: Any, tmp_path: Path) -> None:
    digest = scene.put(SECRET)
    inside = kept(scene, "other", b"").with_name("linked")
    for path in (inside, tmp_path / "outside"):
        os.link(scene.layout.objects / digest[:2] / digest, path)
    traces = traces_of(scene)
    assert traces.found[0].path == inside
    assert traces.outside == 1


@pytest.mark.usefixtures("bound")
def test_what_may_not_be_looked_at_is_told(scene: Any) -> None:
    scene.put(SECRET)
    file, folder = kept(scene, "file", SECRET), kept(scene, "folder/file", SECRET).parent
    file.chmod(0)
    folder.chmod(0)
    try:
        traces = traces_of(scene)
    finally:
        folder.chmod(0o700)
    assert [trace.what for trace in traces.found] == ["the object"]
    assert sorted(traces.unseen) == [f"{file}: Permission denied", f"{folder}: Permission denied"]


@pytest.mark.parametrize("note", [b"", b"[]", b"{", b'{"digest": 7}', b"\xff"])
def test_a_note_of_a_download_that_says_nothing_is_no_trace(scene: Any, note: bytes) -> None:
    scene.put(SECRET)
    downloads = scene.layout.cache / "downloads"
    downloads.mkdir()
    (downloads / "one.json").write_bytes(note)
    assert [trace.what for trace in traces_of(scene).found] == ["the object"]
