"""Runs steps in containers of Docker or Podman.

Knows which engine to use. What it is asked for is in `creation`, how a container runs and ends in `container`, how
requests are made in `engine`. The last two are not imported before a socket was seen that takes connections: the SDK
costs more than a whole step.
"""

import os
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ClassVar, TypeVar

from runner.errors import ExitCode, MlrunError
from runner.executors import interaction, terminal, wrapper
from runner.executors.creation import (
    GANG_LABEL,
    LABEL,
    NO_INIT,
    container_config,
    labelled_devices,
    network_name,
    quirks_of,
    refuse_unkept,
    start_error,
)
from runner.executors.endpoint import EngineError, EngineGone, Trouble, endpoints, trouble
from runner.executors.gang import loopback, members, refuse_none, routed, subnets
from runner.executors.image import PullMeter, pull_error, split_reference
from runner.executors.mount import VIEW, Mount, check_granted, folders_error, make_inputs, mounts
from runner.executors.podman import differences
from runner.executors.secret import delivering, lending
from runner.executors.site import Site
from runner.job import Handle, Identity, Network, Probe, PullProgress, Staged, View, Workspace

if TYPE_CHECKING:
    from runner.executors.engine import Engine

_PREFIX = "mlrun-"
_STORE_LABEL = "mlrun.store"
_LEAVE_SECONDS = 5.0
"""Between the end of a conversation and the end of its container; one that somebody has left is ended then."""

_TAKEN = ("overlap", "already used", "already being used")
"""Words of an engine that has given a subnet to another network."""

T = TypeVar("T")


class DockerExecutor:
    """See `runner.job.Executor`."""

    name: ClassVar[str] = "docker"
    confines: ClassVar[bool] = True

    def __init__(self, site: Site) -> None:
        self._site = site
        self._lock = threading.Lock()
        self._networking = threading.Lock()
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
                "variables": sorted(str(one).partition("=")[0] for one in (found.get("Config") or {}).get("Env") or ()),
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

    def has(self, image: str) -> bool:
        """Whether an image of this name or id is here. Raises MlrunError (code EXECUTOR)."""
        with self._asking("look for an image") as engine:
            return engine.image(image) is not None

    def save(self, id: str) -> Iterator[bytes]:
        """The archive of an image, without its names. Raises MlrunError (code EXECUTOR)."""
        with self._asking("save an image") as engine:
            yield from engine.save(id)

    def load(self, archive: BinaryIO) -> None:
        """Take in the images of an archive. Raises MlrunError (code EXECUTOR)."""
        with self._asking("load an image") as engine:
            engine.load(archive)

    def call(self, id: str, image: str) -> None:
        """Give an image a name, which no other may have here. Raises MlrunError (codes EXECUTOR, IMAGE)."""
        repository, tag = split_reference(image)
        with self._asking("name an image") as engine:
            engine.tag(id, repository, tag)

    def disks(self) -> tuple[Path, ...]:
        """See `runner.job.Executor`: the layers of containers, where the engine keeps them on this machine."""
        try:
            layers = Path(self._connect().info.get("DockerRootDir") or "/nowhere")
        except MlrunError:
            return ()
        return (layers,) if layers.is_dir() else ()

    def view(self, workspace: Workspace) -> View:
        """See `runner.job.Executor`."""
        return VIEW

    def connect(self, gang: str, count: int, network: Network) -> tuple[str, ...]:
        """See `runner.job.Executor`: a bridge of their own, or the network of this machine where they share that."""
        refuse_none(network)
        if network is Network.HOST:
            return loopback(gang, count)
        with self._asking("make a network") as engine, self._networking:
            name = network_name(gang)
            found = engine.network(name)
            subnet = IPv4Network(found["IPAM"]["Config"][0]["Subnet"]) if found else None
            return members(subnet or self._make_network(engine, gang, count), count)

    def _make_network(self, engine: "Engine", gang: str, count: int) -> IPv4Network:
        """Make a bridge where nobody else is, as far as this machine's routes and the engine can tell."""
        labels = {GANG_LABEL: gang, _STORE_LABEL: str(self._site.store)}
        refusal = EngineError("no subnet is free", 500)
        for subnet in subnets(gang, count, routed()):
            try:
                engine.create_network(network_name(gang), str(subnet), str(subnet[1]), labels)
            except EngineError as error:
                if error.status == 0 or not any(word in error.words for word in _TAKEN):
                    raise
                refusal = error
            else:
                return subnet
        raise refusal

    def disconnect(self, gang: str) -> None:
        """See `runner.job.Executor`."""
        with suppress(MlrunError), self._asking("remove a network") as engine:
            engine.remove_network(network_name(gang))

    def connected(self) -> frozenset[str]:
        """See `runner.job.Executor`."""
        with self._asking("list networks") as engine:
            found = engine.networks([GANG_LABEL, f"{_STORE_LABEL}={self._site.store}"])
        return frozenset(str(network["Labels"][GANG_LABEL]) for network in found)

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
            # Who looks is alone: the gang that it was one of may be gone, and its network with it.
            alone = replace(staged, job=replace(staged.job, gang=None))
            shown = replace(alone, environment=interaction.environment(staged, VIEW, self._site.environment))
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
        handle = ContainerHandle(
            engine, container, staged.identity.id, folders, has_init=has_init, devices=staged.devices
        )
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
        labels = {} if found is None else found["Config"].get("Labels") or {}
        if found is None or labels.get(LABEL) != id:
            return None
        folders = {str(mount["Destination"]): str(mount["Source"]) for mount in found.get("Mounts") or ()}
        has_init = bool(found["HostConfig"].get("Init"))
        return ContainerHandle(
            engine,
            str(found["Id"]),
            str(found["Image"]),
            folders,
            has_init=has_init,
            devices=labelled_devices(labels),
        )

    def mine(self) -> frozenset[str]:
        """See `runner.job.Executor`. Raises MlrunError (code EXECUTOR)."""
        with self._asking("list containers") as engine:
            found = engine.labelled([LABEL, f"{_STORE_LABEL}={self._site.store}"])
        return frozenset(str(container["Labels"][LABEL]) for container in found)

    def close(self) -> None:
        """Close idle connections; the next call opens them again."""
        with self._lock:
            if self._engine is not None:
                self._engine.close()

    def _prepare(self, staged: Staged, engine: "Engine", prepare: Callable[[str], list[str]]) -> tuple[Path, list[str]]:
        """The parent of the inputs and the control files, usable for whatever user the image names; the command, which
        `prepare` gives for an owner of what the step makes."""
        check_granted(staged)
        refuse_unkept(staged.job.allowance, engine)
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
            raise folders_error(error, staged) from error

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


def _check_sources(laid: Iterable[Mount]) -> None:
    """Refuse a folder that is not there: some engines make it, as root. Raises MlrunError (code EXECUTOR)."""
    for mount in laid:
        if not os.path.lexists(mount.source):
            raise MlrunError(f"the step's folder `{mount.source}` is missing", code=ExitCode.EXECUTOR)
