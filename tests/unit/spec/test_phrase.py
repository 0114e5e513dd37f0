"""How values are called in messages, and what a wrong word probably means."""

import re

import pytest

from runner.spec.model import TaskType
from runner.spec.phrase import describe, meant_key, meant_text, meant_word, quoting
from runner.spec.schema import load_schema
from runner.spec.source import read_source

DEFINITIONS = load_schema()["$defs"]


def value_of(text: str) -> object:
    return read_source(text.encode(), "f").tree


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("yes", "the boolean `true`"),
        ("3.10", "the number `3.1`"),
        ("'a b'", "the text `a b`"),
        ("''", "empty text"),
        ("|\n  first\n  second\n", "the text `first …`"),
        ("{}", "a mapping"),
        ("[]", "a list"),
    ],
)
def test_a_value_is_called_what_it_is(text: str, said: str) -> None:
    assert describe(value_of(text)) == said


def test_a_value_is_called_by_its_text_where_that_is_known() -> None:
    assert describe(3.1, "3.10") == "the number `3.10`"


def test_long_text_is_cut() -> None:
    assert len(describe("x" * 1000)) < 100


@pytest.mark.parametrize(
    ("title", "key", "meant"),
    [
        ("edge", "from", "source"),
        ("step", "timeout", "time-limit"),
        ("input", "URL", "default"),
        ("step", "imag", "image"),
    ],
)
def test_a_key_of_another_tool_is_one_of_this_language(title: str, key: str, meant: str) -> None:
    known = DEFINITIONS[title]["properties"]
    assert meant in known
    assert meant_key(title, key, known) == f"did you mean `{meant}`?"


def test_a_key_is_only_meant_where_it_is_known() -> None:
    assert meant_key("step", "env", ["name"]) == "there is `name`"


def test_a_word_far_from_all_has_no_hint() -> None:
    assert meant_word("zzz", ["none", "repeat"]) is None
    assert meant_word([], ["none", "repeat"]) is None


def test_the_types_of_tasks_are_words_of_this_language() -> None:
    words = [str(word) for word in TaskType]
    found = {meant_word(word, words) for word in ("grid", "random", "manual", "bayesian")}
    assert {re.sub("did you mean `(.*)`.", r"\1", str(hint)) for hint in found} < set(words)
    assert len(found) == 4


def test_quotes_are_advised_only_where_they_help() -> None:
    assert quoting(value_of("5")) == "put quotes around it"
    assert quoting(value_of("a: {b: c}")) is None
    assert quoting(value_of("[a]")) is None
    assert quoting(None) is None


def test_a_name_is_only_proposed_if_it_is_allowed() -> None:
    pattern = DEFINITIONS["endpoint"]["properties"]["name"]["pattern"]
    assert meant_text(pattern, "My Server!") == "did you mean `my-server`?"
    assert meant_text(pattern, "é") is None
    assert meant_text("=", "x") is None
