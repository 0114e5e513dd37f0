"""What the actions of a node want at a point of its life."""

from dataclasses import replace

import pytest

from runner.errors import Location
from runner.plan.action import wanted
from runner.plan.model import PlannedNode, Point
from runner.spec.model import Action, Condition, Step

AT = Location("valohai.yaml", 1, 1)
NODE = PlannedNode("n", Step("s", AT, "i", ()), {}, {}, {})


def action(when: str, then: str, *conditions: str) -> Action:
    texts = tuple(Condition(text, AT) for text in conditions)
    return Action(tuple(when.split()), texts, tuple(then.split()), AT)


def words(*actions: Action, point: Point = Point.COMPLETE, **metrics: object) -> tuple[str, ...]:
    return wanted(replace(NODE, actions=actions), point, {"lr": 0.1}, metrics)[0]


def test_an_action_without_conditions_counts_at_its_points_only() -> None:
    both = action("node-starting node-complete", "require-approval")
    assert words(both) == words(both, point=Point.STARTING) == ("require-approval",)
    assert words(both, point=Point.ERROR) == ()


@pytest.mark.parametrize(
    ("condition", "held"),
    [
        ("metadata.drift <= 1", True),
        ("drift <= 1", True),
        ("metadata.drift != 1", True),
        ("metadata.drift > 1", False),
        ("parameter.lr == 0.1", True),
        ("parameter.lr < drift", True),
        ("parameter.unknown < 1", False),
        ("metadata.unknown < 1", False),
        ("metadata.unknown is None", True),
        ("val-loss == 3", True),
    ],
)
def test_a_condition_reads_metadata_parameters_and_bare_names(condition: str, held: bool) -> None:
    found = words(action("node-complete", "stop-pipeline", condition), drift=0.5, **{"val-loss": 3})
    assert found == (("stop-pipeline",) if held else ())


def test_all_conditions_of_an_action_must_hold_and_every_action_is_asked() -> None:
    one = action("node-complete", "stop-pipeline", "drift < 1", "drift > 0.6")
    other = action("node-complete", "error-pipeline", "drift < 1")
    assert words(one, other, drift=0.5) == ("error-pipeline",)
    assert words(one, other, drift=0.7) == ("stop-pipeline", "error-pipeline")


def test_words_come_once_and_those_that_nobody_knows_do_nothing() -> None:
    one = action("node-complete", "noop stop-pipeline dance")
    assert words(one, one) == ("stop-pipeline",)
    assert words(action("node-complete node-sleeping", "dance")) == ()


def test_the_clause_names_the_conditions_that_held() -> None:
    low, high = action("node-complete", "stop-pipeline", "drift < 1"), action("node-complete", "noop", "drift > 0")
    node = replace(NODE, actions=(low, high))
    assert wanted(node, Point.COMPLETE, {}, {"drift": 0.5}) == (("stop-pipeline",), "`drift < 1` holds")
    plain = replace(NODE, actions=(action("node-complete", "stop-pipeline"),))
    assert wanted(plain, Point.COMPLETE, {}, {}) == (("stop-pipeline",), None)


def test_the_metadata_of_a_task_node_are_lists_of_its_trials_values() -> None:
    best = action("node-complete", "stop-pipeline", "max(metadata.accuracy) > 0.9")
    assert words(best, accuracy=[0.5, 0.95]) == ("stop-pipeline",)
    assert words(best, accuracy=[0.5, 0.6]) == ()
    assert words(action("node-complete", "stop-pipeline", "metadata.accuracy > 0.1"), accuracy=[0.5]) == ()
