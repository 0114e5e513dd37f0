"""Projects to measure with: git repositories with a `valohai.yaml` made to order."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.setting import run

STEP = """\
- step:
    name: {name}
    image: {image}
    command: {command}
"""


def make_project(folder: Path, text: str) -> Path:
    """A git repository in `folder`, which may hold files already, with everything in it committed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "valohai.yaml").write_text(text)
    person = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@example.org")
    for words in (("init", "--quiet"), ("add", "--all"), (*person, "commit", "--quiet", "--message", "all")):
        run(("git", *words), folder)
    return folder


def chain_text(length: int, image: str = "busybox:1", command: str = "'true'") -> str:
    """A pipeline `chain` of `length` nodes, each after the one before."""
    edges = [(number - 1, number) for number in range(1, length)]
    return STEP.format(name="nothing", image=image, command=command) + _pipeline("chain", length, edges)


def passing_text(length: int) -> str:
    """A pipeline `chain` of `length` nodes, no two alike, nor like one of another length, each with the file that the
    one before has left."""
    lines = ["- step:", "    name: pass", "    image: busybox:1"]
    lines += [f"    command: echo {{parameter-value:number}} of {length} > /valohai/outputs/file", "    parameters:"]
    lines += ["      - {name: number, type: integer}", "    inputs:", "      - {name: above, optional: true}"]
    lines += ["- pipeline:", "    name: chain", "    nodes:"]
    for number in range(length):
        lines += [f"      - name: n{number}", "        type: execution", "        step: pass", "        override:"]
        lines += ["          parameters:", f"            - {{name: number, default: {number}}}"]
    lines.append("    edges:" if length > 1 else "    edges: []")
    lines += [f"      - [n{number - 1}.output.file, n{number}.input.above]" for number in range(1, length)]
    return "\n".join(lines) + "\n"


def fan_text(width: int, command: str) -> str:
    """A pipeline `fan` of `width` nodes that know nothing of one another."""
    return STEP.format(name="leaf", image="busybox:1", command=command) + _pipeline("fan", width, (), step="leaf")


def grid_text(side: int) -> str:
    """A pipeline `grid` of `side` × `side` nodes, each after its neighbours to the left and above."""
    edges = []
    for row in range(side):
        for column in range(side):
            here = row * side + column
            edges += [(here - 1, here)] if column else []
            edges += [(here - side, here)] if row else []
    return STEP.format(name="nothing", image="busybox:1", command="'true'") + _pipeline("grid", side * side, edges)


def write_tree(folder: Path, files: int, size: int) -> Path:
    """A folder with `files` files of `size` bytes in all, of many sizes, in folders of fifty."""
    for number in range(files):
        place = folder / f"part{number // 50:03d}" / f"file{number:05d}.txt"
        place.parent.mkdir(parents=True, exist_ok=True)
        # From next to nothing to twice the average.
        length = 2 * size * (number + 1) // (files * (files + 1))
        line = f"{number:08d} the text of this file differs from that of every other\n".encode()
        place.write_bytes((line * (length // len(line) + 1))[:length])
    return folder


def _pipeline(name: str, nodes: int, edges: Sequence[tuple[int, int]], step: str = "nothing") -> str:
    lines = ["- pipeline:", f"    name: {name}", "    nodes:"]
    for number in range(nodes):
        lines += [f"      - name: n{number}", "        type: execution", f"        step: {step}"]
    lines.append("    edges:" if edges else "    edges: []")
    lines += [f"      - [n{above}.dependency.done, n{below}.dependency.start]" for above, below in edges]
    return "\n".join(lines) + "\n"
