"""`mlrun tag`: words for runs and executions, given and taken away at any time."""

from collections import Counter
from typing import Annotated

import typer

from runner.cli.reference import author, writable_store
from runner.cli.subject import SUBJECT_HELP, Found, find, open_store
from runner.cli.table import Column, print_table
from runner.cli.terminal import print_json, say
from runner.errors import ExitCode, usage_error
from runner.escape import printable
from runner.store.index import Kind
from runner.store.ref import Thing
from runner.store.store import RUN_PREFIX, Store

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun tag 12 best paper

  mlrun tag run:5 nightly --remove

  mlrun tag --list

  mlrun list --where 'tag == "best"'"""


@app.command(epilog=EXAMPLES)
def tag(
    subject: Annotated[str | None, typer.Argument(metavar="[RUN|EXECUTION]", help=SUBJECT_HELP)] = None,
    tags: Annotated[list[str] | None, typer.Argument(metavar="[TAG]…", help="Any words.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take them away, also those that it began with.")] = False,
    listing: Annotated[bool, typer.Option("--list", help="List the tags, and how many have each.")] = False,
    json: Annotated[bool, typer.Option("--json", help="With --list: print as JSON.")] = False,
) -> int:
    """Tag a run or an execution, or take tags away.

    The executions of a run have its tags, too. `mlrun list` shows them in the column `tag` and filters by them. What
    `--tag` gives to a run when it starts is the same thing.
    """
    if listing:
        if subject is not None or remove:
            raise usage_error("`--list` stands alone")
        return _list(open_store(), json=json)
    if json:
        raise usage_error("`--json` goes with `--list`", hint="`mlrun show --json` tells the tags of one")
    if subject is None or not tags:
        raise usage_error("`mlrun tag` needs a run or an execution, and tags", hint="`mlrun tag --list` shows all tags")
    found = find(subject)
    what, id, words = _names(found)
    own = _inherited(found)
    if remove and (lacking := [word for word in tags if word not in found.store.tags_of(found.run, found.chosen)]):
        raise usage_error(f"{words} has no tag `{printable(lacking[0])}`", hint=f"it has {_tags_text(found)}")
    with writable_store() as store, store.refs.changing(author()) as change:
        for word in dict.fromkeys(tags):
            (change.untag if remove else change.tag)(what, id, word, own=word in own)
    say(f"{words} has {_tags_text(found)}")
    return ExitCode.OK


def _tags_text(found: Found) -> str:
    """The tags that it has by now."""
    has = open_store().tags_of(found.run, found.chosen)
    return ", ".join(f"`{printable(word)}`" for word in has) if has else "no tags"


def _names(found: Found) -> tuple[Thing, str, str]:
    if found.chosen is None:
        return "run", found.run.id, f"run {found.run.counter}"
    return "execution", found.chosen.id, f"execution {found.chosen.counter} of {RUN_PREFIX}{found.run.counter}"


def _inherited(found: Found) -> tuple[str, ...]:
    """What it has without being given it: a run what it began with, an execution what its run has."""
    return found.run.tags if found.chosen is None else found.store.tags_of(found.run)


def _list(store: Store, *, json: bool) -> int:
    runs, executions = _counted(store, "run"), _counted(store, "execution")
    words = sorted({*runs, *executions})
    if json:
        print_json([{"tag": word, "runs": runs[word], "executions": executions[word]} for word in words])
    elif words:
        columns = [Column("tag"), Column("runs", right=True), Column("executions", right=True)]
        print_table(columns, [[printable(word), str(runs[word]), str(executions[word])] for word in words])
    else:
        say("there are no tags: `mlrun tag EXECUTION TAG` sets one")
    return ExitCode.OK


def _counted(store: Store, kind: Kind) -> Counter[str]:
    return Counter(word for row in store.parts(kind, None, ["tags"]) for word in row["tags"])
