"""The one comment on a pull request: found by a hidden marker and its author, updated, or made if there is none."""

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pullrequest.api import Api
from pullrequest.problem import ApiError, Denied, Unsure

ACTIONS = "github-actions[bot]"
"""Whose comments are made with the token that every job has."""
TRIES = 3


def marker(files: Sequence[str]) -> str:
    """The hidden first line of the comment about these files: jobs for other files keep comments of their own."""
    return f"<!-- mlrun-action {hashlib.sha256(chr(0).join(files).encode()).hexdigest()[:16]} -->"


@dataclass(frozen=True, slots=True)
class Thread:
    """The comments of a pull request. `author` is whose comments are ours; None to ask the server."""

    api: Api
    repository: str
    number: int
    marker: str
    author: str | None = None

    def publish(self, body: str) -> str:
        """Let our comment say `body`; its address. Raises ApiError, Denied where the token may not write."""
        lost: Unsure | None = None
        for _ in range(TRIES):
            # An answer that was lost may have left a comment: look before it is made a second time.
            if found := self.ours():
                return self._update(found, body)
            try:
                return _address(self.api.send("POST", self._path("issues", self.number, "comments"), {"body": body}))
            except Unsure as error:
                lost = error
                self.api.sleep(1.0)
        raise lost or ApiError("the comment cannot be made")

    def replace(self, body: str) -> str | None:
        """Let our comment say `body` if there is one; its address. Raises ApiError."""
        found = self.ours()
        return self._update(found, body) if found else None

    def ours(self) -> list[Mapping[str, Any]]:
        """Our comments, oldest first. A marker in somebody else's comment counts for nothing."""
        author = (self.author or self._self()).lower()
        comments = self.api.pages(self._path("issues", self.number, "comments") + "?per_page=100")
        return [comment for comment in comments if self._is_ours(comment, author)]

    def _is_ours(self, comment: Any, author: str) -> bool:
        match comment:
            case {"id": int(), "body": str(body), "user": {"login": str(login)}}:
                return login.lower() == author and body.startswith(self.marker)
        return False

    def _self(self) -> str:
        """The login of the token's owner."""
        try:
            found = self.api.get("/user")
        except Denied:
            # The token of a job stands for an app, which has no user.
            return ACTIONS
        return str(found.get("login")) if isinstance(found, dict) else ACTIONS

    def _update(self, found: Sequence[Mapping[str, Any]], body: str) -> str:
        first, *others = found
        if first["body"] != body:
            first = self.api.send("PATCH", self._path("issues", "comments", first["id"]), {"body": body})
        for comment in others:
            # A job that runs at the same time may have been quicker; what stays goes with the next report.
            with contextlib.suppress(ApiError):
                self.api.send("DELETE", self._path("issues", "comments", comment["id"]))
        return _address(first)

    def _path(self, *parts: str | int) -> str:
        return "/".join(("/repos", self.repository, *map(str, parts)))


def _address(comment: Any) -> str:
    """Where people read a comment."""
    return str(comment.get("html_url") or "") if isinstance(comment, dict) else ""
