"""`mlrun alias`: names of data that can be moved, used as `datum://NAME`."""

from typing import Annotated, Any

import typer

from runner.cli.cell import now
from runner.cli.page import Page
from runner.cli.reference import REFERENCE_HELP, author, author_text, find_datum, writable_store
from runner.cli.subject import open_store
from runner.cli.table import Column, print_table
from runner.cli.terminal import print_json, say
from runner.cli.tombstone import marked, tombstone_text
from runner.errors import ExitCode, did_you_mean, usage_error
from runner.escape import printable
from runner.quantity import local_time, relative_time, size_text
from runner.store.record import Entry
from runner.store.ref import Alias
from runner.store.store import Store

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun alias

  mlrun alias model-prod 12/model.pkl

  mlrun alias model-prod

  mlrun alias --remove model-prod"""


@app.command(epilog=EXAMPLES)
def alias(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The alias.")] = None,
    reference: Annotated[
        str | None, typer.Argument(metavar="[DATUM]", help=f"What it is to mean: {REFERENCE_HELP}")
    ] = None,
    remove: Annotated[str | None, typer.Option("--remove", metavar="NAME", help="Let an alias mean nothing.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> int:
    """List the aliases of data, show what one means and meant before, or set one.

    An input can name an alias as `datum://NAME`; what it means is looked up when a run starts. Outputs set aliases with
    the property `valohai.alias`. Aliases are yours, in all projects.
    """
    if remove is not None:
        if name is not None:
            raise usage_error("`--remove NAME` stands alone", hint=f"to set `{printable(name)}`, leave it out")
        return _remove(remove)
    if name is None:
        return _list(open_store(), json=json)
    if reference is None:
        return _show(open_store(), name, json=json)
    datum = find_datum(reference)
    with writable_store() as store, store.refs.changing(author()) as change:
        store.catalog.require(datum.name, datum.digest)
        change.set_alias(name, datum)
    say(f"`datum://{printable(name)}` is {printable(datum.name)} ({datum.id})")
    return ExitCode.OK


def _remove(name: str) -> int:
    _existing(open_store(), name)
    with writable_store() as store, store.refs.changing(author()) as change:
        change.remove_alias(name)
    say(f"`datum://{printable(name)}` means nothing")
    return ExitCode.OK


def _existing(store: Store, name: str) -> Alias:
    found = store.refs.alias(name)
    if found is None:
        known = [printable(one.name) for one in store.refs.aliases()]
        hint = did_you_mean(name, known) or "`mlrun alias NAME DATUM` sets one"
        raise usage_error(f"there is no alias `{printable(name)}`", hint=hint)
    return found


def _list(store: Store, *, json: bool) -> int:
    aliases = store.refs.aliases()
    if json:
        print_json([_to_json(one) for one in aliases])
    elif aliases:
        columns = [Column("alias"), Column("file"), Column("size", right=True), Column("set"), Column("datum")]
        rows = [
            [
                printable(one.name),
                marked(store, one.datum.name, one.datum.digest),
                size_text(one.datum.size),
                relative_time(one.time, now()),
                one.datum.id,
            ]
            for one in aliases
        ]
        print_table(columns, rows)
    else:
        say("there are no aliases: `mlrun alias NAME DATUM` sets one")
    return ExitCode.OK


def _show(store: Store, name: str, *, json: bool) -> int:
    found = _existing(store, name)
    history = [entry for entry in store.refs.history() if entry["type"].startswith("alias-") and entry["name"] == name]
    if json:
        print_json(_to_json(found) | {"history": history})
        return ExitCode.OK
    page = Page()
    page.head(f"alias {printable(name)}")
    page.facts(
        None,
        [
            ("file", printable(found.datum.name)),
            ("size", size_text(found.datum.size)),
            ("digest", found.datum.digest),
            ("purged", tombstone_text(store, found.datum.digest)),
            ("datum", found.datum.id),
            ("use it as", printable(f"datum://{name}")),
        ],
    )
    page.table("history", [_told(entry) for entry in reversed(history)])
    print(page)
    return ExitCode.OK


def _told(entry: Entry) -> tuple[str, str, str, str]:
    datum: dict[str, Any] = entry.get("datum", {})
    what = printable(str(datum["name"])) if datum else "removed"
    return local_time(entry["time"]), what, str(datum.get("id", "")), f"by {author_text(entry['by'])}"


def _to_json(one: Alias) -> dict[str, Any]:
    datum = {"id": one.datum.id, "name": one.datum.name, "size": one.datum.size, "digest": one.datum.digest}
    return {"name": one.name, "datum": datum, "time": one.time, "by": dict(one.by)}
