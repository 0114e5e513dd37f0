"""Objects wherever they lie, whole, packed or in the trash, and never a byte that their name does not vouch for."""

import json
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest

from runner.app.evidence import log_files, log_sizes, metric_events
from runner.cli.delivery import deliver
from runner.digest import Digest, hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.store.checksum import Checksums
from runner.store.claim import claimed
from runner.store.layout import Layout
from runner.store.objects import Objects
from runner.store.packed import write_recipe
from runner.store.recipe import Piece, Recipe
from runner.store.record import LogRef, OutputFile
from runner.store.removal import Removals
from runner.store.shelf import Where
from runner.store.store import Store
from runner.store.trash import Trash
from runner.store.tree import TreeEntry
from runner.store.verified import HASHED
from runner.worker.log import read_merged
from tests.damage import flip

SMALL = b"small content"
LARGE = os.urandom(1 << 16) * 20 + b"end"
assert len(SMALL) < HASHED < len(LARGE)

Use = Callable[[Objects, Digest, int, Path], object]


def read_all(objects: Objects, digest: Digest, size: int, place: Path) -> bytes:
    with objects.open(digest, size) as file:
        return b"".join(iter(lambda: file.read(100_000), b""))


def materialised(objects: Objects, digest: Digest, place: Path, writable: bool) -> bytes:
    objects.materialise(digest, place / "file", writable=writable)
    return (place / "file").read_bytes()


def copied_tree(objects: Objects, digest: Digest, size: int, place: Path) -> bytes:
    objects.copy_tree([TreeEntry("file", "100644", digest, size)], place, 0)
    return (place / "file").read_bytes()


def delivered(objects: Objects, digest: Digest, size: int, place: Path) -> bytes:
    deliver(objects, [OutputFile("file", digest, size)], place, force=False)
    return (place / "file").read_bytes()


def logged(objects: Objects, digest: Digest, size: int, place: Path) -> bytes:
    execution = SimpleNamespace(id="e", counter=1, log=LogRef(digest, digest, digest))
    files = log_files(SimpleNamespace(objects=objects, layout=Layout(place)), None, execution)  # type: ignore[arg-type]
    assert list(read_merged(files))
    return files.stdout.read_bytes()


def summed(objects: Objects, digest: Digest, size: int, place: Path) -> str:
    return Checksums(place / "checksums", objects).compute(digest)["sha256"]


USES: dict[str, Use] = {
    "open": read_all,
    "read": lambda objects, digest, size, place: objects.read(digest),
    "file": lambda objects, digest, size, place: objects.file(digest).read_bytes(),
    "writable": lambda objects, digest, size, place: materialised(objects, digest, place, True),
    "read-only": lambda objects, digest, size, place: materialised(objects, digest, place, False),
    "tree": copied_tree,
    "outputs -d": delivered,
    "logs": logged,
    "checksums": summed,
}


@pytest.fixture(params=[True, False], ids=["writer", "reader"])
def user(request: pytest.FixtureRequest, layout: Layout) -> Iterator[Objects]:
    """Another process: it knows nothing but what lies in the store."""
    user = Objects(layout, writable=request.param)
    yield user
    user.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "place"
    place.mkdir()
    return place


def pack(objects: Objects, content: bytes, *, extra: bytes = b"") -> Digest:
    """Put content into two other objects and a recipe; `extra` is what those hold besides."""
    digest, half = objects.put_bytes(content), len(content) // 2
    one, other = objects.put_bytes(extra + content[:half]), objects.put_bytes(content[half:] + extra + b"+")
    pieces = (Piece(one, len(extra), half), Piece(other, 0, len(content) - half))
    write_recipe(objects.path(digest).parents[2] / "packed" / digest[:2] / digest, Recipe(pieces))
    objects.path(digest).unlink()
    return digest


def throw_away(layout: Layout, digest: Digest) -> None:
    trash = Trash(layout)
    batch = trash.begin("gc", "me")
    for top in (layout.objects, layout.packed):
        trash.move(batch, top / digest[:2] / digest)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("known", [True, False], ids=["known", "not known yet"])
def test_a_flipped_bit_is_never_served(
    objects: Objects, layout: Layout, user: Objects, place: Path, use: str, known: bool
) -> None:
    for content in (SMALL, LARGE):
        digest = objects.put_bytes(content)
        if known:
            USES["open"](user, digest, len(content), place)
        else:
            shutil.rmtree(layout.cache, ignore_errors=True)
        flip(objects.path(digest))
        (place / digest).mkdir()
        with pytest.raises(MlrunError, match=digest) as caught:
            USES[use](user, digest, len(content), place / digest)
        assert caught.value.code is ExitCode.STORE
        assert "mlrun store check" in str(caught.value.hint)
        assert not user.verify(digest)


def everything(layout: Layout) -> list[Path]:
    return sorted(path for path in layout.root.rglob("*") if layout.cache not in path.parents)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("where", ["whole", "packed", "trash", "packed and in the trash", "source in the trash"])
def test_an_object_is_had_in_every_way_wherever_it_lies(
    objects: Objects, layout: Layout, user: Objects, place: Path, use: str, where: str
) -> None:
    for content in (SMALL, LARGE):
        digest = pack(objects, content) if where not in {"whole", "trash"} else objects.put_bytes(content)
        if "trash" in where:
            throw_away(layout, digest if "source" not in where else hash_bytes(content[: len(content) // 2]))
        before = everything(layout)
        assert user.has(digest)
        assert user.size(digest) == len(content)
        assert user.lacking([digest, hash_bytes(b"never stored")]) == {hash_bytes(b"never stored")}
        (place / digest).mkdir()
        expected = sha256(content).hexdigest() if use == "checksums" else content
        assert USES[use](user, digest, len(content), place / digest) == expected
        assert user.verify(digest)
        if not user._shelf.is_writable:
            assert everything(layout) == before


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("known", [True, False], ids=["known", "not known yet"])
@pytest.mark.parametrize("what", ["recipe", "source"])
def test_a_flipped_bit_in_what_a_packed_object_is_made_of_is_never_served(
    objects: Objects, layout: Layout, user: Objects, place: Path, use: str, known: bool, what: str
) -> None:
    digest = pack(objects, LARGE, extra=b"0123456789")
    if known:
        USES["open"](user, digest, len(LARGE), place)
    if what == "source":
        flip(objects.path(hash_bytes(b"0123456789" + LARGE[: len(LARGE) // 2])))
    else:
        # The offset, 10, becomes 11: a sound recipe for something else.
        recipe = layout.packed / digest[:2] / digest
        flip(recipe, recipe.read_bytes().index(b",10,") + 2)
        assert json.loads(recipe.read_bytes())["pieces"][0][1] == 11
    with pytest.raises(MlrunError, match="is damaged") as caught:
        USES[use](user, digest, len(LARGE), place)
    assert caught.value.code is ExitCode.STORE
    assert not user.verify(digest)


@pytest.mark.parametrize("use", USES)
def test_a_recipe_that_is_none_is_told(objects: Objects, layout: Layout, user: Objects, place: Path, use: str) -> None:
    digest = pack(objects, LARGE)
    recipe = layout.packed / digest[:2] / digest
    recipe.chmod(0o600)
    for damage in (b"", b"{}", b"\xff", b'{"format":1,"pieces":[],"size":0}'):
        recipe.write_bytes(damage)
        shutil.rmtree(place)
        place.mkdir()
        with pytest.raises(MlrunError, match=digest) as caught:
            USES[use](user, digest, len(LARGE), place)
        assert caught.value.code is ExitCode.STORE


def test_what_is_used_read_only_becomes_whole_and_its_recipe_stays(
    objects: Objects, layout: Layout, place: Path
) -> None:
    digest = pack(objects, LARGE)
    assert objects.find(digest) is Where.PACKED
    objects.materialise(digest, place / "copy", writable=True)
    assert objects.find(digest) is Where.PACKED
    objects.materialise(digest, place / "link", writable=False)
    assert objects.find(digest) is Where.WHOLE
    assert (place / "link").read_bytes() == (place / "copy").read_bytes() == LARGE
    assert (layout.packed / digest[:2] / digest).exists()
    (layout.packed / digest[:2] / digest).write_bytes(b"nobody asks it")
    assert objects.read(digest) == LARGE


def test_a_writer_brings_back_and_a_reader_leaves(objects: Objects, layout: Layout) -> None:
    digest = objects.put_bytes(LARGE)
    throw_away(layout, digest)
    reader = Objects(layout, writable=False)
    assert reader.read(digest) == LARGE
    assert reader.find(digest) is Where.TRASH
    assert objects.find(digest) is Where.TRASH
    assert objects.read(digest) == LARGE
    assert objects.find(digest) is Where.WHOLE
    reader.close()


@pytest.mark.parametrize("way", ["put", "adopt", "stream"])
def test_what_only_lies_in_the_trash_or_is_packed_can_be_stored_again(
    objects: Objects, layout: Layout, tmp_path: Path, way: str
) -> None:
    for content in (LARGE, SMALL):
        digest = pack(objects, content)
        throw_away(layout, digest)
        (tmp_path / "file").write_bytes(content)
        match way:
            case "put":
                objects.put_bytes(content)
            case "adopt":
                objects.adopt(tmp_path / "file")
            case _:
                objects.put_stream([content])
        assert objects.find(digest) is Where.WHOLE
        assert objects.read(digest) == content


def test_what_is_asked_for_is_claimed_before_it_is_looked_for(
    objects: Objects, layout: Layout, tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = objects.put_bytes(LARGE)
    (tmp_path / "file").write_bytes(LARGE)
    looks: list[bool] = []

    def look(function: Callable[..., object]) -> Callable[..., object]:
        def wrapped(path: object, *arguments: object, **options: object) -> object:
            if str(path).endswith(f"{digest[:2]}/{digest}"):
                looks.append(digest in claimed(layout.claims))
            return function(path, *arguments, **options)

        return wrapped

    for name in ("stat", "open"):
        monkeypatch.setattr(os, name, look(getattr(os, name)))
    asked: list[Callable[[Objects], object]] = [
        lambda objects: objects.put_bytes(LARGE),
        lambda objects: objects.put_many([LARGE]),
        lambda objects: objects.put_stream([LARGE]),
        lambda objects: objects.adopt(tmp_path / "file"),
        lambda objects: objects.has(digest),
        lambda objects: objects.lacking([digest]),
        lambda objects: objects.size(digest),
        lambda objects: objects.read(digest),
        lambda objects: objects.open(digest).close(),
        lambda objects: objects.file(digest),
        lambda objects: objects.materialise(digest, place / "a", writable=True),
        lambda objects: objects.materialise(digest, place / "b", writable=False),
        lambda objects: copied_tree(objects, digest, len(LARGE), place),
    ]
    for ask in asked:
        objects.close()
        assert digest not in claimed(layout.claims)
        looks.clear()
        ask(objects)
        assert looks
        assert all(looks)


def test_readers_claim_nothing(objects: Objects, layout: Layout, place: Path) -> None:
    digest = objects.put_bytes(LARGE)
    objects.close()
    reader = Objects(layout, writable=False)
    for use in USES.values():
        shutil.rmtree(place)
        place.mkdir()
        use(reader, digest, len(LARGE), place)
    reader.close()
    assert list(layout.claims.iterdir()) == []


def test_a_recipe_s_sources_are_claimed_with_it(objects: Objects, layout: Layout) -> None:
    digest, half = pack(objects, LARGE), hash_bytes(LARGE[: len(LARGE) // 2])
    objects.close()
    objects.open(digest).close()
    assert {digest, half} <= claimed(layout.claims)


def test_a_damaged_object_is_made_anew_by_whoever_stores_it_again(objects: Objects) -> None:
    digest = objects.put_bytes(LARGE)
    flip(objects.path(digest))
    objects.put_bytes(LARGE)
    assert objects.read(digest) == LARGE


def test_a_log_that_was_removed_is_told_so_and_its_size_is_unknown(store: Store) -> None:
    digest = store.objects.put_bytes(LARGE)
    execution = SimpleNamespace(id="e", counter=3, log=LogRef(digest, digest, digest), metric_log=digest)
    assert log_sizes(store, None, execution) == {"stdout": len(LARGE), "stderr": len(LARGE)}  # type: ignore[arg-type]
    store.objects.path(digest).unlink()
    with pytest.raises(MlrunError, match="is missing") as caught:
        log_files(store, None, execution)  # type: ignore[arg-type]
    assert caught.value.code is ExitCode.STORE
    Removals(store.layout).append([{"type": "files-dropped", "executions": ["e"]}])
    run = SimpleNamespace(id="r", counter=1)
    with pytest.raises(MlrunError, match="the log of execution 3 is not here: its files were removed by") as caught:
        log_files(store, run, execution)  # type: ignore[arg-type]
    assert caught.value.code is ExitCode.INPUT
    assert log_sizes(store, None, execution) == {}  # type: ignore[arg-type]
    with pytest.raises(MlrunError, match=digest):
        list(metric_events(store, None, execution))  # type: ignore[arg-type]


def test_closing_the_store_lets_go_of_everything_and_it_can_be_used_on(layout: Layout) -> None:
    objects = Objects(layout)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        digest = pack(objects, LARGE)
        reader = Objects(layout, writable=False)
        assert reader.file(digest).read_bytes() == LARGE
        reader.close()
        objects.close()
    assert len(os.listdir("/proc/self/fd")) == before
    assert list(layout.claims.iterdir()) == []


def test_too_many_open_files_are_no_damage(objects: Objects) -> None:
    digest = objects.put_bytes(LARGE)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        with pytest.raises(MlrunError, match="Too many open files") as caught:
            objects.read(digest)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert "ulimit -n" in str(caught.value.hint)
    assert "damaged" not in caught.value.message


def test_inputs_for_a_place_on_another_file_system_are_copies_of_the_same_content(
    objects: Objects, tmp_path: Path
) -> None:
    place = tmp_path / "other"
    place.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "t", place], check=False).returncode:
        pytest.skip("another file system cannot be mounted here")
    try:
        digest = objects.put_bytes(LARGE)
        for name, writable in (("a", True), ("b", False)):
            objects.materialise(digest, place / name, writable=writable)
            assert hash_bytes((place / name).read_bytes()) == digest
        assert objects.adopt(place / "a") == (digest, len(LARGE))
        (place / "c").write_bytes(LARGE + b"more")
        assert objects.read(objects.adopt(place / "c")[0]) == LARGE + b"more"
    finally:
        subprocess.run(["umount", place], check=True)
