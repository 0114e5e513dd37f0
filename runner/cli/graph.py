"""`mlrun graph`: pictures of pipelines."""

import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from runner.app.place import locate
from runner.app.verdict import find_problems
from runner.cli.stdin import STDIN, read_stdin
from runner.cli.table import choose, terminal_width
from runner.cli.terminal import can_draw, paint, show_hint, show_warning
from runner.drawing import document, dot, mermaid, svg, text
from runner.drawing.graph import draw
from runner.drawing.model import Drawing
from runner.drawing.sketch import sketch
from runner.errors import ExitCode, MlrunError, Severity, did_you_mean, spec_error, usage_error, write_code
from runner.settings import cache_folder
from runner.spec.model import Pipeline, Project
from runner.spec.phrase import counted
from runner.spec.project import load_project, parse_project, select_pipeline

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun graph

  mlrun graph "Training Pipeline" -o pipeline.svg

  mlrun graph training --format mermaid

  git show HEAD:valohai.yaml | mlrun graph -"""


class Format(StrEnum):
    """What a graph is drawn as."""

    TEXT = "text"
    MERMAID = "mermaid"
    DOT = "dot"
    SVG = "svg"
    JSON = "json"


SUFFIXES = {
    ".txt": Format.TEXT,
    ".mmd": Format.MERMAID,
    ".mermaid": Format.MERMAID,
    ".dot": Format.DOT,
    ".gv": Format.DOT,
    ".svg": Format.SVG,
    ".json": Format.JSON,
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
    if chosen is Format.MERMAID:
        _tell_excess(sketched, pipelines, page)
    _tell_errors(project, pipelines)
    return ExitCode.OK


def _format(form: str | None, output: str | None) -> Format:
    """The format that is asked for, by word or by the suffix of a file. Raises MlrunError (code USAGE)."""
    if form is not None:
        return choose(Format, form, "format")
    if output is None or output == "-":
        return Format.TEXT
    suffix = Path(output).suffix.lower()
    if suffix not in SUFFIXES:
        hint = f"name it with {', '.join(f'`{known}`' for known in SUFFIXES)}, or give `--format`"
        raise usage_error(f"the suffix of `{output}` is of no known format", hint=hint)
    return SUFFIXES[suffix]


def _load(yaml: str | None) -> Project:
    if yaml != "-":
        place = locate(Path.cwd(), yaml)
        return load_project(place.file, place.shown)
    return parse_project(read_stdin(), STDIN)


def _choose(project: Project, name: str | None, form: Format) -> list[Pipeline]:
    """The pipelines that are meant; a picture has place for one."""
    if name is not None:
        return [select_pipeline(project, name)]
    for kind, _, problem in project.broken:
        if kind == "file":
            raise spec_error(problem.message, problem.location, problem.hint)
    found = list(project.pipelines.values())
    if not found:
        raise MlrunError(f"`{project.file}` has no pipeline", code=ExitCode.SPEC, hint="a graph needs `- pipeline:`")
    if form is Format.SVG and len(found) > 1:
        hint = did_you_mean("", project.pipelines)
        raise usage_error(f"a picture shows one pipeline, and `{project.file}` has {len(found)}: name one", hint)
    return found


def _render(drawings: Sequence[Drawing], form: Format, *, to_file: bool) -> str:
    match form:
        case Format.TEXT:
            return _render_text(drawings, to_file=to_file)
        case Format.JSON:
            return json.dumps({"pipelines": [document.to_json(drawing) for drawing in drawings]}, indent=2)
        case Format.MERMAID:
            return mermaid.render_all(drawings) if len(drawings) > 1 else mermaid.render(drawings[0])
        case Format.DOT:
            return "\n\n".join(map(dot.render, drawings))
        case Format.SVG:
            return "\n\n".join(map(svg.render, drawings))


def _render_text(drawings: Sequence[Drawing], *, to_file: bool) -> str:
    if to_file:
        return "\n\n".join(text.render(drawing) for drawing in drawings)

    def painted(piece: str, code: str) -> str:
        return paint(piece, code, sys.stdout) if code else piece

    return "\n\n".join(
        text.render(drawing, terminal_width(sys.stdout), ascii=not can_draw(sys.stdout), paint=painted)
        for drawing in drawings
    )


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page + "\n", encoding="utf-8", errors="backslashreplace")
    except ValueError:
        raise usage_error(f"`{path}` is no name of a file", hint="name another one with `-o`") from None
    except OSError as error:
        message = f"`{path}` cannot be written: {error.strerror}"
        raise MlrunError(message, code=write_code(error), hint="name another file with `-o`") from None


def _tell_excess(project: Project, pipelines: Sequence[Pipeline], page: str) -> None:
    """One line if a flowchart is more than most viewers draw: it is written all the same, for some draw more."""
    more = mermaid.excess([draw(project, pipeline) for pipeline in pipelines], page)
    if more is not None:
        limits = f"{mermaid.MAX_EDGES} edges and {mermaid.MAX_CHARACTERS:,} characters"
        show_warning(f"the flowchart has {more}: viewers such as GitHub show at most {limits}")
        show_hint("name one pipeline, or take `--format svg`")


def _tell_errors(project: Project, pipelines: Sequence[Pipeline]) -> None:
    """One line for each pipeline that has errors: what is shown may lack something."""
    found = find_problems(project.data, project.file, cache_folder())
    errors = [problem for problem in found if problem.severity is Severity.ERROR]
    if not errors:
        return
    # Loaded for a file that has errors.
    from runner.spec.lint import problems_within

    told = False
    for pipeline, within in zip(pipelines, problems_within(project, errors, pipelines), strict=True):
        if within:
            first, count = within[0], counted(len(within), "error")
            said = f"{'the first' if len(within) > 1 else 'it'} is: {first.message}"
            show_warning(f"pipeline `{pipeline.name}` has {count}, {said}", first.location)
            told = True
    if told:
        show_hint("`mlrun lint` shows all errors with their lines")
