"""Inputs from `http://` and `https://`: resumed, tried again, checked, and not fetched again while unchanged.

A file that arrived is asked for with its validators (RFC 9110, section 13), a broken download is gone on with under a
strong one (section 14), else begun anew. Nothing that is not whole becomes an object.
"""

import ssl
import time
import urllib.error
from collections.abc import Iterator, Mapping
from datetime import timedelta
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse, IncompleteRead
from urllib.parse import unquote, urlsplit

from runner.data import web
from runner.data.download import Download, Landed, PassingFault, Version, try_again
from runner.data.means import Means, Want
from runner.digest import Digest
from runner.job import InputFile
from runner.plan.match import place_files

_BLOCK = 1 << 20
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which it is worth asking again (RFC 9110, section 15; RFC 6585; RFC 8470)."""

_WINDOW = 60.0
_LEAST = 1024
"""Less than so many bytes in a window of seconds is as good as nothing."""

_MOST_WORDS = 300
"""Characters of what a server says that are shown."""


def check(want: Want, means: Means) -> None:
    """Refuse an address that can never be asked for. Raises MlrunError (INPUT)."""
    try:
        parts = urlsplit(want.uri)
        reachable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        reachable = False
    if not reachable:
        raise want.refused(f"`{want.shown}` names no server")


def fetch(want: Want, means: Means) -> tuple[InputFile, ...]:
    """Download the file, or find that it is here; its origin has no login. Raises MlrunError (INPUT, POLICY, DISK)."""
    check(want, means)
    parts = urlsplit(want.uri)
    name = f"{parts.username or ''} {web.without_login(parts)}"
    with Download(name, want.shown, means) as download:
        try:
            digest, size = try_again(lambda: _attempt(want, download), lambda: download.offset)
        except PassingFault as fault:
            raise want.refused(f"cannot download `{want.shown}`: {fault.why}") from fault
    path = unquote(parts.path).strip("/") or parts.hostname or "download"
    return place_files(want.declared, (InputFile(path, digest, size, want.shown),), path)


def _attempt(want: Want, download: Download) -> tuple[Digest, int]:
    """One request: the file is whole when this returns. Raises PassingFault, or MlrunError when asking is of no use."""
    landed = download.landed()
    try:
        with web.open_url(want, _conditions(download, landed)) as response:
            _receive(response, download)
            return download.land()
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 304 and landed is not None:
                return landed.digest, landed.size
            if error.code == 416 and download.offset:
                download.forget_part()
                raise PassingFault("the server has no more of it") from error
            why = f"the server answered {error.code} {_line(error.reason)}"
            if error.code in _PASSING:
                raise PassingFault(why, _retry_after(error.headers)) from error
            hint = None
            if error.code in {401, 403}:
                hint = "a login stands before the host: `https://USER:PASSWORD@…`; " + want.instead
            raise want.refused(f"cannot download `{want.shown}`: {why}", hint) from error
    except ssl.SSLCertVerificationError as error:
        raise want.refused(f"cannot download `{want.shown}`: {error.verify_message}") from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise want.refused(f"cannot download `{want.shown}`: {error.reason.verify_message}") from error
        raise PassingFault(_words(error.reason)) from error
    except (OSError, HTTPException) as error:
        raise PassingFault(_words(error)) from error
    except ValueError as error:
        raise want.refused(f"cannot download `{want.shown}`: {error}") from error


def _conditions(download: Download, landed: Landed | None) -> Mapping[str, str]:
    """The rest of what was begun; else the file, unless it is the one that is here."""
    if download.offset and download.version and download.version.strong:
        return {"Range": f"bytes={download.offset}-", "If-Range": download.version.strong}
    if landed is None:
        return {}
    version = landed.version
    conditions = {"If-None-Match": version.etag, "If-Modified-Since": version.modified}
    return {name: value for name, value in conditions.items() if value is not None}


def _receive(response: HTTPResponse, download: Download) -> None:
    """Take the body. Raises PassingFault when it is not whole."""
    if response.status == 206:
        _check_part(response.headers, download)
    else:
        download.begin(_version(response.headers, response.length))
    for block in _blocks(response):
        download.append(block)
    expected = download.version.size if download.version else None
    if expected is not None and download.offset != expected:
        raise PassingFault(f"{download.offset:,} of {expected:,} bytes arrived")


def _check_part(headers: Message, download: Download) -> None:
    """The part that came must begin where we are, and be of the same whole."""
    unit, _, span = headers.get("Content-Range", "").partition(" ")
    begin = span.partition("-")[0]
    whole = span.rpartition("/")[2]
    expected = download.version.size if download.version else None
    fits = unit == "bytes" and begin == str(download.offset)
    if not fits or (expected is not None and whole not in {str(expected), "*"}):
        download.forget_part()
        raise PassingFault("the server sent another part of it than was asked for")


def _blocks(response: HTTPResponse) -> Iterator[bytes]:
    """What comes, as it comes: a server that only drips is as good as gone."""
    since, received = time.monotonic(), 0
    while block := response.read1(_BLOCK):
        yield block
        received += len(block)
        now = time.monotonic()
        if now - since > _WINDOW:
            if received < _LEAST:
                raise TimeoutError
            since, received = now, 0


def _version(headers: Message, size: int | None) -> Version:
    etag, modified = headers.get("ETag"), headers.get("Last-Modified")
    strong = etag if etag and not etag.startswith("W/") else None
    if strong is None and modified is not None and _is_settled(modified, headers.get("Date")):
        strong = modified
    return Version(etag, modified, size, strong)


def _is_settled(modified: str, date: str | None) -> bool:
    """Whether a modification time is a strong validator (RFC 9110, section 8.8.2.2): the file had rested."""
    try:
        return parsedate_to_datetime(date or "") - parsedate_to_datetime(modified) >= timedelta(seconds=60)
    except (ValueError, TypeError):
        return False


def _retry_after(headers: Message) -> float:
    text = headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdecimal() else 0.0


def _words(error: object) -> str:
    """What went wrong, without the number that the system has for it."""
    if isinstance(error, TimeoutError):
        return f"the server sent nothing for {web.TIMEOUT:g} s"
    if isinstance(error, IncompleteRead):
        return "the connection broke off"
    return _line(getattr(error, "strerror", None) or error) or type(error).__name__


def _line(said: object) -> str:
    """The first line of what a server or a library says, not too long."""
    lines = str(said).strip().splitlines()
    return lines[0][:_MOST_WORDS] if lines else ""
