"""`mlrun resume`: go on with a run that nobody drives."""

from dataclasses import replace
from functools import partial

import typer

from runner.app.resume import Orders, resume_run
from runner.app.run import Ended
from runner.app.secret import load_secrets
from runner.cli import launch
from runner.cli.background import in_background
from runner.cli.presentation import attended, on_display
from runner.cli.relay import Relay
from runner.cli.subject import find_run
from runner.provenance.host import who
from runner.settings import Settings, load_settings
from runner.store.record import Run

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun resume run:5

  mlrun resume latest -j 2

  mlrun resume run:5 --detach"""


@app.command(epilog=EXAMPLES)
def resume(
    run: launch.RunName,
    env_file: launch.EnvFile = None,
    allow_mount: launch.AllowMount = None,
    allow_devices: launch.AllowDevices = False,
    jobs: launch.Jobs = None,
    auto_approve: launch.AutoApprove = False,
    detach: launch.Detach = False,
    json: launch.Json = False,
) -> int:
    """Go on with a run where it was: what is done is kept, what still runs is followed, the rest runs.

    File, code, executor and values are those of the run, whatever has changed here since; secrets, grants and settings
    are those of today.
    """
    settings = launch.with_grants(load_settings(), jobs, allow_mount, allow_devices=allow_devices)
    orders = make_orders(settings, env_file, auto_approve=auto_approve)
    return go_on(find_run(run).run, orders, detach=detach, json=json)


def make_orders(settings: Settings, env_file: list[str] | None, *, auto_approve: bool) -> Orders:
    """What the user says about a run that goes on."""
    approver = who() if auto_approve else None
    return Orders(settings, lambda place: load_secrets(place, env_file or ()), approver=approver, by=who())


def go_on(run: Run, orders: Orders, *, detach: bool, json: bool) -> int:
    """Go on with a run, here or in the background; the exit code."""
    if detach:
        return in_background(orders.settings.store, partial(resume_run, run.id, orders), json=json)

    def drive(display: Relay) -> Ended:
        prepared = replace(orders, prepare=lambda request: attended(request, display))
        return resume_run(run.id, prepared, display)

    return on_display(run.kind, drive, json=json)
