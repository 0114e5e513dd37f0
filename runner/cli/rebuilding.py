"""`mlrun store rebuild`: makes again what can be made again from the journals."""

from typing import Annotated

import typer

from runner.cli.reference import author, writable_store
from runner.cli.terminal import print_json, say
from runner.errors import ExitCode
from runner.escape import printable
from runner.settings import load_settings
from runner.spec.phrase import counted
from runner.store.layout import Layout

EXAMPLES = """Examples:

  mlrun store rebuild"""


def rebuild(json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False) -> int:
    """Make the index again from the journals, and the files of names from their log.

    Runs may go on meanwhile. Nothing is lost if it is stopped. A damaged index is put aside first, never removed. No
    number is given out twice, also of runs that were removed.
    """
    root = load_settings().store
    if Layout.open_existing(root) is None:
        if json:
            print_json(None)
        say(f"there is no store in {root} yet, so there is nothing to make again")
        return ExitCode.OK
    with writable_store() as store:
        problems = store.rebuild(author())
        store.reconcile()
        runs, executions = len(store.parts("run", None, ["state"])), len(store.parts("execution", None, ["state"]))
    for problem in problems:
        say(f"note: {printable(problem.message)}")
    say(f"the index has {counted(runs, 'run')} and {counted(executions, 'execution')}")
    if json:
        print_json({"runs": runs, "executions": executions, "problems": [problem.message for problem in problems]})
    if not problems:
        return ExitCode.OK
    return ExitCode.DISK if all(problem.code is ExitCode.DISK for problem in problems) else ExitCode.STORE
