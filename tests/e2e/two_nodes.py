"""A pipeline of two nodes for the tests of reuse, changes of it, and what becomes of its nodes."""

from collections.abc import Callable
from typing import Any

YAML = """\
- step:
    name: make
    image: busybox:1
    command: python make.py {parameters}
    parameters: [{name: level, type: integer, default: 1}]
- step:
    name: use
    image: busybox:1
    command: cat $VH_INPUTS_DIR/data/made.txt use.txt > $VH_OUTPUTS_DIR/used.txt
    inputs: [{name: data}]
- pipeline:
    name: p
    nodes:
      - {name: make, type: execution, step: make}
      - {name: use, type: execution, step: use}
    edges: [[make.output.made.txt, use.input.data]]
"""
MAKE = """\
# makes
import os, sys, lib
open(os.environ['VH_OUTPUTS_DIR'] + '/made.txt', 'w').write(lib.text(sys.argv))
"""
FILES = {
    "make.py": MAKE,
    "lib.py": "def text(argv):\n    return str(len(argv))\n",
    "use.txt": "used\n",
    "README": "hello\n",
}


def two_nodes(made: Any) -> Any:
    """A project with the pipeline, run once. Only the sandbox can tell which files were read."""
    project = made(YAML, FILES, MLRUN_EXECUTOR="sandbox")
    project.succeeds("pipeline", "p")
    return project


def fates(project: Any, *more: str) -> dict[str, str]:
    """What became of the nodes of another run."""
    done = project.succeeds("pipeline", "p", "--json", *more)
    return {name: node["state"] for name, node in done.json()["nodes"].items()}


BOTH = {"make": "reused", "use": "reused"}
NONE = {"make": "succeeded", "use": "succeeded"}


def edit(path: str, before: str, after: str) -> Callable[[Any], object]:
    """What replaces `before` in a file of the project."""

    def change(project: Any) -> object:
        text = (project.folder / path).read_text()
        assert before in text
        return project.write(path, text.replace(before, after))

    return change
