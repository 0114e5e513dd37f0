"""Fitted scikit-learn objects as files.

A pickle runs code when it is opened: open only models that you or your own pipeline made.
"""

import pickle
from pathlib import Path
from typing import Any

from iris.fault import Fault
from iris.flower import FEATURES

PROTOCOL = 4  # fixed, so that another Python writes the same bytes


def save(path: Path, fitted: Any) -> int:
    """Write `fitted` and return the size of the file in bytes."""
    return path.write_bytes(pickle.dumps(fitted, protocol=PROTOCOL))


def load_model(path: Path) -> Any:
    """A fitted classifier of iris features. Raises Fault if the file holds anything else."""
    return _load(path, "predict", "a fitted classifier")


def load_scaler(path: Path) -> Any:
    """A fitted transformer of iris features. Raises Fault if the file holds anything else."""
    return _load(path, "inverse_transform", "a fitted scaler")


def _load(path: Path, ability: str, wanted: str) -> Any:
    try:
        fitted = pickle.loads(path.read_bytes())
    except Exception as problem:  # noqa: BLE001 - a broken pickle can raise anything
        raise Fault(f"`{path.name}` cannot be opened as {wanted}: {problem}") from None
    if not hasattr(fitted, ability) or not hasattr(fitted, "n_features_in_"):
        raise Fault(f"`{path.name}` holds a {type(fitted).__name__}, not {wanted}")
    if fitted.n_features_in_ != len(FEATURES):
        raise Fault(f"`{path.name}` was fitted on {fitted.n_features_in_} features, not on {len(FEATURES)}")
    return fitted
