"""A YAML file that comes through standard input."""

import sys

from runner.errors import ExitCode, MlrunError
from runner.spec.source import MAX_BYTES

STDIN = "<stdin>"
"""The name of standard input in messages."""


def read_stdin() -> bytes:
    """All of it. Raises MlrunError (SPEC) when that is more than a YAML file may have."""
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise MlrunError(f"standard input has more than {MAX_BYTES >> 20} MiB", code=ExitCode.SPEC)
    return data
