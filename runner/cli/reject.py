"""`mlrun reject`: do not let a node go on that awaits approval."""

import typer

from runner.app.approval import awaiting
from runner.app.ending import reject_parked
from runner.cli import launch
from runner.cli.approve import Node, tell_owner
from runner.cli.subject import find_run, run_sentence
from runner.cli.terminal import print_json, say
from runner.errors import ExitCode
from runner.provenance.host import who
from runner.settings import load_settings
from runner.state import State

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun reject run:5

  mlrun reject run:5 deploy"""


@app.command(epilog=EXAMPLES)
def reject(run: launch.RunName, node: Node = None, json: launch.Json = False) -> int:
    """Do not let nodes go on that await approval: their run is stopped. One that failed ends as its `on-error` says."""
    found = find_run(run)
    nodes = awaiting(found.run, node)
    if found.run.state is not State.WAITING:
        return tell_owner(found, nodes, approved=False, json=json)
    ended = reject_parked(load_settings().store, found.run.id, nodes, who())
    if json:
        print_json({"id": ended.id, "counter": ended.counter, "rejected": list(nodes), "state": ended.state})
    else:
        say(run_sentence(ended))
    return ExitCode.OK
