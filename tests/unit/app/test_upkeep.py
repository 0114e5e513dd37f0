"""Which policy counts."""

from pathlib import Path

import pytest

from runner.app.upkeep import policy_of
from runner.settings import Settings
from runner.upkeep.retention import DEFAULT, Policy

PLACE = Path("/s")


def test_without_a_word_of_anybody_a_careful_policy_counts() -> None:
    assert policy_of(Settings(PLACE)) == DEFAULT
    assert DEFAULT.is_default and DEFAULT.last == 10 and DEFAULT.within == 30 * 86400


@pytest.mark.parametrize(
    ("settings", "asked", "policy"),
    [
        (Settings(PLACE, keep_last=3), (None, None), Policy(3, None)),
        (Settings(PLACE, keep_last=3), (5, None), Policy(5, None)),
        (Settings(PLACE, keep_last=3), (None, 60.0), Policy(3, 60.0)),
        (Settings(PLACE, keep_last=3, keep_within=9.0), (0, 0.0), Policy(0, 0.0)),
        (Settings(PLACE), (0, None), Policy(0, None)),
    ],
)
def test_each_rule_is_that_of_the_caller_or_else_of_the_settings(
    settings: Settings, asked: tuple[int | None, float | None], policy: Policy
) -> None:
    assert policy_of(settings, *asked) == policy
