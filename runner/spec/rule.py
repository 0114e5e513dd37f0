"""The words and bounds of the rules of a task's parameters. Pure."""

DISTRIBUTIONS = ("uniform", "log_uniform")
"""How random values may be spread: evenly, or evenly on a logarithmic scale."""

MOST_VALUES = 100_000
"""How many values a parameter, and how many trials a task may have: beyond it a file is wrong, not ambitious."""


def plain_word(text: str) -> str:
    """A word as it is compared: `Log-Uniform` is `log_uniform`."""
    return text.strip().lower().replace("-", "_")
