"""The SVG: well-formed, complete, harmless, and laid out so that every text lies in its box."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.drawing.bundle import bundles
from runner.drawing.card import LABEL_ROOM, LABEL_SIZE, make_label
from runner.drawing.glyph import text_width
from runner.drawing.model import Drawing, DrawnEdge, DrawnNode
from runner.drawing.svg import render, style_of
from runner.escape import printable
from runner.sign import tone_of
from runner.spec.model import SocketType
from runner.state import State

SVG = "{http://www.w3.org/2000/svg}"
SIZES = {"name": (13.5, True), "step": (11, False), "fan": (11, False), "image": (11, False)}


def groups(root: ET.Element, name: str) -> Iterator[ET.Element]:
    """The groups of a class, those of the legend not among them."""
    legend = root.find(f"{SVG}g[@class='legend']")
    ours = set(legend.iter()) if legend is not None else set()
    for group in root.iter(f"{SVG}g"):
        if group not in ours and group.get("class", "").split()[0:1] == [name]:
            yield group


def texts(element: ET.Element) -> list[str]:
    return ["".join(text.itertext()) for text in element.iter(f"{SVG}text")]


def test_the_example_is_drawn_as_ever(example: Drawing, matches_snapshot: Callable[[str, str], None]) -> None:
    matches_snapshot("example.svg", render(example))


def test_every_node_is_there_once_and_every_bundle_of_edges(example: Drawing, everything: Drawing) -> None:
    for drawing in (example, everything):
        root = ET.fromstring(render(drawing))
        assert [texts(group)[0] for group in groups(root, "node")] == [node.name for node in drawing.nodes]
        pairs = {(edge.source, edge.target) for edge in drawing.edges}
        assert len(list(groups(root, "edge"))) == len(pairs)


def test_a_picture_has_a_role_a_title_and_a_description(everything: Drawing) -> None:
    root = ET.fromstring(render(everything))
    assert root.get("role") == "img"
    assert root[0].tag == f"{SVG}title"
    assert root[0].text == "Pipeline everything"
    assert root[1].tag == f"{SVG}desc"
    assert "sweep: task, step train, 9 × lr, depth, image python:3.12 (added)" in (root[1].text or "")


def test_nothing_is_fetched_and_nothing_runs(everything: Drawing, hostile: Drawing) -> None:
    for drawing in (everything, hostile):
        root = ET.fromstring(render(drawing))
        for element in root.iter():
            name = element.tag.removeprefix(SVG)
            assert name in {"svg", "title", "desc", "style", "rect", "g", "path", "text"}
            assert not [key for key in element.attrib if key.startswith("on") or "href" in key or key == "style"]
        style = root.find(f"{SVG}style")
        assert style is not None
        assert style.text
        assert not re.search(r"url\(|@import|@font-face", style.text)


def test_hostile_names_are_only_text(hostile: Drawing) -> None:
    root = ET.fromstring(render(hostile))
    titles = [group.findtext(f"{SVG}title") or "" for group in groups(root, "node")]
    assert len(titles) == len(hostile.nodes)
    for node, title in zip(hostile.nodes, titles, strict=True):
        # A reader of XML gives what was written, but for the blanks at the ends.
        assert title.startswith(printable(node.name))
    assert all(text.isprintable() for text in texts(root))


def test_a_name_begins_no_line_of_the_picture() -> None:
    name = "a\n::error::x"
    page = render(Drawing(name, (DrawnNode(name, "execution", name, name, None),), ()))
    assert "\n::" not in page


def test_every_text_lies_within_its_box(example: Drawing, everything: Drawing, hostile: Drawing) -> None:
    for drawing in (example, everything, hostile):
        for group in groups(ET.fromstring(render(drawing)), "node"):
            shape = [item for item in group if item.get("class") == "shape"][-1]
            if shape.tag != f"{SVG}rect":
                continue
            left, width = float(shape.get("x", "")), float(shape.get("width", ""))
            top, height = float(shape.get("y", "")), float(shape.get("height", ""))
            for text in group.findall(f"{SVG}text"):
                size, bold = SIZES[text.get("class", "")]
                x, y = float(text.get("x", "")), float(text.get("y", ""))
                assert left < x
                assert x + text_width(text.text or "", size, bold=bold) < left + width
                assert top + size * 0.7 < y < top + height


def test_marks_are_told_in_words_too(everything: Drawing) -> None:
    root = ET.fromstring(render(everything))
    badges = [texts(group)[0] for group in groups(root, "badge")]
    assert badges == ["+ added", "− removed", "~ changed", "» affected"]
    labels = [text for group in groups(root, "note") for text in texts(group)]
    assert "+ a.csv → model" in labels
    assert "− b.csv → model" in labels
    assert "~ metadata best → lr" in labels


def test_the_legend_says_only_what_occurs(example: Drawing, everything: Drawing) -> None:
    def legend(drawing: Drawing) -> list[str]:
        found = ET.fromstring(render(drawing)).find(f"{SVG}g[@class='legend']")
        return texts(found) if found is not None else []

    assert legend(example) == ["files", "parameters, metadata"]
    assert legend(Drawing("one", (DrawnNode("a", "execution"),), ())) == []
    assert "deployment" in legend(everything)
    assert "» affected" in legend(everything)


def test_both_schemes_of_colours_are_there(example: Drawing) -> None:
    assert "@media (prefers-color-scheme:dark)" in render(example)


@pytest.mark.parametrize("count", [0, 1, 100])
def test_any_number_of_nodes_is_drawn(count: int) -> None:
    nodes = tuple(DrawnNode(f"node {index}", "execution") for index in range(count))
    root = ET.fromstring(render(Drawing("p", nodes, ())))
    assert len(list(groups(root, "node"))) == count


def test_the_picture_in_the_documentation_is_the_one_that_is_drawn(example: Drawing) -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "graph.svg"
    assert page.read_text(encoding="utf-8") == render(example) + "\n"


def test_a_long_label_keeps_both_ends_and_the_arrow_between() -> None:
    nodes = (DrawnNode("a", "execution"), DrawnNode("b", "execution"))
    for source, target in (("s" * 60 + ".csv", "t" * 60), ("x", "t" * 90), ("s" * 90, "x")):
        edge = DrawnEdge(0, 1, SocketType.OUTPUT, source, SocketType.INPUT, target)
        label = make_label(bundles(Drawing("p", nodes, (edge,)))[0]).lines[0].text
        first, arrow, last = label.partition(" → ")
        assert arrow
        assert first[0] == source[0]
        assert last[-1] == target[-1]
        assert text_width(label, LABEL_SIZE) <= LABEL_ROOM


def test_the_sign_of_a_removed_edge_is_not_struck_through(everything: Drawing) -> None:
    style = next(ET.fromstring(render(everything)).iter(f"{SVG}style")).text or ""
    struck = [rule for rule in style.split("}") if "line-through" in rule]
    assert struck
    assert not any("text.removed" in rule for rule in struck)


@pytest.mark.parametrize("state", State)
def test_the_state_of_a_node_is_a_word_on_its_box(state: State) -> None:
    page = render(Drawing("p", (DrawnNode("a", "execution", state=state),), ()))
    root = ET.fromstring(page)
    (badge,) = groups(root, "badge")
    assert texts(badge)[0].split()[1] == state
    assert f".mlg .node.{tone_of(state)} .shape" in page
    assert style_of(Drawing("p", (DrawnNode("a", "execution", state=state),), ())) in page


def test_a_drawing_without_states_has_no_colours_for_them(example: Drawing) -> None:
    assert ".mlg .node." not in render(example)
