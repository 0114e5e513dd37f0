"""Inputs from what earlier executions left: `datum://`, `dataset://` and `model://`, looked up in the catalog.

Nothing is fetched: the content is in the store. The origin is always the datum itself, whatever name led to it.
"""

from collections.abc import Iterable
from urllib.parse import unquote

from runner.data.means import Catalog, Means, Want
from runner.errors import MlrunError
from runner.job import InputFile
from runner.plan.address import scheme
from runner.plan.match import place_files
from runner.store.datum import Datum, newest
from runner.store.ref import KINDS, CollectionKind


def check(want: Want, means: Means) -> None:
    """Refuse a name that is none, or that nothing has. Raises MlrunError (INPUT)."""
    if means.catalog is None:
        _reference(want)
    else:
        _find(want, means.catalog)


def fetch(want: Want, means: Means) -> tuple[InputFile, ...]:
    """The files that the name means, with their properties. Raises MlrunError (INPUT)."""
    if means.catalog is None:
        raise want.refused(f"there is nothing that `{want.shown}` could name")
    found = _find(want, means.catalog)
    files = files_of(found)
    # A dataset is a root of its own; of a single datum the folders belong to its name.
    pattern = files[0].name if scheme(want.uri) == "datum" else ""
    return place_files(want.declared, files, pattern)


def files_of(data: Iterable[Datum]) -> tuple[InputFile, ...]:
    """Data as files for a job, under the paths at which their steps wrote them: of several versions the newest."""
    return tuple(
        InputFile(datum.path, datum.digest, datum.size, f"datum://{datum.id}", dict(datum.metadata))
        for datum in newest(data)
    )


def _find(want: Want, catalog: Catalog) -> tuple[Datum, ...]:
    try:
        kind, name, version = _reference(want)
        found = (catalog.datum(name),) if kind is None else catalog.version(kind, name, version)
        for datum in found:
            catalog.require(datum.name, datum.digest)
        return found
    except MlrunError as error:
        if error.location is not None:
            raise
        raise MlrunError(
            error.message, code=error.code, hint=error.hint or want.instead, location=want.location
        ) from None


def _reference(want: Want) -> tuple[CollectionKind | None, str, str]:
    """Kind, name and version. A datum has no kind here."""
    text = unquote(want.uri.partition("://")[2]).strip("/")
    if not text:
        raise want.refused(f"`{want.shown}` names nothing")
    kind = next((kind for kind in KINDS if kind == scheme(want.uri)), None)
    if kind is None:
        return None, text, ""
    name, _, version = text.rpartition("/")
    if not name:
        raise want.refused(f"`{want.shown}` names no version", f"write `{kind}://{text}/latest`")
    return kind, name, version
