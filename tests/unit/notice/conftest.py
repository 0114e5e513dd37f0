"""A message, and a server of this machine that notes what it is sent."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from runner.notice.message import Message, Trouble

MESSAGE = Message(
    event="failed",
    occasions=("ended", "failed"),
    title="mlrun: run 7 failed",
    text="pipeline {title} of iris failed",
    run="0198",
    number=7,
    kind="pipeline",
    name="a; touch /tmp/owned $(id)\0\udcff",
    project="iris",
    host="here",
    state="failed",
    reason="exit",
    duration=185.25,
    nodes=(Trouble("fit", "failed", "oom", "too much"),),
)


@dataclass
class Hook:
    """A server at `address`: what it was sent, and what it answers."""

    address: str = ""
    answer: int = 200
    location: str | None = None
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.got.append((self.path, dict(self.headers), body))
            self.send_response(hook.answer)
            if hook.location:
                self.send_header("Location", hook.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    hook.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
