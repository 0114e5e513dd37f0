"""Container images as files: saved from the engine of this machine, and loaded into it.

An archive may come from anybody. So its bytes are checked before the engine sees them; one that would name an image is
refused, for it could put another one in the place of one that this machine has; and what was loaded must be the image
that the record names.
"""

import json
import posixpath
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from runner.digest import Digest, Hasher
from runner.errors import ExitCode, MlrunError
from runner.escape import printable

_MOST_LIST = 16 << 20
_MOST_MEMBERS = 1_000_000
_LISTS = {"manifest.json", "index.json", "repositories"}
"""Where archives of images tell names: those of Docker, and of the OCI."""
_NAMES = {"io.containerd.image.name", "org.opencontainers.image.ref.name"}


class Engine(Protocol):
    """What is needed of a container engine (`runner.executors.docker.DockerExecutor`)."""

    def save(self, id: str) -> Iterator[bytes]:
        """The archive of an image, without its names."""
        ...

    def load(self, archive: BinaryIO) -> None:
        """Take an archive in."""
        ...

    def has(self, image: str) -> bool:
        """Whether there is an image of this id or name."""
        ...

    def call(self, id: str, image: str) -> None:
        """Call an image by a name that no other has here."""
        ...


class Images:
    """Images of one engine; archives on their way lie in `scratch`."""

    def __init__(self, engine: Engine, scratch: Path) -> None:
        self._engine = engine
        self._scratch = scratch

    @contextmanager
    def saved(self, id: str, name: str) -> Iterator[tuple[BinaryIO, str]]:
        """The archive of an image, to be read, and its digest. Raises MlrunError (IMAGE) when it is not on this
        machine."""
        if not self._engine.has(id):
            raise MlrunError(
                f"the image `{printable(name)}` that the run had (`{id[:19]}`) is not on this machine any more",
                code=ExitCode.IMAGE,
                hint="leave `--with-image` out, or fetch that image again",
            )
        with self._file(self._engine.save(id)) as found:
            yield found

    def load(self, id: str, name: str, pieces: Iterable[bytes], digest: Digest) -> None:
        """Take an image in; it gets its name where that is free, and is none by digest. Raises MlrunError (IMAGE)."""
        if not self._engine.has(id):
            with self._file(pieces) as (file, found):
                if found != digest:
                    raise _refused(name, "it has other content than its name says")
                check_nameless(file, name)
                file.seek(0)
                self._engine.load(file)
            if not self._engine.has(id):
                raise _refused(name, f"it is not the image `{id[:19]}` that the record names")
        if name and "@" not in name and not self._engine.has(name):
            self._engine.call(id, name)

    @contextmanager
    def _file(self, pieces: Iterable[bytes]) -> Iterator[tuple[BinaryIO, str]]:
        hasher = Hasher()
        with tempfile.TemporaryFile(dir=self._scratch) as file:
            for piece in pieces:
                hasher.update(piece)
                file.write(piece)
            file.seek(0)
            yield file, hasher.hexdigest()


def check_nameless(archive: BinaryIO, name: str) -> None:
    """Raises MlrunError (IMAGE) for an archive that gives any image a name, or that hides where it would."""
    try:
        with tarfile.open(fileobj=archive, mode="r:") as tar:
            for count, member in enumerate(tar):
                if count > _MOST_MEMBERS:
                    raise _refused(name, "it has too many members")
                path = posixpath.normpath(member.name.lstrip("/"))
                if path.startswith("..") or (path in _LISTS and not (member.isreg() and member.name == path)):
                    raise _refused(name, f"it has the odd member `{printable(member.name)}`")
                if path in _LISTS:
                    _check_list(tar, member, name)
    except (tarfile.TarError, OSError, EOFError, ValueError, RecursionError) as error:
        raise _refused(name, f"it cannot be read: {printable(str(error))}") from None


def _check_list(tar: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> None:
    file = tar.extractfile(member)
    if member.size > _MOST_LIST or file is None:
        raise _refused(name, f"its `{member.name}` is too large")
    document = json.loads(file.read())
    told = document if isinstance(document, list) else [document]
    entries = [one for one in told if isinstance(one, Mapping)]
    entries += [one for list_ in entries for one in _list(list_.get("manifests"))]
    if member.name == "repositories" and document:
        raise _refused(name, "it would give images names of its own")
    for entry in entries:
        annotations = entry.get("annotations")
        if entry.get("RepoTags") or (isinstance(annotations, Mapping) and _NAMES & annotations.keys()):
            raise _refused(name, "it would give images names of its own")


def _list(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _refused(name: str, what: str) -> MlrunError:
    return MlrunError(
        f"the image `{printable(name)}` of the bundle is refused: {what}",
        code=ExitCode.IMAGE,
        hint="the runs themselves were taken; another bundle, or a registry, may have the image",
    )
