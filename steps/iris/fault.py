"""How a step refuses: one clear sentence on standard error and a non-zero exit, never a traceback for bad data."""

import sys
from collections.abc import Callable
from pathlib import Path


class Fault(Exception):
    """The step cannot go on, for a reason that lies in its inputs or parameters; the text says where and why."""


def guard(main: Callable[[], None]) -> None:
    """Run `main`; turn a `Fault`, or a refusal of the file system, into a sentence and exit code 1."""
    try:
        main()
    except (Fault, OSError) as problem:
        print(f"{Path(sys.argv[0]).stem}: {problem}", file=sys.stderr)
        sys.exit(1)
