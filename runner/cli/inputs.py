"""`mlrun inputs`: the files an execution got, and the user's own map of addresses that cannot be reached."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from runner.cli.subject import find_execution
from runner.cli.table import Column, print_table
from runner.cli.terminal import print_json, say
from runner.data.substitute import (
    Substitutes,
    check_entry,
    load_substitutes,
    save_substitutes,
    substitutes_file,
)
from runner.digest import Digest
from runner.engine.entry import inputs_from_json
from runner.errors import ExitCode, did_you_mean, usage_error
from runner.escape import printable
from runner.job import InputFile, JobInput
from runner.plan.address import public
from runner.quantity import size_text
from runner.settings import settings_file

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun inputs 12

  mlrun inputs map s3://bucket/train.csv ~/data/train.csv

  mlrun inputs map s3://bucket/ /mnt/bucket/

  mlrun inputs map

  mlrun inputs map --remove s3://bucket/"""

_MAP = "map"
_DIGITS = 16
"""Digits of a digest in a table; JSON has them all."""


@app.command(epilog=EXAMPLES)
def inputs(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[EXECUTION | map [OLD NEW]]", help="An execution, `latest` if none; or the map."),
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option("--remove", metavar="OLD", help="With map, take OLD out of it; may be repeated."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> int:
    """List the files that an execution got: input, name, size, digest (BLAKE3) and where each came from.

    `mlrun inputs map OLD NEW` takes NEW in place of the address OLD from now on, in every project: for addresses that
    this machine cannot reach. An OLD that ends in `/` or `*` stands for all addresses that begin with it. `map` alone
    lists what was written; it is kept in `inputs.toml` beside your settings.
    """
    first, *rest = words or ["latest"]
    if first == _MAP:
        return _map(rest, remove or [], json=json)
    if remove:
        raise usage_error("`--remove` is about the map", hint="`mlrun inputs map --remove OLD`")
    if rest:
        raise usage_error(f"`{rest[0]}` is one word too many", hint="`mlrun inputs --help` explains it")
    return _list(first, json=json)


def _list(text: str, *, json: bool) -> int:
    found = find_execution(text)
    given, checksums = inputs_from_json(found.execution.job["inputs"]), found.store.checksums
    if json:
        print_json(
            {one.name: [_to_json(file, checksums.known(Digest(file.digest))) for file in one.files] for one in given}
        )
    elif any(one.files for one in given):
        _print(given)
    else:
        say(f"execution {found.execution.counter} got no input files")
    return ExitCode.OK


def _to_json(file: InputFile, checksums: dict[str, str]) -> dict[str, object]:
    return {
        "name": file.name,
        "size": file.size,
        "digest": file.digest,
        "origin": file.origin,
        "checksums": checksums,
        "metadata": dict(file.metadata),
    }


def _print(given: Sequence[JobInput]) -> None:
    columns = [Column("input"), Column("name"), Column("size", right=True), Column("digest"), Column("origin")]
    rows = [
        [printable(one.name), printable(file.name), size_text(file.size), file.digest[:_DIGITS], printable(file.origin)]
        for one in given
        for file in one.files
    ]
    print_table(columns, rows)


def _map(words: list[str], remove: list[str], *, json: bool) -> int:
    file = substitutes_file(settings_file(os.environ))
    entries = dict(load_substitutes(file).entries)
    if remove:
        if words:
            raise usage_error("`--remove` and OLD NEW exclude each other")
        for old in remove:
            if entries.pop(old, None) is None:
                raise usage_error(f"`{printable(old)}` is not in the map", hint=did_you_mean(old, entries))
        save_substitutes(file, Substitutes(entries))
    elif len(words) == 2:
        old, new = check_entry(words[0], words[1], Path.cwd())
        entries[old] = new
        save_substitutes(file, Substitutes(entries))
        say(f"`{old}` is taken from `{public(new)}` from now on")
    elif words:
        raise usage_error("the map wants two addresses", hint="write `mlrun inputs map OLD NEW`")
    else:
        _show(entries, file, json=json)
    return ExitCode.OK


def _show(entries: dict[str, str], file: Path, *, json: bool) -> None:
    shown = {old: public(new) for old, new in sorted(entries.items())}
    if json:
        print_json(shown)
    elif shown:
        print_table(
            [Column("address"), Column("taken from")], [[printable(old), printable(new)] for old, new in shown.items()]
        )
    else:
        say(f"the map is empty: `mlrun inputs map OLD NEW` writes it into {file}")
