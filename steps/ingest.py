"""Bring the raw data in.

Writes `iris.csv` (the flowers to learn from), `reference.csv` (the published table, against which later data are
compared) and `new-flowers.csv` (flowers kept out of the training and without their species, to try a model on).
Without a `source` the flowers come from the table that scikit-learn carries, so no network is needed.
"""

import argparse
from typing import Any

import numpy as np

from iris import table
from iris.argument import count
from iris.bundled import load_flowers
from iris.fault import Fault, guard
from iris.flower import FEATURES, SPECIES, TARGET
from iris.metric import emit
from iris.place import csv_files, input_files, output


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description="Write the raw, the reference and the held-back data.")
    options.add_argument("--seed", type=count, default=7)
    options.add_argument("--held_back", type=count, default=15)
    return options


def main() -> None:
    options = parser().parse_args()
    lengths, species = load_flowers()
    kept, held_back = draw(species, options.held_back, options.seed)
    columns: tuple[str, ...] = (*FEATURES, TARGET)
    labelled: list[tuple[Any, ...]] = [
        (*row, name) for row, name in zip(lengths.tolist(), species.tolist(), strict=True)
    ]
    table.write(output("reference.csv"), columns, labelled)
    table.write(output("new-flowers.csv"), FEATURES, (lengths[index].tolist() for index in held_back))
    origin, rows = "bundled", [labelled[index] for index in kept]
    if input_files("source"):
        origin, (columns, rows) = "source", read_source()
    table.write(output("iris.csv"), columns, rows)
    emit("ingest", origin=origin, rows=len(rows), held_back=len(held_back), reference_rows=len(labelled))


def draw(species: np.ndarray, size: int, seed: int) -> tuple[list[int], list[int]]:
    """Row numbers to keep and to hold back, both ascending; each species loses the same number, or one more."""
    if size > len(species) - 10 * len(SPECIES):
        raise Fault(f"`held_back` is {size}: of {len(species)} flowers at least {10 * len(SPECIES)} must remain")
    generator = np.random.default_rng(seed)
    held_back = []
    for position, name in enumerate(SPECIES):
        quota = size // len(SPECIES) + (position < size % len(SPECIES))
        held_back += generator.choice(np.flatnonzero(species == name), quota, replace=False).tolist()
    return sorted(set(range(len(species))) - set(held_back)), sorted(held_back)


def read_source() -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """The rows of all given CSVs, as they are: whether they are good is for `validate` to say."""
    tables = [table.read(path) for path in csv_files("source")]
    for other in tables[1:]:
        if other.columns != tables[0].columns:
            raise Fault(f"`{other.name}` has other columns than `{tables[0].name}`: {', '.join(other.columns)}")
    return tables[0].columns, [row.cells for each in tables for row in each.rows]


if __name__ == "__main__":
    guard(main)
