"""Where the tolerance begins and ends."""

import pytest

from runner.comparison.tolerance import Tolerance


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (1000.0, 1000.99, True),
        (1000.0, 1001.1, False),
        (-1000.0, -1000.99, True),
        (1000.0, -1000.0, False),
        (0.0, 0.9e-6, True),
        (0.0, 1.1e-6, False),
    ],
)
def test_a_part_of_the_larger_number_or_a_thousandth_of_it_near_zero(before: float, after: float, same: bool) -> None:
    assert (Tolerance(1e-3).deviation(before, after) is not None) == same
    assert (Tolerance(1e-3).deviation(after, before) is not None) == same
