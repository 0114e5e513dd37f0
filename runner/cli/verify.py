"""`mlrun verify`: whether a record is what was written, and whether a signed statement about it is true."""

import os
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from runner.app.export import subject_of
from runner.app.signing import PublicKey, key_file, load_key, read_public_key
from runner.app.verify import (
    Statement,
    check_files,
    check_objects,
    check_run,
    compare,
    open_statement,
    verify_record,
)
from runner.cli.subject import Found, find, open_store
from runner.cli.terminal import print_json, say, show_error
from runner.errors import ExitCode, MlrunError, usage_error
from runner.escape import printable
from runner.export import slsa
from runner.export.dsse import MOST_BYTES
from runner.export.subject import Subject
from runner.quantity import size_text
from runner.spec.phrase import counted
from runner.state import FINAL
from runner.store.identity import is_id
from runner.store.record import Run
from runner.store.store import RUN_PREFIX, Store

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_START_OF_ID = re.compile(r"[0-9a-f-]+", re.ASCII | re.IGNORECASE)

EXAMPLES = """Examples:

  mlrun verify run:5

  mlrun verify model.slsa.json

  mlrun verify model.slsa.json --key anna.pub --files results"""


@app.command(epilog=EXAMPLES)
def verify(
    what: Annotated[
        str,
        typer.Argument(
            metavar="FILE|RUN|EXECUTION", help="A signed statement; or a run or an execution of this store."
        ),
    ],
    key: Annotated[
        str | None, typer.Option("--key", metavar="PUB", help="The public key of who signed. Default: your own.")
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="The run that the statement has to be about.")
    ] = None,
    files: Annotated[
        str | None,
        typer.Option("--files", metavar="PATH", help="Where the outputs are: a folder, or the only one of them."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print what was checked as JSON.")] = False,
) -> int:
    """Check a run or an execution against what was recorded of it, or a signed statement against both.

    Of a run: its journal, its rows in the index, and every byte of its code, inputs, outputs and logs. Of a statement:
    its signature, each word against the record of the run if it is here, each subject against the store or --files.
    Exit code: 0 if all is well, 30 if the store is damaged, 41 if nothing of a statement is here to compare it with, 50
    if it is not true.
    """
    if _is_record(what):
        if key is not None or run is not None or files is not None:
            raise usage_error("`--key`, `--run` and `--files` are about a statement", hint="name its file")
        return _verify_record(find(what), json=json)
    return _verify_file(Path(what), key, run, files, json=json)


def _is_record(text: str) -> bool:
    """A number always means an execution: a file of that name is written `./12`. Of words that name no file, only the
    start of an id can be a record."""
    if text.isdecimal() or text == "latest" or text.startswith(RUN_PREFIX):
        return True
    return not os.path.exists(text) and _START_OF_ID.fullmatch(text) is not None


def _verify_record(found: Found, *, json: bool) -> int:
    if found.run.state not in FINAL:
        raise usage_error(f"run {found.run.counter} is {found.run.state}", hint="wait for its end")
    sound = verify_record(found.store, found.run, found.chosen)
    name = f"run {found.run.counter}" if found.chosen is None else f"execution {found.chosen.counter}"
    if json:
        told: dict[str, Any] = {"run": found.run.id, "execution": found.chosen.id if found.chosen else None}
        told |= {"objects": sound.objects, "bytes": sound.size, "removed": sound.gone}
        print_json(told | {"faults": [fault.message for fault in sound.faults]})
    for fault in sound.faults:
        show_error(fault)
    if sound.faults:
        return ExitCode.STORE
    gone = f"; {counted(sound.gone, 'file')} had been removed on purpose" if sound.gone else ""
    say(f"{name} is what was recorded: {counted(sound.objects, 'object')} read ({size_text(sound.size)}){gone}")
    return ExitCode.OK


def _key(path: str | None) -> PublicKey:
    """The key that has to have signed: who has none of their own can only check what others signed."""
    if path is not None:
        return read_public_key(Path(path))
    if not os.path.lexists(key_file()):
        raise usage_error("there is no key to check with", hint="`--key PUB` names the public key of who signed it")
    return load_key().public


def _verify_file(path: Path, signer: str | None, run: str | None, files: str | None, *, json: bool) -> int:
    data = _read(path)
    key = _key(signer)
    statement = open_statement(data, printable(str(path)), key)
    store = open_store()
    record = _record(store, statement, run)
    if record is not None:
        check_run(statement, record)
    subject = None if record is None else _subject(store, record, statement)
    checked = 0
    if record is not None and subject is not None:
        compare(statement, slsa.statement(subject), record)
        if files is None:
            checked = check_objects(statement, store)
    elif files is None:
        raise MlrunError(
            f"`{statement.shown}` is signed by `{key.id[:16]}`, but the run `{printable(statement.run)}` is not in this"
            " store, or not with all that it reused: nothing can be compared with it",
            code=ExitCode.INPUT,
            hint="`--files PATH` names the outputs that it tells of",
        )
    if files is not None:
        checked = check_files(statement, Path(files))
    where = "the store" if files is None else f"`{printable(files)}`"
    if json:
        subjects = [{"name": name, "digest": digest} for name, digest in statement.subjects.items()]
        print_json({"key": key.id, "run": statement.run, "record": subject is not None, "subjects": subjects})
    about = f"run {record.counter}" if record is not None else f"the run `{printable(statement.run)}`"
    if record is None:
        about += ", which is not in this store"
    elif subject is None:
        about += ", of which this store lacks what it reused"
    subjects_read = f"{counted(len(statement.subjects), 'subject')} ({size_text(checked)})"
    say(f"signed by `{key.id[:16]}`, about {about}; {subjects_read} as told in {where}")
    return ExitCode.OK


def _record(store: Store, statement: Statement, named: str | None) -> Run | None:
    """The run that the user names, or that the statement tells of if it is here."""
    if named is not None:
        return find(f"{RUN_PREFIX}{named}" if named.isdecimal() else named).run
    if not is_id(statement.run) or not store.layout.run(statement.run).journal.exists():
        return None
    return store.run(statement.run)


def _subject(store: Store, record: Run, statement: Statement) -> Subject | None:
    """What the statement has to be about; None where an execution is gone that stands for a node."""
    chosen = record.executions.get(statement.execution) if statement.execution else None
    subject = subject_of(store, record, chosen)
    return None if any(part.is_reused and part.execution is None for part in subject.parts) else subject


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise usage_error(f"cannot read `{path}`: {error.strerror}") from error
