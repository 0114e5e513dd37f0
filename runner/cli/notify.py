"""`mlrun notify`: whether the settings' ways to tell somebody work."""

import typer

from runner.app.notify import try_out
from runner.cli.terminal import say
from runner.errors import ExitCode, usage_error
from runner.escape import printable
from runner.settings import load_settings

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun notify test"""


@app.callback(epilog=EXAMPLES)
def notify() -> None:
    """Whom `mlrun` tells what becomes of runs that nobody watches: `notify` in your settings."""


@app.command("test")
def test() -> int:
    """Send a message to each notifier of your settings, and say which of them took it."""
    notifiers = load_settings().notify
    if not notifiers:
        raise usage_error("your settings have no `notify`", hint='such as `[notify]` and `webhook = "https://…"` below')
    tried = list(try_out(notifiers))
    for one in tried:
        say(f"{printable(one.notifier.shown)}: {'told' if one.failure is None else one.failure}")
    return ExitCode.OK if all(one.failure is None for one in tried) else ExitCode.USAGE
