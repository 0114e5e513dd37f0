"""`mlrun secret`: values for environment variables of steps that no log and no record shows."""

import sys
from getpass import getpass
from pathlib import Path
from typing import Annotated

import typer

from runner.app.place import locate
from runner.app.secret import EVERYWHERE, MAX_BYTES, SecretFile, check_name
from runner.cli.page import Page
from runner.cli.terminal import print_json, say
from runner.errors import ExitCode, MlrunError, did_you_mean, usage_error

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun secret set WANDB_API_KEY

  mlrun secret set HF_TOKEN --everywhere < token.txt

  mlrun secret list

  mlrun secret rm WANDB_API_KEY"""

Everywhere = Annotated[
    bool, typer.Option("--everywhere", help="For every project that declares the variable, not for this one alone.")
]
Yaml = Annotated[str | None, typer.Option("--yaml", metavar="FILE", help="The project of another YAML file.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the environment variable.")]


@app.callback(epilog=EXAMPLES)
def secret() -> None:
    """Keep values for environment variables of steps, such as keys and passwords, outside the repository.

    A step gets a secret if it declares the variable in `environment-variables` and you have set it for the project. It
    is masked in logs and metrics, and no record has its value. `set` and `rm` change one, `list` names them.
    """


@app.command(name="set", epilog=EXAMPLES)
def keep(name: Name, everywhere: Everywhere = False, yaml: Yaml = None) -> int:
    """Keep a value, read from the terminal without showing it, or from standard input; never from the command line."""
    check_name(name)
    where, words = _file(yaml, everywhere=everywhere)
    known = where.set(name, _value(name))
    say(f"secret `{name}` {'changed' if known else 'set'} for {words}")
    return ExitCode.OK


@app.command(name="list", epilog=EXAMPLES)
def show(
    yaml: Yaml = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document; values are not in it either.")] = False,
) -> int:
    """Name the secrets that steps of this project can have. No option shows a value."""
    rows = [(name, EVERYWHERE) for name in sorted(SecretFile.of(EVERYWHERE).read())]
    try:
        place = locate(Path.cwd(), yaml)
    except MlrunError as error:
        if error.code is not ExitCode.SPEC or yaml is not None:
            raise
    else:
        rows += [(name, "project") for name in sorted(SecretFile.of(place.ref.id).read())]
    if json:
        print_json([{"name": name, "scope": scope} for name, scope in rows])
    elif rows:
        page = Page()
        page.table(
            "Secrets:", [(name, "every project" if scope == EVERYWHERE else "this project") for name, scope in rows]
        )
        print(page)
    else:
        say("no secrets: `mlrun secret set NAME` keeps one")
    return ExitCode.OK


@app.command(name="rm", epilog=EXAMPLES)
def forget(name: Name, everywhere: Everywhere = False, yaml: Yaml = None) -> int:
    """Forget a value."""
    where, words = _file(yaml, everywhere=everywhere)
    if not where.remove(name):
        raise usage_error(f"there is no secret `{name}` for {words}", hint=did_you_mean(name, where.read()))
    say(f"secret `{name}` removed for {words}")
    return ExitCode.OK


def _file(yaml: str | None, *, everywhere: bool) -> tuple[SecretFile, str]:
    """Where the secrets are, and for whom they are, in words."""
    if everywhere:
        return SecretFile.of(EVERYWHERE), "every project"
    place = locate(Path.cwd(), yaml)
    return SecretFile.of(place.ref.id), f"the project `{place.ref.name}`"


def _value(name: str) -> str:
    """The value from the terminal, without echo, or all of standard input but for a newline at its end."""
    if sys.stdin.isatty():
        try:
            return getpass(f"value of {name}: ")
        except EOFError:
            raise usage_error(f"no value was given for `{name}`") from None
    data = sys.stdin.buffer.read(MAX_BYTES + 2)
    try:
        return data.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise usage_error(f"the value of `{name}` is not UTF-8 text", hint="give such a thing as an input") from None
