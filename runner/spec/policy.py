"""Tree → typed policies: what Valohai's language has no word for. Pure."""

from runner.goal import DIRECTIONS, Aim
from runner.settings import MOST_RETRIES
from runner.spec import field
from runner.spec.extension import Policy, Pruning, PruningRule
from runner.spec.phrase import describe, meant_word
from runner.spec.reader import Reader, named
from runner.spec.tree import Table

NEVER = "never"


def parse_policy(body: Table, reader: Reader) -> Policy:
    """The policy that a mapping describes; worth something only if the reader met no error."""
    noun = named(body.get("step"), "the policy of step")
    prune = reader.table(body, "prune", noun)
    return Policy(
        step=reader.text(body, "step", "a policy", required=True) or "",
        location=field.place_of(body, reader, "step"),
        reuse=0.0 if body.get("reuse") == NEVER else field.duration(body, "reuse", reader, noun),
        retries=reader.count(body, "retries", noun, 0, MOST_RETRIES),
        pool=reader.text(body, "pool", noun),
        priority=reader.count(body, "priority", noun, None),
        code=None if body.get("code") is None else field.texts(body, "code", reader, noun),
        pruning=None if prune is None else _pruning(prune, reader, f"the `prune` of {noun}"),
    )


def _pruning(body: Table, reader: Reader, noun: str) -> Pruning:
    # What is left out has the default of the type.
    counts = {key: reader.count(body, key, noun, least) for key, least in _COUNTS.items()}
    return Pruning(
        metric=reader.text(body, "metric", noun, required=True) or "",
        location=field.place_of(body, reader, "metric"),
        goal=_goal(body, reader, noun),
        rule=reader.word(body, "rule", noun, PruningRule, PruningRule.MEDIAN),
        **{key: count for key, count in counts.items() if count is not None},
    )


_COUNTS = {"warmup": 0, "startup": 1, "reduction": 2}
"""By the numbers of a rule for pruning: the least of each."""

_ENDLESS = 1e300
"""No metric comes near to such a number; nor to one that is none."""


def _goal(body: Table, reader: Reader, noun: str) -> Aim:
    value = body.get("goal")
    if value is None or value in DIRECTIONS:
        return value or DIRECTIONS[0]
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _ENDLESS:
        return value
    message = f"the `goal` of {noun} is {describe(value)}, not `maximize`, `minimize` or a number"
    reader.error("wrong-value", message, body.values_at["goal"], meant_word(value, DIRECTIONS))
    return DIRECTIONS[0]
