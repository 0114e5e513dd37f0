"""Requests over HTTP: who may be asked, who gets the login, where a redirect may lead. Knows no file and no store.

The proxies that the environment names are used (`http_proxy`, `https_proxy`, `no_proxy`), with their logins.
"""

import base64
import ipaddress
import socket
import urllib.request
from collections.abc import Mapping
from enum import IntEnum
from http.client import HTTPConnection, HTTPMessage, HTTPResponse, HTTPSConnection
from typing import IO, Any
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit, urlunsplit

from runner.data.means import Want
from runner.errors import ExitCode, MlrunError

TIMEOUT = 30.0
"""Seconds without a byte after which a server counts as gone."""

_SCHEMES = {"http": 80, "https": 443}


class Reach(IntEnum):
    """How near an address is; a redirect may not lead nearer than the server that sends it."""

    PUBLIC = 0
    PRIVATE = 1
    THIS_MACHINE = 2
    LINK = 3
    """Link-local: where clouds hand their credentials to whoever asks from inside."""


def reach_of(address: str) -> Reach:
    """How near a numeric address is."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    if ip.is_link_local:
        return Reach.LINK
    if ip.is_loopback or ip.is_unspecified:
        return Reach.THIS_MACHINE
    return Reach.PUBLIC if ip.is_global else Reach.PRIVATE


_IN_ADDRESSES = "%/?:@!$&'()*+,;=~|[]"
"""Signs that may stand in a path or a query as they are; `%` is taken to begin an escape that is there already."""


def without_login(parts: SplitResult) -> str:
    """The address as a server gets it: blanks and letters beyond ASCII are escaped (RFC 3987, section 3.1)."""
    path, query = (quote(part, safe=_IN_ADDRESSES, errors="surrogateescape") for part in (parts.path, parts.query))
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], path=path, query=query, fragment=""))


def open_url(want: Want, headers: Mapping[str, str]) -> HTTPResponse:
    """Ask for the address of `want`, following redirects. The login goes to the server that it is written for only.

    Raises HTTPError for every answer that is no success, URLError, OSError, HTTPException or ValueError when none
    comes, and MlrunError (POLICY) for an address that may not be asked.
    """
    parts = urlsplit(want.uri)
    request = urllib.request.Request(without_login(parts), headers={"Accept-Encoding": "identity", **headers})
    request.add_unredirected_header("User-agent", "mlrun")
    if parts.username is not None:
        request.add_unredirected_header("Authorization", _basic(parts))
    border = _Border(want)
    border.look_at(parts.hostname)
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _Plain(border),
        _Secure(border),
        urllib.request.HTTPDefaultErrorHandler(),
        _Redirects(want, border),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    response: HTTPResponse = opener.open(request, timeout=TIMEOUT)
    return response


def _basic(parts: SplitResult) -> str:
    """User and password as basic authentication (RFC 7617)."""
    login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()
    return "Basic " + base64.b64encode(login).decode()


def _origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port (RFC 6454)."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _SCHEMES.get(parts.scheme)


class _Border:
    """Which machines one download may speak to. Looked at with the address that is really connected to."""

    def __init__(self, want: Want) -> None:
        self._want = want
        self._last: Reach | None = None

    def connect(self, address: tuple[str, int], *arguments: Any, **options: Any) -> socket.socket:
        """`socket.create_connection`, to permitted machines."""
        host, port = address
        self.look_at(host)
        connection = socket.create_connection((host, port), *arguments, **options)
        reach = self._check(connection.getpeername()[0], host, connection)
        self._last = reach
        return connection

    def look_at(self, host: str | None) -> None:
        """Refuse a numeric address that may not be asked, before anybody is: a proxy would ask in our place."""
        literal = _literal(host) if host else None
        if literal is not None and host:
            self._check(literal, host)

    def follow(self, host: str | None) -> None:
        """Look at the target of a redirect; where a proxy has asked, nobody knows how near the sender is."""
        self._last = Reach.THIS_MACHINE if self._last is None else self._last
        self.look_at(host)

    def _check(self, ip: str, host: str, connection: socket.socket | None = None) -> Reach:
        reach = reach_of(ip)
        redirected = self._last is not None
        if redirected and (reach is Reach.LINK or reach > (self._last or Reach.PUBLIC)):
            why = f"`{self._want.shown}` redirects to `{host}`, which is nearer to this machine"
        elif reach is Reach.LINK and not self._want.source.trusted:
            why = f"`{self._want.shown}` is a link-local address, where clouds keep credentials"
        else:
            return reach
        if connection is not None:
            connection.close()
        hint = f"name it yourself if you mean it: {self._want.instead}"
        raise self._want.refused(why, hint, ExitCode.POLICY)


def _literal(host: str) -> str | None:
    """The numeric address that a host name already is, in any of the forms that inet_aton(3) reads."""
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        pass
    try:
        return str(ipaddress.ip_address(host.strip("[]").partition("%")[0]))
    except ValueError:
        return None


class _Plain(urllib.request.HTTPHandler):
    def __init__(self, border: _Border) -> None:
        super().__init__()
        self._border = border

    def http_open(self, request: urllib.request.Request) -> HTTPResponse:
        border = None if request.has_proxy() else self._border

        def connection(host: str, **options: Any) -> HTTPConnection:
            made = HTTPConnection(host, **options)
            if border is not None:
                made._create_connection = border.connect  # type: ignore[attr-defined]
            return made

        return self.do_open(connection, request)


class _Secure(urllib.request.HTTPSHandler):
    def __init__(self, border: _Border) -> None:
        super().__init__()
        self._border = border

    def https_open(self, request: urllib.request.Request) -> HTTPResponse:
        tunnelled = getattr(request, "_tunnel_host", None)
        border = None if tunnelled else self._border

        def connection(host: str, **options: Any) -> HTTPSConnection:
            made = HTTPSConnection(host, **options)
            if border is not None:
                made._create_connection = border.connect  # type: ignore[attr-defined]
            return made

        return self.do_open(connection, request)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to `http(s)://` only; logins, ours and the proxy's, stay with whom they are for."""

    def __init__(self, want: Want, border: _Border) -> None:
        self._want = want
        self._border = border

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        parts = urlsplit(newurl)
        following = super().redirect_request(req, fp, code, msg, headers, without_login(parts))
        if following is None:
            return None
        following.headers.pop("Proxy-authorization", None)
        login = req.unredirected_hdrs.get("Authorization")
        if login is not None and _origin(following.full_url) == _origin(req.full_url):
            following.add_unredirected_header("Authorization", login)
        following.add_unredirected_header("User-agent", "mlrun")
        return following

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage
    ) -> Any:
        target = headers.get("location") or headers.get("uri")
        parts = urlsplit(urljoin(req.full_url, target or ""))
        try:
            if parts.scheme not in _SCHEMES:
                why = f"`{self._want.shown}` redirects to a `{parts.scheme}:` address"
                raise self._want.refused(why, code=ExitCode.POLICY)
            self._border.follow(parts.hostname)
        except MlrunError:
            fp.close()
            raise
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302
