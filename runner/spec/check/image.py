"""The names of images. Pure.

The form is that of container registries: `[HOST[:PORT]/]PATH[:TAG][@DIGEST]` (Docker's `docker tag`, reference grammar
of the distribution project).
"""

import re

from runner.errors import Location
from runner.spec.check.sheet import Findings
from runner.spec.tree import Table, shorten

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_IMAGE = re.compile(
    rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*"
    r"(?P<tag>:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?P<digest>@[A-Za-z][A-Za-z0-9+._-]*:[0-9a-fA-F]{32,})?"
)
_PLACEHOLDER = re.compile(r"<.*>|.*(\$\{?|\{\{?)\w")
MAX_IMAGE = 1000


def check_image(findings: Findings, body: Table, noun: str) -> None:
    """The image of a step, of a node's override or of an endpoint, if it names one."""
    image = body.get("image")
    if isinstance(image, str) and image.strip():
        _check(
            findings,
            image.strip(),
            f"the image `{shorten(image.strip())}` of {noun}",
            findings.sheet.value(body, "image"),
        )


def _check(findings: Findings, image: str, noun: str, location: Location) -> None:
    match = _IMAGE.fullmatch(image) if len(image) <= MAX_IMAGE else None
    if match is None and _PLACEHOLDER.match(image):
        hint = "write the image's name, such as `python:3.12`"
        findings.warn("bad-image", f"{noun} is a placeholder that nobody has filled in", location, hint)
    elif match is None:
        lower = _IMAGE.fullmatch(image.lower()) if len(image) <= MAX_IMAGE else None
        hint = f"did you mean `{shorten(image.lower())}`?" if lower else "write it like `python:3.12`"
        findings.warn("bad-image", f"{noun} is no name that a container engine understands", location, hint)
    elif not (match["tag"] or match["digest"]):
        hint = f"name the version that works, as in `{shorten(image)}:TAG`"
        findings.warn("untagged-image", f"{noun} has no tag, so that it may be another one tomorrow", location, hint)
