"""How values are called in messages, and what a wrong word probably means."""

import re

import pytest

from runner.spec.model import TaskType
from runner.spec.phrase import MISSING, as_list, describe, meant_key, meant_text, meant_word, quoting
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
        ("parameter", "options", "choices"),
    ],
)
def test_a_key_of_another_tool_is_one_of_this_language(title: str, key: str, meant: str) -> None:
    known = DEFINITIONS[title]["properties"]
    assert meant in known
    assert meant_key(title, key, known) == f"did you mean `{meant}`?"


@pytest.mark.parametrize(
    ("kind", "key", "advice"),
    [
        ("step", "gpu", "resources: {devices:"),
        ("step", "memory", "in megabytes below `resources`"),
        ("step", "depends_on", "as nodes of a pipeline"),
        ("task-parameter", "values", "as `items`"),
        ("execution-node", "parameters", "below `override`"),
        ("task-node", "inputs", "below `override`"),
        ("edge", "a.output.x", "as a pair: `[a.output.x, …]`"),
    ],
)
def test_a_key_that_belongs_elsewhere_is_told_where(kind: str, key: str, advice: str) -> None:
    known = DEFINITIONS[kind]["properties"]
    assert advice in str(meant_key(DEFINITIONS[kind]["title"], key, known))


def test_nothing_is_overridden_by_a_deployment_node() -> None:
    assert "override" not in str(
        meant_key("deployment node", "parameters", DEFINITIONS["deployment-node"]["properties"])
    )


def test_what_is_said_of_titles_is_said_of_titles_that_exist() -> None:
    titles = {definition.get("title") for definition in DEFINITIONS.values()}
    assert {title for title, _ in MISSING} <= titles
    assert {(title, key) for title, key in MISSING if key not in _required(title)} == set()


def _required(title: str) -> set[str]:
    return {key for found in DEFINITIONS.values() if found.get("title") == title for key in found.get("required", ())}


def test_text_with_commas_is_proposed_as_a_list() -> None:
    assert as_list("a, b") == "write a list: `[a, b]`"
    assert as_list("a") == "write a list: `[a]`"
    assert as_list("a,,b") is None


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
