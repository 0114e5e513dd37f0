"""What a table must satisfy before anything is learned from it or predicted for it. Pure: no disk, no output.

Every rule looks at the whole table and returns all it finds, so that one run shows everything that is wrong. A rule
about values keeps silent about what an earlier rule has already reported.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from iris import drift
from iris.flower import FEATURES, TARGET
from iris.table import Table, number


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One finding. `row` and `column` are None where it concerns the whole table; `value` is what was found."""

    rule: str
    file: str
    row: int | None
    column: str | None
    value: str | float
    reason: str

    def __str__(self) -> str:
        if self.rule == "readable":  # the reason of the CSV reader begins with the place
            return f"{self.rule}: {self.reason}"
        place = f"`{self.file}`"
        place += f" row {self.row}" if self.row is not None else ""
        place += f", column `{self.column}`" if self.column is not None else ""
        return f"{self.rule}: {place}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Expectation:
    """The limits of the rules. Lengths are in centimetres, shares and distances from 0 to 1."""

    lowest: float
    highest: float
    margin: float
    min_rows: int
    min_share: float
    max_drift: float
    drift_chance: float
    species: tuple[str, ...]
    labelled: bool
    reference: Table | None

    @property
    def columns(self) -> tuple[str, ...]:
        return (*FEATURES, TARGET) if self.labelled else FEATURES

    def limits(self, feature: str) -> tuple[float, float]:
        """What a cell of this feature may hold: the absolute limits, narrowed by the reference where there is one."""
        if self.reference is None:
            return self.lowest, self.highest
        seen = self.reference.numbers([feature])
        slack = self.margin * float(seen.max() - seen.min())
        return max(self.lowest, float(seen.min()) - slack), min(self.highest, float(seen.max()) + slack)


def find_anomalies(table: Table, expected: Expectation) -> list[Anomaly]:
    """Every way in which the table does not satisfy the rules, in the order of the rules."""
    rules = (columns, rows, cells, categories, balance, drifts)
    return [anomaly for rule in rules for anomaly in rule(table, expected)]


def columns(table: Table, expected: Expectation) -> Iterator[Anomaly]:
    for name in expected.columns:
        if name not in table.columns:
            yield Anomaly("columns", table.name, None, name, "", "the column is missing")
    for name in table.columns:
        if name not in expected.columns:
            yield Anomaly("columns", table.name, None, name, name, "no such column is expected")


def rows(table: Table, expected: Expectation) -> Iterator[Anomaly]:
    if len(table.rows) < expected.min_rows:
        reason = f"{len(table.rows)} rows are fewer than the {expected.min_rows} wanted"
        yield Anomaly("rows", table.name, None, None, len(table.rows), reason)


def cells(table: Table, expected: Expectation) -> Iterator[Anomaly]:
    """Missing values, types and ranges of the features."""
    for feature in _present_features(table):
        low, high = expected.limits(feature)
        for row, cell in zip(table.rows, table.column(feature), strict=True):
            value = number(cell)
            if not cell:
                yield Anomaly("missing", table.name, row.number, feature, cell, "the cell is empty")
            elif value is None:
                yield Anomaly("type", table.name, row.number, feature, cell, f"`{cell}` is not a number")
            elif not low <= value <= high:
                reason = f"{cell} is outside {low:.4g} to {high:.4g} cm"
                yield Anomaly("range", table.name, row.number, feature, value, reason)


def categories(table: Table, expected: Expectation) -> Iterator[Anomaly]:
    if not expected.labelled or TARGET not in table.columns:
        return
    for row, cell in zip(table.rows, table.column(TARGET), strict=True):
        if not cell:
            yield Anomaly("missing", table.name, row.number, TARGET, cell, "the cell is empty")
        elif cell not in expected.species:
            reason = f"`{cell}` is none of {', '.join(expected.species)}"
            yield Anomaly("category", table.name, row.number, TARGET, cell, reason)


def balance(table: Table, expected: Expectation) -> Iterator[Anomaly]:
    for name, share in class_shares(table, expected).items():
        if share < expected.min_share:
            reason = f"`{name}` has {share:.1%} of the rows, less than {expected.min_share:.1%}"
            yield Anomaly("balance", table.name, None, TARGET, share, reason)


def drifts(table: Table, expected: Expectation) -> Iterator[Anomaly]:
    for feature, (gap, chance) in drift_by_feature(table, expected).items():
        if gap > expected.max_drift and chance < expected.drift_chance:
            reason = f"the values lie {gap:.3f} away from the reference, more than {expected.max_drift:.4g}"
            yield Anomaly("drift", table.name, None, feature, gap, reason)


def class_shares(table: Table, expected: Expectation) -> dict[str, float]:
    """The share of the rows that each expected species has; nothing for a table without labels."""
    if not expected.labelled or TARGET not in table.columns:
        return {}
    counts = Counter(table.column(TARGET))
    return {name: counts[name] / len(table.rows) for name in expected.species}


def drift_by_feature(table: Table, expected: Expectation) -> dict[str, tuple[float, float]]:
    """For each feature its distance from the reference and the probability that chance alone makes one as wide."""
    if expected.reference is None:
        return {}
    found = {}
    for feature in _present_features(table):
        values = np.array([value for cell in table.column(feature) if (value := number(cell)) is not None])
        reference = expected.reference.numbers([feature])[:, 0]
        if len(values):
            gap = drift.distance(values, reference)
            found[feature] = gap, drift.chance(gap, len(values), len(reference))
    return found


def _present_features(table: Table) -> list[str]:
    return [name for name in FEATURES if name in table.columns]
