"""Let only good data through.

Checks every CSV of the input `data`: columns, number of rows, missing values, types, ranges, species, class balance,
and drift of each feature against the `reference`. Writes `validation.json` in any case. Files that pass are handed on
under their own names; an anomaly in one of them ends the step with an error, and then nothing is handed on.
"""

import argparse
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from iris import rule, table
from iris.argument import count, positive, share
from iris.fault import Fault, guard
from iris.flower import FEATURES, SPECIES
from iris.metric import emit, write_report
from iris.place import csv_files, input_files, input_folder, only_file, output
from iris.rule import Anomaly, Expectation

SHOWN = 20  # anomalies in the log; the report has them all


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description="Check CSVs of iris flowers; fail if anything is wrong.")
    options.add_argument("--species", action="append")
    options.add_argument("--lowest", type=positive, default=0.05)
    options.add_argument("--highest", type=positive, default=12.0)
    options.add_argument("--margin", type=share, default=0.5)
    options.add_argument("--min_rows", type=count, default=30)
    options.add_argument("--min_share", type=share, default=0.2)
    options.add_argument("--max_drift", type=share, default=0.25)
    options.add_argument("--drift_chance", type=share, default=0.01)
    options.add_argument("--unlabelled", action="store_true")
    return options


def main() -> None:
    expected = expectation(parser().parse_args())
    paths = csv_files("data")
    findings = [check(path, expected) for path in paths]
    anomalies = [anomaly for _, found in findings for anomaly in found]
    report = {"passed": not anomalies, "files": [summary for summary, _ in findings]}
    write_report(output("validation.json"), {**report, "anomalies": [asdict(anomaly) for anomaly in anomalies]})
    emit("validate", **headline([summary for summary, _ in findings], anomalies))
    if anomalies:
        refuse(anomalies)
    for path in paths:
        shutil.copyfile(path, output(path.relative_to(input_folder("data"))))


def expectation(options: argparse.Namespace) -> Expectation:
    if options.lowest >= options.highest:
        raise Fault(f"`lowest` ({options.lowest}) must be below `highest` ({options.highest})")
    reference = table.read(only_file("reference")) if input_files("reference") else None
    if reference is not None:
        reference.numbers(FEATURES)  # a broken reference is refused here, before it can mislead a rule
    return Expectation(
        lowest=options.lowest,
        highest=options.highest,
        margin=options.margin,
        min_rows=options.min_rows,
        min_share=options.min_share,
        max_drift=options.max_drift,
        drift_chance=options.drift_chance,
        species=tuple(options.species or SPECIES),
        labelled=not options.unlabelled,
        reference=reference,
    )


def check(path: Path, expected: Expectation) -> tuple[dict[str, Any], list[Anomaly]]:
    """What the file is like, and what is wrong with it. A file that is no table at all is one anomaly."""
    try:
        flowers = table.read(path)
    except Fault as problem:
        return {"file": path.name, "rows": 0}, [Anomaly("readable", path.name, None, None, "", str(problem))]
    drifts = rule.drift_by_feature(flowers, expected)
    summary = {
        "file": path.name,
        "rows": len(flowers.rows),
        "shares": rule.class_shares(flowers, expected),
        "drift": {name: {"distance": gap, "chance": chance} for name, (gap, chance) in drifts.items()},
    }
    return summary, rule.find_anomalies(flowers, expected)


def headline(summaries: list[dict[str, Any]], anomalies: list[Anomaly]) -> dict[str, Any]:
    """The metric event: totals, the extremes over all files, and the first anomaly if there is one."""
    shares = [value for summary in summaries for value in summary.get("shares", {}).values()]
    gaps = [drift["distance"] for summary in summaries for drift in summary.get("drift", {}).values()]
    event: dict[str, Any] = {"passed": not anomalies, "files": len(summaries), "anomalies": len(anomalies)}
    event["rows"] = sum(summary["rows"] for summary in summaries)
    if shares:
        event["rarest_share"] = min(shares)
    if gaps:
        event["drift"] = max(gaps)
    if anomalies:
        first = asdict(anomalies[0])
        event |= {key: value for key, value in first.items() if key != "reason" and value is not None}
    return event


def refuse(anomalies: list[Anomaly]) -> None:
    for anomaly in anomalies[:SHOWN]:
        print(anomaly, file=sys.stderr)
    if len(anomalies) > SHOWN:
        print(f"... and {len(anomalies) - SHOWN} more, all in validation.json", file=sys.stderr)
    files = len({anomaly.file for anomaly in anomalies})
    raise Fault(f"{_counted(len(anomalies), 'anomaly', 'anomalies')} in {_counted(files, 'file', 'files')}: refused")


def _counted(number: int, singular: str, plural: str) -> str:
    return f"{number} {singular if number == 1 else plural}"


if __name__ == "__main__":
    guard(main)
