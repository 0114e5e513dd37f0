"""The action's own packages, and an API on loopback that answers as it is told."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / ".github" / "action"))


@dataclass
class Reply:
    """An answer; `slow` seconds pass between its bytes, `repeat` is how often its body is sent."""

    status: int = 200
    data: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    slow: float = 0.0
    repeat: int = 1

    @property
    def body(self) -> bytes:
        return self.raw if self.raw is not None else b"" if self.data is None else json.dumps(self.data).encode()


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    data: Any


@dataclass
class FakeApi:
    """A server whose next answers are `replies`, in order; then `otherwise` answers."""

    url: str
    replies: list[Reply] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    otherwise: Callable[[Asked], Reply] = lambda asked: Reply(404, {"message": "Not Found"})

    def answer(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        return self.replies.pop(0) if self.replies else self.otherwise(asked)

    def said(self) -> list[str]:
        return [f"{asked.method} {asked.path}" for asked in self.asked]


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"

    def handle_any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        asked = Asked(self.command, self.path, dict(self.headers), json.loads(body) if body else None)
        reply = self.server.api.answer(asked)
        try:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            for _ in range(reply.repeat):
                pieces = [bytes([byte]) for byte in reply.body] if reply.slow else [reply.body]
                for piece in pieces:
                    time.sleep(reply.slow)
                    self.wfile.write(piece)
                    self.wfile.flush()
        except OSError:
            # Whoever asked has enough.
            return

    def do_GET(self) -> None:
        self.handle_any()

    def do_POST(self) -> None:
        self.handle_any()

    def do_PATCH(self) -> None:
        self.handle_any()

    def do_DELETE(self) -> None:
        self.handle_any()

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    api: FakeApi


def _serve() -> Iterator[FakeApi]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.api = FakeApi(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server.api
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def fake() -> Iterator[FakeApi]:
    yield from _serve()


@pytest.fixture
def other() -> Iterator[FakeApi]:
    """A second server: another origin."""
    yield from _serve()


@pytest.fixture
def reply() -> type[Reply]:
    return Reply
