"""Measure a model on flowers that it has not seen.

Writes `evaluation.json` (accuracy, precision, recall, F1, per species as well, and the confusion matrix) and the
matrix as a picture, `confusion.png`. Averages over species are plain means: each species counts the same.
"""

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from iris import artifact, heatmap, table
from iris.argument import share
from iris.fault import Fault, guard
from iris.flower import FEATURES, TARGET
from iris.metric import emit, write_report
from iris.place import only_file, output


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description="Measure a model on a CSV of scaled, labelled iris flowers.")
    options.add_argument("--train_accuracy", type=share)
    return options


def main() -> None:
    options = parser().parse_args()
    model = artifact.load_model(only_file("model"))
    flowers = table.read(only_file("test-set"))
    lengths, species = flowers.numbers(FEATURES), flowers.labels(TARGET)
    classes = model.classes_.tolist()
    check_known(flowers, classes)

    matrix = confusion_matrix(species, model.predict(lengths), labels=classes)
    report = measure(species, model.predict(lengths), matrix, classes)
    if options.train_accuracy is not None:
        report["overfit"] = options.train_accuracy - report["accuracy"]
    write_report(output("evaluation.json"), report)
    note = f"accuracy {report['accuracy']:.1%} on {len(species)} unseen flowers"
    output("confusion.png").write_bytes(heatmap.draw(matrix, classes, "Confusion matrix", note))
    emit("evaluate", **{key: value for key, value in report.items() if key != "by_class"})


def check_known(flowers: table.Table, classes: list[str]) -> None:
    for row, cell in zip(flowers.rows, flowers.column(TARGET), strict=True):
        if cell not in classes:
            place = f"`{flowers.name}` row {row.number}, column `{TARGET}`"
            raise Fault(f"{place}: the model does not know `{cell}`, only {', '.join(classes)}")


def measure(
    species: NDArray[np.str_], predicted: NDArray[np.str_], matrix: NDArray[np.int64], classes: list[str]
) -> dict[str, Any]:
    """All figures. A species that was never predicted has precision 0; one that is not in the data has recall 0."""
    by_class = precision_recall_fscore_support(species, predicted, labels=classes, zero_division=0.0)
    precision, recall, f1, support = (values.tolist() for values in by_class)
    return {
        "rows": len(species),
        "accuracy": float(np.trace(matrix) / matrix.sum()),
        "precision": float(np.mean(precision)),
        "recall": float(np.mean(recall)),
        "f1": float(np.mean(f1)),
        "classes": classes,
        "confusion_matrix": matrix.tolist(),
        "by_class": {
            name: {"precision": precision[i], "recall": recall[i], "f1": f1[i], "rows": int(support[i])}
            for i, name in enumerate(classes)
        },
    }


if __name__ == "__main__":
    guard(main)
