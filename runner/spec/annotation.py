"""Problems as workflow commands of GitHub Actions, which shows them at their lines in a pull request. Pure.

The rules for escaping are those of GitHub's own runner, which undoes them: in a property `%`, CR, LF, `:` and `,`, in
the message `%`, CR and LF.
"""

import re

from runner.errors import Problem
from runner.escape import printable


def annotation(problem: Problem, path: str | None, end_column: int) -> str:
    """A problem as one line. `path` is relative to the repository's root; None for a text that is no file there."""
    place = problem.location
    properties = {
        "file": path,
        "line": place.line,
        "col": place.column,
        "endColumn": end_column,
        "title": problem.code,
    }
    written = ",".join(
        f"{name}={_property(str(value))}" for name, value in properties.items() if path is not None or name == "title"
    )
    message = printable(problem.message)
    if path is None:
        message = f"{printable(str(place))}: {message}"
    if problem.hint:
        message += f"\nhint: {printable(problem.hint)}"
    return f"::{problem.severity} {written}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(printable(text)).replace(":", "%3A").replace(",", "%2C")


_LEADING = re.compile(r"(?m)^(\s*)::")


def inert(text: str) -> str:
    r"""Output in which GitHub's runner finds no command: none begins a line with `::`, none is spelled `##[` anywhere.

    The colon or bracket becomes `\u003a` or `\u005b`, so that JSON stays the same JSON.
    """
    return _LEADING.sub(r"\1\\u003a:", text).replace("##[", r"##\u005b")
