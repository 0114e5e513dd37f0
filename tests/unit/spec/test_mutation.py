"""Mutants of the valid examples: whatever a file says, it is understood or refused with a place, and quickly."""

import os
import random
import time
from pathlib import Path

from runner.errors import MlrunError
from runner.spec.command import build_script
from runner.spec.lint import lint
from runner.spec.project import parse_project, select_pipeline, select_step
from runner.spec.report import problem_to_json, render_problem
from runner.spec.source import source_lines
from runner.spec.wiring import pipeline_problems

EXAMPLES = Path(__file__).parents[2] / "examples"
MUTANTS = int(os.environ.get("MLRUN_MUTANTS", "1000"))
SEED = int(os.environ.get("MLRUN_SEED", "20240229"))
ODD = [
    "null", "~", "[]", "{}", "0", "-1", '""', "true", ".nan", "1e999", "- a", "a: b", "*x", "&x", "<<: *x", "!!int x",
    "!!binary x", "2001-99-99", "9" * 500, "[[[[", "{a: ", "|\n  x", "'", '"', "\t", "\0", "\x1b", "é", "日本", "...",
    "---", "%", "@", "`", "#", "a.b", "a.b.c", "a.output.*", "{parameters}", "{parameter:epochs}", "$(", "<<EOF",
]  # fmt: skip


def mutate(text: str, chance: random.Random) -> str:
    """One to three changes of lines, words or characters."""
    for _ in range(chance.randint(1, 3)):
        lines = text.split("\n")
        at = chance.randrange(len(lines))
        match chance.randrange(8):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, lines[chance.randrange(len(lines))])
            case 2:
                lines[at] = " " * chance.randrange(9) + lines[at].lstrip()
            case 3:
                lines[at] = lines[at].partition(":")[0] + ": " + chance.choice(ODD)
            case 4:
                cut = chance.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:cut] + chance.choice(ODD) + lines[at][cut:]
            case 5:
                words = lines[at].split(" ")
                words[chance.randrange(len(words))] = chance.choice(ODD)
                lines[at] = " ".join(words)
            case 6:
                other = chance.randrange(len(lines))
                lines[at], lines[other] = lines[other], lines[at]
            case 7:
                cut = chance.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:cut] + lines[at][cut + 1 :]
        text = "\n".join(lines)
    return text


def use_everything(data: bytes) -> None:
    """All that the commands do with a file, short of running it."""
    project = parse_project(data, "f.yaml")
    lines = source_lines(data)
    for problem in lint(project):
        assert problem.location.line >= 1
        assert problem.location.column >= 1
        assert render_problem(problem, lines).replace("\n", "").isprintable()
        problem_to_json(problem)
    for name in [*project.steps, "train", "x"]:
        try:
            step = select_step(project, name)
            build_script(step, {})
        except MlrunError as error:
            assert error.message
    for name in [*project.pipelines, "p"]:
        try:
            pipeline_problems(project, select_pipeline(project, name), strict=True)
        except MlrunError as error:
            assert error.message


def test_no_mutant_gives_a_traceback_or_takes_a_second() -> None:
    print(f"seed {SEED}, {MUTANTS} mutants")
    chance = random.Random(SEED)
    originals = [path.read_bytes().decode("utf-8-sig") for path in sorted(EXAMPLES.glob("[vw]a*/*.yaml"))]
    for number in range(MUTANTS):
        text = mutate(chance.choice(originals), chance)
        start = time.process_time()
        try:
            use_everything(text.encode())
        except Exception as error:
            raise AssertionError(f"mutant {number} of seed {SEED}:\n{text}") from error
        assert time.process_time() - start < 1, f"mutant {number} of seed {SEED}:\n{text}"
