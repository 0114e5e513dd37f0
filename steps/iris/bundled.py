"""Fisher's iris table as it comes with scikit-learn: 150 flowers, no network needed."""

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_iris


def load_flowers() -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """The lengths (150 rows of four, in the order of `FEATURES`) and the species of each flower."""
    published = load_iris()
    return published.data, np.asarray(published.target_names)[published.target].astype(str)
