"""`mlrun schema`: print the JSON Schema of `valohai.yaml`, for editors and other validators."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from runner.cli.rewrite import rewrite_file
from runner.errors import ExitCode, MlrunError
from runner.spec.schema import schema_text

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun schema

  mlrun schema -o .valohai.schema.json"""


@app.command(epilog=EXAMPLES)
def schema(
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write it to FILE.")] = None,
) -> int:
    """Print the JSON Schema (draft 2020-12) that `mlrun lint` checks files against."""
    text = schema_text()
    if output is None:
        sys.stdout.write(text)
        return ExitCode.OK
    before = _content(output)
    if before != text.encode():
        rewrite_file(output, before, text.encode())
    return ExitCode.OK


def _content(path: Path) -> bytes | None:
    """What a file holds; None for one that is not there yet. Raises MlrunError (USAGE)."""
    try:
        return path.read_bytes() if path.is_file() else None
    except OSError as error:
        raise MlrunError(f"`{path}` cannot be written: {error.strerror}", code=ExitCode.USAGE) from None
