"""How good a trial is, as one number: read from the metadata that it printed. Pure."""

from collections.abc import Callable, Mapping

from runner.goal import Goal

Score = Callable[[Mapping[str, object]], float | None]
"""The smaller, the better; None where the metadata does not tell."""


def make_score(goal: Goal | None) -> Score:
    """What reads the score of a trial; without a goal no trial has one."""
    return goal.score if goal is not None else lambda metrics: None
