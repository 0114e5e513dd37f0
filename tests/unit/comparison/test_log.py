"""Logs: what of a line is only its time."""

import io

import pytest

from runner.comparison.finding import Likeness
from runner.comparison.log import compare_logs


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2026-11-22 00:18:59,123 INFO start", "2026-11-23 01:02:03,456 INFO start"),
        ("2026-11-22T00:18:59.1Z go", "2027-01-01T10:00:00+02:00 go"),
        ("Sun Nov 22 00:18:59 UTC 2026", "Mon Nov 23 10:00:00 UTC 2026"),
        ("took 1.25s", "took 12.5s"),
        ("took 3 ms in all", "took 11 ms in all"),
        ("at 1763770000.25", "at 1763779999.5"),
        ("100%|##| 5/5 [00:01<00:00, 4.50it/s]", "100%|##| 5/5 [00:02<00:00, 2.25it/s]"),
        ("10%\r50%\r100%", "33%\r100%"),
        ("1.5 MB/s  done", "12 MB/s done"),
    ],
)
def test_times_durations_and_rates_do_not_count(before: str, after: str) -> None:
    found = compare_logs(io.BytesIO(before.encode()), io.BytesIO(after.encode()))
    assert found.likeness is Likeness.EQUAL


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("loss 0.25", "loss 0.26"),
        ("epoch 3 of 10", "epoch 4 of 10"),
        ("seed 1", "seed 2"),
        ("model v1.2", "model v1.3"),
        ("5 samples", "6 samples"),
        ("2026-11-22 good", "2026-11-22 bad"),
    ],
)
def test_all_else_counts(before: str, after: str) -> None:
    found = compare_logs(io.BytesIO(f"same\n{before}\n".encode()), io.BytesIO(f"same\n{after}\n".encode()))
    assert found.difference is not None
    assert (found.difference.where, found.difference.before, found.difference.after) == ("line 2", before, after)


def test_a_line_more_is_a_difference_and_the_same_bytes_are_identical() -> None:
    assert compare_logs(io.BytesIO(b"a\n"), io.BytesIO(b"a\nb\n")).likeness is Likeness.DIFFERENT
    assert compare_logs(io.BytesIO(b"a\n\xff"), io.BytesIO(b"a\n\xff")).likeness is Likeness.IDENTICAL
