"""What the actions of a node want at a point of its life. Pure; what comes of it the machine decides."""

from collections.abc import Iterator, Mapping

from runner.escape import printable
from runner.plan.model import PlannedNode, Point
from runner.spec.model import Action

KNOWN = frozenset({"stop-pipeline", "error-pipeline", "require-approval"})
"""Words of `then` that do something; `noop` and unknown ones do nothing."""


def wanted(
    node: PlannedNode, point: Point, parameters: Mapping[str, object], metrics: Mapping[str, object]
) -> tuple[tuple[str, ...], str | None]:
    """The words of `then` of all actions for this point whose conditions all hold, in the order of the file, each once;
    and a clause on the conditions that held, None where there was none.

    `metadata.KEY` and a bare name read `metrics`, `parameter.NAME` reads `parameters`. A condition on something that
    has no value does not hold. Of a task node the metrics are lists, the latest value of each trial that has one: so
    `max(metadata.accuracy) > 0.9` asks about the best of them. An action without conditions always counts.
    """
    words: dict[str, None] = {}
    held: dict[str, None] = {}
    for action in _due(node.actions, point):
        texts = [condition.text for condition in action.conditions]
        if all(_holds(text, parameters, metrics) for text in texts) and not KNOWN.isdisjoint(action.then):
            words |= dict.fromkeys(word for word in action.then if word in KNOWN)
            held |= dict.fromkeys(f"`{printable(text)}`" for text in texts)
    if not held:
        return tuple(words), None
    return tuple(words), f"{' and '.join(held)} {'holds' if len(held) == 1 else 'hold'}"


def _due(actions: tuple[Action, ...], point: Point) -> Iterator[Action]:
    return (action for action in actions if point in action.when)


def _holds(text: str, parameters: Mapping[str, object], metrics: Mapping[str, object]) -> bool:
    # Not at the top: few nodes have conditions, and every run would load the library that reads them.
    from runner.spec.condition import Expression, metric_of, parameter_of

    def look_up(name: str) -> object:
        parameter, metric = parameter_of(name), metric_of(name)
        if parameter is not None:
            return parameters[parameter]
        if metric is None:
            raise KeyError(name)
        return metrics[metric]

    return Expression(text).holds(look_up)
