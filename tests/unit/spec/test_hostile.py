"""Files made to hurt: bounded time and memory, a located error, never the end of the interpreter."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

CHECK = """
import json, resource, sys, time
from runner.spec.lint import lint
from runner.spec.project import parse_project
from runner.spec.report import render_problem
from runner.spec.source import source_lines
data = sys.stdin.buffer.read()
lint(parse_project(b"[]", "f"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.process_time()
problems = lint(parse_project(data, "f"))
took = time.process_time() - start
lines = source_lines(data)
text = [render_problem(problem, lines) for problem in problems[:50]]
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(json.dumps([took, grown // 1024, [problem.code for problem in problems[:50]], max(map(len, text), default=0)]))
"""


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


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_costs_little_and_is_named(name: str, tmp_path: Path) -> None:
    text, code = FILES[name]
    data = text if isinstance(text, bytes) else text.encode()
    done = subprocess.run(
        [sys.executable, "-c", CHECK], input=data, capture_output=True, cwd=tmp_path, timeout=60,
        env={"PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()[-2000:]

    took, grown, codes, longest = json.loads(done.stdout)
    assert took < 5, f"{took} s"
    assert grown < 250, f"{grown} MB"
    assert longest < 5000
    assert code is None or code in codes
    assert list(tmp_path.iterdir()) == []
