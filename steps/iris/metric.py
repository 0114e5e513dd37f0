"""Results as JSON: a line on standard output is a metric event, a file is a report."""

import json
from pathlib import Path
from typing import Any


def emit(stage: str, **values: Any) -> None:
    """Print one JSON object on one line. Floats are rounded to six places: enough to compare, short enough to read."""
    print(json.dumps({"stage": stage, **{key: _rounded(value) for key, value in values.items()}}), flush=True)


def write_report(path: Path, report: dict[str, Any]) -> None:
    path.write_text(json.dumps(_rounded(report), indent=2) + "\n", encoding="utf-8")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
