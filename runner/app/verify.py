"""Whether a record is still what was written, and whether a signed statement about it is true.

A record is checked against itself: its journal by its chain, its rows by the journal, and everything that it names by
reading all of it. A statement is checked by its signature, then word by word against the record, and its subjects byte
by byte against the store or against files. Changes nothing.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from runner.app.signing import PublicKey
from runner.digest import Digest, Hasher, is_digest
from runner.errors import ExitCode, MlrunError
from runner.escape import printable
from runner.export import slsa
from runner.export.dsse import Envelope, decode_envelope
from runner.export.telling import file_path
from runner.remote.shape import Each, Shape, misfit
from runner.store.durable import disk_errors
from runner.store.reach import Kind, Named, named_by
from runner.store.record import Execution, Run
from runner.store.store import Store
from runner.upkeep.anomaly import Anomaly, Report
from runner.upkeep.chain import read_removed
from runner.upkeep.inventory import Inventory
from runner.upkeep.mention import Trees, gave_up
from runner.upkeep.survey import Survey

_PIECE = 4 << 20
_DIGESTS = frozenset({"sha256", "blake3"})
"""What this program can compute of a subject."""
_REBUILD = "`mlrun store check` looks at the whole store, and mends what it can"

_DESCRIPTOR: Shape = {
    "name": str, "digest": Each(str), "uri?": str, "annotations?": dict, "mediaType?": str
}  # fmt: skip
_STATEMENT: Shape = {
    "_type": frozenset({slsa.STATEMENT}),
    "subject": [_DESCRIPTOR],
    "predicateType": frozenset({slsa.PREDICATE}),
    "predicate": {
        "buildDefinition": {
            "buildType": frozenset({slsa.BUILD_TYPE}),
            "externalParameters": dict,
            "internalParameters": dict,
            "resolvedDependencies": [dict],
        },
        "runDetails": {
            "builder": {"id": frozenset({slsa.BUILDER}), "version": Each(str)},
            "metadata": {"invocationId": str, "startedOn": str, "finishedOn": str},
            "byproducts": [dict],
        },
    },
}


@dataclass(slots=True)
class Sound:
    """What a record was checked by: `objects` and bytes that were read. `gone` are files that were given up or purged
    on purpose; `faults` say what is not as it was recorded."""

    objects: int = 0
    size: int = 0
    gone: int = 0
    faults: list[MlrunError] = field(default_factory=list)


def verify_record(store: Store, run: Run, execution: Execution | None = None) -> Sound:
    """Check a run that has ended, or of its executions one alone. Raises MlrunError where that cannot be done."""
    with disk_errors(store.layout.root):
        inventory = Inventory(store.layout)
        sound = Sound()
        anomalies = Survey(store, inventory, Report(), lambda: False).record(run.id)
        sound.faults += [_anomaly(run, one) for one in anomalies if one.damage]
        removed = read_removed(store.layout)
        seen: set[Digest] = set()
        for named in named_by(run, Trees(inventory).files):
            if execution is not None and named.kind not in {Kind.SPEC, Kind.CODE} and named.execution != execution.id:
                continue
            if named.digest in seen:
                continue
            seen.add(named.digest)
            if named.digest in removed.purged or (gave_up(named, removed) and inventory.find(named.digest) is None):
                sound.gone += 1
                continue
            sound.faults += [_damage(run, named, what) for what in _problems(inventory, named, sound)]
        return sound


def _problems(inventory: Inventory, named: Named, sound: Sound) -> Iterator[str]:
    """What is wrong with the copies of an object; all of them are read."""
    there = False
    for found in inventory.copies(named.digest):
        there = True
        problem = inventory.problem(found, named.digest)
        sound.objects += 1
        sound.size += found.size
        if problem is None and named.size is not None and found.size != named.size:
            problem = f"has {found.size:,} bytes instead of {named.size:,}"
        if problem is not None:
            yield problem
    if not there:
        yield "is missing"


def _anomaly(run: Run, anomaly: Anomaly) -> MlrunError:
    message = f"run {run.counter} was changed: `{anomaly.place}` {anomaly.what}"
    return MlrunError(message, code=ExitCode.STORE, hint=anomaly.remedy or _REBUILD)


def _damage(run: Run, named: Named, what: str) -> MlrunError:
    message = f"run {run.counter} was changed: {_title(run, named)} {what} (object `{named.digest}`)"
    return MlrunError(message, code=ExitCode.STORE, hint=_REBUILD)


def _title(run: Run, named: Named) -> str:
    execution = run.executions.get(named.execution)
    of = f" of execution {execution.counter}" if execution is not None else ""
    name = printable(named.name)
    match named.kind:
        case Kind.OUTPUT | Kind.INPUT:
            return f"the {named.kind} `{name}`{of}"
        case Kind.LOG:
            return f"the log ({name}){of}"
        case Kind.METRICS:
            return f"the list of metrics{of}"
        case Kind.DEPLOYMENT:
            return f"the file `{name}` of a deployment"
        case Kind.GIVEN:
            return f"the file `{name}`, which was given to a node that has not run,"
        case Kind.SPEC:
            return f"the YAML file `{name}`"
        case Kind.CODE:
            return f"the file `{name}` of the code" if name else "the list of the code's files"


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement whose signature is good: `run` is the id of the run that it tells of."""

    shown: str
    document: Mapping[str, Any]

    @property
    def run(self) -> str:
        """The run's id."""
        return str(self.document["predicate"]["runDetails"]["metadata"]["invocationId"])

    @property
    def execution(self) -> str | None:
        """The id of the execution that it is about, where that is not the whole run."""
        given = self.document["predicate"]["buildDefinition"]["externalParameters"].get("execution")
        return given if isinstance(given, str) else None

    @property
    def subjects(self) -> Mapping[str, Mapping[str, str]]:
        """The digests of the subjects by name."""
        return {one["name"]: one["digest"] for one in self.document["subject"]}


def open_statement(data: bytes, shown: str, key: PublicKey) -> Statement:
    """The statement in a signed envelope. Raises MlrunError (DIFFERS) unless it is one, signed by this key."""
    try:
        envelope = decode_envelope(data)
    except ValueError as error:
        hint = "`mlrun open` checks a bundle" if data[257:262] == b"ustar" else None
        raise _untrue(shown, f"is no signed envelope: {error}", hint) from None
    _check_signature(envelope, shown, key)
    if envelope.payload_type != slsa.PAYLOAD_TYPE:
        raise _untrue(shown, f"is signed, but carries `{envelope.payload_type}` and not an in-toto statement")
    try:
        document = json.loads(envelope.payload)
        wrong = misfit(document, _STATEMENT, "statement")
    except (ValueError, RecursionError) as error:
        raise _untrue(shown, f"is signed, but carries no JSON: {error}") from None
    if wrong is None and not document["subject"]:
        wrong = "statement.subject"
    if wrong is None and len(document["subject"]) != len({one["name"] for one in document["subject"]}):
        wrong = "statement.subject"
    if wrong is not None:
        raise _untrue(shown, f"is signed, but `{wrong}` is not what SLSA provenance by this builder has there")
    return Statement(shown, document)


def _check_signature(envelope: Envelope, shown: str, key: PublicKey) -> None:
    if not envelope.signatures:
        raise _untrue(shown, "has no signature")
    if key.has_signed(envelope):
        return
    if any(one.keyid == key.id for one in envelope.signatures):
        raise _untrue(shown, f"was changed after the key `{key.id[:16]}` signed it: the signature does not fit")
    raise _untrue(shown, f"is not signed by the key `{key.id[:16]}`", "`--key` names the public key of who signed it")


def check_run(statement: Statement, run: Run) -> None:
    """Raises MlrunError (DIFFERS) for a statement about another run."""
    if statement.run != run.id:
        raise _untrue(statement.shown, f"tells of the run `{statement.run}`, not of run {run.counter} (`{run.id}`)")


def compare(statement: Statement, expected: Mapping[str, Any], run: Run) -> None:
    """Raises MlrunError (DIFFERS) where the statement says anything else than the record of `run` does, of which
    `expected` is made anew."""
    shown, known = statement.shown, {one["name"]: one["digest"] for one in expected["subject"]}
    for name, digests in statement.subjects.items():
        if name not in known:
            raise _untrue(shown, f"has the subject `{name}`, which run {run.counter} did not leave")
        if not _agree(digests, known[name]):
            raise _untrue(shown, f"has another content for the subject `{name}` than run {run.counter} left")
    for name in known.keys() - statement.subjects.keys():
        raise _untrue(shown, f"lacks the subject `{name}`, which run {run.counter} left")
    place = first_difference(statement.document, expected, "")
    if place is not None:
        raise _untrue(shown, f"differs from the record of run {run.counter} at `{place}`")


def first_difference(told: Any, known: Any, place: str) -> str | None:
    """Where two documents differ, named from `place` on; None where they do not. Digests agree if those that both have
    do: of a file that is gone not all are known."""
    if isinstance(told, Mapping) and isinstance(known, Mapping):
        if place.rpartition(".")[2] == "digest":
            return None if _agree(told, known) else place
        for key in sorted(told.keys() | known.keys()):
            below = f"{place}.{key}" if place else key
            if key not in told or key not in known:
                return below
            if (found := first_difference(told[key], known[key], below)) is not None:
                return found
        return None
    if isinstance(told, list) and isinstance(known, list):
        if len(told) != len(known):
            return place
        pairs = enumerate(zip(told, known, strict=True))
        return next((found for at, two in pairs if (found := first_difference(*two, f"{place}.{at}"))), None)
    return None if told == known and isinstance(told, bool) == isinstance(known, bool) else place


def _agree(told: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Whether two sets of digests can be of one content. What nobody here can compute counts as wrong."""
    common = told.keys() & known.keys()
    return bool(common) and all(told[name] == known[name] for name in common) and told.keys() <= known.keys() | _DIGESTS


def check_objects(statement: Statement, store: Store) -> int:
    """Read every subject in the store; gives the bytes. Raises MlrunError: STORE for an object that is damaged or
    gone, DIFFERS for one that is not what is told."""
    total = 0
    for name, digests in statement.subjects.items():
        if not is_digest(digests.get("blake3", "")):
            raise _untrue(statement.shown, f"tells no digest of the subject `{name}` by which the store knows it")
        with store.objects.open(Digest(digests["blake3"])) as file:
            total += _check(statement, name, digests, file, "the store", ExitCode.STORE)
    return total


def check_files(statement: Statement, folder: Path) -> int:
    """Read every subject below `folder`, where `mlrun outputs -d` put it; gives the bytes. Raises MlrunError: DIFFERS
    for a file that is not there or is another."""
    total = 0
    for name, digests in statement.subjects.items():
        path = _find(folder, name)
        try:
            with open(path, "rb", buffering=0, opener=_opener) as file:
                total += _check(statement, name, digests, file, f"`{path}`", ExitCode.DIFFERS)
        except (OSError, ValueError) as error:
            # A name that no file can have is a ValueError.
            reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
            raise _untrue(statement.shown, f"has the subject `{name}`, but `{path}` cannot be read: {reason}") from None
    return total


def _opener(path: str, flags: int) -> int:
    """A FIFO is opened at once: it has no content, and nobody waits for one."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _find(folder: Path, name: str) -> Path:
    """With or without the folder of its node; `folder` itself may be the only file."""
    if os.path.isfile(folder):
        return folder
    parts = [part for part in file_path(name).split("/") if part not in {"", ".", ".."}]
    whole, short = folder.joinpath(*parts), folder.joinpath(*parts[1:])
    return whole if os.path.exists(whole) or not os.path.exists(short) else short


def _check(
    statement: Statement, name: str, digests: Mapping[str, str], file: BinaryIO, where: str, code: ExitCode
) -> int:
    sha256, blake3, size = hashlib.sha256(), Hasher(), 0
    while piece := file.read(_PIECE):
        size += len(piece)
        sha256.update(piece)
        blake3.update(piece)
    found = {"sha256": sha256.hexdigest(), "blake3": blake3.hexdigest()}
    if not _agree(digests, found):
        raise _untrue(statement.shown, f"has the subject `{name}`, but {where} has another content for it", code=code)
    return size


def _untrue(shown: str, what: str, hint: str | None = None, code: ExitCode = ExitCode.DIFFERS) -> MlrunError:
    return MlrunError(f"`{shown}` {what}", code=code, hint=hint or "do not trust it: ask who gave it to you")
