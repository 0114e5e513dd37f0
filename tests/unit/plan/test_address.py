"""Addresses of inputs, as text."""

import pytest

from runner.plan.address import wildcard_root


@pytest.mark.parametrize(
    ("pattern", "root"), [("a/b*/c", "a/"), ("*.csv", ""), ("a/b/c.csv", "a/b/"), ("a/[bc]/d", "a/")]
)
def test_the_wildcard_root_is_the_folders_before_the_first_wildcard(pattern: str, root: str) -> None:
    assert wildcard_root(pattern) == root
