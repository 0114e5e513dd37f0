"""`mlrun approve` and `mlrun reject`: say whether nodes go on that await approval."""

import time
from dataclasses import replace
from typing import Annotated

import typer

from runner.app.approval import ask_owner, awaiting
from runner.cli import launch
from runner.cli.resume import go_on, make_orders
from runner.cli.subject import Found, Watch, find_run
from runner.cli.terminal import print_json, say
from runner.errors import ExitCode
from runner.escape import printable
from runner.provenance.host import who
from runner.settings import load_settings
from runner.state import State
from runner.store.record import NodeRecord

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun approve run:5

  mlrun approve run:5 deploy

  mlrun approve latest --detach"""

Node = Annotated[
    str | None, typer.Argument(metavar="[NODE]", help="One of its nodes; without it, all that await approval.")
]

_POLL = 0.05
"""Seconds between two looks."""
_PATIENCE = 15.0
"""Seconds in which the process that drives a run answers, if it is well."""


@app.command(epilog=EXAMPLES)
def approve(
    run: launch.RunName,
    node: Node = None,
    env_file: launch.EnvFile = None,
    allow_mount: launch.AllowMount = None,
    allow_devices: launch.AllowDevices = False,
    jobs: launch.Jobs = None,
    detach: launch.Detach = False,
    json: launch.Json = False,
) -> int:
    """Let nodes go on that await approval. A run that is parked goes on here, as with `mlrun resume`."""
    found = find_run(run)
    nodes = awaiting(found.run, node)
    if found.run.state is not State.WAITING:
        return tell_owner(found, nodes, approved=True, json=json)
    settings = launch.with_grants(load_settings(), jobs, allow_mount, allow_devices=allow_devices)
    orders = make_orders(settings, env_file, auto_approve=False)
    return go_on(found.run, replace(orders, decisions=dict.fromkeys(nodes, True)), detach=detach, json=json)


def tell_owner(found: Found, nodes: tuple[str, ...], *, approved: bool, json: bool) -> int:
    """Tell the process that drives the run, and wait until it has written that down; the exit code."""
    ask_owner(found.store, found.run, nodes, approved=approved, by=who())
    verb = "approved" if approved else "rejected"
    watch = Watch(found)
    deadline = time.monotonic() + _PATIENCE
    while any(run_node.state is State.AWAITING_APPROVAL for run_node in _nodes(watch, nodes)):
        if time.monotonic() > deadline:
            say(f"run {found.run.counter} has not answered yet: its process may hang")
            return ExitCode.STEP_FAILED
        time.sleep(_POLL)
    if json:
        print_json({"id": found.run.id, "counter": found.run.counter, verb: list(nodes)})
    else:
        say(f"{verb} {', '.join(f'`{printable(name)}`' for name in nodes)} of run {found.run.counter}")
    return ExitCode.OK


def _nodes(watch: Watch, names: tuple[str, ...]) -> list[NodeRecord]:
    nodes = watch.run().nodes
    return [nodes[name] for name in names]
