"""The ends of edges, as text and in a file."""

import pytest

from runner.spec.model import Project
from runner.spec.project import parse_project
from runner.spec.socket import UnknownType, ends_of, parse_socket
from runner.spec.tree import Row, Table


def project(edge: str) -> Project:
    text = f"- pipeline: {{name: p, nodes: [{{name: a, type: execution, step: s}}], edges: [{edge}]}}\n"
    return parse_project(text.encode(), "f.yaml")


@pytest.mark.parametrize(
    ("socket", "code"),
    [
        ("a.x", "bad-socket"),
        ("a..x", "bad-socket"),
        ("a.shape.x", "unknown-edge-type"),
        ("a.form.x", "unknown-edge-type"),
    ],
)
def test_what_is_wrong_with_an_end_is_told_by_its_form_and_not_by_its_words(socket: str, code: str) -> None:
    assert [problem.code for problem in project(f"[a.output.x, {socket}]").problems] == [code]


def test_an_unknown_type_is_an_error_of_its_own() -> None:
    with pytest.raises(UnknownType):
        parse_socket("a.form.x")
    with pytest.raises(ValueError, match="not of the form") as caught:
        parse_socket("a.form")
    assert not isinstance(caught.value, UnknownType)


def test_the_ends_of_an_edge_are_found_in_both_spellings_with_their_places() -> None:
    pair, mapping = Row((1, 1)), Table((2, 1))
    for value, place in (("a.output.x", (1, 2)), ("b.input.y", (1, 14))):
        pair.put(value, place)
    mapping.put("target", "b.input.y", (2, 1), (2, 9))
    mapping.put("source", "a.output.x", (3, 1), (3, 9))
    assert ends_of(pair) == [("a.output.x", (1, 2)), ("b.input.y", (1, 14))]
    assert ends_of(mapping) == [("a.output.x", (3, 9)), ("b.input.y", (2, 9))]
    assert ends_of("a.output.x") == []
