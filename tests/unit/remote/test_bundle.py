"""A bundle is read only if it is exactly what a bundle is, whatever somebody made of the file."""

import io
import os
import random
import subprocess
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.errors import ExitCode, MlrunError
from runner.remote import bundle as module
from runner.remote.bundle import END, Bundle, decode_header, encode_header
from runner.remote.remote import read_whole

LONG = "runs/" + "a" * 36 + "/" + "b" * 36 + "." + "c" * 64
MEMBERS = {"format": b"mlrun remote, format 1\n", "objects/ab/it": bytes(range(256)) * 5, LONG: b"{}", "empty": b""}


def unheard(count: int) -> None:
    pass


def made(path: Path, members: dict[str, bytes]) -> bytes:
    with closing(Bundle(path, str(path), writable=True)) as one:
        for name, data in members.items():
            one.upload(name, io.BytesIO(data), len(data), unheard)
        one.settle()
    return path.read_bytes()


def read(path: Path) -> dict[str, bytes]:
    with closing(Bundle(path, str(path))) as one:
        return {name: read_whole(one, name, place.size) for name, place in one.members()}


def refusal(path: Path) -> str:
    with pytest.raises(MlrunError) as caught:
        read(path)
    assert caught.value.code is ExitCode.STORE
    assert "\n" not in caught.value.message
    return caught.value.message


def test_other_programs_read_it_as_a_tar_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.mlrun"
    made(path, MEMBERS)
    with tarfile.open(path) as tar:
        found = {one.name: tar.extractfile(one).read() for one in tar if one.isreg()}  # type: ignore[union-attr]
        assert {(one.mode, one.uid, one.gid, one.mtime, one.uname) for one in tar.getmembers()} == {
            (0o444, 0, 0, 0, "")
        }
    assert found == MEMBERS
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "xf", path, "-C", tmp_path / "out"], check=True)
    assert (tmp_path / "out" / LONG).read_bytes() == b"{}"


def test_the_same_uploads_give_the_same_bytes_whenever_they_are_settled(tmp_path: Path) -> None:
    first = made(tmp_path / "a", MEMBERS)
    with closing(Bundle(tmp_path / "b", "b", writable=True)) as other:
        for name, data in MEMBERS.items():
            other.upload(name, io.BytesIO(data), len(data), unheard)
            other.settle()
    assert (tmp_path / "b").read_bytes() == first
    with closing(Bundle(tmp_path / "b", "b", writable=True)) as other:
        other.upload("more", io.BytesIO(b"x"), 1, unheard)
        other.settle()
        assert other.remove("more")
    assert (tmp_path / "b").read_bytes() == first
    assert read(tmp_path / "b") == MEMBERS


def test_what_is_given_up_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    first = made(tmp_path / "a", MEMBERS)
    with closing(Bundle(tmp_path / "a", "a", writable=True)) as one:
        one.upload("more", io.BytesIO(b"x" * 5000), 5000, unheard)
    assert (tmp_path / "a").read_bytes() == first


def test_one_process_writes_it(tmp_path: Path) -> None:
    with closing(Bundle(tmp_path / "a", "a", writable=True)) as one:
        one.upload("x", io.BytesIO(b""), 0, unheard)
        with pytest.raises(MlrunError, match="another process") as caught:
            Bundle(tmp_path / "a", "a", writable=True)
    assert caught.value.code is ExitCode.LOCKED


@given(
    st.integers(1, 255), st.one_of(st.integers(0, 1 << 40), st.sampled_from([8 << 30, (8 << 30) - 1, (1 << 60) - 1]))
)
def test_a_header_comes_back_and_tar_agrees(length: int, size: int) -> None:
    name = ("a" * 40 + "/b.-_9") * 7
    name = name[:length].rstrip("/")
    header = encode_header(name, size)
    assert decode_header(header[:512], lambda count: header[:count]) == (name, size, len(header))
    with tarfile.open(fileobj=io.BytesIO(header + bytes(1024))) as tar:
        member = tar.firstmember
        assert member is not None and (member.name, member.size, member.type) == (name, size, tarfile.REGTYPE)


def tarred(name: str, data: bytes = b"x", **fields: object) -> bytes:
    """A member as other programs write it."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for key, value in fields.items():
        setattr(member, key, value)
    return member.tobuf(tarfile.PAX_FORMAT) + data.ljust(512, b"\0")


def ours(name: str, data: bytes = b"x") -> bytes:
    """A member as we would write it, whatever its name."""
    header = encode_header("a" * len(name), len(data))
    plain = bytearray(header)
    plain[: len(name)] = name.encode("latin-1")
    plain[148:156] = b" " * 8
    plain[148:156] = b"%06o\0 " % sum(plain)
    return bytes(plain) + data.ljust(512, b"\0")


@pytest.mark.parametrize(
    "member",
    [
        ours("../../etc/passwd"),
        ours("/etc/passwd"),
        ours("objects//it"),
        ours("objects/./it"),
        ours("objects/.hidden"),
        ours("objects/it/"),
        ours("a b"),
        ours("a\nb"),
        ours("\xff"),
        ours("C:\\x"),
        tarred("objects/ab/it"),
        tarred("objects/ab/it", mode=0o4777),
        tarred("it", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        tarred("it", type=tarfile.LNKTYPE, linkname="format"),
        tarred("it", type=tarfile.CHRTYPE),
        tarred("it", type=tarfile.DIRTYPE),
        tarred("it", type=tarfile.FIFOTYPE),
        tarred("it", type=tarfile.GNUTYPE_SPARSE),
        tarred("it", uname="root"),
        tarred("it", pax_headers={"path": "../../x"}),
        tarred("it", pax_headers={"size": "99999999999999999999"}),
        tarred("it", pax_headers={"comment": "x" * 100_000}),
        tarred("L" * 300),
    ],
    ids=range(23),
)
def test_a_member_of_any_other_kind_or_name_is_refused(tmp_path: Path, member: bytes) -> None:
    path = tmp_path / "a.mlrun"
    made(path, {"format": b"x"})
    path.write_bytes(path.read_bytes()[: -len(END)] + member + END)
    assert "cannot be believed" in refusal(path)


@pytest.mark.parametrize("size", [8 << 30, 1 << 50, (1 << 60) - 1, 2000])
def test_a_size_that_is_not_there_is_refused_before_anything_is_read(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.mlrun"
    path.write_bytes(encode_header("objects/ab/it", size) + bytes(512) + END)
    assert "cut off within the member at byte 0" in refusal(path)


def test_a_file_that_seems_to_be_huge_costs_nothing(tmp_path: Path) -> None:
    """A sparse file: its members are not read, and zeros end it at once."""
    path = tmp_path / "a.mlrun"
    made(path, {"format": b"x"})
    os.truncate(path, 1 << 40)
    assert "does not end" in refusal(path)


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mlrun"
    data = made(path, {"objects/ab/it": b"one"})
    path.write_bytes(data[: -len(END)] + data)
    assert "two members of one name" in refusal(path)


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.mlrun"
    made(path, MEMBERS)
    monkeypatch.setattr(module, "MOST_MEMBERS", len(MEMBERS) - 1)
    assert "more than 3 members" in refusal(path)


@pytest.mark.parametrize("cut", [1, 512, 1023, 1024, 1025, 1536, 2000, 3000])
def test_a_file_that_lost_its_end_is_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.mlrun"
    data = made(path, MEMBERS)
    path.write_bytes(data[:-cut])
    refusal(path)


def test_what_stands_behind_the_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mlrun"
    path.write_bytes(made(path, MEMBERS) + b"x")
    assert "does not end" in refusal(path)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"x"),
        lambda path: path.write_bytes(b"PK\3\4" * 1000),
        lambda path: path.write_bytes(random.Random(1).randbytes(100_000)),
        lambda path: path.mkdir(),
        lambda path: os.mkfifo(path),
    ],
    ids=["empty", "short", "zip", "noise", "folder", "fifo"],
)
def test_what_is_no_bundle_says_so(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "a.mlrun")
    with pytest.raises(MlrunError, match=r"refused|cannot be read"):
        read(tmp_path / "a.mlrun")


def test_a_file_that_is_not_there_is_not_made_by_who_reads(tmp_path: Path) -> None:
    with pytest.raises(MlrunError, match="No such file") as caught:
        read(tmp_path / "a.mlrun")
    assert caught.value.code is ExitCode.INPUT
    assert list(tmp_path.iterdir()) == []


def test_every_byte_of_a_long_name_is_covered(tmp_path: Path) -> None:
    name = "images/" + "a" * 64 + "." + "b" * 64
    good = encode_header(name, 5)
    start = good.index(name.encode())
    for at in range(start, start + len(name)):
        header = bytearray(good)
        header[at] ^= 3
        with pytest.raises(ValueError, match=r"its (header|name) is none"):
            decode_header(bytes(header[:512]), io.BytesIO(header).read)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 1 << 20), value=st.integers(1, 255))
def test_a_flipped_bit_in_a_header_is_never_passed_over(tmp_path: Path, at: int, value: int) -> None:
    """In a content it is: its name tells, and who asks for it looks."""
    path = tmp_path / "a.mlrun"
    path.unlink(missing_ok=True)
    data = bytearray(made(path, MEMBERS))
    with closing(Bundle(path, "a")) as one:
        contents = {at for _, place in one.members() for at in range(place.offset, place.offset + place.size)}
        padding = {
            at
            for _, place in one.members()
            for at in range(place.offset + place.size, -(-(place.offset + place.size) // 512) * 512)
        }
    at %= len(data)
    data[at] ^= value
    path.write_bytes(data)
    if at not in contents and at not in padding:
        refusal(path)
