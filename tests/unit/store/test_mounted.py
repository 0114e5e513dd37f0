"""Real file systems that differ from the one below the tests: the same content, whatever they can do."""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.digest import hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.store.layout import Layout
from runner.store.objects import Objects

ADMINISTRATOR = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
LINKS = 65_000
"""What ext4 allows one file (`EXT4_LINK_MAX`)."""
LARGE = os.urandom(16 << 20)

pytestmark = pytest.mark.root


@pytest.fixture
def mount(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """An empty file system; the parameter is the command that makes it in an image."""
    make: list[str] = request.param
    place, image = tmp_path / "mounted", tmp_path / "image"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(512 << 20)
    if os.geteuid() != 0:
        pytest.skip("only root can mount images")
    if shutil.which(make[0], path=ADMINISTRATOR) is None:
        pytest.skip(f"`{make[0]}` is not installed")
    environment = {**os.environ, "PATH": ADMINISTRATOR}
    for command in ([*make, image], ["mount", "-o", "loop", image, place]):
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"`{command[0]}`: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def free(place: Path) -> int:
    """Bytes that are free, everything that waits being written first."""
    os.sync()
    status = os.statvfs(place)
    return status.f_bfree * status.f_frsize


@pytest.mark.parametrize("mount", [["mkfs.xfs", "-q", "-m", "reflink=1"]], indirect=True, ids=["xfs"])
def test_where_there_are_reflinks_a_copy_takes_no_room_and_shares_no_write(mount: Path) -> None:
    objects = Objects(Layout.create_or_open(mount / "store"))
    digest = objects.put_bytes(LARGE)
    before = free(mount)

    objects.materialise(digest, mount / "shown", writable=False)
    objects.materialise(digest, mount / "own", writable=True)

    assert before - free(mount) < len(LARGE) // 4
    assert {(mount / name).stat().st_nlink for name in ("shown", "own")} == {1}
    assert stat.S_IMODE((mount / "shown").stat().st_mode) == 0o444
    with (mount / "own").open("r+b") as file:
        file.write(b"changed")
    assert (mount / "shown").read_bytes() == LARGE
    assert objects.verify(digest)
    objects.close()


@pytest.mark.parametrize("mount", [["mkfs.ext4", "-q", "-F"]], indirect=True, ids=["ext4"])
def test_a_file_with_all_the_links_that_ext4_allows_is_copied(mount: Path) -> None:
    objects = Objects(Layout.create_or_open(mount / "store"))
    digest = objects.put_bytes(LARGE)
    (mount / "links").mkdir()
    for number in range(LINKS - 2):
        os.link(objects.path(digest), mount / "links" / str(number))

    objects.materialise(digest, mount / "last", writable=False)
    objects.materialise(digest, mount / "over", writable=False)

    assert (mount / "last").stat().st_nlink == LINKS
    assert (mount / "over").stat().st_nlink == 1
    assert (mount / "over").read_bytes() == LARGE
    assert stat.S_IMODE((mount / "over").stat().st_mode) == 0o444
    assert objects.put_bytes(LARGE) == digest
    objects.close()


@pytest.mark.parametrize("mount", [["mkfs.ext4", "-q", "-F", "-O", "casefold"]], indirect=True, ids=["casefold"])
def test_where_large_and_small_letters_are_the_same_no_file_takes_the_place_of_another(mount: Path) -> None:
    top = mount / "top"
    top.mkdir()
    done = subprocess.run(["chattr", "+F", top], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"`chattr +F`: {done.stderr.strip()}")
    objects = Objects(Layout.create_or_open(top / "store"))
    one, two = objects.put_bytes(b"one"), objects.put_bytes(b"two")
    (top / "copy").mkdir()

    with pytest.raises(MlrunError) as caught:
        objects.copy_tree([("A", "100644", one, 3), ("a", "100644", two, 3)], top / "copy", 0)

    assert (top / "COPY").is_dir()
    assert caught.value.code is ExitCode.STORE
    assert (top / "copy" / "A").read_bytes() == b"one"
    assert sorted(path.name for path in (top / "store/objects").glob("??/*")) == sorted(
        [hash_bytes(b"one"), hash_bytes(b"two")]
    )
    assert objects.read(two) == b"two"
    objects.close()
