"""Data by reference: what an id, an alias, a content digest or the version of a dataset or model means.

Looks up; the one thing it writes is the object that lists the files of a version.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from runner.digest import Digest, canonical_json, is_digest
from runner.errors import ExitCode, MlrunError, did_you_mean
from runner.escape import printable
from runner.store.datum import SCHEME, Datum, datum_id
from runner.store.index import Index
from runner.store.naming import Refs
from runner.store.objects import Objects
from runner.store.record import Execution, OutputFile, Run
from runner.store.ref import LATEST, CollectionKind
from runner.store.removal import Removals

_HEXADECIMAL = frozenset("0123456789abcdef-")
_LEAST = 4
"""Digits of the beginning of an id or a digest."""
_REMEMBERED = 16
"""Executions whose data are kept in memory, because many references often lead to the same one."""


class Catalog:
    """The data of one store. `read_run` gives a run by its id, `open_runs` the runs that the index may be behind. Every
    method raises MlrunError: INPUT for what is not there, STORE."""

    def __init__(
        self,
        refs: Refs,
        objects: Objects,
        index: Index,
        read_run: Callable[[str], Run],
        open_runs: Callable[[], Iterator[Run]],
        removals: Removals,
    ) -> None:
        self.refs = refs
        self._removals = removals
        self._objects = objects
        self._index = index
        self._open_runs = open_runs
        self._data_of = lru_cache(_REMEMBERED)(lambda run, execution: data_of(read_run(run).executions[execution]))

    def datum(self, reference: str) -> Datum:
        """The datum that an id, an alias or a content digest names; `datum://` may stand before it.

        A digest means the newest datum with this content. Content that no execution left, such as a file that was
        brought in, is a datum too: its id and name are the digest, its `execution` is empty.
        """
        reference = reference.removeprefix(SCHEME)
        alias = self.refs.alias(reference)
        if alias is not None:
            return alias.datum
        found = self._by_digest(Digest(reference)) if is_digest(reference) else self._by_id(reference)
        if found is None:
            raise self._no_datum(reference)
        return found

    def find(self, text: str) -> Datum:
        """Like `datum`; the beginning of an id or of a digest will do, at least four digits. Raises MlrunError
        (USAGE) when it fits several."""
        try:
            return self.datum(text)
        except MlrunError as error:
            if error.code is not ExitCode.INPUT:
                raise
            prefix = text.removeprefix(SCHEME).lower()
            found = [*self._by_prefix(prefix), *self._by_digest_prefix(prefix)]
            if not found:
                raise
        if len(found) > 1:
            raise MlrunError(
                f"`{text}` could be any of {len(found)} data",
                code=ExitCode.USAGE,
                hint="write more of it: " + ", ".join(f"`{name}`" for name in _shown_by(prefix, found[:3])),
            )
        return found[0]

    def version(self, kind: CollectionKind, name: str, version: str) -> tuple[Datum, ...]:
        """The data of a version of a dataset or model, by name; `latest` is the newest, and aliases of versions count.

        A model's versions `v1`, `v2`, … may be called `1`, `2`, … as well.
        """
        collection = self.refs.collection(kind, name)
        if collection is None:
            known = [printable(one.name) for one in self.refs.collections(kind)]
            raise MlrunError(
                f"there is no {kind} `{printable(name)}`",
                code=ExitCode.INPUT,
                hint=did_you_mean(name, known) or f"outputs make one with the property `valohai.{kind}-versions`",
            )
        found = collection.find(version) or (collection.find(f"v{version}") if version.isdecimal() else None)
        if found is None:
            known = [printable(one) for one in (*collection.names(), *collection.aliases, LATEST)]
            raise MlrunError(
                f"{kind} `{printable(name)}` has no version `{printable(version)}`",
                code=ExitCode.INPUT,
                hint=did_you_mean(version, known),
            )
        return read_listing(self._objects, found.manifest)

    def require(self, name: str, digest: Digest) -> None:
        """Refuse a file `name` whose content is not here: whoever relied on it would name what does not exist.

        Raises MlrunError: INPUT for one that was given up here or stayed at a remote, POLICY for one that was purged,
        STORE for one that was lost.
        """
        if self._objects.has(digest):
            return
        error = self._objects.missing(digest)
        names = {id for id, _ in (*self._index.makers_of(digest), *self._index.users_of(digest))}
        dropped = self._removals.read().dropped
        if error.code is ExitCode.STORE and (times := [dropped[id] for id in names if id in dropped]):
            raise MlrunError(
                f"the content of `{printable(name)}` is not in this store since {max(times)[:10]}: only its record is",
                code=ExitCode.INPUT,
                hint="`mlrun pull` brings it from a remote that has it, `mlrun gc --undo` what was removed last",
            )
        raise error

    def _by_id(self, id: str) -> Datum | None:
        return next((datum for datum in self._by_prefix(id.lower()) if datum.id == id.lower()), None)

    def _by_prefix(self, prefix: str) -> list[Datum]:
        digits = prefix.replace("-", "")
        if not _LEAST <= len(digits) <= 32 or not set(prefix) <= _HEXADECIMAL:
            return []
        indexed = (self._data_of(run, execution) for execution, run in self._index.data_by_prefix(digits))
        found = _starting(digits, indexed) or _starting(digits, self._open_data())
        return sorted({datum.id: datum for datum in found}.values(), key=lambda datum: datum.id)

    def _by_digest(self, digest: Digest) -> Datum | None:
        indexed = (self._data_of(run, execution) for execution, run in self._index.makers_of(digest, 1))
        same = [datum for data in (*self._open_data(), *indexed) for datum in data if datum.digest == digest]
        if same:
            return max(same, key=lambda datum: (datum.execution, datum.name))
        if self._objects.has(digest):
            return Datum(digest, digest, digest, self._objects.size(digest), execution="")
        return None

    def _by_digest_prefix(self, prefix: str) -> list[Datum]:
        """The newest datum of each content whose digest begins so."""
        if not _LEAST <= len(prefix) <= 64 or not set(prefix) <= _HEXADECIMAL - {"-"}:
            return []
        left = {datum.digest for data in self._open_data() for datum in data if datum.digest.startswith(prefix)}
        digests = sorted({*left, *self._index.digests_by_prefix(prefix)})
        return [found for digest in digests if (found := self._by_digest(digest)) is not None]

    def _open_data(self) -> Iterator[tuple[Datum, ...]]:
        return (data_of(execution) for run in self._open_runs() for execution in run.executions.values())

    def _no_datum(self, reference: str) -> MlrunError:
        aliases = [printable(alias.name) for alias in self.refs.aliases()]
        return MlrunError(
            f"there is no datum `{printable(reference)}`",
            code=ExitCode.INPUT,
            hint=did_you_mean(reference, aliases) or "`mlrun outputs` shows the ids of data, `mlrun alias` their names",
        )


def _shown_by(prefix: str, data: Iterable[Datum]) -> Iterator[str]:
    """What begins so of each: its id or its digest."""
    digits = prefix.replace("-", "")
    return (datum.id if datum.id.replace("-", "").startswith(digits) else datum.digest for datum in data)


def data_of(execution: Execution) -> tuple[Datum, ...]:
    """The outputs of an execution as data."""
    return outputs_as_data(execution.id, execution.outputs)


def outputs_as_data(execution: str, outputs: Iterable[OutputFile]) -> tuple[Datum, ...]:
    """Outputs of the execution with this id as data."""
    return tuple(
        Datum(datum_id(execution, file.name), file.name, file.digest, file.size, execution, file.metadata, file.version)
        for file in outputs
    )


def write_listing(objects: Objects, data: Iterable[Datum]) -> Digest:
    """Store the list of a version's files; the same files give the same object."""
    listed = sorted((asdict(datum) for datum in data), key=lambda datum: (datum["name"], datum["id"]))
    return objects.put_bytes(canonical_json({"data": listed, "format": 1}))


def read_listing(objects: Objects, manifest: Digest) -> tuple[Datum, ...]:
    """The files of a version, by name. Raises MlrunError (STORE)."""
    try:
        return decode_listing(objects.read(manifest))
    except ValueError as error:
        raise MlrunError(f"the object `{manifest}` lists no files: {error}", code=ExitCode.STORE) from error


def decode_listing(data: bytes) -> tuple[Datum, ...]:
    """The files that a version's list names. Raises ValueError for what is no such list."""
    try:
        listed: Mapping[str, Any] = json.loads(data.decode("utf-8", "surrogateescape"))
        return tuple(Datum(**datum) for datum in listed["data"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"it is no list of files: {error!r}") from error


def _starting(digits: str, groups: Iterable[Sequence[Datum]]) -> list[Datum]:
    return [datum for data in groups for datum in data if datum.id.replace("-", "").startswith(digits)]
