"""The example's pipeline, a pipeline with every type, kind and mark, and one whose file wants to do harm."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runner.drawing.graph import draw
from runner.drawing.model import Drawing, DrawnEdge, DrawnNode, Mark
from runner.spec.model import SocketType
from runner.spec.project import load_project

ROOT = Path(__file__).resolve().parents[3]
SNAPSHOTS = Path(__file__).parent / "snapshots"

HOSTILE = [
    "</svg><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\x1b[2J\x1b]0;title\x07",
    "new\nline\r\ttab",
    "\u202egnp.exe\u2066",
    "end",
    'click n0 "javascript:alert(1)"',
    "`code` *bold* _it_ ~~no~~ [a](http://x.y) www.x.y",
    '"]; n1 --> n2; %%{init: {}}%%',
    "#quot; &amp; &lt; #35;",
    '\\N \\\\ \\" \\n',
    "{{x}} [[y]] ((z)) |p| <b>",
    "1. one",
    "- item",
    "]]>",
    "\ud800 lone",
    "\x00\x85\u2028",
    "",
    " ",
    "名前" * 60,
    "x" * 500,
]


def edge(source: int, target: int, key: str = "model.pkl", mark: Mark | None = None) -> DrawnEdge:
    """An edge that brings a file."""
    return DrawnEdge(source, target, SocketType.OUTPUT, key, SocketType.INPUT, "model", mark)


@pytest.fixture(scope="session")
def example() -> Drawing:
    """The training pipeline of the example."""
    project = load_project(ROOT / "valohai.yaml.example", "valohai.yaml.example")
    return draw(project, project.pipelines["Training Pipeline"])


@pytest.fixture
def everything() -> Drawing:
    """Every type of node, kind of edge and mark; a cycle, an edge to itself, several edges between two nodes."""
    nodes = (
        DrawnNode("kept", "execution", "prepare", "busybox:1.36"),
        DrawnNode("sweep", "task", "train", "python:3.12", "9 × lr, depth", Mark.ADDED),
        DrawnNode("gone", "execution", "train", "python:3.8", None, Mark.REMOVED),
        DrawnNode("other", "execution", "train", "python:3.12", None, Mark.CHANGED),
        DrawnNode("serve", "deployment", "api", None, None, Mark.AFFECTED),
        DrawnNode("alone", "execution", "sleep", None),
    )
    values = DrawnEdge(0, 3, SocketType.METADATA, "best", SocketType.PARAMETER, "lr", Mark.CHANGED)
    order = DrawnEdge(3, 4, SocketType.DEPENDENCY, "x", SocketType.DEPENDENCY, "x")
    endpoint = DrawnEdge(1, 4, SocketType.OUTPUT, "*.pkl", SocketType.FILE, "api.model", Mark.AFFECTED)
    edges = (
        edge(0, 1, "a.csv", Mark.ADDED),
        edge(0, 2, "b.csv", Mark.REMOVED),
        edge(0, 3, "c.csv"),
        values,
        order,
        endpoint,
        edge(3, 0, "back.csv"),
        edge(3, 3, "self.csv"),
    )
    return Drawing("everything", nodes, edges)


@pytest.fixture
def hostile() -> Drawing:
    """Each hostile text as a name, a step, an image, a fan-out and both keys of an edge."""
    nodes = tuple(
        DrawnNode(text, kind, text, text, text, mark)
        for text in HOSTILE
        for kind, mark in (("execution", None), ("task", Mark.CHANGED))
    )
    edges = tuple(
        DrawnEdge(index, index + 1, SocketType.OUTPUT, HOSTILE[index // 2], SocketType.INPUT, HOSTILE[index // 2] + "2")
        for index in range(len(nodes) - 1)
    )
    return Drawing(HOSTILE[0], nodes, edges)


@pytest.fixture
def matches_snapshot(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compares with a file beside the tests; one that does not exist is written, and the test fails once."""

    def check(name: str, text: str) -> None:
        file = SNAPSHOTS / name
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            file.write_text(text + "\n", encoding="utf-8")
            pytest.fail(f"{file} is written: look at it, then run {request.node.name} again")
        assert text + "\n" == file.read_text(encoding="utf-8")

    return check
