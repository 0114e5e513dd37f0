"""When two numbers count as the same. Pure."""

import math
from dataclasses import dataclass

DEFAULT = 1e-6
"""About ten times what one rounding of a 32-bit float makes, and far below what any metric is read at."""

_NEAR_ZERO = 1e-3
"""The part of the tolerance that counts as an absolute one: noise around zero has no relative size."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Floating-point numbers are the same if they differ by at most `relative` times the larger of them, or by at most
    a thousandth of `relative`. NaN is the same as NaN. With 0 only what is equal is the same."""

    relative: float = DEFAULT

    def deviation(self, before: float, after: float) -> float | None:
        """The relative deviation of two numbers that count as the same, None for others."""
        if before == after or (math.isnan(before) and math.isnan(after)):
            return 0.0
        if not (math.isfinite(before) and math.isfinite(after)):
            return None
        gap = abs(before - after)
        size = max(abs(before), abs(after))
        if gap <= self.relative * size:
            return gap / size
        return 0.0 if gap <= self.relative * _NEAR_ZERO else None


EXACT = Tolerance(0.0)
