"""The comment for a pull request: nothing of a file has any meaning in it, and it is never too long."""

import re

import pytest

from runner.change import markdown
from runner.change.model import Change, FileChange, Kind
from runner.change.report import compare_projects
from runner.drawing import mermaid
from runner.spec.project import parse_project

STEP = "- step:\n    name: {name}\n    image: {image}\n    command: [{command}]\n"
NODES = "- pipeline:\n    name: {name}\n    nodes:\n{nodes}    edges: []\n"

NASTY = [
    "x` @everyone `",
    "``` ```",
    "`",
    "<script>alert(1)</script>",
    "</details>",
    "![x](http://evil.example/x.png)",
    "[x](javascript:alert(1))",
    "#123 GH-1 a/b#7",
    "@octocat",
    "a\nb\n\n# title",
    "a\r\n```\n",
    "| a | b |",
    "\u202egnp.exe",
    "\x1b[31m",
    "",
    " ",
    "&lt;b&gt;",
    "http://evil.example",
    "x" * 5000,
]


def rendered(base: str, head: str, files: tuple[FileChange, ...] = ()) -> str:
    change = compare_projects(parse_project(base.encode(), "v"), parse_project(head.encode(), "v"), files)
    return markdown.render(change, file="valohai.yaml", base="main", head="working tree")


def without_code(text: str) -> str:
    """What a reader of Markdown takes for words: no code spans, no `code` elements, no fenced blocks."""
    text = re.sub(r"(?ms)^(`{3,})mermaid\n.*?^\1$", "", text)
    text = re.sub(r"<code>[^<]*</code>", "", text)
    return re.sub(r"(?<!`)(`+)(?!`)(.*?[^`])\1(?!`)", "", text)


@pytest.mark.parametrize("text", NASTY)
def test_a_name_means_nothing_in_markdown(text: str) -> None:
    quoted = '"' + text.encode("unicode_escape").decode().replace('"', '\\"') + '"'
    base = STEP.format(name="a", image="i", command="x")
    head = base + STEP.format(name=quoted, image=quoted, command=quoted)
    head += NODES.format(name=quoted, nodes=f"      - {{name: {quoted}, type: execution, step: a}}\n")
    page = rendered(base, head, (FileChange(text or "x", Kind.ADDED, names=True),))
    left = without_code(page)
    tags = set(re.findall(r"<[^>]*>", left))
    assert tags <= {"<details>", "<details open>", "</details>", "<summary>", "</summary>"}
    assert left.count("<details") == left.count("</details>")
    for sign in ("@", "#", "[", "](", "http", "evil", "\x1b", "\u202e", "`"):
        assert sign not in left, left


@pytest.mark.parametrize("text", NASTY)
def test_a_code_span_is_one_line_that_ends_where_it_should(text: str) -> None:
    span = markdown.code(text)
    assert "\n" not in span
    fence = re.match(r"`+", span)
    assert fence
    assert span.endswith(fence[0])
    inner = span[len(fence[0]) : -len(fence[0])]
    assert fence[0] not in re.findall(r"`+", inner)
    assert inner.strip("` ") == inner.strip(" ").strip("`").strip()


def test_a_fence_is_longer_than_every_row_of_backticks_in_it() -> None:
    assert markdown.fenced("a\n`````\nb", "mermaid") == "``````mermaid\na\n`````\nb\n``````"


def test_a_comment_is_never_longer_than_github_takes() -> None:
    head = "".join(STEP.format(name=f"step-{i}", image="i" * 60, command="x") for i in range(3000))
    page = rendered("[]", head)
    assert len(page) <= markdown.LIMIT
    assert "lines more" in page
    assert page.count("<details") == page.count("</details>")


def test_a_diagram_that_is_too_large_is_left_out_with_a_note() -> None:
    count = mermaid.MAX_EDGES + 2
    step = STEP.format(name="s", image="i", command="x") + "    inputs: [{name: in, optional: true}]\n"
    nodes = "".join(f"      - {{name: n{i}, type: execution, step: s}}\n" for i in range(count))
    edges = "".join(f"      - [n{i}.output.*, n{i + 1}.input.in]\n" for i in range(count - 1))
    page = rendered(step, step + f"- pipeline:\n    name: p\n    nodes:\n{nodes}    edges:\n{edges}")
    assert "mermaid" not in page
    assert "more than GitHub shows" in page


def test_edges_that_are_one_line_of_a_diagram_count_once() -> None:
    names = [f"x{number}" for number in range(mermaid.MAX_EDGES // 5)]
    inputs = ", ".join(f"{{name: {name}, optional: true}}" for name in names)
    step = STEP.format(name="s", image="i", command="x") + f"    inputs: [{inputs}]\n"
    nodes = "".join(f"      - {{name: n{i}, type: execution, step: s}}\n" for i in range(8))
    edges = "".join(f"      - [n{i}.output.{x}, n{i + 1}.input.{x}]\n" for i in range(7) for x in names)
    page = rendered(step, step + f"- pipeline:\n    name: p\n    nodes:\n{nodes}    edges:\n{edges}")
    assert page.count("```mermaid\n") == 1


def test_a_graph_for_which_there_is_no_room_is_counted() -> None:
    step = "".join(STEP.format(name=f"s{i:03}" + "y" * 70, image="i" * 70, command="x") for i in range(150))
    nodes = "".join(
        f"      - {{name: n{i:03}{'x' * 70}, type: execution, step: s{i:03}{'y' * 70}}}\n" for i in range(150)
    )
    one = step + f"- pipeline:\n    name: p\n    nodes:\n{nodes}"
    page = rendered(one, one + "      - {name: extra, type: execution, step: s000" + "y" * 70 + "}\n")
    assert len(page) <= markdown.LIMIT
    assert page.count("```mermaid\n") == 1
    assert "… and 1 graph more" in page


def test_a_changed_pipeline_is_drawn_before_and_after() -> None:
    step = STEP.format(name="s", image="i", command="x")
    one, two = (f"      - {{name: n{i}, type: execution, step: s}}\n" for i in range(2))
    page = rendered(step + NODES.format(name="p", nodes=one), step + NODES.format(name="p", nodes=one + two))
    assert page.count("```mermaid\n") == 2


def test_no_difference_is_one_sentence() -> None:
    page = markdown.render(Change(), file="valohai.yaml", base="main", head="HEAD")
    assert page.startswith("**no difference**")
    assert "<details" not in page
