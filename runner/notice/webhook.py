"""A POST request with a JSON object, to an address that the user's settings name.

No redirect is followed: what is told is for the server that was named, and for nobody else.
"""

import base64
import ssl
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import IO
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from runner.escape import printable
from runner.notice.message import Message, NotTold
from runner.notifier import Notifier

TIMEOUT = 15.0
"""Seconds without a byte after which a server counts as gone."""

_MOST = 64 << 10
"""Bytes of an answer that are read."""


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows nothing: a redirect is an answer like any other that is no success."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: object, newurl: str
    ) -> None:
        """No further request."""
        return


def send(notifier: Notifier, message: Message) -> None:
    """Post the message. A login before the host is sent as basic authentication. Raises NotTold."""
    parts = urlsplit(notifier.webhook or "")
    headers = {"Content-Type": "application/json", "User-Agent": "mlrun"}
    if parts.username is not None:
        headers["Authorization"] = _basic(parts)
    address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
    try:
        request = urllib.request.Request(address, message.json(), headers, method="POST")
        with urllib.request.build_opener(_Stay).open(request, timeout=TIMEOUT) as answer:
            answer.read(_MOST)
    except urllib.error.HTTPError as error:
        with error:
            follows = ", and redirects are not followed" if 300 <= error.code < 400 else ""
            raise NotTold(f"the server answered {error.code} {printable(str(error.reason))}{follows}") from None
    except urllib.error.URLError as error:
        raise NotTold(_why(error.reason)) from None
    except (OSError, HTTPException, ValueError) as error:
        raise NotTold(_why(error)) from None


def _basic(parts: SplitResult) -> str:
    """User and password as basic authentication (RFC 7617)."""
    login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()
    return "Basic " + base64.b64encode(login).decode()


def _why(reason: object) -> str:
    """Without the address, which exceptions of other kinds may repeat."""
    if isinstance(reason, TimeoutError):
        return f"the server did not answer within {TIMEOUT:g} s"
    if isinstance(reason, ssl.SSLError):
        return f"the server cannot be trusted: {reason.reason}"
    if isinstance(reason, OSError) and reason.strerror:
        return f"the server cannot be reached: {reason.strerror}"
    return f"the server does not speak HTTP ({type(reason).__name__})"
