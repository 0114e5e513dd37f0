"""`mlrun key`: the user's own key, with which exported documents are signed."""

from typing import Annotated

import typer

from runner.app.signing import key_file, load_key, make_key
from runner.cli.terminal import print_json, say
from runner.errors import ExitCode

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun key make

  mlrun key show > me.pub"""


@app.callback(epilog=EXAMPLES)
def key() -> None:
    """The key with which `mlrun export --format slsa` signs: Ed25519, one per user, beside your settings.

    The private part never leaves its file, which only you may read. Who gets the public part checks your documents with
    `mlrun verify --key`. Needs the extra `sign`.
    """


@app.command(name="make", epilog=EXAMPLES)
def make() -> int:
    """Make a key, once, and print its public part."""
    made = make_key()
    print(made.public.pem, end="")
    say(f"made the key `{made.public.id[:16]}`; its private part is in `{key_file()}`, and only there")
    return ExitCode.OK


@app.command(name="show", epilog=EXAMPLES)
def show(
    json: Annotated[bool, typer.Option("--json", help="With the id of the key, as JSON.")] = False,
) -> int:
    """Print the public part of your key. No option shows the private one."""
    public = load_key().public
    if json:
        print_json({"id": public.id, "algorithm": "ed25519", "public": public.pem})
    else:
        print(public.pem, end="")
    return ExitCode.OK
