"""A store on disk, ways to fetch into it, and a server of files on this machine that fails as it is told."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from runner.data import download
from runner.data.means import Means, Want
from runner.errors import Location
from runner.plan.model import Source
from runner.spec.model import Input
from runner.store.layout import Layout
from runner.store.objects import Objects

HERE = Location("valohai.yaml", 7, 5)


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[Objects]:
    objects = Objects(Layout.create_or_open(tmp_path / "store"))
    yield objects
    objects.close()


@dataclass
class Told:
    """What was said meanwhile."""

    notices: list[str] = field(default_factory=list)
    progress: list[tuple[str, int, int]] = field(default_factory=list)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def means(objects: Objects, tmp_path: Path, told: Told) -> Means:
    def progress(address: str, done: int, total: int) -> None:
        told.progress.append((address, done, total))

    return Means(objects, tmp_path / "store" / "cache", progress=progress, notice=told.notices.append)


@pytest.fixture
def want(tmp_path: Path) -> Callable[..., Want]:
    """A source of the input `data`, which only the file names unless it is `trusted`."""

    def make(uri: str, *, trusted: bool = False, **fields: object) -> Want:
        declared = Input("data", HERE, **fields)  # type: ignore[arg-type]
        return Want(declared, Source(uri, str(tmp_path), trusted), tmp_path)

    return make


@dataclass
class Page:
    """What the server has at a path. `breaks` and `fails` say how many bytes, or which answers, the next requests get;
    `hangs` keeps a request waiting until the test ends."""

    content: bytes = b"hello"
    etag: str | None = None
    modified: str | None = None
    login: str | None = None
    ranges: bool = True
    redirect: str | None = None
    length: bool = True
    hangs: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    breaks: list[int] = field(default_factory=list)
    fails: list[int] = field(default_factory=list)


@dataclass
class Server:
    """Pages by path, and the requests that came, as (path, headers)."""

    address: str
    pages: dict[str, Page] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str, login: str = "") -> str:
        return f"http://{login and login + '@'}{self.address}{path}"

    def sent(self, header: str) -> list[str | None]:
        """The values that the requests had for a header."""
        return [headers.get(header) for _, headers in self.requests]


class _Handler(BaseHTTPRequestHandler):
    site: Server

    def do_GET(self) -> None:
        self.site.requests.append((self.path, dict(self.headers.items())))
        page = self.site.pages.get(self.path.partition("?")[0])
        if page is None:
            self.send_error(404)
        elif page.hangs:
            self.site.released.wait(60)
        elif page.fails:
            self.send_response(page.fails.pop(0))
            self._finish(page, b"")
        elif page.redirect is not None:
            self.send_response(302)
            self.send_header("Location", page.redirect)
            self._finish(page, b"")
        elif page.login is not None and self.headers.get("Authorization") != page.login:
            self.send_error(401)
        elif self._is_known(page):
            self.send_response(304)
            self._finish(page, None)
        else:
            self._send(page)

    def _is_known(self, page: Page) -> bool:
        pairs = ((page.etag, "If-None-Match"), (page.modified, "If-Modified-Since"))
        return any(validator is not None and self.headers.get(name) == validator for validator, name in pairs)

    def _send(self, page: Page) -> None:
        span, condition = self.headers.get("Range"), self.headers.get("If-Range")
        begin = int(span.removeprefix("bytes=").removesuffix("-")) if span and page.ranges else 0
        if condition is not None and condition not in {page.etag, page.modified}:
            begin = 0
        if begin >= len(page.content) and begin:
            self.send_response(416)
            self._finish(page, b"")
            return
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(page.content) - 1}/{len(page.content)}")
        body = page.content[begin:]
        sent = body[: page.breaks.pop(0)] if page.breaks else body
        self._finish(page, sent, len(body))

    def _finish(self, page: Page, body: bytes | None, length: int | None = None) -> None:
        for name, value in (("ETag", page.etag), ("Last-Modified", page.modified), *page.headers.items()):
            if value is not None:
                self.send_header(name, value)
        if body is not None and page.length:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def start() -> Iterator[Callable[[], Server]]:
    """Starts servers, which are ended after the test."""
    started: list[tuple[ThreadingHTTPServer, Server]] = []

    def begin() -> Server:
        site = Server("")
        handler = type("Handler", (_Handler,), {"site": site})
        listening = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        site.address = f"127.0.0.1:{listening.server_port}"
        threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        started.append((listening, site))
        return site

    yield begin
    for listening, site in started:
        site.released.set()
        listening.shutdown()
        listening.server_close()


@pytest.fixture
def server(start: Callable[[], Server], patient: None) -> Server:
    return start()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting between attempts, and no proxy of the caller's."""
    monkeypatch.setattr(download, "WAITS", (0.0, 0.0, 0.0))
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def page() -> SimpleNamespace:
    """Makes pages, and times that lie well in the past."""
    return SimpleNamespace(of=Page, changed=replace, past=formatdate(1_000_000_000, usegmt=True))
