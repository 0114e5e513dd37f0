"""Inputs from `http://` and `https://`: streamed into the store, tried again after passing faults, never half there."""

import base64
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from typing import Protocol
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from runner.digest import Digest
from runner.errors import ExitCode, MlrunError
from runner.job import InputFile

_TIMEOUT = 30.0
"""Seconds without a byte after which a server counts as gone."""

_WAITS = (0.5, 2.0)
"""Seconds before the second and the third attempt."""

_BLOCK = 1 << 20


class StreamWriter(Protocol):
    """What a download needs of the store."""

    def put_stream(self, chunks: Iterator[bytes]) -> tuple[Digest, int]:
        """Store what an iterator yields; returns digest and size."""
        ...


def fetch(uri: str, objects: StreamWriter) -> InputFile:
    """Download `uri`; the file is named by the last part of its path, its origin has no password.

    User and password in the address are sent as basic authentication (RFC 7617). Raises MlrunError (code INPUT).
    """
    parts = urlsplit(uri)
    public = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    for wait in (*_WAITS, None):
        try:
            digest, size = objects.put_stream(_download(parts, public))
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500 or wait is None:
                raise _failed(public, f"the server answered {error.code} {error.reason}") from error
        except (OSError, HTTPException, ValueError) as error:
            if wait is None or isinstance(error, ValueError):
                raise _failed(public, _words(error)) from error
        else:
            return InputFile(_name(parts), digest, size, public)
        time.sleep(wait)
    raise AssertionError("the last attempt returns or raises")


def _words(error: Exception) -> str:
    """What went wrong, without the number that the system has for it."""
    reason = getattr(error, "reason", error)
    return str(getattr(reason, "strerror", None) or reason)


def _name(parts: SplitResult) -> str:
    return unquote(parts.path).rstrip("/").rpartition("/")[2] or parts.hostname or "download"


def _download(parts: SplitResult, public: str) -> Iterator[bytes]:
    request = urllib.request.Request(public, headers={"User-Agent": "mlrun"})
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        request.add_header("Authorization", "Basic " + base64.b64encode(login).decode())
    response: HTTPResponse
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
        expected = response.length
        received = 0
        while block := response.read(_BLOCK):
            received += len(block)
            yield block
    if expected is not None and received != expected:
        raise HTTPException(f"{received} of {expected} bytes arrived")


def _failed(uri: str, why: str) -> MlrunError:
    return MlrunError(
        f"cannot download `{uri}`: {why}", code=ExitCode.INPUT, hint="a local file in its place works offline"
    )
