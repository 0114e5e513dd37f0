"""Sets the names that the outputs of an execution ask for: aliases, and versions of datasets and models.

Only those of an execution that succeeded: an alias such as `model-prod` must not move to what a failed step left. The
properties are kept all the same, so the names can be set by hand later.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from runner.errors import MlrunError
from runner.escape import printable
from runner.job import Job
from runner.state import State
from runner.store.catalog import Catalog, outputs_as_data, write_listing
from runner.store.change import Change
from runner.store.datum import Datum
from runner.store.record import Execution, standing
from runner.store.ref import LATEST, Alias, CollectionKind
from runner.store.store import Store
from runner.worker.report import Finished
from runner.worker.sidecar import VersionRequest, wishes

_MOST_NAMES = 1000
"""Aliases and versions that one execution may set: each is a file that waits for the disk, and all others wait too."""


@dataclass(slots=True)
class _Version:
    """What all files that name one version ask for together."""

    kind: CollectionKind
    name: str
    version: str
    data: list[Datum] = field(default_factory=list)
    base: tuple[str, str] | None = None
    fresh: bool = False
    exclude: dict[str, None] = field(default_factory=dict)
    aliases: dict[str, None] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    def add(self, datum: Datum, request: VersionRequest) -> None:
        """One more file."""
        self.data.append(datum)
        self.base = self.base or request.base
        self.fresh |= request.fresh
        self.exclude |= dict.fromkeys(request.exclude)
        self.aliases |= dict.fromkeys(request.aliases)
        self.notes |= request.notes

    def __str__(self) -> str:
        return f"{self.kind} version `{printable(f'{self.name}/{self.version}')}`"


_Asked = tuple[Mapping[str, list[Datum]], list[_Version]]
"""The data that want each alias, and the versions."""


def publish(store: Store, user: str, job: Job, finished: Finished) -> Sequence[str]:
    """Set the names, durably; gives what to tell the user about names that were not set. Never raises MlrunError."""
    data = outputs_as_data(job.id, finished.outputs)
    return _publish(store, user, job.id, _asked(data), succeeded=finished.outcome.succeeded)


def publish_again(store: Store, user: str, execution: Execution, since: str | None = None) -> Sequence[str]:
    """Set the names that an execution asks for which stands for another, as if it had just ended: those that mean
    something else by now. With `since`, a moment, names that were set after it stay. Never raises MlrunError."""
    told: list[str] = []
    with suppress(MlrunError):
        moved = _moved(store, _asked_by(execution), since)
        told += _publish(store, user, execution.id, moved, succeeded=True)
    return told


def would_move(store: Store, execution: Execution) -> bool:
    """Whether names would come to mean something else if the execution stood for another. Raises MlrunError."""
    aliases, versions = _moved(store, _asked_by(execution), None)
    return bool(aliases or versions)


def _moved(store: Store, asked: _Asked, since: str | None) -> _Asked:
    """What of the wanted names is not as wanted, but for what was set later than `since`."""
    aliases, versions = asked
    lost = {}
    for name, wanted in aliases.items():
        now = store.refs.alias(name)
        if now is None or (now.datum.id != _newest(wanted).id and (since is None or now.time <= since)):
            lost[name] = wanted
    return lost, [version for version in versions if not _is_there(store, version, since)]


def _is_there(store: Store, asked: _Version, since: str | None) -> bool:
    """Whether there is a version of these files, the newest where no name was asked for, with its aliases."""
    found = store.refs.collection(asked.kind, asked.name)
    version = found.find(asked.version or LATEST) if found is not None else None
    if found is None or version is None:
        return False
    if since is not None and version.time > since:
        return True
    request = VersionRequest(asked.kind, asked.name, asked.version, asked.base, asked.fresh, tuple(asked.exclude))
    wanted = version_data(store.catalog, request, asked.data)
    there = store.catalog.version(asked.kind, asked.name, version.name)
    by_name = {datum.name: datum.id for datum in there}
    return by_name == {datum.name: datum.id for datum in wanted} and all(
        found.aliases.get(alias) == version.name for alias in asked.aliases if alias != LATEST
    )


def catch_up(store: Store, user: str, run_ids: Iterable[str]) -> Sequence[str]:
    """Set the names that executions of these runs ask for and did not get, because their runner died in between.

    An alias that was set since then stays. Never raises MlrunError.
    """
    told: list[str] = []
    with suppress(MlrunError):
        done = {entry["by"].get("execution") for entry in store.refs.history()} if run_ids else set()
        for run_id in run_ids:
            run = store.run(run_id)
            for reused in standing(run):
                with suppress(MlrunError, KeyError):
                    stands = store.run(reused.run).executions[reused.execution]
                    told += publish_again(store, user, stands, run.created)
            for execution in run.executions.values():
                if execution.state is State.SUCCEEDED and execution.id not in done:
                    aliases, versions = _asked_by(execution)
                    since = {name for name in aliases if _is_newer(store.refs.alias(name), execution.finished)}
                    aliases = {name: data for name, data in aliases.items() if name not in since}
                    told += _publish(store, user, execution.id, (aliases, versions), succeeded=True)
    return told


def _is_newer(alias: Alias | None, moment: str | None) -> bool:
    return alias is not None and (moment is None or alias.time > moment)


def _publish(store: Store, user: str, execution: str, asked: _Asked, *, succeeded: bool) -> Sequence[str]:
    aliases, versions = asked
    if not aliases and not versions:
        return ()
    count = len(aliases) + sum(1 + len(version.aliases) for version in versions)
    if count > _MOST_NAMES:
        return (f"not set: the outputs ask for {count:,} names, and at most {_MOST_NAMES:,} are set for one execution",)
    if not succeeded:
        names = [f"alias `{printable(name)}`" for name in aliases] + [str(version) for version in versions]
        return (f"not set, because the execution did not succeed: {', '.join(names)}",)
    told: list[str] = []
    try:
        with store.refs.changing({"user": user, "execution": execution}) as change:
            for name, wanted in aliases.items():
                newest = _newest(wanted)
                if len({datum.path for datum in wanted}) > 1:
                    got = f"`{printable(newest.name)}` gets it"
                    told.append(f"{len(wanted)} outputs want the alias `{printable(name)}`: {got}")
                _attempt(told, f"the alias `{printable(name)}`", change.set_alias, name, newest)
            for version in versions:
                _attempt(told, f"the {version}", _make, store, change, version)
    except MlrunError as error:
        told.append(f"names that the outputs ask for were not set: {error.message}")
    return told


def _newest(wanted: Sequence[Datum]) -> Datum:
    """The one of several files that gets a name that all of them want."""
    return max(wanted, key=lambda datum: (datum.path, datum.version))


def version_data(catalog: Catalog, version: VersionRequest, data: Sequence[Datum]) -> tuple[Datum, ...]:
    """The files of a version to be made, by name: those of its base but the excluded ones, then `data`, which take the
    place of files of the same name. Raises MlrunError (INPUT) for a base that does not exist."""
    by_name: dict[str, Datum] = {}
    if version.base is not None and not version.fresh:
        name, base = version.base
        for datum in catalog.version(version.kind, name, base or LATEST):
            if not any(fnmatchcase(datum.name, pattern) for pattern in version.exclude):
                by_name[datum.name] = datum
    by_name |= {datum.name: datum for datum in data}
    return tuple(by_name[name] for name in sorted(by_name))


def _asked_by(execution: Execution) -> _Asked:
    """What the outputs of a recorded execution ask for, which only those with properties can."""
    return _asked(outputs_as_data(execution.id, (file for file in execution.outputs if file.metadata)))


def _asked(data: Sequence[Datum]) -> _Asked:
    aliases: dict[str, list[Datum]] = {}
    versions: dict[tuple[str, str, str], _Version] = {}
    for datum in data:
        # What cannot be understood was told when the outputs were collected.
        asked = wishes(datum.metadata, lambda _: None)
        if asked.alias is not None:
            aliases.setdefault(asked.alias, []).append(datum)
        for request in asked.versions:
            key = request.kind, request.name, request.version
            versions.setdefault(key, _Version(*key)).add(datum, request)
    return aliases, list(versions.values())


def _make(store: Store, change: Change, asked: _Version) -> None:
    request = VersionRequest(asked.kind, asked.name, asked.version, asked.base, asked.fresh, tuple(asked.exclude))
    data = version_data(store.catalog, request, asked.data)
    make_version(store, change, (asked.kind, asked.name), asked.version, data, asked.notes, tuple(asked.aliases))


def make_version(
    store: Store,
    change: Change,
    collection: tuple[CollectionKind, str],
    version: str,
    data: Sequence[Datum],
    notes: Mapping[str, Any],
    aliases: Sequence[str],
) -> str:
    """Add a version, the next number if it has no name, and set its aliases; gives its name. One that is there with
    the very same files is left as it is. Raises MlrunError."""
    found = change.collection(*collection)
    manifest = write_listing(store.objects, data)
    version = version or _next_number(found.names())
    same = next((one for one in found.versions if one.name == version), None)
    if same is None or same.manifest != manifest:
        change.make_version(collection, version, manifest, data, notes)
    for alias in aliases:
        change.alias_version(collection, alias, version)
    return version


def _next_number(names: Sequence[str]) -> str:
    number = len(names) + 1
    while f"v{number}" in names:
        number += 1
    return f"v{number}"


def _attempt(told: list[str], what: str, work: Any, *arguments: Any) -> None:
    """One name that cannot be set must not keep the others from being set."""
    try:
        work(*arguments)
    except MlrunError as error:
        told.append(f"{what} was not set: {error.message}")
