"""What the user wants of reuse."""

from pathlib import Path

import pytest

from runner.app.wish import Wish, believed_sources
from runner.settings import Settings

REMOTES = {"default": "lab", "lab": "ssh://me@lab/srv/ml", "here": "~/runs", "odd": "ssh://[odd"}


@pytest.mark.parametrize(
    ("word", "remotes", "sources"),
    [
        ("remotes", {}, frozenset()),
        ("remotes", REMOTES, frozenset({"ssh://me@lab/srv/ml", "/home/me/runs", "ssh://[odd"})),
        ("none", REMOTES, frozenset()),
        ("all", {}, None),
    ],
)
def test_the_settings_say_whose_runs_may_stand(
    monkeypatch: pytest.MonkeyPatch, word: str, remotes: dict[str, str], sources: frozenset[str] | None
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert believed_sources(Settings(Path("/s"), reuse_pulled=word, remotes=remotes)) == sources


def test_nobody_elsewhere_is_believed_unless_somebody_says_so() -> None:
    assert Wish().rule("n", "s").sources == frozenset()
    assert Wish(sources=None).rule("n", "s").sources is None
