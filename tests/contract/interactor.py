"""A program, not a test: calls `Executor.interact` in a process whose standard streams a test has in its hand.

usage: interactor.py FILE    FILE holds a pickled (executor's name, site, staged job, words of the command)
"""

import os
import pickle
import signal
import sys
from pathlib import Path

# An ordinary user runs a copy of the code, which is nowhere installed.
sys.path.insert(0, str(Path(__file__).parents[2]))

from runner.errors import MlrunError
from runner.executors import EXECUTORS


def main() -> int:
    """Its exit code is that of the interactive program, 99 for an error of ours."""
    name, site, staged, argv = pickle.loads(Path(sys.argv[1]).read_bytes())
    until, tell = os.pipe()
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, lambda *_: os.write(tell, b"x"))
    try:
        return EXECUTORS[name](site).interact(staged, argv, until)
    except MlrunError as error:
        print(error.message, file=sys.stderr)
        return 99


sys.exit(main())
