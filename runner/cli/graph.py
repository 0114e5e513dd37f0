"""`mlrun graph`: pictures of pipelines."""

import errno
import importlib
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from runner.app.place import locate
from runner.app.verdict import find_problems
from runner.cli.cell import counted
from runner.cli.terminal import paint, put
from runner.drawing import text
from runner.drawing.graph import draw
from runner.drawing.model import Drawing
from runner.drawing.sketch import sketch
from runner.errors import ExitCode, MlrunError, Severity, did_you_mean, spec_error, usage_error
from runner.escape import printable
from runner.settings import cache_folder
from runner.spec.model import Pipeline, Project
from runner.spec.project import load_project, parse_project, select_pipeline
from runner.spec.source import MAX_BYTES

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun graph

  mlrun graph "Training Pipeline" -o pipeline.svg

  mlrun graph training --format mermaid

  git show HEAD:valohai.yaml | mlrun graph -"""

FORMATS = ("text", "mermaid", "dot", "svg", "json")

SUFFIXES = {
    ".txt": "text",
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
    ".dot": "dot",
    ".gv": "dot",
    ".svg": "svg",
    ".json": "json",
}


@app.command(epilog=EXAMPLES)
def show(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[PIPELINE]",
            help="A pipeline of the file: its name or a unique start of it. Default: all of them; `svg` takes one.",
        ),
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", metavar="F", help="text (the default), mermaid, dot, svg or json.")
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write to this file; its suffix chooses the format."),
    ] = None,
    yaml: Annotated[
        str | None,
        typer.Option("--yaml", metavar="FILE", help="Use this file instead of `valohai.yaml`; `-` is standard input."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The same as `--format json`.")] = False,
) -> int:
    """Show the graph of a pipeline: nodes with step, image and fan-out, edges with kind and key.

    A file with errors is shown too, as far as it can be understood.
    """
    if name == "-" and yaml is None:
        name, yaml = None, "-"
    chosen = _format("json" if json else form, output)
    project = _load(yaml)
    sketched = sketch(project)
    pipelines = _choose(sketched, name, chosen)
    page = _render([draw(sketched, pipeline) for pipeline in pipelines], chosen, to_file=output not in (None, "-"))
    if output is None or output == "-":
        print(page)
    else:
        _write(Path(output), page)
    _tell_errors(project, pipelines)
    return ExitCode.OK


def _format(form: str | None, output: str | None) -> str:
    """The format that is asked for, by word or by the suffix of a file. Raises MlrunError (code USAGE)."""
    if form is not None:
        if form not in FORMATS:
            raise usage_error(f"there is no format `{form}`", hint=did_you_mean(form, FORMATS))
        return form
    if output is None or output == "-":
        return "text"
    suffix = Path(output).suffix.lower()
    if suffix not in SUFFIXES:
        hint = f"name it with {', '.join(f'`{known}`' for known in SUFFIXES)}, or give `--format`"
        raise usage_error(f"the suffix of `{output}` is of no known format", hint=hint)
    return SUFFIXES[suffix]


def _load(yaml: str | None) -> Project:
    if yaml != "-":
        place = locate(Path.cwd(), yaml)
        return load_project(place.file, place.shown)
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise MlrunError(f"standard input has more than {MAX_BYTES >> 20} MiB", code=ExitCode.SPEC)
    return parse_project(data, "<stdin>")


def _choose(project: Project, name: str | None, form: str) -> list[Pipeline]:
    """The pipelines that are meant; a picture has place for one."""
    if name is not None:
        return [select_pipeline(project, name)]
    for kind, _, problem in project.broken:
        if kind == "file":
            raise spec_error(problem.message, problem.location, problem.hint)
    found = list(project.pipelines.values())
    if not found:
        raise MlrunError(f"`{project.file}` has no pipeline", code=ExitCode.SPEC, hint="a graph needs `- pipeline:`")
    if form == "svg" and len(found) > 1:
        hint = did_you_mean("", project.pipelines)
        raise usage_error(f"a picture shows one pipeline, and `{project.file}` has {len(found)}: name one", hint)
    return found


def _render(drawings: Sequence[Drawing], form: str, *, to_file: bool) -> str:
    if form == "text":
        return _render_text(drawings, to_file=to_file)
    # Only the writer of the format that is asked for.
    if form == "json":
        document = importlib.import_module("runner.drawing.document")
        return json.dumps({"pipelines": [document.to_json(drawing) for drawing in drawings]}, indent=2)
    writer = importlib.import_module(f"runner.drawing.{form}")
    if form == "mermaid" and len(drawings) > 1:
        return str(writer.render_all(drawings))
    return "\n\n".join(writer.render(drawing) for drawing in drawings)


def _render_text(drawings: Sequence[Drawing], *, to_file: bool) -> str:
    if to_file:
        return "\n\n".join(text.render(drawing) for drawing in drawings)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None

    def painted(piece: str, code: str) -> str:
        return paint(piece, code, sys.stdout) if code else piece

    return "\n\n".join(text.render(drawing, width, ascii=not _can_draw(), paint=painted) for drawing in drawings)


def _can_draw() -> bool:
    """Whether the letters of the output have the signs of a drawing."""
    try:
        "●│┆├╰─→×−…".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page + "\n", encoding="utf-8", errors="backslashreplace")
    except ValueError:
        raise usage_error(f"`{path}` is no name of a file", hint="name another one with `-o`") from None
    except OSError as error:
        code = ExitCode.DISK if error.errno in {errno.ENOSPC, errno.EDQUOT} else ExitCode.USAGE
        message = f"`{path}` cannot be written: {error.strerror}"
        raise MlrunError(message, code=code, hint="name another file with `-o`") from None


def _tell_errors(project: Project, pipelines: Sequence[Pipeline]) -> None:
    """One line for each pipeline that has errors: what is shown may lack something."""
    found = find_problems(project.data, project.file, cache_folder())
    errors = [problem for problem in found if problem.severity is Severity.ERROR]
    if not errors:
        return
    lint = importlib.import_module("runner.spec.lint")
    told = False
    for pipeline in pipelines:
        within = lint.problems_within(project, errors, pipeline)
        if within:
            first = within[0]
            put(
                f"{printable(str(first.location))}: {paint('warning:', '33', sys.stderr)} pipeline "
                f"`{printable(pipeline.name)}` has {counted(len(within), 'error')}, "
                f"{'the first' if len(within) > 1 else 'it'} is: {printable(first.message)}",
                sys.stderr,
            )
            told = True
    if told:
        put(f"{paint('hint:', '36', sys.stderr)} `mlrun lint` shows all errors with their lines", sys.stderr)
