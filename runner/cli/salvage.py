"""Outputs of what nobody records: delivered before they are thrown away, and never lost to a name that is taken."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from runner.app.overlay import Overlay, Take
from runner.cli.delivery import deliver
from runner.cli.terminal import say
from runner.errors import MlrunError, usage_error
from runner.escape import printable
from runner.spec.phrase import counted
from runner.store.record import OutputFile

Force = Annotated[bool, typer.Option("--force", help="With -d, replace files in that folder.")]


def check_folder(folder: str | None, *, force: bool) -> None:
    """Refuse early what could not be copied into later. Raises MlrunError (code USAGE)."""
    if folder is None:
        if force:
            raise usage_error("`--force` needs `-d DIR`", hint="name the folder to copy into")
        return
    path, shown = Path(folder), printable(folder)
    try:
        if path.exists() and not path.is_dir():
            raise usage_error(f"`{shown}` is not a folder", hint="name one, or one that does not exist yet")
        if not force and path.is_dir() and any(path.iterdir()):
            raise usage_error(f"`{shown}` is not empty", hint="`--force` replaces files in it")
    except OSError as error:
        raise usage_error(f"cannot write into `{shown}`: {error.strerror}", hint="name another folder") from None


def salvage(folder: str | None, *, force: bool, purpose: str) -> Take:
    """Copies outputs into `folder`, or into a new temporary one that it names, for which `purpose` is part of the name.

    What cannot be copied there is copied into a temporary folder, and then an error is raised that names it.
    """

    def take(objects: Overlay, outputs: Sequence[OutputFile]) -> None:
        if not outputs:
            return
        place = Path(folder) if folder is not None else Path(tempfile.mkdtemp(prefix=f"mlrun-{purpose}-"))
        try:
            delivered = deliver(objects, outputs, place, force=force)
        except MlrunError as error:
            spare = Path(tempfile.mkdtemp(prefix=f"mlrun-{purpose}-"))
            deliver(objects, outputs, spare, force=False)
            raise MlrunError(error.message, code=error.code, hint=f"the outputs are in `{spare}`") from error
        count = len(delivered.copied) + len(delivered.unchanged)
        say(f"outputs: {counted(count, 'file')} in {printable(str(place))}")

    return take
