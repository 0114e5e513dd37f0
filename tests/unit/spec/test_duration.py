"""Durations: what cannot be one is said in words for whoever wrote it."""

import pytest

from runner.spec.duration import parse_duration


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("abc", "`abc` has no number"),
        ("never", "`never` has no number"),
        ("3 parsecs", "`3parsecs` has no known unit"),
        ("0h", "more than 0 seconds"),
        ("x" * 1000, "has no number"),
    ],
    ids=range(5),
)
def test_what_is_no_duration_says_why(text: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_duration(text)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 150
