"""Split the flowers into a training and a test part, and scale both.

The scaler learns from the training part alone, so that nothing of the test part leaks into the model. It is saved
(`scaler.pkl`), because whoever uses the model later has to scale in exactly the same way.
"""

import argparse
from collections import Counter

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from iris import artifact, table
from iris.argument import count, share
from iris.fault import Fault, guard
from iris.flower import FEATURES, TARGET
from iris.metric import emit
from iris.place import only_file, output

SCALERS = {"standard": StandardScaler, "minmax": MinMaxScaler, "robust": RobustScaler}


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description="Split and scale a CSV of labelled iris flowers.")
    options.add_argument("--test_share", type=share, default=0.25)
    options.add_argument("--scaling", choices=sorted(SCALERS), default="standard")
    options.add_argument("--seed", type=count, default=7)
    return options


def main() -> None:
    options = parser().parse_args()
    flowers = table.read(only_file("data"))
    lengths, species = flowers.numbers(FEATURES), flowers.labels(TARGET)
    check_split(species, options.test_share)
    train, test, train_species, test_species = train_test_split(
        lengths, species, test_size=options.test_share, random_state=options.seed, stratify=species
    )
    emit("split", train_rows=len(train), test_rows=len(test), classes=sorted(set(species.tolist())))

    scaler = SCALERS[options.scaling]().fit(train)
    artifact.save(output("scaler.pkl"), scaler)
    write_part("train.csv", scaler.transform(train), train_species)
    write_part("test.csv", scaler.transform(test), test_species)
    emit("scale", scaling=options.scaling, n_features=len(FEATURES))


def check_split(species: NDArray[np.str_], test_share: float) -> None:
    """Raise Fault if not every species can be in both parts."""
    rarest, flowers = min(Counter(species.tolist()).items(), key=lambda item: (item[1], item[0]))
    if flowers < 2:
        raise Fault(f"there is only {flowers} flower of `{rarest}`: a split needs at least 2 of each species")
    test_rows, kinds = int(np.ceil(test_share * len(species))), len(set(species.tolist()))
    if min(test_rows, len(species) - test_rows) < kinds:
        raise Fault(f"`test_share` {test_share} of {len(species)} flowers leaves a part with fewer rows than species")


def write_part(name: str, lengths: NDArray[np.float64], species: NDArray[np.str_]) -> None:
    rows = ((*row, label) for row, label in zip(lengths.tolist(), species.tolist(), strict=True))
    table.write(output(name), (*FEATURES, TARGET), rows)


if __name__ == "__main__":
    guard(main)
