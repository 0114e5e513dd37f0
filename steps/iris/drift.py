"""How far two samples of one quantity lie apart: the two-sample Kolmogorov-Smirnov test. Pure."""

import math

import numpy as np
from numpy.typing import NDArray


def distance(sample: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """The largest gap between the two cumulative distributions: 0 (same) to 1 (no overlap)."""
    points = np.concatenate([sample, reference])
    below_sample = np.searchsorted(np.sort(sample), points, side="right") / len(sample)
    below_reference = np.searchsorted(np.sort(reference), points, side="right") / len(reference)
    return float(np.abs(below_sample - below_reference).max())


def chance(gap: float, sample_size: int, reference_size: int) -> float:
    """The probability of a gap at least this wide if both samples came from the same source.

    Kolmogorov's limiting distribution, with the correction of Stephens (1970) for small samples.
    """
    root = math.sqrt(sample_size * reference_size / (sample_size + reference_size))
    scaled = (root + 0.12 + 0.11 / root) * gap
    if scaled < 0.3:  # the series converges too slowly there, and the probability is 1 to six places
        return 1.0
    terms = (2.0 * (1 if k % 2 else -1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, sum(terms)))
