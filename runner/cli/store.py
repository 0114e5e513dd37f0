"""`mlrun store`: what can be done with the store as a whole. Each command has a module of its own."""

import typer

from runner.cli import checking, packing, rebuilding

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun store check --read-data

  mlrun store pack --dry-run

  mlrun store cat latest/model.pkl | b3sum"""


@app.callback(epilog=EXAMPLES)
def store() -> None:
    """Look after the store: check it, make it smaller, read from it by digest."""


app.command(name="check", epilog=checking.EXAMPLES)(checking.check_store)
app.command(name="rebuild", epilog=rebuilding.EXAMPLES)(rebuilding.rebuild)
app.command(name="pack", epilog=packing.PACK_EXAMPLES)(packing.pack_store)
app.command(name="cat", epilog=packing.CAT_EXAMPLES)(packing.cat)
