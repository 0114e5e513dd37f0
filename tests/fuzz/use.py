"""All that the commands do with a file, short of running it. Raises AssertionError, or whatever is a bug."""

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from runner.change import document, markdown
from runner.change.report import compare_projects
from runner.cli import graph
from runner.cli.finding import Format
from runner.cli.main import run
from runner.errors import ExitCode, MlrunError
from runner.spec.check.pipeline import pipeline_problems
from runner.spec.command import build_script
from runner.spec.fix import repair
from runner.spec.lint import lint
from runner.spec.project import parse_project, select_pipeline, select_step
from runner.spec.report import problem_to_json, render_problem
from runner.spec.source import source_lines

EXAMPLE = Path(__file__).parents[1] / "examples" / "valid" / "pipeline-every-node.yaml"
OTHER = parse_project(EXAMPLE.read_bytes(), "f.yaml")
"""What a mutant is compared with."""

SHOWN = 100
"""Problems of one file that are also rendered; a bad file can have thousands."""


def use(data: bytes) -> None:
    """Lint a file, mend it, draw it, compare it with another, and ask it for every step and pipeline."""
    project = parse_project(data, "f.yaml")
    lines = source_lines(data)
    for problem in lint(project)[:SHOWN]:
        assert problem.location.line >= 1
        assert problem.location.column >= 1
        assert render_problem(problem, lines).replace("\n", "").isprintable()
        problem_to_json(problem)
    for name in [*project.steps, "train", "x", ""]:
        try:
            build_script(select_step(project, name), {})
        except MlrunError as error:
            assert error.message
    for name in [*project.pipelines, "p"]:
        try:
            pipeline_problems(project, select_pipeline(project, name), strict=True)
        except MlrunError as error:
            assert error.message
    mended = repair(data, "f.yaml").data
    assert repair(mended, "f.yaml").data == mended, "mending twice changes more than mending once"
    for sides in ((OTHER, project), (project, OTHER)):
        change = compare_projects(*sides)
        assert markdown.render(change, file="f.yaml", base="a", head="b").replace("\n", "").isprintable()
        json.dumps(document.change_to_json(change, file="f.yaml", base={}, head={}), allow_nan=False)
    for form in Format:
        command(["lint", "--strict", "--format", form, "-"], data, {ExitCode.OK, ExitCode.SPEC, ExitCode.STRICT})
    for form in graph.Format:
        command(["graph", "--format", form, "-"], data, {ExitCode.OK, ExitCode.SPEC, ExitCode.USAGE})


def command(arguments: Sequence[str], data: bytes, allowed: set[ExitCode]) -> None:
    """Run a command with `data` on its standard input; its exit code is an allowed one and its output is harmless."""
    kept = sys.stdin, sys.stdout, sys.stderr
    said = io.StringIO()
    sys.stdin, sys.stdout, sys.stderr = io.TextIOWrapper(io.BytesIO(data)), said, said
    try:
        code = run(list(arguments))
    finally:
        sys.stdin, sys.stdout, sys.stderr = kept
    assert code in allowed, f"{' '.join(arguments)} → {code}: {said.getvalue()[-500:]}"
    assert said.getvalue().replace("\n", "").isprintable(), f"{' '.join(arguments)} prints control characters"
