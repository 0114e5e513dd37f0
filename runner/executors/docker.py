"""Runs steps in containers of Docker or Podman.

Knows what a step's container looks like and which engine to use. How one runs and ends is in `container`; requests are
in `engine`. Neither is imported before a socket was seen that takes connections: the SDK costs more than a whole step.
"""

import os
import resource
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from runner.errors import ExitCode, MlrunError
from runner.executors import wrapper
from runner.executors.endpoint import EngineError, EngineGone, Trouble, endpoints, trouble
from runner.executors.image import PullMeter, pull_error, split_reference
from runner.executors.site import Site
from runner.job import Handle, Identity, Network, Probe, PullProgress, Staged, View, Workspace

if TYPE_CHECKING:
    from runner.executors.engine import Engine

_PREFIX = "mlrun-"
_LABEL = "mlrun.execution"
_STORE_LABEL = "mlrun.store"
_DROPPED = ("MKNOD", "NET_RAW", "AUDIT_WRITE")
"""Capabilities that ordinary images do not need; a device node left in an output folder could be opened outside."""

_VIEW = View()


class DockerExecutor:
    """See `runner.job.Executor`."""

    name: ClassVar[str] = "docker"

    def __init__(self, site: Site) -> None:
        self._site = site
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._url = ""
        self._has_init = True

    def probe(self) -> Probe:
        """See `runner.job.Executor`."""
        try:
            engine = self._connect()
        except MlrunError as error:
            return Probe(False, error.message, error.hint)
        return Probe(True, f"{engine.title} answers at `{self._url.removeprefix('unix://')}`")

    def resolve(self, image: str) -> Identity | None:
        """See `runner.job.Executor`. Raises MlrunError (code EXECUTOR) too, when no engine answers."""
        split_reference(image)
        with self._asking("look for an image") as engine:
            found = engine.image(image)
        if found is None:
            return None
        return Identity(
            str(found["Id"]),
            {
                "image": image,
                "repo_digests": sorted(found.get("RepoDigests") or ()),
                "platform": "/".join(str(found[key]) for key in ("Os", "Architecture", "Variant") if found.get(key)),
                "size": int(found.get("Size") or 0),
                "user": str((found.get("Config") or {}).get("User") or ""),
                "engine": engine.title,
            },
        )

    def pull(self, image: str) -> Iterator[PullProgress]:
        """See `runner.job.Executor`. Raises MlrunError (code EXECUTOR) too, when no engine answers."""
        repository, tag = split_reference(image)
        engine, meter, refusal = self._connect(), PullMeter(), None
        try:
            for event in engine.pull(repository, tag):
                refusal = event.get("error") or refusal
                if progress := meter.feed(event):
                    yield progress
        except EngineError as error:
            raise pull_error(image, error.words) from error
        if refusal is not None:
            raise pull_error(image, str(refusal))

    def view(self, workspace: Workspace) -> View:
        """See `runner.job.Executor`."""
        return _VIEW

    def start(self, staged: Staged) -> Handle:
        """See `runner.job.Executor`."""
        from runner.executors.container import ContainerHandle

        with self._asking("make the container") as engine:
            mounts = list(_mounts(staged))
            argv = self._prepare(staged, engine)
            has_init = self._has_init
            config = container_config(staged, mounts, argv, has_init=has_init, podman=engine.podman)
            config["Labels"][_STORE_LABEL] = str(self._site.store)
            container = self._create(engine, staged, config)
            folders = {target: source for source, target, _ in mounts}
            handle = ContainerHandle(engine, container, staged.identity.id, folders, has_init=has_init)
            try:
                handle.start()
            except EngineError as error:
                handle.close()
                if has_init and _lacks_init(error.words):
                    self._has_init = False
                    return self.start(staged)
                raise start_error(staged.job.image, error.words) from error
        return handle

    def reattach(self, id: str) -> Handle | None:
        """See `runner.job.Executor`; the log starts from the beginning. Raises MlrunError (code EXECUTOR)."""
        from runner.executors.container import ContainerHandle

        with self._asking("look for a container") as engine:
            found = engine.inspect(_PREFIX + id)
        if found is None or (found["Config"].get("Labels") or {}).get(_LABEL) != id:
            return None
        folders = {str(mount["Destination"]): str(mount["Source"]) for mount in found.get("Mounts") or ()}
        has_init = bool(found["HostConfig"].get("Init"))
        return ContainerHandle(engine, str(found["Id"]), str(found["Image"]), folders, has_init=has_init)

    def mine(self) -> frozenset[str]:
        """See `runner.job.Executor`. Raises MlrunError (code EXECUTOR)."""
        with self._asking("list containers") as engine:
            found = engine.labelled([_LABEL, f"{_STORE_LABEL}={self._site.store}"])
        return frozenset(str(container["Labels"][_LABEL]) for container in found)

    def close(self) -> None:
        """Close idle connections; the next call opens them again."""
        with self._lock:
            if self._engine is not None:
                self._engine.close()

    def _prepare(self, staged: Staged, engine: "Engine") -> list[str]:
        """The folders and the control files, usable for whatever user the image names; the command."""
        workspace, user = staged.workspace, str(staged.identity.details.get("user") or "")
        is_root = user.partition(":")[0] in ("", "0", "root")
        owner = "" if os.getuid() == 0 or not is_root or engine.rootless else f"{os.getuid()}:{os.getgid()}"
        inputs = workspace.scratch / "inputs"
        try:
            inputs.mkdir(parents=True, exist_ok=True)
            for given in staged.job.inputs:
                if given.files:
                    (inputs / given.name).mkdir(exist_ok=True)
            if not is_root:
                for folder in (inputs, workspace.outputs, workspace.repository):
                    folder.chmod(0o777)
                for folder in (workspace.config, workspace.control):
                    folder.chmod(0o755)
            return wrapper.prepare(staged, _VIEW, owner)
        except OSError as error:
            raise MlrunError(f"cannot make the step's folders: {error}", code=ExitCode.EXECUTOR) from error

    def _create(self, engine: "Engine", staged: Staged, config: Mapping[str, Any]) -> str:
        try:
            return engine.create(_PREFIX + staged.job.id, config)
        except EngineError as error:
            if error.status == 404:
                hint = "fetch it again, or use `--executor sandbox`"
                message = f"image `{staged.job.image}` is no longer on this machine"
                raise MlrunError(message, code=ExitCode.IMAGE, hint=hint) from error
            raise

    @contextmanager
    def _asking(self, what: str) -> "Iterator[Engine]":
        """The engine; what it refuses becomes an error for people."""
        engine = self._connect()
        try:
            yield engine
        except EngineGone as error:
            hint = "is it still running? else use `--executor sandbox`"
            raise MlrunError(
                f"{engine.title} does not answer: {error.words}", code=ExitCode.EXECUTOR, hint=hint
            ) from error
        except EngineError as error:
            raise MlrunError(f"{engine.title} cannot {what}: {error.words}", code=ExitCode.EXECUTOR) from error

    def _connect(self) -> "Engine":
        """The engine, found once. Raises MlrunError (code EXECUTOR)."""
        with self._lock:
            if self._engine is None:
                self._engine = self._find()
            return self._engine

    def _find(self) -> "Engine":
        troubles: list[Trouble] = []
        for endpoint in endpoints(self._site.environment):
            if (known := trouble(endpoint)) is not None:
                troubles.append(known)
                continue
            from runner.executors.engine import Engine

            try:
                engine = Engine(endpoint.url, self._site.environment)
            except EngineError as error:
                troubles.append(Trouble(f"the engine at `{endpoint.url}` does not answer: {error.words}"))
            else:
                self._url = endpoint.url
                return engine
        said = next((found for found in troubles if not found.missing), troubles[0])
        raise MlrunError(said.sentence, code=ExitCode.EXECUTOR, hint=said.hint)


def container_config(
    staged: Staged, mounts: Iterable[tuple[str, str, bool]], argv: Sequence[str], *, has_init: bool, podman: bool
) -> dict[str, Any]:
    """What is asked of the engine for one step (POST /containers/create). Pure but for this process's own limits.

    Mounts are never written as `source:target` text, and their sources must exist. The log driver is the engine's
    plain one: it is what the log is read from after a crash of the runner.
    """
    job = staged.job
    variables = dict(staged.environment)
    if has_init:
        # The init process passes a signal to the whole group, so that it reaches the program and not only the shell.
        variables["TINI_KILL_PROCESS_GROUP"] = "1"
    host: dict[str, Any] = {
        "Init": has_init,
        "CapDrop": list(_DROPPED),
        "SecurityOpt": ["no-new-privileges", *(["label=disable"] if podman else [])],
        "LogConfig": {"Type": "json-file", "Config": {}},
        "Mounts": [
            {"Type": "bind", "Source": source, "Target": target, "ReadOnly": read_only}
            for source, target, read_only in mounts
        ],
    }
    if job.network is not Network.DEFAULT:
        host["NetworkMode"] = job.network.value
    if podman:
        host["Ulimits"] = [_own_limit("nofile", resource.RLIMIT_NOFILE), _own_limit("nproc", resource.RLIMIT_NPROC)]
    return {
        "Image": staged.identity.id,
        "Entrypoint": list(argv[:1]),
        "Cmd": list(argv[1:]),
        "Env": [f"{name}={value}" for name, value in variables.items()],
        "WorkingDir": _VIEW.repository,
        "Labels": {_LABEL: job.id, "mlrun.image": job.image},
        "HostConfig": host,
    }


def start_error(image: str, words: str) -> MlrunError:
    """The error for a container that was made and could not be started, with the engine's own `words`."""
    if "/bin/sh" in words:
        hint = "steps are shell commands: use an image with a shell"
        return MlrunError(f"image `{image}` has no working `/bin/sh`: {words}", code=ExitCode.IMAGE, hint=hint)
    advice = 'set `network = "host"` or `"none"` in your settings' if "network" in words else None
    return MlrunError(f"the container cannot be started: {words}", code=ExitCode.EXECUTOR, hint=advice)


def _mounts(staged: Staged) -> Iterator[tuple[str, str, bool]]:
    """What lies where in the container, as (source, target, whether read-only)."""
    workspace, inputs = staged.workspace, str(staged.workspace.scratch / "inputs")
    for top in (_VIEW.inputs, "/inputs"):
        yield inputs, top, False
        for given in staged.job.inputs:
            if given.files:
                yield str(workspace.inputs / given.name), f"{top}/{given.name}", True
    for top in (_VIEW.outputs, "/outputs"):
        yield str(workspace.outputs), top, False
    yield str(workspace.repository), _VIEW.repository, False
    yield str(workspace.config), _VIEW.config, True
    yield str(workspace.control), _VIEW.control, True
    yield str(workspace.control / "report"), f"{_VIEW.control}/report", False


def _own_limit(name: str, number: int) -> dict[str, Any]:
    """A limit that this process has: Podman would ask for more than it may give."""
    soft, hard = resource.getrlimit(number)
    return {"Name": name, "Soft": soft, "Hard": hard}


def _lacks_init(words: str) -> bool:
    """Whether a container failed for want of the small init program that engines come with."""
    return "docker-init" in words or "catatonit" in words
