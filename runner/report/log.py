"""The end of a log as people read it. Pure."""

import re

_COLOURS = re.compile(rb"\x1b\[[0-9;:]*m")
"""Colours and weights (ECMA-48, SGR); what else a terminal would obey is shown as an escape."""


def readable(data: bytes) -> str:
    """Bytes of a log as text: without colours, of a line that was written over and over its last form. Bytes that are
    not UTF-8 become U+FFFD."""
    text = _COLOURS.sub(b"", data).decode("utf-8", "replace").replace("\r\n", "\n")
    return "\n".join(_last_form(line) for line in text.rstrip("\n").split("\n"))


def _last_form(line: str) -> str:
    """A progress bar returns to the start of its line."""
    return next((form for form in reversed(line.split("\r")) if form.strip()), "")
