"""Runs steps in containers of Docker or Podman.

Knows what a step's container looks like and which engine to use. How one runs and ends is in `container`; requests are
in `engine`. Neither is imported before a socket was seen that takes connections: the SDK costs more than a whole step.
"""

import os
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from runner.errors import ExitCode, MlrunError
from runner.executors import interaction, terminal, wrapper
from runner.executors.device import GPU, device_files
from runner.executors.endpoint import EngineError, EngineGone, Trouble, endpoints, trouble
from runner.executors.image import PullMeter, pull_error, split_reference
from runner.executors.limit import machine_memory, most_tasks, own_limits
from runner.executors.mount import VIEW, Mount, check_granted, make_inputs, mounts
from runner.executors.podman import differences
from runner.executors.secret import delivering, lending
from runner.executors.site import Site
from runner.job import Allowance, Handle, Identity, Network, Probe, PullProgress, Staged, View, Workspace

if TYPE_CHECKING:
    from runner.executors.engine import Engine

_PREFIX = "mlrun-"
_LABEL = "mlrun.execution"
_STORE_LABEL = "mlrun.store"
_LEAVE_SECONDS = 5.0
"""Between the end of a conversation and the end of its container; one that somebody has left is ended then."""

NO_INIT, OWN_LIMITS = "no-init", "own-limits"
_DROPPED = ("MKNOD", "NET_RAW", "AUDIT_WRITE")
"""Capabilities that ordinary images do not need; a device node left in an output folder could be opened outside."""

T = TypeVar("T")


class DockerExecutor:
    """See `runner.job.Executor`."""

    name: ClassVar[str] = "docker"

    def __init__(self, site: Site) -> None:
        self._site = site
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._url = ""
        self._quirks: frozenset[str] = frozenset()

    def probe(self) -> Probe:
        """See `runner.job.Executor`."""
        try:
            engine = self._connect()
        except MlrunError as error:
            return Probe(False, error.message, error.hint)
        return Probe(True, f"{engine.title} answers at `{self._url.removeprefix('unix://')}`")

    def differences(self) -> tuple[str, ...]:
        """What this engine does otherwise than Docker, in sentences. Raises MlrunError (code EXECUTOR)."""
        with self._asking("describe itself") as engine:
            return tuple(differences(engine.info)) if engine.podman else ()

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
        return VIEW

    @delivering
    def start(self, staged: Staged) -> Handle:
        """See `runner.job.Executor`."""
        with self._asking("make the container") as engine:
            inputs, argv = self._prepare(staged, engine, lambda owner: wrapper.prepare(staged, VIEW, owner))
            laid = list(mounts(staged, inputs))
            _check_sources(laid)
            return self._spared(staged, lambda quirks: self._start(engine, staged, laid, argv, quirks))

    @lending
    def interact(self, staged: Staged, argv: Sequence[str] = (), until: int | None = None) -> int:
        """See `runner.job.Executor`. The container is removed by the engine itself when the program ends, which the
        death of this process brings about: the program's shell holds its other end of a pipe of ours."""
        control = staged.workspace.control
        with self._asking("make the container") as engine, interaction.leash(control):
            inputs, command = self._prepare(
                staged, engine, lambda owner: interaction.prepare(staged, VIEW, argv, owner, leashed=True)
            )
            laid = list(mounts(staged, inputs))
            _check_sources(laid)
            shown = replace(staged, environment=interaction.environment(staged, VIEW, self._site.environment))
            self._spared(staged, lambda quirks: self._converse(engine, shown, laid, command, quirks, until))
            return interaction.exit_code(control)

    def _spared(self, staged: Staged, start: Callable[[frozenset[str]], T]) -> T:
        """Call `start` with what this engine cannot do, again when it turns out to be more. Raises MlrunError."""
        while True:
            quirks = self._quirks
            try:
                return start(quirks)
            except EngineError as error:
                self._quirks = quirks | quirks_of(error.words)
                if error.status == 0 or self._quirks == quirks:
                    raise start_error(staged.job.image, error) from error

    def _start(
        self, engine: "Engine", staged: Staged, laid: Sequence[Mount], argv: Sequence[str], quirks: frozenset[str]
    ) -> Handle:
        """Make and start the container; nothing of it stays when that fails. Raises EngineError."""
        from runner.executors.container import ContainerHandle

        config = container_config(staged, laid, argv, quirks, podman=engine.podman)
        config["Labels"][_STORE_LABEL] = str(self._site.store)
        container = engine.create(_PREFIX + staged.job.id, config)
        folders = {mount.target: str(mount.source) for mount in laid}
        has_init = bool(config["HostConfig"]["Init"])
        handle = ContainerHandle(engine, container, staged.identity.id, folders, has_init=has_init)
        try:
            handle.start()
        except EngineError:
            handle.close()
            raise
        return handle

    def _converse(
        self,
        engine: "Engine",
        staged: Staged,
        laid: Sequence[Mount],
        argv: Sequence[str],
        quirks: frozenset[str],
        until: int | None,
    ) -> None:
        """Make a container and talk to it until it is gone. Raises EngineError when it could not be started."""
        from runner.executors.attached import SocketLink
        from runner.executors.container import ContainerHandle

        on_terminal = terminal.is_interactive()
        if engine.podman:
            # Its init leaves the signals of job control blocked: no program could be suspended with Ctrl-Z.
            quirks |= {NO_INIT}
        config = container_config(staged, laid, argv, quirks, podman=engine.podman)
        config["Labels"] = {"mlrun.shell": staged.job.id, _STORE_LABEL: str(self._site.store)}
        config |= dict.fromkeys(("OpenStdin", "StdinOnce", "AttachStdin", "AttachStdout", "AttachStderr"), True)
        config |= {"Tty": on_terminal}
        config["HostConfig"] |= {"AutoRemove": True, "LogConfig": {"Type": "none", "Config": {}}}
        container = engine.create(f"{_PREFIX}shell-{uuid.uuid4()}", config)
        folders = {mount.target: str(mount.source) for mount in laid}
        handle = ContainerHandle(
            engine, container, staged.identity.id, folders, has_init=bool(config["HostConfig"]["Init"])
        )
        try:
            resize = partial(engine.resize, container) if on_terminal else None
            link = SocketLink(engine.converse(container), resize)
            try:
                with terminal.raw():
                    engine.start(container)
                    if not terminal.relay(link, until):
                        handle.stop(0)
            finally:
                link.close()
            late = threading.Timer(_LEAVE_SECONDS, handle.stop, (0,))
            late.start()
            handle.wait()
            late.cancel()
        finally:
            handle.close()

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

    def _prepare(self, staged: Staged, engine: "Engine", prepare: Callable[[str], list[str]]) -> tuple[Path, list[str]]:
        """The parent of the inputs and the control files, usable for whatever user the image names; the command, which
        `prepare` gives for an owner of what the step makes."""
        check_granted(staged)
        _refuse_unkept(staged.job.allowance, engine)
        workspace, user = staged.workspace, str(staged.identity.details.get("user") or "")
        is_root = user.partition(":")[0] in ("", "0", "root")
        owner = "" if os.getuid() == 0 or not is_root or engine.rootless else f"{os.getuid()}:{os.getgid()}"
        try:
            inputs = make_inputs(staged)
            argv = prepare(owner)
            if not is_root:
                (workspace.control / "report").chmod(0o666)
                for folder in (inputs, workspace.outputs, workspace.repository):
                    folder.chmod(0o777)
                for folder in (workspace.config, workspace.control):
                    folder.chmod(0o755)
            return inputs, argv
        except OSError as error:
            raise MlrunError(f"cannot make the step's folders: {error}", code=ExitCode.EXECUTOR) from error

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
    staged: Staged, laid: Iterable[Mount], argv: Sequence[str], quirks: frozenset[str], *, podman: bool
) -> dict[str, Any]:
    """What is asked of the engine for one step (POST /containers/create). Pure but for this process's own limits.

    Mounts are never written as `source:target` text, and their sources must exist. The log driver is the engine's
    plain one: it is what the log is read from after a crash of the runner. `quirks` is what this engine cannot do.
    """
    job = staged.job
    variables = dict(staged.environment)
    has_init = NO_INIT not in quirks
    if has_init:
        # The init process passes a signal to the whole group, so that it reaches the program and not only the shell.
        variables["TINI_KILL_PROCESS_GROUP"] = "1"
    host: dict[str, Any] = {
        "Init": has_init,
        "CapDrop": list(_DROPPED),
        "SecurityOpt": ["no-new-privileges", *(["label=disable"] if podman else [])],
        "LogConfig": {"Type": "json-file", "Config": {}},
        **bounds(job.allowance),
        "Mounts": [
            {"Type": "bind", "Source": str(mount.source), "Target": mount.target, "ReadOnly": mount.read_only}
            for mount in laid
        ],
    }
    if job.network is not Network.DEFAULT:
        host["NetworkMode"] = job.network.value
    if OWN_LIMITS in quirks:
        host["Ulimits"] = own_limits()
    return {
        "Image": staged.identity.id,
        "Entrypoint": list(argv[:1]),
        "Cmd": list(argv[1:]),
        "Env": [f"{name}={value}" for name, value in variables.items()],
        "WorkingDir": VIEW.repository,
        "Labels": {_LABEL: job.id, "mlrun.image": job.image},
        "HostConfig": host,
    }


def bounds(asked: Allowance) -> dict[str, Any]:
    """The part of a container's `HostConfig` that bounds what a step may use.

    Memory and swap together are no more than the memory: a step that wants more is ended, not slowed down. Without a
    size of its own `/dev/shm` gets half of the machine's memory, as outside a container, in place of 64 MB.
    """
    host: dict[str, Any] = {"PidsLimit": most_tasks()}
    if asked.cpu_set:
        host["CpusetCpus"] = ",".join(map(str, asked.cpu_set))
    elif asked.cpus is not None:
        # An engine refuses more than there are.
        host["NanoCpus"] = int(min(asked.cpus, os.cpu_count() or asked.cpus) * 10**9)
    if asked.memory is not None:
        host["Memory"] = host["MemorySwap"] = asked.memory
    host["ShmSize"] = asked.shm if asked.shm is not None else machine_memory() // 2
    if count := asked.devices.get(GPU):
        host["DeviceRequests"] = [{"Driver": "", "Count": count, "Capabilities": [["gpu"]]}]
    others = device_files({name: number for name, number in asked.devices.items() if name != GPU})
    if others:
        host["Devices"] = [{"PathOnHost": path, "PathInContainer": path, "CgroupPermissions": "rwm"} for path in others]
    return host


def _refuse_unkept(asked: Allowance, engine: "Engine") -> None:
    """Refuse what an engine would drop with no more than a warning. Raises MlrunError (code EXECUTOR)."""
    wanted = {
        "MemoryLimit": (asked.memory is not None, "memory"),
        "CpuCfsQuota": (asked.cpus is not None and not asked.cpu_set, "CPUs"),
        "CPUSet": (bool(asked.cpu_set), "the choice of CPUs"),
    }
    for name, (is_asked, noun) in wanted.items():
        if is_asked and engine.info.get(name) is False:
            raise MlrunError(
                f"{engine.title} cannot bound {noun} here",
                code=ExitCode.EXECUTOR,
                hint="it needs control groups (rootless engines: version 2, delegated); else `--executor sandbox`",
            )


def start_error(image: str, error: EngineError) -> MlrunError:
    """The error for a step whose container could not be made or started, with the engine's own words."""
    if error.status == 0:
        hint = "is it still running? else use `--executor sandbox`"
        return MlrunError(f"the container engine does not answer: {error.words}", code=ExitCode.EXECUTOR, hint=hint)
    if error.status == 404 and "image" in error.words.lower():
        hint = "fetch it again, or use `--executor sandbox`"
        return MlrunError(f"image `{image}` is no longer on this machine", code=ExitCode.IMAGE, hint=hint)
    if "/bin/sh" in error.words:
        hint = "steps are shell commands: use an image with a shell"
        return MlrunError(f"image `{image}` has no working `/bin/sh`: {error.words}", code=ExitCode.IMAGE, hint=hint)
    advice = 'set `network = "host"` or `"none"` in your settings' if "network" in error.words else None
    return MlrunError(f"the container cannot be started: {error.words}", code=ExitCode.EXECUTOR, hint=advice)


def quirks_of(words: str) -> frozenset[str]:
    """What an engine that refused to start a container with these `words` must be spared: an engine's small init
    program may be missing, and Podman asks for limits that it may not give where it lacks the right."""
    found = set()
    if "docker-init" in words or "catatonit" in words:
        found.add(NO_INIT)
    if "rlimit" in words:
        found.add(OWN_LIMITS)
    return frozenset(found)


def _check_sources(laid: Iterable[Mount]) -> None:
    """Refuse a folder that is not there: some engines make it, as root. Raises MlrunError (code EXECUTOR)."""
    for mount in laid:
        if not os.path.lexists(mount.source):
            raise MlrunError(f"the step's folder `{mount.source}` is missing", code=ExitCode.EXECUTOR)
