"""The graph in a terminal."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.drawing.model import Drawing, DrawnEdge, DrawnNode
from runner.drawing.text import render
from runner.escape import display_width
from runner.spec.model import SocketType


def chain(count: int, more: int = 0) -> Drawing:
    chance = random.Random(7)
    pairs = [(index - 1, index) for index in range(1, count)]
    pairs += [tuple(sorted(chance.sample(range(count), 2))) for _ in range(more)]  # type: ignore[misc]
    edges = [DrawnEdge(a, b, SocketType.OUTPUT, "out.csv", SocketType.INPUT, "data") for a, b in pairs]
    return Drawing("p", tuple(DrawnNode(f"node-{index}", "execution") for index in range(count)), tuple(edges))


def test_the_example_is_drawn_as_ever(example: Drawing, matches_snapshot: Callable[[str, str], None]) -> None:
    matches_snapshot("example.txt", render(example))


def test_all_there_is_to_draw_is_drawn_as_ever(
    everything: Drawing, matches_snapshot: Callable[[str, str], None]
) -> None:
    matches_snapshot("everything.txt", render(everything, 100))


def test_every_edge_has_a_line_with_its_kind_and_both_keys(example: Drawing) -> None:
    lines = [line.partition("← ")[2] for line in render(example).splitlines() if "←" in line]
    assert sorted(lines) == sorted(
        f"{example.nodes[edge.source].name}: "
        f"{edge.source_type} {edge.source_key} → {edge.target_type} {edge.target_key}"
        for edge in example.edges
    )


def test_every_node_has_a_line_after_those_it_needs(example: Drawing) -> None:
    lines = render(example).splitlines()
    place = {node.name: next(i for i, line in enumerate(lines) if f"  {node.name}  " in line) for node in example.nodes}
    assert len(set(place.values())) == len(example.nodes)
    for edge in example.edges:
        assert place[example.nodes[edge.source].name] < place[example.nodes[edge.target].name]


@pytest.mark.parametrize("width", [30, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal(
    example: Drawing, everything: Drawing, hostile: Drawing, width: int
) -> None:
    for drawing in (example, everything, hostile, chain(100, 60)):
        assert max(display_width(line) for line in render(drawing, width).splitlines()) <= width


def test_rails_that_would_take_too_much_room_are_left_out() -> None:
    tangled = render(chain(100, 150), 80)
    assert "│" not in tangled
    assert tangled.count("●") == 100
    assert tangled.count("←") == 249


def test_rails_of_a_chain_are_one_column() -> None:
    assert render(chain(3)).splitlines()[2:] == [
        "●  node-0",
        "│",
        "●  node-1",
        "│    ← node-0: output out.csv → input data",
        "│",
        "●  node-2",
        "     ← node-1: output out.csv → input data",
    ]


def test_cycles_are_named(everything: Drawing) -> None:
    text = render(everything)
    assert "← other (a cycle): output back.csv → input model" in text
    assert "← other (itself): output self.csv → input model" in text


def test_marks_are_signs_and_words(everything: Drawing) -> None:
    text = render(everything)
    assert "sweep  [+ added]" in text
    assert "− ← kept: output b.csv → input model [removed]" in text


def test_a_terminal_without_the_signs_gets_ascii(everything: Drawing, hostile: Drawing) -> None:
    for drawing in (everything, hostile):
        assert render(drawing, ascii=True).isascii()


def test_nothing_of_a_file_moves_the_cursor(hostile: Drawing) -> None:
    for line in render(hostile, 80).split("\n"):
        assert line.isprintable()


def test_colours_are_the_callers(example: Drawing) -> None:
    painted = render(example, paint=lambda text, code: f"<{code}>{text}" if code else text)
    assert "<1>ingest" in painted
    assert "<2>python:3.11.9-slim-bookworm" in painted


def test_the_documentation_shows_what_is_drawn(example: Drawing) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "graph.md").read_text(encoding="utf-8")
    assert render(example) in page
