"""One container engine, Docker or Podman, spoken to through the Docker SDK's low-level client.

The only home of the SDK: none of its types and exceptions leaves this page. Knows requests and their failures, not
what a step is. Safe to use from several threads.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

import docker
import requests
import urllib3
from docker.errors import APIError, DockerException
from docker.utils import kwargs_from_env

from runner.executors.endpoint import Endpoint, EngineError, EngineGone, trouble
from runner.executors.podman import is_rootless

_GREET_SECONDS = 2
_SECONDS = 120
_PULL_SECONDS = 300
_READ = 1 << 18
_PIECE = 1 << 20
_NEVER_TYPED = ",".join(["ctrl-^", "ctrl-_"] * 8)


@contextmanager
def _speaking() -> Iterator[None]:
    """Turn what the SDK raises into our two errors."""
    try:
        yield
    except APIError as error:
        words = str(error.explanation or error)
        raise EngineError(" ".join(words.split()), error.status_code or 500) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, DockerException, OSError) as error:
        raise EngineGone(" ".join(str(error).split())[:300]) from error


class Engine:
    """A connection to the engine at `url`.

    `podman` tells which of the two it is; `title` is its name and version for people. Raises EngineGone when made.
    """

    def __init__(self, url: str, environment: Mapping[str, str]) -> None:
        given: Any = {}
        if url == environment.get("DOCKER_HOST"):
            given = kwargs_from_env(environment=dict(environment))
        self._given: dict[str, Any] = {**given, "base_url": url}
        self._endpoint = Endpoint(url)
        with self._asking():
            self._api: Any = self._client("auto", _GREET_SECONDS)
            told = self._api.version()
        self._api.timeout = _SECONDS
        names = [str(part.get("Name", "")) for part in told.get("Components") or ()]
        self.podman = any("podman" in name.lower() for name in names)
        self.title = f"{'Podman' if self.podman else 'Docker Engine'} {told.get('Version', '')}".strip()
        self._told: dict[str, Any] = {}

    def listens(self) -> bool:
        """Whether somebody takes connections at the engine's address."""
        return trouble(self._endpoint) is None

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """One request. The socket is tried first: the SDK forgets to close one that takes no connection."""
        if (found := trouble(self._endpoint)) is not None:
            raise EngineGone(found.sentence)
        with _speaking():
            yield

    @contextmanager
    def _asking_long(self) -> Iterator[Any]:
        """One request that may take long, by a client of its own."""
        with self._asking():
            api = self._client(self._api.api_version, _PULL_SECONDS)
            try:
                yield api
            finally:
                api.close()

    def _client(self, version: str, seconds: int) -> Any:
        api: Any = docker.APIClient(**self._given, version=version, timeout=seconds)
        # Neither a proxy nor `~/.netrc` concerns a socket; looking them up costs more than a request.
        api.trust_env = not str(self._given["base_url"]).startswith("unix://")
        return api

    @property
    def info(self) -> Mapping[str, Any]:
        """What the engine says of itself and its machine (GET /info), asked once."""
        if not self._told:
            with self._asking():
                self._told = self._api.info()
        return self._told

    @property
    def rootless(self) -> bool:
        """Whether root in a container is an ordinary user of this machine."""
        return is_rootless(self.info)

    @property
    def spares(self) -> bool:
        """Whether containers live on while the engine is restarted."""
        return bool(self.info.get("LiveRestoreEnabled"))

    def remembered(self) -> list[dict[str, Any]]:
        """The events of the past that the engine still has, oldest first. Docker has the last few of those since its
        own start."""
        url = f"{self._api.base_url}/v{self._api.api_version}/events"
        params = {"since": "0", "until": f"{time.time():.6f}"}
        with self._asking():
            response = self._api.get(url, params=params, timeout=_GREET_SECONDS)
            response.raise_for_status()
            # As bytes: in a text other characters end a line, too, and labels may have them.
            return [json.loads(line) for line in response.content.splitlines()]

    def image(self, name: str) -> dict[str, Any] | None:
        """The inspection of an image, None when it is not here."""
        try:
            with self._asking():
                found: dict[str, Any] = self._api.inspect_image(name)
                return found
        except EngineError as error:
            if error.status == 404:
                return None
            raise

    def pull(self, repository: str, tag: str) -> Iterator[dict[str, Any]]:
        """Fetch an image; yields the engine's own events, an `error` among them."""
        with self._asking_long() as api:
            yield from api.pull(repository, tag=tag, stream=True, decode=True)

    def save(self, image: str) -> Iterator[bytes]:
        """The archive of an image, piece by piece."""
        with self._asking_long() as api:
            yield from api.get_image(image, chunk_size=_PIECE)

    def load(self, archive: BinaryIO) -> None:
        """Take in the images of an archive. Raises EngineError for one that the engine refuses."""
        with self._asking_long() as api:
            for event in api.load_image(archive):
                if "error" in event:
                    raise EngineError(" ".join(str(event["error"]).split()), 0)

    def tag(self, image: str, repository: str, tag: str) -> None:
        """Give an image a name; another that has it loses it."""
        with self._asking():
            self._api.tag(image, repository, tag)

    def create(self, name: str, config: Mapping[str, Any]) -> str:
        """Make a container; its id."""
        with self._asking():
            return str(self._api.create_container_from_config(dict(config), name)["Id"])

    def attach(self, container: str) -> "Pieces":
        """Listen to a container that was not started yet: nothing of what it prints is lost. Framed bytes."""
        with self._asking():
            return Pieces(self._api.attach_socket(container, {"stdout": 1, "stderr": 1, "stream": 1}))

    def converse(self, container: str) -> Any:
        """Listen and talk to a container that was not started yet; a stream with a socket in it (`Pieces` has one too).

        The keys that leave a container are set to what nobody types, else Ctrl-P would wait for the key after it.
        """
        with self._asking():
            asked = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1, "detachKeys": _NEVER_TYPED}
            return self._api.attach_socket(container, asked)

    def resize(self, container: str, rows: int, columns: int) -> None:
        """Tell a container on a terminal its size; one that is about to start or has ended does not care."""
        with suppress(EngineError), self._asking():
            self._api.resize(container, rows, columns)

    def start(self, container: str) -> None:
        """Start a container that never ran; one that ended would run again."""
        with self._asking():
            self._api.start(container)

    def logs(self, container: str) -> Iterator[bytes]:
        """What a container has printed since its start, then what it prints until it ends. Framed bytes."""
        url = f"{self._api.base_url}/v{self._api.api_version}/containers/{container}/logs"
        params = {"stdout": 1, "stderr": 1, "follow": 1}
        with self._asking():
            response = self._api.get(url, params=params, stream=True, timeout=(_GREET_SECONDS, None))
            with response:
                response.raise_for_status()
                yield from response.raw.stream(_READ)

    def inspect(self, container: str) -> dict[str, Any] | None:
        """The inspection of a container by name or id, None when there is none."""
        try:
            with self._asking():
                found: dict[str, Any] = self._api.inspect_container(container)
                return found
        except EngineError as error:
            if error.status == 404:
                return None
            raise

    def signal(self, container: str, signal: str) -> bool:
        """Send a signal to the first process of a container; whether there was a running one. Raises EngineGone."""
        try:
            with self._asking():
                self._api.kill(container, signal)
        except EngineGone:
            raise
        except EngineError:
            return False
        return True

    def run_inside(self, container: str, command: Sequence[str]) -> None:
        """Run a short command as root in a running container."""
        with suppress(EngineError), self._asking():
            self._api.exec_start(self._api.exec_create(container, list(command), user="0"))

    def remove(self, container: str) -> None:
        """Kill and remove a container and its anonymous volumes; none that is gone."""
        with suppress(EngineError), self._asking():
            self._api.remove_container(container, v=True, force=True)

    def labelled(self, labels: Sequence[str]) -> list[dict[str, Any]]:
        """All containers, dead ones too, that have these labels."""
        with self._asking():
            found: list[dict[str, Any]] = self._api.containers(all=True, filters={"label": list(labels)})
            return found

    def network(self, name: str) -> dict[str, Any] | None:
        """The inspection of a network, None when there is none."""
        try:
            with self._asking():
                found: dict[str, Any] = self._api.inspect_network(name)
                return found
        except EngineError as error:
            if error.status == 404:
                return None
            raise

    def create_network(self, name: str, subnet: str, gateway: str, labels: Mapping[str, str]) -> None:
        """Make a bridge on which containers may have addresses of this subnet."""
        pool = {"Subnet": subnet, "Gateway": gateway}
        with self._asking():
            self._api.create_network(
                name, driver="bridge", ipam={"Driver": "default", "Config": [pool]}, labels=dict(labels)
            )

    def remove_network(self, name: str) -> None:
        """Remove a network; none that is gone, or that has containers still."""
        with suppress(EngineError), self._asking():
            self._api.remove_network(name)

    def networks(self, labels: Sequence[str]) -> list[dict[str, Any]]:
        """All networks that have these labels."""
        with self._asking():
            found: list[dict[str, Any]] = self._api.networks(filters={"label": list(labels)})
            return found

    def close(self) -> None:
        """Close the connections that wait to be used again."""
        self._api.close()


class Pieces:
    """The bytes that an attached container sends, as they come; the end of the connection is the end."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._socket = getattr(stream, "_sock", stream)
        self._socket.settimeout(None)

    def __iter__(self) -> Iterator[bytes]:
        with suppress(OSError):
            while data := self._socket.recv(_READ):
                yield data

    def close(self) -> None:
        """Close the connection; idempotent."""
        # The response owns the connection; a stream closed before it would make closing the response fail.
        with suppress(OSError):
            getattr(self._stream, "_response", self._stream).close()
