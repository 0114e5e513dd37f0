"""GitHub's REST API over HTTP: one server, bounded in time, size and number of tries.

The token goes to that server only: a redirect or a page elsewhere is refused. Knows nothing of comments.
"""

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, cast
from urllib.parse import urljoin, urlsplit

from pullrequest.log import printable
from pullrequest.problem import ApiError, Denied, Unsure

TRIES = 4
MAX_WAIT = 60.0
"""Seconds; a server that wants to be left alone for longer is left alone."""
MAX_ANSWER = 32 << 20
MAX_PAGES = 50
MAX_HOPS = 3
_REDIRECTS = {301, 302, 307, 308}
_NEXT = re.compile(r'<([^<>\s]+)>\s*;[^,]*\brel="?next"?')


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said: the status, the headers, the body as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def data(self) -> Any:
        """The body as JSON. Raises ApiError."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise ApiError("the API's answer is not JSON") from None

    @property
    def reason(self) -> str:
        """The server's own sentence, on one line, or the number of the status."""
        try:
            said = json.loads(self.body).get("message")
        except (ValueError, RecursionError, AttributeError):
            said = None
        return f"{self.status} {printable(said)[:300]}" if isinstance(said, str) else f"status {self.status}"

    @property
    def pause(self) -> float | None:
        """The seconds after which the server wants to be asked again; None when it does not say."""
        found = self.header("Retry-After")
        return float(found) if found.isdecimal() and len(found) < 9 else None

    @property
    def is_hurried(self) -> bool:
        """Whether the request was not carried out because there were too many."""
        spent = self.header("X-RateLimit-Remaining") == "0"
        return self.status == 429 or (self.status == 403 and (spent or bool(self.header("Retry-After"))))

    def header(self, name: str) -> str:
        """A header; "" when there is none."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), "").strip()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Never of its own accord: urllib would send the token along."""


@dataclass(frozen=True, slots=True)
class Api:
    """The API at `url`. `timeout` is in seconds, for each wait and for reading an answer; `sleep` waits."""

    url: str
    token: str
    timeout: float = 20.0
    sleep: Callable[[float], object] = time.sleep

    def get(self, path: str) -> Any:
        """What is there. Raises ApiError."""
        return self._ask("GET", self.url + path).data()

    def pages(self, path: str) -> Iterator[Any]:
        """The elements of a list that comes in pages. Raises ApiError."""
        url: str | None = self.url + path
        for _ in range(MAX_PAGES):
            if url is None:
                return
            answer = self._ask("GET", url)
            found = answer.data()
            if not isinstance(found, list):
                raise ApiError("the API's answer is not a list")
            yield from found
            following = _NEXT.search(answer.header("Link"))
            url = _following(url, following[1]) if following else None

    def send(self, method: str, path: str, data: Mapping[str, object] | None = None) -> Any:
        """Change something; what it has become, None for nothing. Raises ApiError: Unsure when a creation may have
        been carried out or not, which is never asked for twice."""
        answer = self._ask(method, self.url + path, data)
        return answer.data() if answer.body else None

    def _ask(self, method: str, url: str, data: Mapping[str, object] | None = None) -> Answer:
        """The answer to a request, tried again while that may help."""
        for attempt in range(TRIES):
            answer, failure = self._try(method, url, data)
            if answer is not None and not answer.is_hurried and answer.status < 500:
                return _accepted(answer)
            if method == "POST" and not (answer and answer.is_hurried):
                raise Unsure(f"the API did not answer: {failure}")
            pause = answer.pause if answer else None
            pause = 2.0**attempt if pause is None else pause
            if attempt + 1 == TRIES or pause > MAX_WAIT:
                break
            self.sleep(pause)
        raise ApiError(f"the API did not answer: {failure}")

    def _try(self, method: str, url: str, data: Mapping[str, object] | None) -> tuple[Answer | None, str]:
        """One answer behind all redirects, or None; and what failed."""
        for _ in range(MAX_HOPS + 1):
            try:
                answer = self._once(method, url, data)
            except (OSError, http.client.HTTPException, ValueError) as error:
                return None, printable(str(getattr(error, "reason", "") or error))[:300] or type(error).__name__
            if answer.status not in _REDIRECTS:
                return answer, answer.reason
            url = urljoin(url, answer.header("Location"))
        raise ApiError("the API redirects in circles")

    def _once(self, method: str, url: str, data: Mapping[str, object] | None) -> Answer:
        if _origin(url) != _origin(self.url):
            raise ApiError("the API names an address on another server, which must not see the token")
        request = urllib.request.Request(url, method=method, data=None if data is None else json.dumps(data).encode())
        request.add_header("Accept", "application/vnd.github+json")
        request.add_header("X-GitHub-Api-Version", "2022-11-28")
        request.add_header("User-Agent", "mlrun-action")
        if data is not None:
            request.add_header("Content-Type", "application/json")
        if self.token:
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        deadline = time.monotonic() + self.timeout
        try:
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=self.timeout) as response:
                return Answer(response.status, dict(response.headers), _read(response, deadline))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), _read(error, deadline))


def _accepted(answer: Answer) -> Answer:
    if answer.status in {401, 403, 404}:
        raise Denied(answer.reason)
    if not 200 <= answer.status < 300:
        raise ApiError(f"the API refused: {answer.reason}")
    return answer


def _following(url: str, named: str) -> str:
    """The address of the next page, as the one of this page names it."""
    try:
        return urljoin(url, named)
    except ValueError:
        raise ApiError("the API names a next page that has no address") from None


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _read(response: IO[bytes], deadline: float) -> bytes:
    """The body, piece by piece as it arrives, so that neither a trickle nor a flood goes on for ever."""
    read = cast(http.client.HTTPResponse, response).read1
    pieces, size = [], 0
    while piece := read(1 << 16):
        size += len(piece)
        if size > MAX_ANSWER:
            raise ApiError(f"the API's answer has more than {MAX_ANSWER >> 20} MiB")
        if time.monotonic() > deadline:
            raise TimeoutError("the answer did not end in time")
        pieces.append(piece)
    return b"".join(pieces)
