"""The recipes of a store: which objects are not stored whole, and how each is put together. Knows no object.

Only who holds the lock of `alone` writes or removes recipes, or removes whole objects that recipes may lead to.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import takewhile
from pathlib import Path

from runner.digest import Digest, is_digest, large_hasher
from runner.errors import ExitCode, MlrunError
from runner.process import command_words, lock_holder
from runner.store.assembly import Assembly
from runner.store.durable import disk_errors, make_folder, replace_file, sync_folder
from runner.store.recipe import Recipe, decode_recipe, encode_recipe

_BLOCK = 1 << 20
_LOCK = "lock"
_COMMAND = "mlrun"


class Packed:
    """The recipes below `root`. Every method raises MlrunError: STORE, or DISK when there is no space."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, digest: Digest) -> Path:
        """Where the recipe is, or would be."""
        return self._root / digest[:2] / digest

    def find(self, digest: Digest) -> Recipe | None:
        """How to put the object together; None when it is not packed."""
        return read_recipe(self.path(digest))

    def digests(self) -> Iterator[Digest]:
        """Every packed object, in the order of the digests."""
        with disk_errors(self._root):
            for folder in sorted(_names(self._root)):
                for name in sorted(_names(self._root / folder)):
                    if is_digest(name) and name.startswith(folder):
                        yield Digest(name)

    def put(self, digest: Digest, recipe: Recipe) -> None:
        """Write a recipe, or another one in its place; durable when this returns."""
        write_recipe(self.path(digest), recipe)

    def remove(self, digest: Digest) -> None:
        """Remove a recipe, durably; one that is not there is no error."""
        path = self.path(digest)
        with disk_errors(path), suppress(FileNotFoundError):
            path.unlink()
            sync_folder(path.parent)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from changing recipes. Raises MlrunError (LOCKED) when one is at it."""
        with disk_errors(self._root):
            make_folder(self._root)
            fd = os.open(self._root / _LOCK, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise MlrunError(
                    f"{_holder(fd)} is packing or removing objects of this store, and only one can at a time",
                    code=ExitCode.LOCKED,
                    hint="wait for it to end, then do this again",
                ) from None
            yield
        finally:
            os.close(fd)


def _holder(fd: int) -> str:
    """Who has the lock, as far as that can be known: its number, and its verb if it is one of ours."""
    try:
        pid = lock_holder(fd)
    except OSError:
        pid = None
    if pid is None:
        return "another process"
    verb: list[str] = []
    words = iter(command_words(pid))
    if any(os.path.basename(word) == _COMMAND for word in words):
        verb = list(takewhile(lambda word: word.isalpha(), words))[:2]
    return f"process {pid}" + (f" (`{' '.join([_COMMAND, *verb])}`)" if verb else "")


def read_recipe(path: Path) -> Recipe | None:
    """The recipe in a file, None without one. Raises MlrunError (STORE) for a damaged one."""
    with disk_errors(path):
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
    return recipe_in(data, path.name)


def recipe_in(data: bytes, name: str) -> Recipe:
    """The recipe of the object `name` from the bytes of its file. Raises MlrunError (STORE) for damaged ones."""
    try:
        return decode_recipe(data)
    except ValueError as error:
        raise MlrunError(
            f"the store is damaged: the recipe of the object `{name}` cannot be understood: {error}",
            code=ExitCode.STORE,
            hint="`mlrun store check` says what it concerns",
        ) from error


def write_recipe(path: Path, recipe: Recipe) -> None:
    """Put a recipe at `path`, durably. Raises MlrunError (STORE, DISK)."""
    data = encode_recipe(recipe)
    with disk_errors(path, len(data)):
        make_folder(path.parent)
        replace_file(path, data, mode=0o444, prepare=lambda fd: os.fchmod(fd, 0o444))


def blocks(recipe: Recipe, locate: Callable[[Digest], Path]) -> Iterator[memoryview]:
    """The bytes of a packed object in blocks, each good until the next is asked for.

    For who moves objects about and checks what comes out: unlike `runner.store.content` it claims and checks no source
    and brings none back. `locate` gives their files, which are opened at once. Raises OSError when one is missing or
    cannot be read. Where one is too short this ends early: whoever checks the digest finds that out.
    """
    view = memoryview(bytearray(_BLOCK))
    with ExitStack() as opened:
        files = {source: opened.enter_context(locate(source).open("rb", buffering=0)) for source in recipe.sources}
        stream = opened.enter_context(Assembly(recipe, files))
        while count := stream.readinto(view):
            yield view[:count]


def made_by(recipe: Recipe, locate: Callable[[Digest], Path]) -> Digest:
    """The digest of what a recipe makes. Raises OSError like `blocks`."""
    hasher = large_hasher()
    for block in blocks(recipe, locate):
        hasher.update(block)
    return Digest(hasher.hexdigest())


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
