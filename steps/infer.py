"""Name the species of flowers.

Takes a model, the scaler it was trained with, and CSVs of the four lengths in centimetres. For each CSV one of the
same name is written: the flowers as they were given, and their species. Nothing is written if any CSV is wrong.
"""

import argparse
from pathlib import Path
from typing import Any

from iris import artifact, table
from iris.fault import Fault, guard
from iris.flower import FEATURES, TARGET
from iris.metric import emit
from iris.place import csv_files, input_folder, only_file, output
from iris.table import Table


def parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(description="Predict the species of the flowers in CSVs.")


def main() -> None:
    parser().parse_args()
    model = artifact.load_model(only_file("model"))
    scaler = artifact.load_scaler(only_file("scaler"))
    batches = read_batches()
    for name, flowers in batches.items():
        species = model.predict(scaler.transform(flowers.numbers(FEATURES))).tolist()
        rows = ((*row.cells, label) for row, label in zip(flowers.rows, species, strict=True))
        table.write(output(name), (*flowers.columns, TARGET), rows)
        emit("predict", file=str(name), rows=len(species), **counts(species, model))
    emit("infer", files=len(batches), rows=sum(len(flowers.rows) for flowers in batches.values()))


def read_batches() -> dict[Path, Table]:
    """Each CSV under the name of its predictions, all of them checked."""
    batches: dict[Path, Table] = {}
    for path in csv_files("attributes"):
        name = path.relative_to(input_folder("attributes")).with_suffix(".csv")
        if name in batches:
            raise Fault(f"two files of input `attributes` would both become `{name}`")
        batches[name] = flowers = table.read(path)
        for column in flowers.columns:
            if column not in FEATURES:
                raise Fault(f"`{flowers.name}` has a column `{column}`; wanted are only {', '.join(FEATURES)}")
        flowers.numbers(FEATURES)
    return batches


def counts(species: list[str], model: Any) -> dict[str, int]:
    return {f"predicted_{name}": species.count(name) for name in model.classes_.tolist()}


if __name__ == "__main__":
    guard(main)
