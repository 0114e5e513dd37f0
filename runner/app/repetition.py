"""One recorded execution made ready to run again, and run: from the store alone, in its recorded surroundings.

Nothing is fetched: what is not here is told as missing. Nothing is recorded either: what a repetition leaves lies in a
scratch folder. The ids that the step is told are those of its record, so that nothing differs but what the step does.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import TIMEOUT_MAX, Timer
from typing import Any, BinaryIO

from runner import __version__
from runner.app.device import make_allotter
from runner.app.drift import Drift, host_drift, identity_drift
from runner.app.executor import open_site
from runner.app.grant import grant_recorded
from runner.app.ground import make_reserve, remove_scratch
from runner.app.overlay import Overlay
from runner.app.reproduction import Lack, Need
from runner.app.session import recorded_documents
from runner.digest import Digest
from runner.engine.entry import job_from_json
from runner.errors import ExitCode, MlrunError
from runner.escape import printable
from runner.events import Listener
from runner.executors import EXECUTORS
from runner.job import Executor, Identity, Job, LogChunk
from runner.metrics import MetricEvent
from runner.provenance.host import describe_host
from runner.settings import Settings
from runner.state import Reason
from runner.store.durable import disk_errors
from runner.store.identity import new_id
from runner.store.imported import read_import
from runner.store.record import Execution, OutputFile, Run
from runner.store.store import Store
from runner.store.tree import LINK
from runner.worker.report import Finished, clear
from runner.worker.run import Equipment, run_job
from runner.worker.stopper import Stopper
from runner.worker.tree import remove_tree

NOT_ITS_OWN = frozenset({Reason.START, Reason.IMAGE, Reason.INPUT, Reason.OUTPUT, Reason.DISK, Reason.RUNTIME})
"""Ends that tell of the machine, not of the program."""

_NEEDS = {Reason.IMAGE: Need.IMAGE, Reason.INPUT: Need.INPUT, Reason.DISK: Need.DISK}


class Missing(Exception):
    """An execution cannot run again; `lacks` say what is missing."""

    def __init__(self, *lacks: Lack) -> None:
        super().__init__()
        self.lacks = lacks


@dataclass(frozen=True, slots=True)
class Ready:
    """An execution with nothing missing: its job as the user grants it today, what runs it, and what has changed."""

    run: Run
    execution: Execution
    job: Job
    executor: Executor
    identity: Identity
    notices: tuple[str, ...]
    drift: tuple[Drift, ...]


@dataclass(slots=True)
class Preparer:
    """Makes executions ready. `secrets` are values by name; `executor` is another one than the recorded, if the user
    says so. Used by one thread."""

    store: Store
    settings: Settings
    secrets: Mapping[str, str] = field(repr=False)
    executor: str | None = None
    _opened: dict[tuple[str, str, str | None], Executor] = field(default_factory=dict)

    def prepare(self, run: Run, execution: Execution) -> Ready:
        """Look for everything that the execution needs. Raises Missing with all that is not there."""
        try:
            job = job_from_json(execution.id, execution.job)
        except (KeyError, TypeError, ValueError) as error:
            message = f"its record does not tell what ran: {error!r}"
            raise Missing(Lack(Need.RECORD, "", message)) from error
        if job.gang is not None:
            message = f"it was one of {len(job.gang.addresses)} members of a distributed task, which only run together"
            raise Missing(Lack(Need.RECORD, "", message, "run the task again"))
        lacks = [*self._lacks_of_code(job), *self._lacks_of_inputs(job), *self._lacks_of_secrets(job)]
        notices: tuple[str, ...] = ()
        try:
            job, notices = grant_recorded(job, self.settings)
        except MlrunError as error:
            lacks.append(Lack(Need.PERMISSION, "", error.message, error.hint))
        try:
            executor, identity = self._surroundings(run, execution, job.image)
        except Missing as missing:
            raise Missing(*lacks, *missing.lacks) from None
        if lacks:
            raise Missing(*lacks)
        drift = (*self._drift(run, execution, executor, identity),)
        return Ready(run, execution, job, executor, identity, notices, drift)

    def _lacks_of_code(self, job: Job) -> Iterator[Lack]:
        snapshot = Digest(job.snapshot)
        try:
            entries = [entry for entry in self.store.objects.read_tree(snapshot) if entry.mode != LINK]
        except MlrunError as error:
            yield Lack(Need.CODE, "", f"the code is not there: {error.message}", error.hint, snapshot)
            return
        gone = self.store.objects.lacking({Digest(entry.content) for entry in entries})
        for entry in entries:
            if entry.content in gone:
                why, hint = self._why_gone(entry.path, Digest(entry.content))
                yield Lack(Need.CODE, entry.path, why, hint, entry.content, entry.size)

    def _lacks_of_inputs(self, job: Job) -> Iterator[Lack]:
        files = {f"{given.name}/{file.name}": file for given in job.inputs for file in given.files}
        gone = self.store.objects.lacking({Digest(file.digest) for file in files.values()})
        for name, file in files.items():
            if file.digest in gone:
                why, hint = self._why_gone(name, Digest(file.digest))
                yield Lack(Need.INPUT, name, why, hint, file.digest, file.size, file.origin)

    def _why_gone(self, name: str, digest: Digest) -> tuple[str, str | None]:
        try:
            self.store.catalog.require(name, digest)
        except MlrunError as error:
            return error.message, error.hint
        return "it went away while it was looked for", "try again"

    def _lacks_of_secrets(self, job: Job) -> Iterator[Lack]:
        for name in job.secrets:
            if name not in self.secrets:
                hint = f"`mlrun secret set {name}` keeps it, `--env-file FILE` gives it this once"
                yield Lack(Need.SECRET, name, "no record has its value", hint)

    def _surroundings(self, run: Run, execution: Execution, image: str) -> tuple[Executor, Identity]:
        """What ran the execution, or else what the user names. Raises Missing."""
        name = self.executor or execution.executor or run.executor
        came = read_import(self.store.layout.run(run.id).imported)
        if name == "process" and self.executor is None and came is not None:
            message = f"it came from `{printable(came.source)}`, and its code would run without isolation"
            hint = "`--executor sandbox` or `docker` isolates it; `--executor process` says that you trust it"
            raise Missing(Lack(Need.PERMISSION, "process", message, hint))
        recorded = execution.identity if execution.executor == name else None
        try:
            if name == "docker":
                return self._find_image(run, image, recorded)
            # A record from elsewhere must not name a program of this machine.
            return self._find_interpreter(name, run, recorded, follow=came is None)
        except MlrunError as error:
            need = Need.IMAGE if error.code is ExitCode.IMAGE else Need.EXECUTOR
            raise Missing(Lack(need, image if need is Need.IMAGE else name, error.message, error.hint)) from None

    def _find_image(self, run: Run, image: str, recorded: Mapping[str, Any] | None) -> tuple[Executor, Identity]:
        """The recorded image by its id, whatever its name means by now. Raises MlrunError, Missing."""
        executor = self._open("docker", run, None)
        id = image if recorded is None else str(recorded["id"])
        found = executor.resolve(id)
        if found is None:
            known = (recorded or {}).get("repo_digests")
            # A record from elsewhere may hold anything there.
            places = known if isinstance(known, list) else []
            hint = f"`docker pull {places[0] if places else image}` brings it"
            if recorded is not None and not places:
                hint = "it was never in a registry: `docker load` it from where it was saved, or build it again"
            raise Missing(Lack(Need.IMAGE, id, f"the engine does not have it; it was `{printable(image)}`", hint))
        return executor, found

    def _find_interpreter(
        self, name: str, run: Run, recorded: Mapping[str, Any] | None, *, follow: bool
    ) -> tuple[Executor, Identity]:
        """The caller's interpreter if it is the recorded one, else that where it was, if there is one. Raises
        MlrunError."""
        executor = self._open(name, run, None)
        found = executor.resolve("")
        if found is None:
            raise MlrunError(f"executor {name} needs an image", code=ExitCode.IMAGE)
        path = (recorded or {}).get("interpreter")
        if recorded is None or found.id == recorded["id"] or not follow or not isinstance(path, str):
            return executor, found
        if found.details.get("interpreter") == path or not os.access(path, os.X_OK):
            return executor, found
        with suppress(MlrunError):
            other = self._open(name, run, path)
            if (identity := other.resolve("")) is not None:
                return other, identity
        return executor, found

    def _open(self, name: str, run: Run, interpreter: str | None) -> Executor:
        """An executor that works, once for all. Raises MlrunError (EXECUTOR)."""
        key = (name, run.project.root, interpreter)
        if name not in EXECUTORS:
            message = f"there is no executor `{printable(name)}`"
            raise MlrunError(message, code=ExitCode.EXECUTOR, hint="name another one with `--executor`")
        if key not in self._opened:
            site = open_site(self.settings, Path(run.project.root))
            if interpreter is not None:
                site = replace(site, environment=_led_to(interpreter, site.environment))
            executor = EXECUTORS[name](site)
            probe = executor.probe()
            if not probe.works:
                raise MlrunError(f"{name}: {probe.sentence}", code=ExitCode.EXECUTOR, hint=probe.hint)
            remove_scratch(executor, self.store)
            self._opened[key] = executor
        return self._opened[key]

    def _drift(self, run: Run, execution: Execution, executor: Executor, identity: Identity) -> Iterator[Drift]:
        if run.version != __version__:
            yield Drift("mlrun", run.version, __version__)
        yield from host_drift(run.host, describe_host())
        if execution.executor is not None and execution.executor != executor.name:
            yield Drift("executor", execution.executor, executor.name)
        elif execution.identity is not None:
            yield from identity_drift(execution.identity, {"id": identity.id, **identity.details})


def _led_to(interpreter: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Variables by which this very interpreter is the caller's."""
    folder = os.path.dirname(interpreter)
    prefix = os.path.dirname(folder)
    found = {**environment, "PATH": os.pathsep.join([folder, environment.get("PATH", os.defpath)])}
    found.pop("VIRTUAL_ENV", None)
    return {**found, "VIRTUAL_ENV": prefix} if os.path.exists(os.path.join(prefix, "pyvenv.cfg")) else found


@dataclass(frozen=True, slots=True)
class Trial:
    """One repetition that has ended, its outputs in an object store of its own; `folder` is removed by `discard`."""

    finished: Finished
    objects: Overlay
    folder: Path

    def lack(self, recorded: Execution) -> Lack | None:
        """Why it did not run, if that is not how the record ended as well."""
        reason = self.finished.outcome.reason
        if reason not in NOT_ITS_OWN or reason is recorded.reason:
            return None
        message = self.finished.outcome.detail or f"it ended by `{reason}`"
        return Lack(_NEEDS.get(reason, Need.EXECUTOR), "", message, self.finished.hint)

    def discard(self) -> None:
        """Remove what it left; what cannot be removed goes with the scratch folder."""
        clear(self.finished)
        with suppress(OSError):
            remove_tree(self.folder)


def repeat(
    ready: Ready,
    store: Store,
    settings: Settings,
    folder: Path,
    stopper: Stopper,
    secrets: Mapping[str, str],
    emit: Listener,
) -> Trial:
    """Run it once more below the scratch folder `folder`, on the calling thread, as soon as there are devices for it.
    Raises MlrunError (DISK, STORE)."""
    id = new_id()
    own = folder / f"trial-{id}"
    with disk_errors(own):
        own.mkdir()
    job = replace(ready.job, id=id, documents=recorded_documents(ready.run, ready.execution))
    overlay = Overlay(store.objects, own / "objects")
    equipment = Equipment(
        executor=ready.executor,
        objects=overlay,
        work=folder,
        checksums=store.checksums.known,
        reserve=make_reserve(settings, store, ready.executor),
    )
    limits = _Limits(job, stopper, settings.grace)
    given = {name: secrets[name] for name in job.secrets}
    with closing(make_allotter(store.layout.cache)) as allotter:
        devices = allotter.wait(job, stopper, emit).devices
        try:
            finished = run_job(job, equipment, ready.identity, own / "log", limits, stopper, given, devices)
        finally:
            limits.cancel()
    return Trial(finished, overlay, own)


class _Limits:
    """Listens to a job only to end it when one of its limits is reached (see `runner.worker.report.JobListener`)."""

    def __init__(self, job: Job, stopper: Stopper, grace: float) -> None:
        self._stopper = stopper
        self._grace = grace
        seconds = None if job.time_limit is None else min(job.time_limit, TIMEOUT_MAX)
        self._timer = None if seconds is None else Timer(seconds, self.limit, (Reason.TIMEOUT,))

    def started(self) -> None:
        """The time limit counts from here."""
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()

    def cancel(self) -> None:
        """The job is over."""
        if self._timer is not None:
            self._timer.cancel()

    def limit(self, reason: Reason) -> None:
        """End it, as the run did that is repeated."""
        self._stopper.stop(self._grace, reason)

    def paused(self) -> None:
        """Never: nobody looks at its place."""

    def log(self, chunk: LogChunk) -> None:
        """It is compared, not shown."""

    def metric(self, event: MetricEvent) -> None:
        """It is compared, not shown."""

    def taken(self, file: OutputFile) -> None:
        """There is no record that would have to know."""


def opener(store: Store) -> Callable[[Digest], BinaryIO]:
    """Gives objects of the store, seekable: packed ones are made whole."""
    return lambda digest: store.objects.file(digest).open("rb")
