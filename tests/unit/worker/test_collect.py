import errno
import json
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from runner.digest import Digest, hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.store.landing import Landing
from runner.store.layout import Layout
from runner.store.objects import Objects
from runner.store.record import OutputFile
from runner.store.removal import Removals
from runner.store.volume import Volume
from runner.worker.collect import DEFAULT_LIMITS, Collected, Limits, Taken, collect
from runner.worker.tree import remove_tree
from tests.patience import not_for_ever, wait_for

Collect = Callable[..., Collected]

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make device nodes and files of other users")


@pytest.fixture
def outputs(layout: Layout) -> Iterator[Path]:
    folder = layout.work / "id" / "outputs"
    folder.mkdir(parents=True)
    yield folder
    if not folder.is_symlink():
        # Deeper than pytest can clean up after itself.
        remove_tree(folder)


@pytest.fixture
def run(layout: Layout, objects: Objects, outputs: Path) -> Collect:
    def run(limits: Limits = DEFAULT_LIMITS, taken: Sequence[Taken] = ()) -> Collected:
        return collect(outputs, layout.work / "id" / "collected", objects, limits, taken)

    return run


def names(collected: Collected) -> list[str]:
    return [output.name for output in collected.outputs]


def test_every_file_is_stored_under_its_path_in_order_of_bytes(run: Collect, outputs: Path, objects: Objects) -> None:
    for name in ("b", "a/z", "a/b/c", "a.txt", "a-", "B"):
        (outputs / name).parent.mkdir(parents=True, exist_ok=True)
        (outputs / name).write_text(name)
    (outputs / "empty").mkdir()
    collected = run()
    assert names(collected) == sorted(["b", "a/z", "a/b/c", "a.txt", "a-", "B"], key=str.encode)
    assert (collected.warnings, collected.failure) == ((), None)
    for output in collected.outputs:
        assert objects.read(output.digest) == output.name.encode()
        assert output.size == len(output.name)
        assert stat.S_IMODE(objects.path(output.digest).stat().st_mode) == 0o444


def test_no_outputs_are_no_failure(run: Collect) -> None:
    assert run() == Collected()


def test_a_file_is_taken_over_and_not_copied(run: Collect, outputs: Path, objects: Objects) -> None:
    (outputs / "model").write_bytes(b"weights")
    inode = (outputs / "model").stat().st_ino
    (output,) = run().outputs
    assert objects.path(output.digest).stat().st_ino == inode


def test_two_files_of_one_content_are_one_object(run: Collect, outputs: Path) -> None:
    for name in ("a", "b"):
        (outputs / name).write_bytes(b"same")
    collected = run()
    assert names(collected) == ["a", "b"]
    assert len({output.digest for output in collected.outputs}) == 1


@pytest.mark.parametrize(
    "name",
    [b"new\nline", b"\x1b[31mred", b"\xff\xfe", b"-rf", b" ", b"a b", "ü".encode(), "u\u0308".encode(), b"x" * 255],
)
def test_odd_names_are_kept_byte_for_byte(run: Collect, outputs: Path, name: bytes) -> None:
    os.mkdir(os.fsencode(outputs) + b"/" + name)
    with open(os.fsencode(outputs) + b"/" + name + b"/" + name, "wb") as file:
        file.write(name)
    (output,) = run().outputs
    assert os.fsencode(output.name) == name + b"/" + name
    assert output.digest == hash_bytes(name)


def test_names_that_differ_only_in_case_are_two_outputs(run: Collect, outputs: Path) -> None:
    (outputs / "a").write_text("1")
    (outputs / "A").write_text("2")
    assert names(run()) == ["A", "a"]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A folder that no output may lead to."""
    folder = tmp_path / "secret"
    folder.mkdir()
    (folder / "key").write_bytes(b"top secret")
    return folder


def assert_untouched(secret: Path, objects: Objects) -> None:
    assert (secret / "key").read_bytes() == b"top secret"
    assert not objects.has(hash_bytes(b"top secret"))


@pytest.mark.parametrize(
    "target", ["{secret}/key", "{secret}", "../../../../secret/key", "/", "/etc/passwd", ".", "chain"]
)
def test_a_link_is_left_out_and_never_followed(
    run: Collect, outputs: Path, objects: Objects, secret: Path, target: str
) -> None:
    (outputs / "chain").symlink_to(secret / "key")
    (outputs / "link").symlink_to(target.format(secret=secret))
    (outputs / "file").write_text("x")
    collected = run()
    assert names(collected) == ["file"]
    assert collected.failure is None
    assert [warning for warning in collected.warnings if "`link` is a symbolic link" in warning]
    assert_untouched(secret, objects)


def test_a_link_in_place_of_the_outputs_folder_is_a_failure(
    run: Collect, outputs: Path, objects: Objects, secret: Path
) -> None:
    outputs.rmdir()
    outputs.symlink_to(secret)
    collected = run()
    assert collected.outputs == ()
    assert collected.failure is not None
    assert_untouched(secret, objects)


def test_pipes_and_sockets_are_left_out_without_being_opened(run: Collect, outputs: Path) -> None:
    os.mkfifo(outputs / "pipe")
    fd = os.open(outputs, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{fd}/socket")
    os.close(fd)
    with not_for_ever():
        collected = run()
    assert collected.outputs == ()
    assert collected.failure is None
    assert [warning.split("; ")[0] for warning in collected.warnings] == [
        "output `pipe` is a named pipe",
        "output `socket` is a socket",
    ]


@AS_ROOT
def test_devices_are_left_out_without_being_opened(run: Collect, outputs: Path) -> None:
    os.mknod(outputs / "disk", stat.S_IFBLK | 0o666, os.makedev(7, 0))
    os.mknod(outputs / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    collected = run()
    assert collected.outputs == ()
    assert [warning.split("; ")[0] for warning in collected.warnings] == [
        "output `disk` is a block device",
        "output `zero` is a character device",
    ]


def test_warnings_show_odd_names_escaped(run: Collect, outputs: Path) -> None:
    os.symlink("/", os.fsencode(outputs) + b"/a\n\x1b[2J\xff`")
    (warning,) = run().warnings
    assert warning == r"output `a\n\x1b[2J\xff`` is a symbolic link; it was left out"


def test_many_refused_entries_are_counted_instead_of_named(run: Collect, outputs: Path) -> None:
    for number in range(500):
        (outputs / f"l{number:03}").symlink_to("/")
    warnings = run().warnings
    assert len(warnings) == 21
    assert warnings[-1] == "480 more outputs like these: each was left out"


def test_special_bits_are_dropped(run: Collect, outputs: Path, objects: Objects) -> None:
    (outputs / "tool").write_bytes(b"#!/bin/sh\n")
    (outputs / "tool").chmod(0o6755)
    (output,) = run().outputs
    assert stat.S_IMODE(objects.path(output.digest).stat().st_mode) == 0o444


@AS_ROOT
def test_file_capabilities_are_dropped(run: Collect, outputs: Path, objects: Objects) -> None:
    (outputs / "tool").write_bytes(b"\x7fELF")
    (outputs / "tool").chmod(0o755)
    # Version 2, effective, CAP_SETUID permitted (capabilities(7)).
    capability = bytes.fromhex("0100000280000000000000000000000000000000")
    os.setxattr(outputs / "tool", "security.capability", capability)
    (output,) = run().outputs
    assert "security.capability" not in os.listxattr(objects.path(output.digest))


def test_files_and_folders_without_rights_are_collected(run: Collect, outputs: Path) -> None:
    (outputs / "folder").mkdir()
    (outputs / "folder/file").write_text("x")
    (outputs / "file").write_text("y")
    for name in ("folder/file", "file", "folder", ""):
        (outputs / name).chmod(0)
    collected = run()
    assert names(collected) == ["file", "folder/file"]
    assert (collected.warnings, collected.failure) == ((), None)


def test_a_folder_that_may_not_be_changed_is_emptied_all_the_same(run: Collect, outputs: Path) -> None:
    (outputs / "folder").mkdir()
    (outputs / "folder/file").write_text("x")
    (outputs / "folder").chmod(0o500)
    assert names(run()) == ["folder/file"]


@AS_ROOT
def test_files_of_another_user_are_copied(run: Collect, outputs: Path, objects: Objects) -> None:
    (outputs / "file").write_text("x")
    os.chown(outputs / "file", 4711, 4711)
    (output,) = run().outputs
    assert objects.path(output.digest).stat().st_uid == os.geteuid()


def test_hard_linked_files_are_copied(run: Collect, outputs: Path, objects: Objects, tmp_path: Path) -> None:
    (outputs / "a").write_text("x")
    os.link(outputs / "a", outputs / "b")
    os.link(outputs / "a", tmp_path / "elsewhere")
    collected = run()
    assert names(collected) == ["a", "b"]
    (tmp_path / "elsewhere").write_text("changed")
    assert objects.verify(collected.outputs[0].digest)


def test_a_huge_sparse_file_is_refused_at_once(run: Collect, outputs: Path) -> None:
    (outputs / "before").write_text("x")
    with (outputs / "huge").open("wb") as file:
        file.truncate(10 * 10**12)
    with not_for_ever():
        collected = run()
    assert names(collected) == ["before"]
    assert collected.code is ExitCode.OUTPUT
    assert collected.failure is not None
    assert "`huge`" in collected.failure
    assert (outputs / "huge").exists()


def test_the_bytes_of_all_outputs_together_are_capped(run: Collect, outputs: Path) -> None:
    for number in range(5):
        (outputs / str(number)).write_bytes(bytes(400))
    collected = run(Limits(bytes=1000))
    assert names(collected) == ["0", "1"]
    assert collected.failure is not None
    assert "(and 2 more)" in collected.failure


def test_the_number_of_entries_is_capped(run: Collect, outputs: Path) -> None:
    for number in range(30):
        (outputs / f"{number:02}").write_text("x")
    collected = run(Limits(entries=10))
    assert names(collected) == [f"{number:02}" for number in range(10)]
    assert collected.failure is not None
    assert "at most 10" in collected.failure


def test_folders_count_as_entries_too(run: Collect, outputs: Path) -> None:
    for number in range(30):
        (outputs / f"{number:02}").mkdir()
    assert run(Limits(entries=10)).failure is not None
    assert run(Limits(entries=10)).outputs == ()


def test_the_depth_is_capped_and_the_rest_is_collected(run: Collect, outputs: Path) -> None:
    fd = os.open(outputs, os.O_RDONLY)
    for _ in range(1000):
        os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(os.open("deep", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)
    (outputs / "d/shallow").write_text("x")
    collected = run()
    assert names(collected) == ["d/shallow"]
    assert collected.failure is not None
    assert "more than 100 folders deep" in collected.failure


def test_a_path_longer_than_the_system_takes_is_collected(run: Collect, outputs: Path) -> None:
    fd = os.open(outputs, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 200, dir_fd=fd)
        inner = os.open("d" * 200, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)
    (output,) = run().outputs
    assert output.name == "/".join(["d" * 200] * 30) + "/file"


def test_thousands_of_files_are_collected_with_few_descriptors_and_threads(
    run: Collect, outputs: Path, new_threads: Callable[[], list[threading.Thread]]
) -> None:
    for number in range(3000):
        (outputs / f"{number:04}").write_text(str(number))
    collected = run()
    assert len(collected.outputs) == 3000
    assert [output.digest for output in collected.outputs[:3]] == [hash_bytes(b"0"), hash_bytes(b"1"), hash_bytes(b"2")]
    wait_for(lambda: not new_threads(), "end of the work")


def test_a_full_disk_keeps_what_was_stored_and_gives_the_rest_back(
    run: Collect, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, room = Landing.adopt, iter(range(2))

    def adopt(landing: Landing, path: Path) -> tuple[Digest, int]:
        if next(room, None) is None:
            raise MlrunError("the disk is full", code=ExitCode.DISK)
        return take(landing, path)

    monkeypatch.setattr(Landing, "adopt", adopt)
    for number in range(50):
        (outputs / f"{number:02}").write_text(str(number))
    collected = run()
    assert len(collected.outputs) == 2
    assert collected.code is ExitCode.DISK
    assert collected.failure is not None
    assert len(list(outputs.iterdir())) == 48
    assert {(outputs / name.name).read_text() for name in outputs.iterdir()} == {
        str(int(name.name)) for name in outputs.iterdir()
    }


@pytest.mark.parametrize("count", [3, 200])
def test_a_disk_that_loses_writes_gives_every_small_file_back(
    run: Collect, outputs: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    for number in range(count):
        (outputs / f"{number:03}").write_text(str(number))
    monkeypatch.setattr(Volume, "pays", lambda *_: True)
    monkeypatch.setattr(Volume, "sync", fail)
    monkeypatch.setattr(os, "fsync", fail)
    collected = run()
    assert collected.outputs == ()
    assert collected.failure is not None
    assert "could not be stored" in collected.failure
    assert {path.name: path.read_text() for path in outputs.iterdir()} == {f"{n:03}": str(n) for n in range(count)}


def test_a_file_that_cannot_be_read_is_lost_and_the_others_are_not(
    run: Collect, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Landing.adopt

    def adopt(landing: Landing, path: Path) -> tuple[Digest, int]:
        if path.read_bytes() == b"bad":
            raise OSError(errno.EIO, "Input/output error")
        return take(landing, path)

    monkeypatch.setattr(Landing, "adopt", adopt)
    for name, content in (("a", b"1"), ("b", b"bad"), ("c", b"3")):
        (outputs / name).write_bytes(content)
    collected = run()
    assert names(collected) == ["a", "c"]
    assert collected.failure == "not all outputs could be kept: output `b` cannot be read (Input/output error)"
    assert (outputs / "b").read_bytes() == b"bad"


def test_a_folder_swapped_for_a_link_while_it_is_collected_gives_nothing_away(
    layout: Layout, objects: Objects, secret: Path
) -> None:
    stop = threading.Event()
    root = layout.work / "swap"
    outputs = root / "outputs"
    (outputs / "folder").mkdir(parents=True)
    (outputs / "link").symlink_to(secret)

    def swap() -> None:
        while not stop.is_set():
            for source, target in (("folder", "x"), ("link", "folder"), ("x", "link")):
                os.rename(outputs / source, outputs / target)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for number in range(300):
            collect(outputs, root / f"aside-{number}", objects)
    finally:
        stop.set()
        thread.join()
    assert_untouched(secret, objects)


def taken(*names: str, path: str = "model") -> list[Taken]:
    return [Taken(path, OutputFile(name, hash_bytes(name.encode()), 5)) for name in names]


def properties(collected: Collected) -> dict[str, object]:
    return {output.name: output.metadata for output in collected.outputs}


def test_a_sidecar_gives_its_file_properties_and_is_no_output(run: Collect, outputs: Path, layout: Layout) -> None:
    (outputs / "sub").mkdir()
    for name in ("model", "sub/\udcff"):
        (outputs / name).write_bytes(b"x")
        (outputs / f"{name}.metadata.json").write_text(json.dumps({"valohai.tags": ["a"], "of": name}))
    collected = run()
    assert properties(collected) == {
        "model": {"valohai.tags": ["a"], "of": "model"},
        "sub/\udcff": {"valohai.tags": ["a"], "of": "\ufffd".join(["sub/", ""])},
    }
    assert (collected.warnings, collected.failure) == ((), None)
    assert list(layout.work.rglob("*metadata*")) == []
    assert list((layout.work / "id" / "collected").iterdir()) == []


def test_the_file_of_lines_adds_to_sidecars(run: Collect, outputs: Path) -> None:
    for name in ("a", "b"):
        (outputs / name).write_text(name)
    (outputs / "a.metadata.json").write_text('{"k": 1, "only": true, "valohai.tags": ["x"]}')
    lines = [{"file": name, "metadata": {"k": 2, "valohai.tags": ["y"]}} for name in ("a", "./b")]
    (outputs / "valohai.metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    collected = run()
    assert properties(collected) == {
        "a": {"k": 2, "only": True, "valohai.tags": ["x", "y"]},
        "b": {"k": 2, "valohai.tags": ["y"]},
    }
    assert collected.warnings == ()


@pytest.mark.parametrize(
    ("name", "content", "warning"),
    [
        ("model.metadata.json", "{", "is no JSON"),
        ("model.metadata.json", "[]", "is no JSON object"),
        ("model.metadata.json", " " * (2 << 20), "is larger than"),
        ("other.metadata.json", "{}", "describes no output: there is no `other`"),
        ("\x1b[2J.metadata.json", "{}", "describes no output"),
        ("valohai.metadata.jsonl", "nothing", "line 1 is no JSON"),
        ("sub/valohai.metadata.jsonl", "nothing", None),
    ],
)
def test_what_is_no_sidecar_is_an_output_with_a_warning_and_no_failure(
    run: Collect, outputs: Path, name: str, content: str, warning: str | None
) -> None:
    (outputs / "model").write_text("x")
    (outputs / name).parent.mkdir(exist_ok=True)
    (outputs / name).write_text(content)
    collected = run()
    assert sorted(names(collected)) == sorted(["model", name])
    assert collected.failure is None
    assert properties(collected)["model"] == {}
    assert (warning or "") in " ".join(collected.warnings)
    assert bool(collected.warnings) == (warning is not None)
    assert all(text.isprintable() for text in collected.warnings)


def test_a_line_about_no_output_and_a_bad_reserved_property_are_told(run: Collect, outputs: Path) -> None:
    (outputs / "a").write_text("x")
    lines = '{"file": "nothing", "metadata": {}}\n{"file": "a", "metadata": {"valohai.alias": 3, "k": 1}}\n{'
    (outputs / "valohai.metadata.jsonl").write_text(lines)
    collected = run()
    assert properties(collected) == {"a": {"valohai.alias": 3, "k": 1}}
    text = " ".join(collected.warnings)
    assert "names `nothing`, which is no output" in text
    assert "`valohai.alias` is no text" in text
    assert "line 3 is no JSON" in text


def test_the_bytes_of_all_properties_are_capped(run: Collect, outputs: Path) -> None:
    for name in ("a", "b"):
        (outputs / name).write_text(name)
        (outputs / f"{name}.metadata.json").write_text(json.dumps({"k": "v" * 60}))
    collected = run(Limits(properties=100))
    assert [len(str(found)) > 2 for found in properties(collected).values()] == [True, False]
    assert "more properties than one execution may have, 100 bytes" in collected.warnings[0]


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_only_a_regular_file_is_a_sidecar(run: Collect, outputs: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "secret").write_text('{"secret": 1}')
    (outputs / "a").write_text("x")
    sidecar = outputs / "a.metadata.json"
    match kind:
        case "link":
            sidecar.symlink_to(tmp_path / "secret")
        case "pipe":
            os.mkfifo(sidecar)
        case _:
            sidecar.mkdir()
            (sidecar / "b").write_text("y")
    collected = run()
    assert properties(collected) == {"a": {}} | ({"a.metadata.json/b": {}} if kind == "folder" else {})
    assert collected.failure is None


def test_files_taken_while_the_step_ran_are_outputs_and_what_is_left_is_one_version_more(
    run: Collect, outputs: Path
) -> None:
    (outputs / "model").write_text("last")
    (outputs / "model~2").write_text("of the step's own making")
    (outputs / "other").write_text("x")
    collected = run(taken=taken("model", "model~2"))
    assert names(collected) == ["model", "model~2", "model~2~2", "model~3", "other"]
    by_name = {output.name: output.digest for output in collected.outputs}
    assert by_name["model"] == hash_bytes(b"model")
    assert by_name["model~3"] == hash_bytes(b"last")
    assert by_name["model~2~2"] == hash_bytes(b"of the step's own making")


def test_a_sidecar_describes_the_newest_version_of_its_file(run: Collect, outputs: Path) -> None:
    (outputs / "model.metadata.json").write_text('{"k": 1}')
    assert properties(run(taken=taken("model", "model~2"))) == {"model": {}, "model~2": {"k": 1}}


def test_the_version_that_was_left_is_newer_than_those_that_were_taken(run: Collect, outputs: Path) -> None:
    (outputs / "model.metadata.json").write_text('{"k": 1}')
    (outputs / "model").write_text("x")
    assert properties(run(taken=taken("model"))) == {"model": {}, "model~2": {"k": 1}}


def test_files_taken_while_the_step_ran_count_towards_the_caps(run: Collect, outputs: Path) -> None:
    (outputs / "a").write_text("x")
    assert "at most 2 are collected" in str(run(Limits(entries=2), taken=taken("b", "c")).failure)


def test_a_sidecar_without_rights_is_read_and_thousands_of_them_are_no_trouble(run: Collect, outputs: Path) -> None:
    for number in range(1000):
        (outputs / f"{number:04}").write_text("x")
        sidecar = outputs / f"{number:04}.metadata.json"
        sidecar.write_text(json.dumps({"n": number}))
        sidecar.chmod(0)
    collected = run()
    assert [output.metadata for output in collected.outputs] == [{"n": number} for number in range(1000)]
    assert collected.warnings == ()


def test_an_output_that_was_purged_is_lost_and_the_others_are_not(run: Collect, outputs: Path, layout: Layout) -> None:
    entry = {"type": "content-purged", "digest": hash_bytes(b"personal"), "by": "anna", "reason": "asked", "names": []}
    Removals(layout).append([entry])
    for name, content in (("a", b"1"), ("b", b"personal"), ("c", b"3")):
        (outputs / name).write_bytes(content)
    collected = run()
    assert names(collected) == ["a", "c"]
    assert collected.failure is not None
    assert "by anna: asked" in collected.failure
    assert not any(path.read_bytes() == b"personal" for path in layout.root.rglob("*") if path.is_file())
