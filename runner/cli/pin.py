"""`mlrun pin`: what is to stay, whatever the rules of `mlrun gc` say."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from runner.app.evidence import lack_of_files
from runner.cli.cell import now
from runner.cli.reference import author, author_text, find_datum, writable_store
from runner.cli.subject import find, open_store
from runner.cli.table import Column, print_table
from runner.cli.terminal import print_json, say
from runner.errors import ExitCode, MlrunError, usage_error
from runner.escape import printable
from runner.quantity import relative_time
from runner.spec.phrase import counted
from runner.store.datum import Datum
from runner.store.ref import Pin, Thing
from runner.store.shelf import Where
from runner.store.store import RUN_PREFIX, Store

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun pin 12

  mlrun pin run:5 12/model.pkl --note 'the one in the paper'

  mlrun pin --list

  mlrun pin --remove 12"""

_FEWEST = 4
"""Characters of the start of an id."""


@app.command(epilog=EXAMPLES)
def pin(
    things: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN|EXECUTION|DATUM]…",
            help="`12` is an execution, `run:5` a run, `12/model.pkl` a file; ids, aliases and digests name files too.",
        ),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Let them go the way of everything else.")] = False,
    note: Annotated[str | None, typer.Option("--note", metavar="TEXT", help="Why, for those who wonder later.")] = None,
    listing: Annotated[bool, typer.Option("--list", help="List what is pinned.")] = False,
    json: Annotated[bool, typer.Option("--json", help="With --list: print as JSON.")] = False,
) -> int:
    """Keep runs, executions or single files: `mlrun gc` leaves them alone, and `mlrun rm` refuses."""
    if listing:
        if things or remove or note is not None:
            raise usage_error("`--list` stands alone")
        return _list(open_store(), json=json)
    if json:
        raise usage_error("`--json` goes with `--list`", hint="`mlrun pin --list --json` tells all that is pinned")
    if not things:
        raise usage_error("`mlrun pin` needs something to pin", hint="`mlrun pin --list` shows what is pinned")
    if remove:
        if note is not None:
            raise usage_error("`--note` says why something is pinned, and `--remove` lets it go")
        return _unpin(things)
    return _pin(things, note)


def _pin(texts: Sequence[str], note: str | None) -> int:
    found = [_thing(text) for text in texts]
    with writable_store() as store, store.refs.changing(author()) as change:
        for what, id, datum, _ in found:
            if datum is not None:
                store.catalog.require(datum.name, datum.digest)
            before = store.refs.pin(id)
            change.pin(what, id, before.note if before and note is None else note, datum)
    for what, id, _, words in found:
        say(f"{words} is pinned")
        if what != "datum":
            _tell_lack(what, id)
    return ExitCode.OK


def _tell_lack(what: Thing, id: str) -> None:
    """Say which of its files a pin cannot keep."""
    store = open_store()
    run = store.find_run(None, id) if what == "run" else store.find_execution(None, id)[0]
    executions = run.executions.values() if what == "run" else [run.executions[id]]
    for execution in executions:
        places = [store.objects.find(file.digest) for file in execution.outputs]
        waiting, gone = places.count(Where.TRASH), places.count(None)
        whose = f"of execution {execution.counter}"
        if waiting:
            files = f"{counted(waiting, 'file')} {whose} {'is' if waiting == 1 else 'are'} in the trash"
            say(f"note: {files}: the next `mlrun gc --yes` brings back what is pinned")
        if gone:
            lack = lack_of_files(store, run, execution)
            why = f": its files {lack.why}; {lack.hint}" if lack else ": `mlrun store check` looks for them"
            say(f"note: {counted(gone, 'file')} {whose} {'is' if gone == 1 else 'are'} not here{why}")


def _unpin(texts: Sequence[str]) -> int:
    pins = {pin.id: pin for pin in open_store().refs.pins()}
    found = [_pinned(text, pins) for text in texts]
    with writable_store() as store, store.refs.changing(author()) as change:
        for id, _ in found:
            change.unpin(id)
    for _, words in found:
        say(f"{words} is not pinned any more")
    return ExitCode.OK


_Found = tuple[Thing, str, Datum | None, str]
"""What it is, its id, the datum if it is one, and what people call it."""


def _thing(text: str) -> _Found:
    """What a word names. Raises MlrunError: USAGE, INPUT or STORE."""
    if "/" in text or "://" in text:
        return _datum(text)
    try:
        found = find(text)
    except MlrunError as error:
        if error.code is not ExitCode.USAGE or text.startswith(RUN_PREFIX) or text.isdecimal():
            raise
        try:
            return _datum(text)
        except MlrunError:
            raise error from None
    if found.chosen is None:
        return "run", found.run.id, None, f"run {found.run.counter}"
    return "execution", found.chosen.id, None, f"execution {found.chosen.counter}"


def _datum(text: str) -> _Found:
    datum = find_datum(text)
    return "datum", datum.id, datum, f"`{printable(datum.name)}`"


def _pinned(text: str, pins: dict[str, Pin]) -> tuple[str, str]:
    """Id and words for a pin; also of what is not in the store any more."""
    begun = [id for id in pins if id.startswith(text.lower())] if len(text) >= _FEWEST else []
    if len(begun) == 1:
        return begun[0], f"{pins[begun[0]].what} {begun[0]}"
    _, id, _, words = _thing(text)
    if id not in pins:
        raise usage_error(f"{words} is not pinned", hint="`mlrun pin --list` shows what is")
    return id, words


def _list(store: Store, *, json: bool) -> int:
    pins = store.refs.pins()
    if json:
        print_json([_to_json(one) for one in pins])
    elif pins:
        columns = [Column("what"), Column("name"), Column("note"), Column("pinned"), Column("by"), Column("id")]
        print_table(columns, [_row(store, one) for one in pins])
    else:
        say("nothing is pinned: `mlrun pin EXECUTION` pins something")
    return ExitCode.OK


def _row(store: Store, one: Pin) -> list[str]:
    note = printable(one.note or "")
    return [one.what, _name(store, one), note, relative_time(one.time, now()), author_text(one.by), one.id]


def _name(store: Store, one: Pin) -> str:
    """What people call it; empty when it is gone."""
    try:
        if one.what == "run":
            run = store.find_run(None, one.id)
            return printable(f"{RUN_PREFIX}{run.counter} {run.name}")
        if one.what == "execution":
            _, execution = store.find_execution(None, one.id)
            return printable(f"{execution.counter} {execution.step}")
        if one.datum and one.datum.execution:
            _, execution = store.find_execution(None, one.datum.execution)
            return printable(f"{execution.counter}/{one.datum.name}")
    except MlrunError:
        pass
    return printable(one.datum.name) if one.datum else ""


def _to_json(one: Pin) -> dict[str, Any]:
    datum = one.datum
    told = {"id": one.id, "what": one.what, "note": one.note, "time": one.time, "by": dict(one.by)}
    return told | ({"name": datum.name, "digest": datum.digest, "size": datum.size} if datum else {})
