"""Bytes become a tree with places, or a located problem."""

import pytest
import yaml

from runner.errors import Severity
from runner.spec import source
from runner.spec.source import Source, read_source, split_lines
from runner.spec.tree import Row, Table, locate


def read(text: str | bytes) -> Source:
    return read_source(text if isinstance(text, bytes) else text.encode(), "f.yaml")


def only_problem(text: str | bytes) -> tuple[str, int, int]:
    result = read(text)
    assert len(result.problems) == 1, result.problems
    problem = result.problems[0]
    return problem.code, problem.location.line, problem.location.column


PLAIN = """
text: a b
quoted: "1"
numbers: [1, -2, 0x1F, 0b11, 1_000, 1.5, -1.0e+3, .5]
words: [true, No, ON, null, ~, ""]
nested: {a: {b: [c, {d: e}]}}
block: |
  one
  two
folded: >-
  one
  two
tagged: [!!str 5, !!int "5", !!float "1", !!bool "yes", !!null "", ! 7]
"""


def test_plain_data_is_read_as_pyyaml_reads_it() -> None:
    assert read(PLAIN).tree == yaml.safe_load(PLAIN)


def test_keys_and_values_know_their_places() -> None:
    tree = read("- step:\n    name: train\n    inputs:\n      - name: data\n").tree
    assert locate(tree, [0, "step", "name"]) == (2, 11)
    assert locate(tree, [0, "step", "name"], key=True) == (2, 5)
    assert locate(tree, [0, "step", "inputs", 0, "name"]) == (4, 15)
    assert locate(tree, [0, "step", "nowhere", "below"]) == (2, 5)


def test_columns_count_characters_not_bytes() -> None:
    tree = read("- {größe: 日本, b: c}").tree
    assert locate(tree, [0, "b"], key=True) == (1, 15)


def test_a_key_that_is_not_text_is_kept_as_it_is_written() -> None:
    assert read("{on: 1, 5: 2, ~: 3, 1.50: 4}").tree == {"on": 1, "5": 2, "~": 3, "1.50": 4}


def test_merge_keys_give_what_pyyaml_gives() -> None:
    text = "- &a {x: 1, y: 2}\n- &b {x: 3, z: 4}\n- {<<: [*a, *b], y: 5}\n- {y: 6, <<: *a}\n- {'<<': 7}"
    tree = read(text).tree
    assert isinstance(tree, Row)
    assert tree[:4] == yaml.safe_load(text)[:4]
    assert tree[4] == {"<<": 7}


def test_a_merged_key_keeps_the_place_where_it_is_written() -> None:
    tree = read("- &a {x: 1}\n- {<<: *a}").tree
    assert locate(tree, [1, "x"]) == (1, 10)


def test_a_duplicate_key_is_a_warning_with_both_lines_and_the_last_wins() -> None:
    result = read("a: 1\nb: 2\na: 3\n")
    assert result.tree == {"a": 3, "b": 2}
    [problem] = result.problems
    assert (problem.severity, problem.code, problem.location.line) == (Severity.WARNING, "duplicate-key", 3)
    assert "line 1" in problem.message


def test_an_override_of_a_merged_key_is_no_duplicate() -> None:
    assert read("- &a {x: 1}\n- {<<: *a, x: 2}").problems == ()


@pytest.mark.parametrize(
    ("text", "value"),
    [("012", 10), ("22:22", 1342), ("1:30.5", 90.5), ("2001-01-01", "2001-01-01"), (".inf", ".inf"), (".NaN", ".NaN")],
)
def test_a_value_that_means_something_else_in_yaml_is_a_warning(text: str, value: object) -> None:
    result = read(f"a: {text}")
    assert result.tree == {"a": value}
    assert [problem.code for problem in result.problems] == ["yaml-type"]


def test_quotes_silence_the_warning() -> None:
    assert read("[ '012', '2001-01-01', '.inf', !!float '1:30' ]").problems == ()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: !!int x", "yaml-value"),
        ("a: !!bool x", "yaml-value"),
        ("a: !!float x", "yaml-value"),
        ("a: " + "9" * 5000, "yaml-value"),
        ("a: !!python/name:os.system ''", "yaml-tag"),
        ("a: !!binary aGk=", "yaml-tag"),
        ("a: !!set {b}", "yaml-tag"),
        ("a: !own b", "yaml-tag"),
        ("a: *b", "yaml-alias"),
        ("a: &b [*b]", "yaml-alias"),
        ("a: &b {c: *b}", "yaml-alias"),
        ("{[a]: b}", "yaml-key"),
        ("{<<: [a]}", "yaml-key"),
        ("a: 1\n---\nb: 2", "multi-document"),
        ("a: b: c", "yaml-syntax"),
        ("a: [b", "yaml-syntax"),
        ("\ta: b", "yaml-syntax"),
        ('a: "\\0"', "yaml-value"),
    ],
)
def test_what_cannot_be_read_is_one_located_error(text: str, code: str) -> None:
    result = read(text)
    assert result.tree is None
    assert [problem.code for problem in result.problems] == [code]
    assert result.problems[0].severity is Severity.ERROR


def test_a_timestamp_that_does_not_exist_stays_text() -> None:
    assert read("a: 2001-99-99").tree == {"a": "2001-99-99"}


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ("a: b".encode("utf-16"), (1, 1)),
        ("a: b".encode("utf-16-le"), (1, 1)),
        ("a: b".encode("utf-16-be"), (1, 1)),
        ("a: b".encode("utf-32"), (1, 1)),
        ("a: 1\nb: größe".encode("latin-1"), (2, 6)),
        (b"a: 1\nb: x\x00y", (2, 5)),
        (b"a: \x1b[1m", (1, 4)),
        (b"a: \xed\xa0\x80", (1, 4)),
        ("größe: \x07".encode(), (1, 8)),
    ],
)
def test_an_encoding_error_is_located(data: bytes, place: tuple[int, int]) -> None:
    assert only_problem(data) == ("encoding", *place)


def test_a_lone_surrogate_in_an_escape_is_an_error() -> None:
    assert read('a: "\\ud800"').tree is None


def test_a_byte_order_mark_is_skipped() -> None:
    result = read(b"\xef\xbb\xbfa: b")
    assert (result.tree, result.problems, locate(result.tree, ["a"])) == ({"a": "b"}, (), (1, 4))


@pytest.mark.parametrize("text", ["", "# comment\n", "---\n", "\n\n"])
def test_an_empty_file_is_no_error_here(text: str) -> None:
    result = read(text)
    assert (result.tree, result.problems) == (None, ())


def test_lines_are_counted_as_yaml_counts_them() -> None:
    text = "a: 1\r\nb: 2\rc: 3\u2028d: 4\x85e: 5\n"
    tree = read(text).tree
    assert isinstance(tree, Table)
    assert [tree.keys_at[key][0] for key in tree] == [1, 2, 3, 4, 5]
    assert split_lines(text)[3] == "d: 4"


def test_the_pure_parser_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = read(PLAIN)
    monkeypatch.setattr(source, "_LOADER", yaml.SafeLoader)
    slow = read(PLAIN)
    assert slow == fast
    assert isinstance(slow.tree, Table) and isinstance(fast.tree, Table)
    assert slow.tree.values_at == fast.tree.values_at
