"""The few questions the test machine asks a Docker engine, over its socket and with the standard library alone.

Knows the Docker Engine API, no more of it than is used here. Does not know where an engine comes from. The product
talks to engines through the docker SDK; this one also runs before anything is installed.
"""

import http.client
import json
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode


class EngineError(Exception):
    """The engine did not do what it was asked; the text is its own word for why."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Engine:
    """An engine at a `unix://` address."""

    def __init__(self, host: str) -> None:
        self.host = host
        self._path = host.removeprefix("unix://")

    def answers(self) -> bool:
        try:
            self._ask("GET", "/_ping", timeout=5)
        except (OSError, http.client.HTTPException, EngineError):
            return False
        return True

    def version(self) -> str:
        return str(json.loads(self._ask("GET", "/version"))["Version"])

    def image(self, name: str) -> dict[str, Any] | None:
        """The inspection of an image, None where the engine has none of this name."""
        try:
            found: dict[str, Any] = json.loads(self._ask("GET", f"/images/{quote(name)}/json"))
        except EngineError:
            return None
        return found

    def import_image(self, tarball: Path, name: str, changes: list[str]) -> None:
        """Make an image of one layer from a root file system; `changes` are Dockerfile instructions."""
        repository, tag = name.rsplit(":", 1)
        query = urlencode(
            {"fromSrc": "-", "repo": repository, "tag": tag, "changes": changes},
            doseq=True,
        )
        with tarball.open("rb") as body:
            answer = self._ask("POST", f"/images/create?{query}", body=body, timeout=600)
        # The answer is 200 before the import has begun: what became of it is in the lines that follow.
        for line in answer.splitlines():
            if line.strip() and "error" in (said := json.loads(line)):
                raise EngineError(str(said["error"]))
        if self.image(name) is None:
            # Podman 4 knows no `tag` of an import and calls everything `latest`.
            self._ask("POST", f"/images/{quote(repository)}:latest/tag?{urlencode({'repo': repository, 'tag': tag})}")

    def remove_image(self, image_id: str) -> None:
        self._ask("DELETE", f"/images/{quote(image_id)}")

    def kill_containers(self) -> None:
        for container in json.loads(self._ask("GET", "/containers/json")):
            self._ask("POST", f"/containers/{container['Id']}/kill")

    def _ask(self, method: str, path: str, body: Any = None, timeout: float = 60) -> bytes:
        connection = _UnixConnection(self._path, timeout)
        try:
            headers = {"Content-Type": "application/x-tar"} if body else {}
            connection.request(method, path, body=body, headers=headers, encode_chunked=body is not None)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status >= 400:
            raise EngineError(f"{method} {path}: {response.status} {answer.decode(errors='replace').strip()}")
        return answer
