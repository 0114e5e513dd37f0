"""Files made to hurt: bounded time and memory, a located error, never the end of the interpreter.

Every file is read by a process of its own with limits, by the library and by the installed command.
"""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COMMAND = Path(sysconfig.get_path("scripts")) / "mlrun"
SECONDS = 10
MEGABYTES = 250
LIMITED = ("/bin/sh", "-c", f'ulimit -t {SECONDS} && ulimit -d {MEGABYTES << 10} && exec "$@"', "limited")

CHECK = """
import json, sys
from runner.spec.lint import lint
from runner.spec.project import parse_project
from runner.spec.report import render_problem
from runner.spec.source import source_lines
data = sys.stdin.buffer.read()
problems = lint(parse_project(data, "f"))
lines = source_lines(data)
text = [render_problem(problem, lines) for problem in problems[:50]]
print(json.dumps([sorted({problem.code for problem in problems}), max(map(len, text), default=0)]))
"""


def read_by(*command: str | Path, data: bytes, folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Run a program that reads `data`, under the limits, in an empty folder that must stay empty."""
    here = folder / "here"
    here.mkdir()
    done = subprocess.run(
        [*LIMITED, *map(str, command)], input=data, capture_output=True, cwd=here, timeout=120, check=False,
        env={"PYTHONPATH": str(ROOT), "HOME": str(folder), "PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert list(here.iterdir()) == []
    return done


def aliases(levels: int) -> str:
    lines = ["- &a0 [" + ",".join("x" * 10) + "]"]
    lines += [f"- &a{n} [" + ",".join([f"*a{n - 1}"] * 10) + "]" for n in range(1, levels)]
    return "\n".join(lines)


def merges(levels: int) -> str:
    lines = ["- &a0 {" + ",".join(f"k{n}: 1" for n in range(10)) + "}"]
    lines += [f"- &a{n} {{<<: [" + ",".join([f"*a{n - 1}"] * 10) + "]}" for n in range(1, levels)]
    return "\n".join(lines)


STEP = "- step:\n    name: {}\n    image: b\n    command: {}\n"


def step(name: str = "a", command: str = "c", more: str = "") -> str:
    return STEP.format(name, command) + more


PARAMETER = "    parameters: [{{name: p, type: integer, default: '{}'}}]\n"
NODE = "      - {{name: n{0}, type: execution, step: stpe-nmuber-{0}}}\n"
CLOSE_NAMES = (
    "".join(step(f"step-number-{n}") for n in range(2000))
    + "- pipeline:\n    name: p\n    edges: []\n    nodes:\n"
    + "".join(NODE.format(n) for n in range(20))
)
WIDE = "- &a {" + ",".join(f"k{n}: 1" for n in range(5000)) + "}\n" + "- {<<: *a}\n" * 5000


def ring(size: int) -> str:
    nodes = "".join(f"      - {{name: n{n}, type: execution, step: a}}\n" for n in range(size))
    edges = "".join(f"      - [n{n}.output.x, n{(n + 1) % size}.input.i]\n" for n in range(size))
    return step(more="    inputs: [{name: i}]\n") + f"- pipeline:\n    name: p\n    nodes:\n{nodes}    edges:\n{edges}"


def loops(size: int) -> str:
    return (
        step(more="    inputs: [{name: i}]\n")
        + "- pipeline:\n    name: p\n    nodes: [{name: n, type: execution, step: a}]\n    edges:\n"
        + "      - [n.output.x, n.input.i]\n" * size
    )


def patterns(size: int) -> str:
    nodes = "[{name: m, type: execution, step: a}, {name: n, type: execution, step: a}]"
    return (
        step(more="    inputs: [{name: i}]\n")
        + f"- pipeline:\n    name: p\n    nodes: {nodes}\n    edges:\n"
        + f"      - [m.input.{'*a' * 30}b, n.input.i]\n" * size
    )


FILES: dict[str, tuple[str | bytes, str | None]] = {
    "9 levels of aliases": (aliases(9), "too-large"),
    "12 levels of merges": (merges(12), None),
    "merges of wide mappings": (WIDE, "too-large"),
    "100,000 open brackets": ("[" * 100_000, "too-deep"),
    "1,000,000 open brackets": ("[" * 1_000_000, "too-deep"),
    "100,000 open braces": ("{a: " * 100_000, "too-deep"),
    "1,000 nested blocks": ("\n".join(" " * n + "a:" for n in range(1000)), "too-deep"),
    "100,000 dashes": ("- " * 100_000, "too-deep"),
    "100,000 question marks": ("? " * 100_000, "yaml-key"),
    "99 levels": ("- " + "[" * 98 + "]" * 98, "not-a-mapping"),
    "200,000 keys": ("- {" + ",".join(f"k{n}: 1" for n in range(200_000)) + "}", "too-large"),
    "100,000 items": ("- a\n" * 100_000, "not-a-mapping"),
    "100,000 unknown keys": (step(more="".join(f"    k{n}: 1\n" for n in range(100_000))), "unknown-key"),
    "100,000 equal keys": (step(more="    x: 1\n" * 100_000), "duplicate-key"),
    "many tag directives": ("".join(f"%TAG !a{n}! b\n" for n in range(50_000)) + "--- a", "too-large"),
    "a tag of a megabyte": ("!" + "a" * 1_000_000 + " x", "yaml-tag"),
    "a name of a megabyte": (step("x" * 1_000_000) * 2, "duplicate-name"),
    "a name that is no text": (step("[" + "a," * 1000 + "]"), "wrong-type"),
    "digits": ("- " + "9" * 1_000_000, "yaml-value"),
    "a command of braces": (step(command="'" + "{" * 100_000 + "}'"), None),
    "a command of placeholders": (step(command="'" + "{parameter:x} " * 20_000 + "'"), "unknown-placeholder"),
    "a duration of digits": (step(more="    time-limit: " + "1h" * 100_000 + "\n"), None),
    "a default of a megabyte": (step(more=PARAMETER.format("x" * 1_000_000)), "bad-default"),
    "5 megabytes": ("# " * 2_500_000, "too-large"),
    "binary": (bytes(range(256)) * 1000, "encoding"),
    "python objects": ("- !!python/object/apply:os.system ['touch executed']", "yaml-tag"),
    "many close names": (CLOSE_NAMES, "unknown-step"),
}


IMAGE = "- step: {{name: a, image: '{}', command: c}}"
FILES |= {
    "a ring of 10,000 nodes": (ring(10_000), "cycle"),
    "10,000 edges of a node to itself": (loops(10_000), "cycle"),
    "an image of a megabyte": (IMAGE.format("a-" * 500_000), "bad-image"),
    "an image of dots": (IMAGE.format("a." * 50_000 + "!"), "bad-image"),
    "a stop-condition of brackets": (step(more="    stop-condition: '" + "(" * 100_000 + "'\n"), "bad-condition"),
    "a stop-condition of a sum": (step(more="    stop-condition: '" + "a+" * 50_000 + "a > 1'\n"), "bad-condition"),
    "a pass-as of braces": (
        step(more="    parameters: [{name: p, pass-as: '" + "{" * 99_999 + "'}]\n"),
        "bad-pass-as",
    ),
    "a command of other placeholders": (
        step(command="'" + "".join(f"{{parameter:x{n}}}" for n in range(30_000)) + "'"),
        "unknown-placeholder",
    ),
    "a command of quotes": (step(command='"' + "'" * 100_000 + '"'), None),
    "a command of substitutions": (step(command="'" + "$(" * 50_000 + "'"), None),
    "2,000 patterns of edges": (patterns(2000), "dangling-edge"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_costs_little_and_is_named(name: str, tmp_path: Path) -> None:
    text, code = FILES[name]
    data = text if isinstance(text, bytes) else text.encode()
    done = read_by(sys.executable, "-c", CHECK, data=data, folder=tmp_path)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    codes, longest = json.loads(done.stdout)
    assert longest < 5000
    assert code is None or code in codes


@pytest.mark.e2e
@pytest.mark.parametrize("name", FILES)
def test_the_command_survives_a_hostile_file(name: str, tmp_path: Path) -> None:
    text, _ = FILES[name]
    done = read_by(COMMAND, "lint", "-", data=text if isinstance(text, bytes) else text.encode(), folder=tmp_path)
    assert done.returncode in {0, 10}, done.stderr.decode()[-2000:]
    said = (done.stdout + done.stderr).decode()
    assert "Traceback" not in said
    assert "bug" not in done.stderr.decode()
    assert said.replace("\n", "").isprintable()


def test_the_limits_of_these_tests_do_end_a_process(tmp_path: Path) -> None:
    """Else the tests above could not fail."""
    done = read_by(sys.executable, "-c", f"bytearray({MEGABYTES + 50} << 20)", data=b"", folder=tmp_path)
    assert b"MemoryError" in done.stderr
