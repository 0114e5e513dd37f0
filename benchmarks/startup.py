"""How long the shortest commands take, from the shell's point of view."""

import sys
from functools import partial

from benchmarks.measure import race, timed
from benchmarks.peer import find_peer
from benchmarks.report import LeftOut, Report, Row
from benchmarks.setting import Setting, run

BAR = "< 150 ms, < dvc"


def measure(setting: Setting) -> Report:
    """`mlrun --help` and `--version` beside `dvc --version` and a Python that does nothing."""
    commands: dict[str, list[str]] = {
        "mlrun --help": ["mlrun", "--help"],
        "mlrun --version": ["mlrun", "--version"],
        "python -c pass": [sys.executable, "-c", "pass"],
    }
    peer, notes = "python -c pass", []
    try:
        dvc = find_peer(setting, "dvc")
    except LeftOut as reason:
        notes.append(str(reason))
    else:
        peer = "dvc --version"
        commands[peer] = [dvc.program, "--version"]
        notes.append(dvc.title)
    lanes = [timed(name, partial(run, words)) for name, words in commands.items()]
    found = race(lanes, setting.rounds_or(20))
    rows = [
        Row(name, sample, (found[peer], peer) if name != peer else None, BAR if name.startswith("mlrun") else "")
        for name, sample in found.items()
    ]
    return Report(rows, notes)
