"""Fit a model.

Writes `model.pkl`, `model.txt` (the same model for people) and `scaler.pkl` (handed on, so that it lies beside the
model). The step can run by itself: without a `train-set` it learns from the table that scikit-learn carries.
"""

import argparse
import shutil
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from iris import artifact, table
from iris.argument import count, positive, share
from iris.bundled import load_flowers
from iris.description import describe
from iris.fault import Fault, guard
from iris.flower import FEATURES, TARGET
from iris.metric import emit
from iris.place import input_files, only_file, output


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description="Fit a support vector machine or a linear discriminant analysis.")
    options.add_argument("--model", choices=["svm", "lda"], default="svm")
    options.add_argument("--C", type=positive, default=1.0)
    options.add_argument("--kernel", choices=["linear", "poly", "rbf", "sigmoid"], default="rbf")
    options.add_argument("--gamma", type=positive)
    options.add_argument("--shrinkage", type=share)
    options.add_argument("--folds", type=count, default=5)
    options.add_argument("--seed", type=count, default=7)
    return options


def main() -> None:
    options = parser().parse_args()
    origin, lengths, species, scaler = load()
    check_rows(species, options.folds)
    emit("load", origin=origin, rows=len(species), n_features=lengths.shape[1], classes=sorted(set(species.tolist())))

    model = build(options)
    scores = cross_validate(model, scaler, lengths, species, options)
    emit("cross-validate", folds=options.folds, cv_accuracy=float(scores.mean()), cv_deviation=float(scores.std()))

    model.fit(lengths, species)
    accuracy = float(model.score(lengths, species))
    emit("fit", model=options.model, train_accuracy=accuracy, **size(model))

    measured = {"training accuracy": accuracy, "cross-validated accuracy": float(scores.mean())}
    text = describe(model, scaler, lengths, species, origin, measured)
    output("model.txt").write_text(text, encoding="utf-8")
    save_scaler(scaler)
    emit("save", model_bytes=artifact.save(output("model.pkl"), model))


def load() -> tuple[str, NDArray[np.float64], NDArray[np.str_], Any]:
    """Where the rows come from, the scaled lengths, the species, and the scaler that made them."""
    if input_files("train-set"):
        flowers = table.read(only_file("train-set"))
        scaler = artifact.load_scaler(only_file("scaler"))
        return flowers.name, flowers.numbers(FEATURES), flowers.labels(TARGET), scaler
    if input_files("scaler"):
        raise Fault("there is a `scaler` but no `train-set` that it scaled")
    lengths, species = load_flowers()
    scaler = StandardScaler().fit(lengths)
    return "bundled", scaler.transform(lengths), species, scaler


def save_scaler(scaler: Any) -> None:
    """A scaler that was given is handed on byte for byte: the same file, known by the same digest."""
    if input_files("scaler"):
        shutil.copyfile(only_file("scaler"), output("scaler.pkl"))
    else:
        artifact.save(output("scaler.pkl"), scaler)


def check_rows(species: NDArray[np.str_], folds: int) -> None:
    counts = Counter(species.tolist())
    if len(counts) < 2:
        raise Fault(f"all {len(species)} flowers are `{species[0]}`: a classifier needs at least 2 species")
    rarest, flowers = min(counts.items(), key=lambda item: (item[1], item[0]))
    if not 2 <= folds <= flowers:
        raise Fault(f"`folds` is {folds}: it must be from 2 to {flowers}, the number of flowers of `{rarest}`")


def build(options: argparse.Namespace) -> Any:
    if options.model == "lda":
        solver = "svd" if options.shrinkage is None else "lsqr"  # the default solver knows no shrinkage
        return LinearDiscriminantAnalysis(solver=solver, shrinkage=options.shrinkage)
    gamma = "scale" if options.gamma is None else options.gamma
    return SVC(C=options.C, kernel=options.kernel, gamma=gamma, random_state=options.seed)


def cross_validate(
    model: Any, scaler: Any, lengths: NDArray[np.float64], species: NDArray[np.str_], options: argparse.Namespace
) -> NDArray[np.float64]:
    """Accuracy on each fold. Scaling is learned again in each of them, or the fold would have been seen before."""
    folds = StratifiedKFold(options.folds, shuffle=True, random_state=options.seed)
    whole = make_pipeline(clone(scaler), clone(model))
    scores: NDArray[np.float64] = cross_val_score(whole, lengths, species, cv=folds)
    return scores


def size(model: Any) -> dict[str, int]:
    """How much the model had to remember."""
    if isinstance(model, SVC):
        return {"support_vectors": int(model.n_support_.sum())}
    return {"coefficients": int(model.coef_.size)}


if __name__ == "__main__":
    guard(main)
