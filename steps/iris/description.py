"""A fitted model in words and tables: what `model.txt` says. Pure."""

import platform
from collections import Counter
from typing import Any

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.svm import SVC

from iris.flower import FEATURES


def describe(
    model: Any,
    scaler: Any,
    lengths: NDArray[np.float64],
    species: NDArray[np.str_],
    origin: str,
    measured: dict[str, float],
) -> str:
    """The whole text: settings, data, scaling, what was learned, accuracies and versions."""
    kind = "support vector machine" if isinstance(model, SVC) else "linear discriminant analysis"
    counts = Counter(species.tolist())
    sections = [
        _section("settings", _settings(model, lengths)),
        _section(
            "training data",
            {"origin": "the table bundled with scikit-learn" if origin == "bundled" else origin, "rows": len(species)}
            | {name: f"{counts[name]} rows" for name in model.classes_.tolist()},
        ),
        _scaling(scaler),
        *(_svm(model) if isinstance(model, SVC) else _lda(model)),
        _section("accuracy", {name: f"{value:.4f}" for name, value in measured.items()}),
        _section(
            "made with",
            {"Python": platform.python_version(), "scikit-learn": sklearn.__version__, "numpy": np.__version__},
        ),
    ]
    return f"{kind} for iris species\n\n" + "\n".join(sections)


def _settings(model: Any, lengths: NDArray[np.float64]) -> dict[str, Any]:
    if not isinstance(model, SVC):
        return {"solver": model.solver, "shrinkage": "none" if model.shrinkage is None else model.shrinkage}
    settings: dict[str, Any] = {"C": model.C, "kernel": model.kernel}
    if model.kernel != "linear":
        scale = 1 / (lengths.shape[1] * lengths.var())  # what SVC means by "scale"
        settings["gamma"] = f"scale ({scale:.4f})" if model.gamma == "scale" else model.gamma
    return {**settings, "seed": model.random_state}


def _scaling(scaler: Any) -> str:
    """Every scaler offered is `(x - centre) / spread`; two points of the line give both numbers."""
    centre = scaler.inverse_transform(np.zeros((1, len(FEATURES))))[0]
    spread = scaler.inverse_transform(np.ones((1, len(FEATURES))))[0] - centre
    title = f"scaling by {type(scaler).__name__}: (length in cm - centre) / spread"
    return _table(title, ["centre", "spread"], FEATURES, np.column_stack([centre, spread]))


def _svm(model: Any) -> list[str]:
    classes = model.classes_.tolist()
    vectors = _section("support vectors", dict(zip(classes, model.n_support_.tolist(), strict=True)))
    pairs = [f"{one} / {other}" for index, one in enumerate(classes) for other in classes[index + 1 :]]
    intercepts = np.atleast_1d(model.intercept_)
    if model.kernel != "linear":
        return [vectors, _table("decision functions", ["intercept"], pairs, intercepts[:, None])]
    weights = np.column_stack([intercepts, model.coef_])
    return [vectors, _table("decision functions", ["intercept", *FEATURES], pairs, weights)]


def _lda(model: Any) -> list[str]:
    classes = model.classes_.tolist()
    # Two classes need only one function: it is positive for the second of them.
    rows = classes if len(classes) > 2 else classes[1:]
    weights = np.column_stack([model.intercept_, model.coef_])
    means = np.column_stack([model.priors_, model.means_])
    return [
        _table("classes: share and mean of the scaled features", ["share", *FEATURES], classes, means),
        _table("discriminant functions", ["intercept", *FEATURES], rows, weights),
    ]


def _section(title: str, entries: dict[str, Any]) -> str:
    width = max(len(name) for name in entries)
    return f"{title}\n" + "".join(f"  {name:<{width}}  {value}\n" for name, value in entries.items())


def _table(title: str, head: list[str], names: Any, values: NDArray[np.float64]) -> str:
    first = max(len(name) for name in names)
    widths = [max(10, len(name)) for name in head]
    lines = [" " * first + "".join(f"  {name:>{width}}" for name, width in zip(head, widths, strict=True))]
    for name, row in zip(names, values, strict=True):
        cells = "".join(f"  {value:>{width}.4f}" for value, width in zip(row, widths, strict=True))
        lines.append(f"{name:<{first}}{cells}")
    return f"{title}\n" + "".join(f"  {line}\n" for line in lines)
