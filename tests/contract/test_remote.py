"""What every kind of remote has to do. A new kind is tested by a fixture of its own in `KINDS`."""

import os
import random
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from runner.errors import ExitCode, MlrunError
from runner.remote.bundle import Bundle
from runner.remote.kind import open_remote
from runner.remote.remote import Halted, NotThere, Remote, read_whole

KINDS = ("directory", "ssh", "s3", "bundle")
SHARED = ("directory", "ssh", "s3")
"""Those that many may write at the same time."""


def unheard(count: int) -> None:
    pass


@dataclass
class Case:
    """A remote, how to open it again, and what it holds as somebody else sees it."""

    remote: Remote
    reopen: Callable[[], Remote]
    contents: Callable[[], dict[str, bytes]]
    write: Callable[[str, bytes], None]


def _files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def _on_disk(root: Path, address: str) -> Case:
    def write(name: str, data: bytes) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)

    return Case(open_remote(address), lambda: open_remote(address), lambda: _files(root), write)


@pytest.fixture
def directory(tmp_path: Path) -> Case:
    return _on_disk(tmp_path / "remote", str(tmp_path / "remote"))


@pytest.fixture
def ssh(ssh_host: Any, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.setenv("HOME", str(ssh_host.home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return _on_disk(ssh_host.root / "remote", ssh_host.address("/remote"))


@pytest.fixture
def s3(s3_server: Any, monkeypatch: pytest.MonkeyPatch) -> Case:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.address)
    for name, value in s3_server.keys.items():
        monkeypatch.setenv(name, value)
    top, system = f"lab/{uuid4()}", s3_server.system()

    def contents() -> dict[str, bytes]:
        if not system.exists(top):
            return {}
        return {path.removeprefix(f"{top}/"): system.cat_file(path) for path in system.find(top)}

    def write(name: str, data: bytes) -> None:
        system.pipe_file(f"{top}/{name}", data)

    return Case(open_remote(f"s3://{top}"), lambda: open_remote(f"s3://{top}"), contents, write)


@pytest.fixture
def bundle(tmp_path: Path) -> Case:
    path = tmp_path / "run.mlrun"

    def contents() -> dict[str, bytes]:
        with closing(Bundle(path, str(path))) as one:
            return {name: read_whole(one, name, place.size) for name, place in one.members()}

    def write(name: str, data: bytes) -> None:
        raise NotImplementedError

    return Case(Bundle(path, str(path), writable=True), lambda: Bundle(path, str(path)), contents, write)


@pytest.fixture(params=KINDS)
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    case: Case = request.getfixturevalue(request.param)
    yield case
    case.remote.close()


def put(case: Case, name: str, data: bytes) -> None:
    case.remote.upload(name, BytesIO(data), len(data), unheard)


@pytest.mark.parametrize("size", [0, 1, 4096, (1 << 20) - 1, 1 << 20, (16 << 20) + 1, 37_000_000])
def test_what_was_uploaded_comes_back_byte_for_byte(case: Case, size: int) -> None:
    data = random.Random(size).randbytes(size)
    told: list[int] = []
    case.remote.upload("objects/ab/it", BytesIO(data), size, told.append)
    case.remote.settle()
    assert sum(told) == size
    assert case.contents() == {"objects/ab/it": data}
    told.clear()
    assert read_whole(case.remote, "objects/ab/it", size, told.append) == data
    assert sum(told) == size


def test_a_download_begins_where_it_is_asked_to_and_never_gives_more(case: Case) -> None:
    put(case, "objects/ab/it", bytes(range(200)))
    case.remote.settle()
    assert b"".join(case.remote.download("objects/ab/it", 50, 120, unheard)) == bytes(range(50, 120))
    assert b"".join(case.remote.download("objects/ab/it", 120, 120, unheard)) == b""
    assert b"".join(case.remote.download("objects/ab/it", 150, 5000, unheard)) == bytes(range(150, 200))


def test_what_is_not_there_has_no_size_and_cannot_be_read(case: Case) -> None:
    assert case.remote.sizes(["objects/ab/it"]) == {}
    assert case.remote.items("objects/ab", 10) == []
    assert case.remote.folders("runs", 10) == []
    with pytest.raises(NotThere):
        read_whole(case.remote, "objects/ab/it", 5)
    put(case, "objects/ab/other", b"x")
    case.remote.settle()
    assert case.remote.sizes(["objects/ab/it", "objects/ab/other/it"]) == {}
    with pytest.raises(NotThere):
        read_whole(case.remote, "objects/ab/it", 5)


def test_an_upload_replaces_what_is_there(case: Case) -> None:
    for data in (b"first", b"second, and longer", b"3rd"):
        put(case, "objects/ab/it", data)
        case.remote.settle()
        assert case.contents() == {"objects/ab/it": data}


def test_thousands_of_sizes_are_asked_for_at_once(case: Case) -> None:
    names = [f"objects/{number % 16:02x}/{number:064x}" for number in range(2000)]
    threads = [
        threading.Thread(target=lambda part=part: [put(case, name, name[-3:].encode()) for name in part])
        for part in (names[start::8] for start in range(0, 400, 50))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    case.remote.settle()
    there = set(case.contents())
    assert case.remote.sizes([*names, "objects/ff/none", "objects/00/none"]) == dict.fromkeys(there, 3)
    listed = {f"objects/00/{item.name}": item.size for item in case.remote.items("objects/00", 5000)}
    assert listed == {name: 3 for name in there if name.startswith("objects/00/")}
    assert sorted(case.remote.folders("objects", 100)) == sorted({name[8:10] for name in there})


def test_a_listing_that_is_too_long_is_refused(case: Case) -> None:
    for number in range(6):
        put(case, f"runs/p/{number}", b"x")
    case.remote.settle()
    assert len(case.remote.items("runs/p", 6)) == 6
    with pytest.raises(MlrunError, match="more than 5"):
        case.remote.items("runs/p", 5)


def test_what_is_removed_is_gone_and_may_be_removed_again(case: Case) -> None:
    put(case, "objects/ab/it", b"x")
    put(case, "objects/ab/other", b"y")
    case.remote.settle()
    assert case.remote.remove("objects/ab/it")
    assert not case.remote.remove("objects/ab/it")
    assert not case.remote.remove("objects/zz/it")
    assert case.contents() == {"objects/ab/other": b"y"}


def test_an_upload_that_is_given_up_leaves_nothing(case: Case) -> None:
    data = random.Random(1).randbytes(40_000_000)
    put(case, "objects/ab/it", b"old")
    case.remote.settle()
    count = [0]

    def halt(size: int) -> None:
        count[0] += size
        if count[0] > 20_000_000:
            raise Halted

    with pytest.raises(Halted):
        case.remote.upload("objects/ab/it", BytesIO(data), len(data), halt)
    case.remote.settle()
    assert case.contents() == {"objects/ab/it": b"old"}


def test_a_source_that_fails_midway_leaves_nothing(case: Case) -> None:
    class Broken(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() >= 16 << 20:
                raise MlrunError("the object is damaged", code=30)  # type: ignore[arg-type]
            return super().read(size)

    with pytest.raises(MlrunError, match="damaged"):
        case.remote.upload("objects/ab/it", Broken(bytes(50_000_000)), 50_000_000, unheard)
    case.remote.settle()
    assert case.contents() == {}


@pytest.mark.parametrize("case", SHARED, indirect=True)
def test_many_upload_the_same_name_at_once(case: Case) -> None:
    data = random.Random(2).randbytes(1_500_000)
    others = [case.reopen() for _ in range(3)]
    failures: list[BaseException] = []

    def upload(remote: Remote) -> None:
        try:
            for _ in range(3):
                remote.upload("objects/ab/it", BytesIO(data), len(data), unheard)
            remote.settle()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=upload, args=[remote]) for remote in (case.remote, *others)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for other in others:
        other.close()
    assert not failures
    assert case.contents() == {"objects/ab/it": data}


def test_closing_twice_does_no_harm(case: Case) -> None:
    case.remote.close()
    case.remote.close()


# --- what only a file system can do


@pytest.fixture(params=["directory", "ssh"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Case, Path]]:
    case: Case = request.getfixturevalue(request.param)
    yield case, tmp_path / ("remote" if request.param == "directory" else "ssh-root/remote")
    case.remote.close()


def test_a_link_is_no_content(root: tuple[Case, Path]) -> None:
    case, folder = root
    case.write("secret", b"secret")
    case.write("objects/ab/real", b"real")
    (folder / "objects/ab/it").symlink_to(folder / "secret")
    assert case.remote.sizes(["objects/ab/it"]) == {}
    assert [item.name for item in case.remote.items("objects/ab", 9)] == ["real"]
    with pytest.raises(NotThere):
        read_whole(case.remote, "objects/ab/it", 6)


def test_a_fifo_is_no_content_and_nobody_waits_for_it(root: tuple[Case, Path]) -> None:
    case, folder = root
    case.write("objects/ab/real", b"real")
    os.mkfifo(folder / "objects/ab/it")
    assert case.remote.sizes(["objects/ab/it"]) == {}
    with pytest.raises(NotThere):
        read_whole(case.remote, "objects/ab/it", 6)


def test_only_old_uploads_are_swept(root: tuple[Case, Path]) -> None:
    case, folder = root
    case.write("new/.new-1-old", b"")
    case.write("new/.new-2-young", b"")
    case.write("new/other", b"")
    os.utime(folder / "new/.new-1-old", (1e9, 1e9))
    os.utime(folder / "new/other", (1e9, 1e9))
    case.remote.sweep()
    assert set(case.contents()) == {"new/.new-2-young", "new/other"}


@pytest.mark.parametrize("size", [10, 2_000_000])
def test_a_remote_that_is_removed_meanwhile_says_so(root: tuple[Case, Path], size: int) -> None:
    case, folder = root
    put(case, "objects/ab/first", bytes(size))
    shutil.rmtree(folder)
    with pytest.raises(MlrunError, match="was removed") as caught:
        put(case, "objects/ab/second", bytes(size))
    assert caught.value.code is ExitCode.INPUT
    assert "the same command" in str(caught.value.hint)


def test_a_directory_that_is_removed_before_its_files_have_names_says_so(directory: Case, tmp_path: Path) -> None:
    put(directory, "objects/ab/it", b"x")
    shutil.rmtree(tmp_path / "remote")
    with pytest.raises(MlrunError, match="was removed"):
        directory.remote.settle()


def test_a_directory_does_not_write_through_a_link(directory: Case, tmp_path: Path) -> None:
    directory.write("objects/cd/it", b"x")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "remote/objects/ab").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MlrunError):
        put(directory, "objects/ab/it", b"x")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_what_a_directory_holds_has_the_modes_of_the_umask(directory: Case, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        put(directory, "objects/ab/it", b"x")
        directory.remote.settle()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "remote/objects/ab/it").stat().st_mode) == 0o440
    assert stat.S_IMODE((tmp_path / "remote/objects/ab").stat().st_mode) == 0o750


# --- what only a host behind SSH can do


def test_a_host_that_is_not_known_is_refused(ssh_host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(ssh_host.home))
    (ssh_host.home / ".ssh/known_hosts").write_text("")
    with pytest.raises(MlrunError, match="not the one that is known") as caught:
        open_remote(ssh_host.address("/remote"))
    assert "known_hosts" in str(caught.value.hint)


def test_somebody_without_a_key_is_refused(ssh_host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(ssh_host.home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (ssh_host.home / ".ssh/id_ed25519").unlink()
    with pytest.raises(MlrunError, match="does not let us in"):
        open_remote(ssh_host.address("/remote"))


def test_the_users_own_configuration_counts(ssh_host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(ssh_host.home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    key = ssh_host.home / ".ssh/id_ed25519"
    key.rename(ssh_host.home / "other_key")
    (ssh_host.home / ".ssh/config").write_text(
        f"Host lab\n  HostName 127.0.0.1\n  Port {ssh_host.port}\n  User tester\n"
        f"  IdentityFile {ssh_host.home}/other_key\n"
    )
    remote = open_remote("ssh://lab/remote")
    remote.upload("format", BytesIO(b"x"), 1, unheard)
    remote.close()
    assert (ssh_host.root / "remote/format").read_bytes() == b"x"


def test_a_connection_that_breaks_is_an_error_and_leaves_no_name(ssh: Case, ssh_host: Any) -> None:
    ssh_host.cut_after = 3_000_000
    with pytest.raises(MlrunError, match="cannot be used"):
        put(ssh, "objects/ab/it", bytes(9_000_000))
    assert "objects/ab/it" not in ssh.contents()
    again = ssh.reopen()
    again.upload("objects/ab/it", BytesIO(b"x"), 1, unheard)
    again.close()
    assert ssh.contents()["objects/ab/it"] == b"x"
