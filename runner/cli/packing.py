"""`mlrun store pack` and `mlrun store cat`: older versions of large files made small, and the bytes of any file."""

import sys
from contextlib import ExitStack
from dataclasses import asdict
from typing import Annotated

import typer

from runner.cli.reference import REFERENCE_HELP, find_datum
from runner.cli.subject import open_store
from runner.cli.terminal import print_json, say, show_warning, silence
from runner.digest import large_hasher
from runner.errors import ExitCode, MlrunError
from runner.quantity import size_text
from runner.settings import load_settings, parse_size
from runner.spec.phrase import counted
from runner.store.layout import Layout
from runner.store.store import Store
from runner.upkeep.pack import LEAST, Report, pack
from runner.upkeep.turn import alone

PACK_EXAMPLES = """Examples:

  mlrun store pack --dry-run

  mlrun store pack

  mlrun store pack --min-size 64MiB"""

CAT_EXAMPLES = """Examples:

  mlrun store cat latest/model.pkl > model.pkl

  mlrun store cat model-prod | b3sum

  mlrun store cat dataset://iris/v3 | head"""

_PIECE = 1 << 20


def pack_store(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would save.")] = False,
    min_size: Annotated[
        str | None, typer.Option("--min-size", metavar="SIZE", help="Leave smaller files alone; 1MiB if not given.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> int:
    """Store older versions of large files as their differences from the newest one, which stays whole.

    Versions of each other are outputs of a step with one path, inputs with one name or address, and files of one name
    in the versions of a dataset or model. What an alias means and what runs under way use stays whole, and so does a
    file of which this would save less than a fifth. Nothing else changes: every file can be used as before, under the
    same digest. `mlrun gc` does the same.
    """
    least = LEAST if min_size is None else parse_size(min_size)
    root = load_settings().store
    if Layout.open_existing(root) is None:
        report = Report()
    else:
        with Store.open(root, create=not dry_run) as store, ExitStack() as held:
            turn = None if dry_run else held.enter_context(alone(store.layout, patience=0))
            report = pack(store, turn, least=least)
    if json:
        print_json(asdict(report) | {"dry_run": dry_run})
    else:
        _tell(report, dry=dry_run)
    for digest in report.damaged:
        show_warning(f"the object `{digest}` is damaged, or one that is like it: `mlrun store check` looks closer")
    return ExitCode.STORE if report.damaged else ExitCode.OK


def _tell(report: Report, *, dry: bool) -> None:
    if report.objects:
        files = f"{counted(report.objects, 'file')} in {counted(report.groups, 'row')} of versions"
        sizes = f"{size_text(report.after)} instead of {size_text(report.before)}"
        say(f"{files} would take {sizes}" if dry else f"packed {files}: {sizes}")
    else:
        say("there is nothing to pack")
    if report.unlike:
        say(f"{counted(report.unlike, 'file')} too unlike the newest version: whole as before")
    if report.busy:
        say(f"{counted(report.busy, 'file')} in use: whole as before")


def cat(reference: Annotated[str, typer.Argument(metavar="DATUM", help=REFERENCE_HELP)]) -> int:
    """Write the bytes of a file of the store to stdout, however it is stored; a damaged one is refused."""
    datum = find_datum(reference)
    hasher = large_hasher()
    with open_store() as store:
        store.catalog.require(datum.name, datum.digest)
        with store.objects.open(datum.digest) as file:
            try:
                while piece := file.read(_PIECE):
                    hasher.update(piece)
                    sys.stdout.buffer.write(piece)
                sys.stdout.buffer.flush()
            except BrokenPipeError:
                # The reader has enough.
                silence(sys.stdout)
                return ExitCode.OK
    if hasher.hexdigest() != datum.digest:
        raise MlrunError(
            f"the object `{datum.digest}` changed while it was read: what was written is not its content",
            code=ExitCode.STORE,
            hint="`mlrun store check` looks closer",
        )
    return ExitCode.OK
