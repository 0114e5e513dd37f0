"""Where and how thoroughly to measure, and the same surroundings for every command that is timed."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Setting:
    """`folder` is an empty folder for everything a benchmark makes; `cache` is where peers are installed, and `peers`
    whether that may be done now; `rounds` replaces a benchmark's own number; `quick` asks for small sizes."""

    folder: Path
    cache: Path
    peers: bool = False
    quick: bool = False
    rounds: int | None = None

    def rounds_or(self, number: int) -> int:
        """How many rounds to measure where a benchmark would take `number`."""
        return self.rounds or (min(3, number) if self.quick else number)

    def size(self, full: int, quick: int) -> int:
        """`full`, or `quick` when the user is in a hurry."""
        return quick if self.quick else full


def surroundings(folder: Path) -> dict[str, str]:
    """The variables of every timed command: this Python's programs first, no settings of the user's, a store of its
    own below `folder`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLRUN_", "GIT_", "VH_"))}
    kept.pop("VIRTUAL_ENV", None)
    # An installed program has its bytecode.
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "MLRUN_STORE": str(folder / "store"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "NO_COLOR": "1",
        # Otherwise it leaves a process behind that goes on while the next turn is timed.
        "DVC_NO_ANALYTICS": "1",
    }


def run(command: Sequence[str | os.PathLike[str]], folder: Path | None = None) -> None:
    """Run a command to its end, its words thrown away. Raises CalledProcessError, with what it said, if it fails."""
    subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=True)
