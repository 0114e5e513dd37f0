"""Names of images, and how far a download of one is. Pure: no clock, no disk, no thread."""

import re
from collections.abc import Mapping

from runner.errors import ExitCode, MlrunError
from runner.escape import printable
from runner.job import PullProgress

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"(?:{_HOST_PART}(?:\.{_HOST_PART})+(?::[0-9]+)?|{_HOST_PART}:[0-9]+|localhost|\[[a-fA-F0-9:]+\](?::[0-9]+)?)"
_NAME = rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(rf"(?P<name>{_NAME})(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?")
"""The grammar of the reference implementation, github.com/distribution/reference, with its rule for telling a registry
from the first part of a path: it has a dot or a port, or is `localhost`."""

_NAME_LIMIT = 255
_LIMIT = 1024
_UNREACHABLE = (
    "no such host",
    "timeout",
    "timed out",
    "connection refused",
    "connection reset",
    "no route to host",
    "network is unreachable",
    "temporary failure in name resolution",
    "server misbehaving",
    "awaiting headers",
    "dial tcp",
)


def split_reference(image: str) -> tuple[str, str]:
    """The repository of an image's name and its tag or digest, `latest` where none is given.

    Raises MlrunError (code IMAGE) for what can never be an image's name.
    """
    found = _REFERENCE.fullmatch(image) if len(image) <= _LIMIT else None
    if found is None or len(found["name"]) > _NAME_LIMIT:
        hint = "an image is named like `python:3.12` or `registry.example.com/team/image:tag`"
        if image != image.lower() and _REFERENCE.fullmatch(image.lower()):
            hint = "the name of an image is lower case, only its tag may have capitals"
        raise MlrunError(f"`{printable(image)}` is not the name of an image", code=ExitCode.IMAGE, hint=hint)
    return found["name"], found["digest"] or found["tag"] or "latest"


def pull_error(image: str, words: str) -> MlrunError:
    """The error for an image that could not be fetched, with the engine's own `words`."""
    said = " ".join(printable(words[:500]).split())
    if any(sign in said.lower() for sign in _UNREACHABLE):
        return MlrunError(
            f"image `{image}` is not on this machine and no registry answered: {said}",
            code=ExitCode.IMAGE,
            hint="run without images: `--executor sandbox`",
        )
    return MlrunError(
        f"image `{image}` is not on this machine and cannot be fetched: {said}",
        code=ExitCode.IMAGE,
        hint="check its name, or `docker login` to its registry; without images: `--executor sandbox`",
    )


class PullMeter:
    """Adds up what an engine says about the layers of one pull."""

    def __init__(self) -> None:
        self._layers: dict[str, tuple[int, int]] = {}
        self._ready: set[str] = set()

    def feed(self, event: Mapping[str, object]) -> PullProgress | None:
        """Take one event of the engine's stream; progress if it tells any. Its shape is not trusted."""
        layer, status, detail = event.get("id"), str(event.get("status", "")), event.get("progressDetail")
        if not isinstance(layer, str) or status.startswith("Pulling from"):
            return None
        done, total = self._layers.get(layer, (0, 0))
        if status == "Downloading" and isinstance(detail, dict):
            done, total = _count(detail.get("current")), _count(detail.get("total"))
        elif status in ("Download complete", "Pull complete", "Already exists"):
            done = total
            self._ready.add(layer)
        self._layers[layer] = done, total
        return self._progress()

    def _progress(self) -> PullProgress:
        text = f"{len(self._ready)} of {len(self._layers)} layers"
        done = sum(done for done, _ in self._layers.values())
        known = all(total or layer in self._ready for layer, (_, total) in self._layers.items())
        return PullProgress(text, done, sum(total for _, total in self._layers.values()) if known else 0)


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
