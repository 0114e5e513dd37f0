"""Inputs from the web, from a server on this machine."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from runner.data import http
from runner.data.http import fetch
from runner.digest import Digest, hash_bytes
from runner.errors import ExitCode, MlrunError


class Memory:
    """Keeps nothing of a stream that breaks."""

    def put_stream(self, chunks: Iterator[bytes]) -> tuple[Digest, int]:
        data = b"".join(chunks)
        return hash_bytes(data), len(data)


class Handler(BaseHTTPRequestHandler):
    """`/flaky` fails once, `/short` breaks off, `/login` wants a password, `/gone` is not there."""

    seen: list[str]

    def do_GET(self) -> None:
        self.seen.append(self.path)
        first = self.seen.count(self.path) == 1
        if self.path.startswith("/gone"):
            self.send_error(404)
        elif self.path == "/flaky" and first:
            self.send_error(503)
        elif self.path == "/login" and self.headers.get("Authorization") != "Basic bWU6cEBzcw==":
            self.send_error(401)
        else:
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"he" if self.path == "/short" else b"hello")

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(http, "_WAITS", (0.0, 0.0))
    Handler.seen = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield f"127.0.0.1:{listening.server_port}"
        listening.shutdown()


def test_a_file_is_named_by_the_last_part_of_its_path(server: str) -> None:
    file = fetch(f"http://{server}/data/my%20file.csv?v=1", Memory())
    assert (file.name, file.digest, file.size) == ("my file.csv", hash_bytes(b"hello"), 5)


def test_a_server_that_fails_is_asked_again(server: str) -> None:
    assert fetch(f"http://{server}/flaky", Memory()).size == 5


@pytest.mark.parametrize(("path", "why"), [("gone", "404"), ("short", "of 5 bytes")])
def test_what_does_not_come_whole_is_an_input_error(server: str, path: str, why: str) -> None:
    with pytest.raises(MlrunError, match=why) as caught:
        fetch(f"http://{server}/{path}", Memory())
    assert caught.value.code is ExitCode.INPUT


def test_a_missing_file_is_asked_for_once_only(server: str) -> None:
    with pytest.raises(MlrunError):
        fetch(f"http://{server}/gone", Memory())
    assert Handler.seen == ["/gone"]


def test_a_login_in_the_address_is_used_and_not_recorded(server: str) -> None:
    file = fetch(f"http://me:p%40ss@{server}/login", Memory())
    assert file.origin == f"http://{server}/login"


def test_a_server_that_is_not_there_is_an_input_error() -> None:
    with pytest.raises(MlrunError, match="cannot download"):
        fetch("http://127.0.0.1:9/x", Memory())
