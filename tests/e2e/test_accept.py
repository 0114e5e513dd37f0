"""What the user says does not matter stands, until something else changes."""

import pytest

from .two_nodes import BOTH, NONE, YAML, edit, fates, two_nodes


@pytest.fixture
def project(made, sandbox):
    return two_nodes(made)


def test_what_is_accepted_stands_until_something_else_changes_and_can_be_taken_back(project):
    edit("lib.py", "len(argv)", "len(argv) * 1")(project)
    said = project.succeeds("accept", "make").out
    assert "execution 1 of run 1 stands for node make" in said
    assert "lib.py" in said
    assert "what differs was accepted" in project.succeeds("why", "make").out
    assert fates(project) == BOTH
    assert "what differs was accepted" in project.succeeds("why", "run:2", "make").out
    assert "what differs was accepted" not in project.succeeds("why", "run:2", "use").out
    edit("lib.py", "def text", "# why not\ndef text")(project)
    assert fates(project) == BOTH
    project.succeeds("store", "rebuild")
    assert fates(project) == BOTH
    assert "nothing that counts is different" in project.refused("accept", "make", code=2)

    project.succeeds("accept", "make", "--undo")
    assert "nothing is accepted" in project.refused("accept", "make", "--undo", code=2)
    project.succeeds("accept", "make", "--json")
    edit("lib.py", "* 1", "* 1 + 7")(project)
    assert fates(project) == NONE


def test_other_values_and_names_can_be_accepted_too(project):
    edit("valohai.yaml", "default: 1", "default: 2")(project)
    project.write("new", "")
    told = project.succeeds("accept", "make", "--json").json()
    assert (told["node"], told["counter"], len(told["causes"])) == ("make", 1, 3)
    # What is below can be accepted once nothing above it runs.
    project.succeeds("accept", "use")
    assert fates(project) == BOTH
    undone = project.succeeds("accept", "use", "--undo", "--json").json()
    assert [one["node"] for one in undone] == ["use"]
    assert fates(project) == {"make": "reused", "use": "succeeded"}


def test_what_cannot_be_accepted_is_refused(project):
    edit("lib.py", "len(argv)", "len(argv) * 1")(project)
    assert "depends on what `make` will write" in project.refused("accept", "use", code=2)
    project.refused("accept", "nowhere", code=2)
    project.write("valohai.yaml", YAML + "- policy: {step: make, reuse: never}\n")
    assert "nothing can stand for node `make`" in project.refused("accept", "make", code=2)
    project.write("valohai.yaml", YAML)
    made = project.succeeds("outputs", "1", "--json").json()[0]["digest"]
    (project.command.store / "objects" / made[:2] / made).unlink()
    assert "its output `made.txt` is missing or damaged" in project.refused("accept", "make", code=2)
