"""Where a container engine may listen on this machine, what its socket says and how it fails. Imports no SDK."""

import hashlib
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_CONNECT_SECONDS = 1.0


class EngineError(Exception):
    """The engine refused: its HTTP `status` and its own `words`, in one line."""

    def __init__(self, words: str, status: int) -> None:
        super().__init__(words)
        self.words = words
        self.status = status


class EngineGone(EngineError):
    """Nobody answers any more, or not in time."""

    def __init__(self, words: str) -> None:
        super().__init__(words, 0)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of an engine. `chosen` says that the user named it, so that no other is tried."""

    url: str
    chosen: bool = False

    @property
    def socket(self) -> str | None:
        """The path of a Unix socket, None for other addresses."""
        return self.url.removeprefix("unix://") if self.url.startswith("unix://") else None


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why nothing answers at an endpoint, in words, with a hint; `missing` says that there is not even a socket."""

    sentence: str
    hint: str | None = None
    missing: bool = False


def endpoints(environment: Mapping[str, str]) -> Iterator[Endpoint]:
    """Addresses in the order of the `docker` command, then those of rootless engines and Podman."""
    if host := environment.get("DOCKER_HOST"):
        yield Endpoint(host, chosen=True)
        return
    if url := _context(environment):
        yield Endpoint(url, chosen=True)
        return
    runtime = environment.get("XDG_RUNTIME_DIR")
    own = [f"{runtime}/docker.sock", f"{runtime}/podman/podman.sock"] if runtime else []
    for path in ("/var/run/docker.sock", *own, "/run/podman/podman.sock"):
        yield Endpoint(f"unix://{path}")


def trouble(endpoint: Endpoint) -> Trouble | None:
    """Why the engine at `endpoint` cannot be reached, None if its socket takes connections. At most a second."""
    path = endpoint.socket
    if path is None:
        if endpoint.url.startswith(("tcp://", "http://", "https://")):
            return None
        hint = "it must see this machine's folders: use a socket here, or `--executor sandbox`"
        return Trouble(f"the engine at `{endpoint.url}` is on another machine", hint)
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_CONNECT_SECONDS)
            probe.connect(path)
    except FileNotFoundError:
        hint = "start Docker, or use `--executor sandbox`"
        return Trouble(f"no container engine: there is no socket `{path}`", hint, missing=True)
    except PermissionError:
        hint = "`sudo usermod -aG docker $USER` and log in again, or use `--executor sandbox`"
        return Trouble(f"the socket `{path}` is not yours to use (permission denied)", hint)
    except ConnectionRefusedError:
        hint = "start it (`sudo systemctl start docker`), or use `--executor sandbox`"
        return Trouble(f"no container engine listens on the socket `{path}` (connection refused)", hint)
    except OSError as error:
        return Trouble(f"the socket `{path}` does not answer: {error}", "use `--executor sandbox`")
    return None


def _context(environment: Mapping[str, str]) -> str | None:
    """The address of the current context of the `docker` command (`docker context`), None for the default one."""
    home = environment.get("HOME") or os.path.expanduser("~")
    folder = Path(environment.get("DOCKER_CONFIG") or os.path.join(home, ".docker"))
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        name = environment.get("DOCKER_CONTEXT")
        if not name:
            name = json.loads((folder / "config.json").read_bytes()).get("currentContext")
        if name and name != "default":
            meta = folder / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json"
            return str(json.loads(meta.read_bytes())["Endpoints"]["docker"]["Host"])
    return None
