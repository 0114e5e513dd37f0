"""The JSON of a drawing."""

import json
from collections.abc import Callable

from runner.drawing.document import render
from runner.drawing.model import Drawing


def test_the_example_is_described_as_ever(example: Drawing, matches_snapshot: Callable[[str, str], None]) -> None:
    matches_snapshot("example.json", render(example))


def test_an_edge_names_its_ends_by_place_and_by_name(everything: Drawing) -> None:
    document = json.loads(render(everything))
    assert document["pipeline"] == "everything"
    assert document["nodes"][1] == {
        "name": "sweep",
        "type": "task",
        "step": "train",
        "image": "python:3.12",
        "fan_out": "9 × lr, depth",
        "mark": "added",
    }
    assert document["edges"][3] == {
        "source": {"node": 0, "name": "kept", "type": "metadata", "key": "best"},
        "target": {"node": 3, "name": "other", "type": "parameter", "key": "lr"},
        "mark": "changed",
    }


def test_hostile_names_come_back_as_they_were(hostile: Drawing) -> None:
    text = render(hostile)
    assert text.isascii()
    assert [node["name"] for node in json.loads(text)["nodes"]] == [node.name for node in hostile.nodes]
