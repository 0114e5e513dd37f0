"""`mlrun export`: what became of a run, as a document that other tools read and check."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from runner.app.export import export, write_folder
from runner.cli.bundling import SUMMARY, export_bundle
from runner.cli.subject import SUBJECT_HELP, Found, find
from runner.cli.terminal import say
from runner.errors import ExitCode, MlrunError, did_you_mean, usage_error, write_code
from runner.escape import printable
from runner.export import FORMATS
from runner.export.document import Folder
from runner.settings import load_settings
from runner.spec.phrase import counted
from runner.state import FINAL
from runner.store.durable import replace_file
from runner.store.store import Store

app = typer.Typer(rich_markup_mode=None, add_completion=False)

BUNDLE = "bundle"
"""No document, but the run itself."""
SIGNED = "slsa"
"""What is compared with the record again, word by word."""

_LIST = "; ".join([*(f"{name}: {form.summary}" for name, form in FORMATS.items()), f"{BUNDLE}: {SUMMARY}"])

EXAMPLES = """Examples:

  mlrun export run:5 --format ro-crate -o results.zip

  mlrun export run:latest --format openlineage

  mlrun export 12 --format cyclonedx -o model.cdx.json"""


@app.command("export", epilog=EXAMPLES)
def export_run(
    subject: Annotated[
        str, typer.Argument(metavar="[RUN|EXECUTION]", help=f"Default: the latest run. {SUBJECT_HELP}")
    ] = "run:latest",
    form: Annotated[str, typer.Option("--format", "-f", metavar="FORMAT", help=f"{_LIST}.")] = "",
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="PATH",
            help="Write to this file; what is a folder of files goes to a new folder, or into an archive if the path "
            "ends in .zip. Default: standard output, or a new folder or bundle here.",
        ),
    ] = None,
    metadata_only: Annotated[
        bool, typer.Option("--metadata-only", help="Take no files of the store along, only their digests.")
    ] = False,
    with_image: Annotated[
        bool, typer.Option("--with-image", help="Put the container images of the run into a bundle, too.")
    ] = False,
) -> int:
    """Write what the record says of a run, or of one execution, in the format of another tool.

    Every file is told with its digest; of content that was purged or removed the document says so. Secrets are told by
    name, variables only if they are about repeatability. The same record gives the same bytes.
    """
    if with_image and form != BUNDLE:
        raise usage_error("`--with-image` is about a bundle", hint=f"`--format {BUNDLE}`")
    if form == BUNDLE:
        if metadata_only:
            raise usage_error("a bundle is the files themselves", hint="leave `--metadata-only` out")
        export_bundle(_ended(subject).run, output, with_image=with_image)
        return ExitCode.OK
    if form not in FORMATS:
        what = f"there is no format `{printable(form)}`" if form else "`--format` is missing"
        raise usage_error(what, hint=did_you_mean(form, [*FORMATS, BUNDLE]))
    found = _ended(subject) if form == SIGNED else find(subject)
    made = export(found.store, found.run, found.chosen, form, metadata_only=metadata_only)
    if isinstance(made, Folder):
        if output == "-":
            raise usage_error(f"`{form}` is a folder of files", hint="`-o PATH` names a new folder or a .zip file")
        target = Path(output or made.name)
        write_folder(found.store, made, target)
        say(f"wrote {counted(len(made.files), 'file')} to {printable(str(target))}")
    elif output in (None, "-"):
        sys.stdout.flush()
        sys.stdout.buffer.write(made)
    else:
        write_file(Path(output), made)
        say(f"wrote {printable(output)}")
    return ExitCode.OK


def _ended(subject: str) -> Found:
    """What is named; the end of a run that lost its runner is written down first, for a copy has to say when it was."""
    found = find(subject)
    if found.run.state in FINAL and found.run.finished is None:
        with Store.open(load_settings().store, create=True) as store:
            store.reconcile()
        return find(subject)
    return found


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; a pipe or a device is written to. Raises MlrunError (USAGE, DISK)."""
    try:
        if path.exists() and not path.is_file():
            # A pipe or a device, whose name stays what it is.
            path.write_bytes(content)
        else:
            # Through links: what they lead to is replaced.
            replace_file(Path(os.path.realpath(path)), content, 0o666)
    except OSError as error:
        raise MlrunError(
            f"cannot write `{printable(str(path))}`: {os.strerror(error.errno or 0)}",
            code=write_code(error),
            hint="name another file with `-o PATH`",
        ) from error
