"""`mlrun yaml`: write parts of the YAML file from Python. `step` takes them from calls of `valohai.prepare`."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from runner.app.place import FILE_NAME
from runner.cli.patch import show_patch
from runner.cli.rewrite import rewrite_file
from runner.cli.terminal import say
from runner.errors import ExitCode, usage_error
from runner.escape import printable
from runner.provenance.git import find_repository
from runner.spec.file import Wanted, read_file
from runner.spec.prepare import Written, write_step
from runner.spec.project import read_bytes
from runner.spec.script import MAX_NOTEBOOK_BYTES, read_script

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun yaml step train.py

  mlrun yaml step --dry-run preprocess.py train.py

  mlrun yaml step explore.ipynb"""


@app.callback(epilog=EXAMPLES)
def yaml() -> None:
    """Write parts of the project's YAML file from Python code, which is read and never run.

    `mlrun yaml step FILE.py` writes or updates a step from a script that calls `valohai.prepare`.
    """


@app.command(epilog=EXAMPLES)
def step(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Python scripts or Jupyter notebooks.")],
    yaml: Annotated[
        str | None, typer.Option("--yaml", metavar="F", help="Another YAML file than the project's.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would change as a diff, write nothing.")
    ] = False,
) -> int:
    """Write the step of a script that calls `valohai.prepare`, or bring it up to date; the rest of the file stays.

    A step that is there keeps what was written by hand: its commands, descriptions, comments, order and other fields.
    Defaults follow the script. Without a YAML file one is made.
    """
    target = _target(yaml)
    before = read_bytes(target.file, target.shown) if os.path.lexists(target.file) else None
    data = before or b""
    written = []
    for name in dict.fromkeys(files):
        written.append(write_step(data, target.shown, read_script(_read(name), name), target.inside(name)))
        data = written[-1].data
    if dry_run:
        show_patch(before or b"", data, "/dev/null" if before is None else target.shown, target.shown)
    elif data != before:
        rewrite_file(target.file, before, data)
    _tell(written, target, dry_run)
    return ExitCode.OK


@dataclass(frozen=True, slots=True)
class _Target:
    """A YAML file, which may not exist yet, and the project folder in which its commands run."""

    file: Path
    root: Path
    shown: str

    def inside(self, name: str) -> str:
        """The path of a script from the project folder, as a command names it. Raises MlrunError (USAGE)."""
        script = Path(os.path.realpath(Path(name).parent)) / Path(name).name
        if not script.is_relative_to(self.root):
            message = f"`{name}` lies outside the project `{self.root}`"
            raise usage_error(message, hint="a step runs a file of its project")
        path = script.relative_to(self.root).as_posix()
        return path if "/" in path else f"./{path}"


def _target(yaml: str | None) -> _Target:
    """The nearest `valohai.yaml` upwards, not beyond the repository; else the place where it belongs."""
    here = Path.cwd()
    repository = find_repository(here)
    top = Path(os.path.realpath(repository.root)) if repository else None
    if yaml is not None:
        file = here / yaml
    else:
        folders = [folder for folder in (here, *here.parents) if top and folder.is_relative_to(top)] or [here]
        found = (folder / FILE_NAME for folder in folders if os.path.lexists(folder / FILE_NAME))
        file = next(found, (top or here) / FILE_NAME)
    folder = Path(os.path.realpath(file.parent))
    root = top if top and folder.is_relative_to(top) else folder
    return _Target(file, root, os.path.relpath(file))


def _read(name: str) -> bytes:
    """The bytes of a script. Raises MlrunError (USAGE)."""
    if not name.endswith((".py", ".ipynb")):
        raise usage_error(f"`{name}` is neither a Python script nor a notebook", hint="it ends in `.py` or `.ipynb`")
    return read_file(Path(name), name, _SCRIPT)


_SCRIPT = Wanted(
    most=MAX_NOTEBOOK_BYTES,
    code=ExitCode.USAGE,
    other="name a Python script or notebook",
    missing="name a Python script or notebook",
    large="this is no script; of a notebook, clear its outputs",
)


def _tell(written: Sequence[Written], target: _Target, dry_run: bool) -> None:
    """One line for each step, and what its script does not have."""
    for one in written:
        step, what = f"{target.shown}: step `{one.step}`", ", ".join(one.changes)
        if one.added:
            say(printable(f"{step} {'would be' if dry_run else 'is'} added"))
        elif what:
            say(printable(f"{step} {'would change' if dry_run else 'changed'}: {what}"))
        else:
            say(printable(f"{step} is up to date"))
        if one.left:
            say(printable(f"note: kept, though the script of `{one.step}` has no such thing: {', '.join(one.left)}"))
