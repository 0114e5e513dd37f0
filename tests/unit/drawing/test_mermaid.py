"""Mermaid: every line follows a grammar of our own that is stricter than Mermaid's."""

import re
from collections.abc import Callable

import pytest

from runner.drawing.mermaid import escape, render, render_all
from runner.drawing.model import Drawing, DrawnNode

WORD = r"(?:[^\W_]|[ →×…−,.:/\-]|#\d+;)"
TEXT = rf'"(?:{WORD}|<br/>|</?b>|</?i>|</?small>)*"'
ID = r"(?:p\d+)?n\d+"
CLASS = r"(?:execution|task|deployment|added|removed|changed|affected)"
STYLE = r"[a-z-]+:[#a-z0-9 ]+(?:,[a-z-]+:[#a-z0-9 ]+)*"
LINES = {
    "head": r"flowchart TD",
    "class": rf"  classDef {CLASS} {STYLE}",
    "group": rf"  subgraph p\d+\[{TEXT}\]",
    "end": r"  end",
    "node": rf" +{ID}(?:\({TEXT}\)|\[\[{TEXT}\]\]|\{{\{{{TEXT}\}}\}}):::{CLASS}",
    "link": rf" +{ID} (?:-->|-\.->)(?:\|{TEXT}\|)? {ID}",
    "style": rf" +linkStyle \d+ {STYLE}",
}


def parsed(text: str) -> list[str]:
    """The kind of each line; fails for a line that is of none."""
    kinds = []
    for line in text.split("\n"):
        kind = next((kind for kind, pattern in LINES.items() if re.fullmatch(pattern, line)), None)
        assert kind, f"this is no line of Mermaid: {line!r}"
        kinds.append(kind)
    return kinds


def test_the_example_is_drawn_as_ever(example: Drawing, matches_snapshot: Callable[[str, str], None]) -> None:
    matches_snapshot("example.mmd", render(example))


def test_every_line_is_sound_whatever_the_names(example: Drawing, everything: Drawing, hostile: Drawing) -> None:
    for drawing in (example, everything, hostile):
        kinds = parsed(render(drawing))
        assert kinds.count("node") == len(drawing.nodes)
        assert kinds.count("link") == len({(edge.source, edge.target) for edge in drawing.edges})


def test_several_pipelines_are_subgraphs_of_one_chart(everything: Drawing, hostile: Drawing) -> None:
    text = render_all([everything, hostile])
    kinds = parsed(text)
    assert (kinds.count("head"), kinds.count("group"), kinds.count("end")) == (1, 2, 2)
    numbers = [int(number) for number in re.findall(r"linkStyle (\d+)", text)]
    assert max(numbers) < kinds.count("link")
    assert len(numbers) == len(set(numbers))


def test_marks_are_classes_and_words(everything: Drawing) -> None:
    text = render(everything)
    assert ":::added" in text
    assert "<i>removed</i>" in text
    assert "#43; a.csv → model" in text
    assert "linkStyle 0 stroke:#16a34a" in text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("end", "end"),
        ("a-b.c", "a-b.c"),
        ("*.pkl", "#42;#46;pkl"),
        ('say "hi"', "say #34;hi#34;"),
        ("<b>", "#60;b#62;"),
        ("#quot;", "#35;quot#59;"),
        ("`x`", "#96;x#96;"),
        ("- item", "#45; item"),
        ("1. one", "1#46; one"),
        ("www.x.y", "www#46;x.y"),
        ("http://x", "http#58;#47;#47;x"),
        ("a\nb", "a#92;nb"),
        ("名前", "名前"),
    ],
)
def test_what_mermaid_would_understand_is_escaped(text: str, escaped: str) -> None:
    assert escape(text) == escaped


def test_the_ids_are_ours_so_that_no_name_is_a_keyword() -> None:
    text = render(Drawing("end", (DrawnNode("end", "execution"), DrawnNode("subgraph", "execution")), ()))
    assert parsed(text).count("node") == 2
