"""What the runner's log is told. Knows workflow commands; lets nothing pose as one, and no secret through.

The runner takes a line for a command that begins with `::`, blanks before it or not, or has `##[` anywhere
(GitHub's page on workflow commands).
"""

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TextIO

MAX_LINE = 4000
"""Characters of one message."""

_ANNOTATION = re.compile(r"::(error|warning|notice)(?: [^:]*)?::.+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """`text` on one line: line ends, control codes, direction marks and lone surrogates shown as escapes."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def annotations(text: str) -> list[str]:
    """The lines of `text` that annotate a file: those, and no other commands, are passed on to the runner."""
    return [line for line in text.splitlines() if _ANNOTATION.fullmatch(line)]


@dataclass(frozen=True, slots=True)
class Log:
    """Writes to the runner's log. `secrets` are texts that must not appear."""

    secrets: tuple[str, ...] = ()
    stream: TextIO = field(default_factory=lambda: sys.stdout)

    def notice(self, message: str) -> None:
        """Something to know; the job goes on."""
        self._command("notice", message)

    def warning(self, message: str) -> None:
        """Something that was not done; the job goes on."""
        self._command("warning", message)

    def error(self, message: str, file: str = "") -> None:
        """Something that fails the job, at the top of a file of the repository if one is named."""
        self._command("error", message, file)

    def annotate(self, lines: Iterable[str]) -> None:
        """Commands that `mlrun lint` has made, already escaped."""
        for line in lines:
            self._put(printable(line))

    def plain(self, text: str) -> None:
        """Lines for people; what looks like a command is shown and does nothing."""
        for line in text.splitlines():
            shown = printable(line)[:MAX_LINE].replace("##[", "# #[")
            self._put(f"| {shown}" if shown.lstrip().startswith("::") else shown)

    def _command(self, name: str, message: str, file: str = "") -> None:
        place = f",file={_property(file)}" if file else ""
        self._put(f"::{name} title=mlrun{place}::{_data(printable(message)[:MAX_LINE])}")

    def _put(self, line: str) -> None:
        print(self.masked(line), file=self.stream, flush=True)

    def masked(self, text: str) -> str:
        """`text` with secrets left out."""
        for secret in filter(None, self.secrets):
            text = text.replace(secret, "***")
        return text


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(printable(text)).replace(":", "%3A").replace(",", "%2C")
