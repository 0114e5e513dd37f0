"""What executions left: the files with their digests, and the pictures among them. Pure.

A picture is shown by its bytes (`data:`), as an image only: scripts in an SVG do not run, and nothing is fetched.
"""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from runner.digest import Digest
from runner.errors import MlrunError
from runner.quantity import exact_text, size_text
from runner.report.element import Child, Markup, element, join
from runner.report.subject import Subject
from runner.report.wording import folded, note, table
from runner.spec.phrase import counted
from runner.store.record import Execution, OutputFile

OPEN, MOST = 40, 3_000
"""Files that are listed at once, and at all."""
PICTURES = 40
LARGEST, ALL = 1 << 20, 6 << 20
"""Bytes of one picture and of all of them."""

_STARTS = {
    ".png": ("image/png", b"\x89PNG\r\n\x1a\n"),
    ".jpg": ("image/jpeg", b"\xff\xd8\xff"),
    ".jpeg": ("image/jpeg", b"\xff\xd8\xff"),
    ".gif": ("image/gif", b"GIF8"),
    ".svg": ("image/svg+xml", b""),
}
"""By suffix: the media type, and how such a file begins."""


@dataclass(frozen=True, slots=True)
class Left:
    """A file that an execution left."""

    execution: Execution
    node: str
    file: OutputFile


def left_in(subject: Subject) -> list[Left]:
    """All files, those of executions that stand for nodes included, each once."""
    found = {
        (one.id, file.name): Left(one, part.node.name, file)
        for part, one in subject.executions()
        for file in one.outputs
    }
    return list(found.values())


def output_part(subject: Subject) -> Markup | None:
    """The list of files; nothing without files."""
    found = left_in(subject)
    if not found:
        return None
    rows = [list(_row(subject, one)) for one in found[:MOST]]
    heads = ("file", "execution", "size", "digest (BLAKE3)", "properties")
    total = size_text(sum(one.file.size for one in found))
    copies = element("code", "mlrun outputs EXECUTION -d DIR")
    summary = note(f"{counted(len(found), 'file')}, {total}. ", copies, " copies those of an execution out.")
    shown = table(heads, rows[:OPEN], "Outputs", (2,))
    more = folded(f"{counted(len(rows) - OPEN, 'further file')}", table(heads, rows[OPEN:], "Further outputs", (2,)))
    cut = note(f"{MOST:,} of {len(found):,} files are listed.") if len(found) > MOST else None
    return join(summary, shown, more if len(rows) > OPEN else None, cut)


def _row(subject: Subject, one: Left) -> Iterator[Child]:
    gone = subject.evidence.gone(one.file.digest)
    yield join(one.file.name, element("small", gone, class_="bad") if gone else None)
    yield join(f"{one.node} #{one.execution.counter}")
    yield size_text(one.file.size)
    yield element("code", one.file.digest)
    yield ", ".join(f"{key}: {exact_text(value)}" for key, value in one.file.metadata.items())


def picture_part(subject: Subject) -> Markup | None:
    """The pictures, as many as the page has room for, and a line about the others."""
    shown: list[Markup] = []
    left_out: list[str] = []
    room, seen = ALL, set[Digest]()
    for one in left_in(subject):
        suffix = PurePosixPath(one.file.name.lower()).suffix
        if suffix not in _STARTS or one.file.digest in seen:
            continue
        seen.add(one.file.digest)
        if len(shown) >= PICTURES or one.file.size > min(LARGEST, room):
            left_out.append(one.file.name)
            continue
        content = _read(subject, one)
        if isinstance(content, str):
            shown.append(_frame(one, element("p", content, class_="note")))
            continue
        kind, start = _STARTS[suffix]
        if content.startswith(start):
            room -= len(content)
            shown.append(_frame(one, _image(one, kind, content)))
    if left_out:
        names = ", ".join(left_out[:10]) + (", …" if len(left_out) > 10 else "")
        limits = f"{PICTURES} pictures of {size_text(LARGEST)} at most each, {size_text(ALL)} in all"
        shown.append(note(f"Not shown, as a page holds {limits}: {counted(len(left_out), 'picture')}: {names}"))
    return element("div", shown, class_="gallery") if shown else None


def _read(subject: Subject, one: Left) -> bytes | str:
    """The picture, or why there is none."""
    if gone := subject.evidence.gone(one.file.digest):
        return f"The picture {gone}."
    try:
        return subject.evidence.read(one.file.digest)
    except MlrunError as error:
        return f"The picture cannot be read: {error.message}"


def _image(one: Left, kind: str, content: bytes) -> Markup:
    alt = f"{one.file.name}, an output of {one.node}"
    return element("img", src=f"data:{kind};base64,{b64encode(content).decode()}", alt=alt, loading="lazy")


def _frame(one: Left, inside: Markup) -> Markup:
    caption = element("figcaption", element("b", one.file.name), f" {one.node} #{one.execution.counter}")
    return element("figure", inside, caption)
