"""What fetching uses besides the address: the store, its cache, the catalog, and who is told. Pure types."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Protocol

from runner.digest import Digest
from runner.errors import ExitCode, Location, MlrunError
from runner.plan.address import public
from runner.plan.model import Source
from runner.spec.model import Input
from runner.store.datum import Datum
from runner.store.ref import CollectionKind


class ObjectWriter(Protocol):
    """What fetching needs of the store."""

    def has(self, digest: Digest) -> bool:
        """Whether the object is there."""
        ...

    def size(self, digest: Digest) -> int:
        """Bytes of an object that is there."""
        ...

    def lacking(self, wanted: Iterable[Digest]) -> set[Digest]:
        """Those of very many objects that are not there."""
        ...

    def put_many(self, items: Iterable[bytes]) -> list[tuple[Digest, int]]:
        """Store many small contents together; in the order given, digests and sizes."""
        ...

    def put_file(self, fd: int) -> tuple[Digest, int]:
        """Store the content of an open regular file; returns digest and size."""
        ...

    def adopt(self, path: Path) -> tuple[Digest, int]:
        """Take over a finished file that nobody writes any more; the name is gone afterwards."""
        ...


class Catalog(Protocol):
    """Finds data by name. All methods raise MlrunError (code INPUT) for what is not there."""

    def datum(self, reference: str) -> Datum:
        """The datum with this id, alias or content digest."""
        ...

    def version(self, kind: CollectionKind, name: str, version: str) -> tuple[Datum, ...]:
        """The files of a version of a dataset or model; `latest` is the newest."""
        ...

    def require(self, name: str, digest: Digest) -> None:
        """Refuse a file `name` whose content is not in the store. Raises MlrunError: INPUT, POLICY, STORE."""
        ...


@dataclass(frozen=True, slots=True)
class Want:
    """One source of one input: `root` is the project folder, `mapped` tells that the user's own map put it there."""

    declared: Input
    source: Source
    root: Path
    mapped: bool = False

    @property
    def uri(self) -> str:
        """The address with its login, if it has one. Never shown."""
        return self.source.uri

    @property
    def shown(self) -> str:
        """The address as it may be shown."""
        return public(self.source.uri)

    @property
    def location(self) -> Location | None:
        """Where the file declares the input; None when the user named the source."""
        return None if self.source.trusted else self.declared.location

    def refused(self, why: str, hint: str | None = None, code: ExitCode = ExitCode.INPUT) -> MlrunError:
        """The error that this source is not to be had, with a hint that offers a local file in its place."""
        place = "write it with `mlrun inputs map`" if self.mapped else f"a local file takes its place: {self.instead}"
        return MlrunError(f"input `{self.declared.name}`: {why}", code=code, location=self.location, hint=hint or place)

    @property
    def instead(self) -> str:
        """How to give another file."""
        return f"`--{self.declared.name} PATH`, or for good `mlrun inputs map {quote(self.shown)} PATH`"


@dataclass(frozen=True, slots=True)
class Means:
    """What a fetch may use. `cache` is the store's cache folder; `fresh` asks for everything anew; `progress` is told
    (address, bytes so far, all bytes or 0), `notice` a sentence for people. `catalog` is None where there is none.
    Without `keep` what is found out is not written to the cache."""

    objects: ObjectWriter
    cache: Path
    catalog: Catalog | None = None
    fresh: bool = False
    keep: bool = True
    progress: Callable[[str, int, int], None] = lambda address, done, total: None
    notice: Callable[[str], None] = lambda sentence: None
