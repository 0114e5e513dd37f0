"""What is said of the nodes of a pipeline."""

import pytest

from runner.spec.lint import lint
from runner.spec.project import parse_project

TEXT = """\
- step: {{name: s, image: busybox, command: "true"}}
- pipeline:
    name: p
    nodes:
      - {{name: n, type: {kind}, step: s, actions: [{{when: {when}, if: {condition}, then: {then}}}]}}
    edges: []
"""


def said(
    kind: str = "task", when: str = "node-complete", condition: str = "metadata.x", then: str = "noop"
) -> set[str]:
    text = TEXT.format(kind=kind, when=when, condition=f"'{condition}'", then=then)
    return {problem.code for problem in lint(parse_project(text.encode(), "valohai.yaml"))}


@pytest.mark.parametrize(
    ("kind", "condition", "is_odd"),
    [
        ("task", "metadata.accuracy > 0.9", True),
        ("task", "max(metadata.accuracy) > 0.9", False),
        ("task", "0.9 in metadata.accuracy", False),
        ("execution", "metadata.accuracy > 0.9", False),
    ],
)
def test_comparing_the_lists_of_a_task_node_with_a_number_is_odd(kind: str, condition: str, is_odd: bool) -> None:
    assert ("odd-condition" in said(kind=kind, condition=condition)) is is_odd


@pytest.mark.parametrize("then", ["stop-pipeline", "error-pipeline", "require-approval", "noop"])
@pytest.mark.parametrize("when", ["node-starting", "node-complete", "node-error"])
def test_words_that_do_something_here_are_not_warned_about(when: str, then: str) -> None:
    assert "unknown-action" not in said(when=when, then=then)


def test_words_that_nobody_knows_are_a_warning() -> None:
    assert "unknown-action" in said(when="node-sleeping")
    assert "unknown-action" in said(then="dance")
