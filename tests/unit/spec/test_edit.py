"""Edits of a text, the spans of its values, and YAML text of data."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from runner.spec.amend import Amendment, CannotAmend
from runner.spec.edit import Edit, Moves, apply_edits, clash
from runner.spec.emit import emit_block, emit_flow, emit_text
from runner.spec.source import read_source
from runner.spec.span import Spans, walk
from runner.spec.tree import Row, Table, alike

TRIALS = settings(max_examples=150, deadline=None, database=None)


def plain(value: object) -> object:
    if isinstance(value, Table):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, Row) else value


def read(text: str) -> object:
    source = read_source(text.encode(), "f.yaml")
    assert not [problem for problem in source.problems if problem.severity == "error"], source.problems
    return plain(source.tree)


def test_edits_are_made_at_the_places_of_the_old_text() -> None:
    assert apply_edits("abcdef", [Edit(4, 5, ""), Edit(0, 1, "AA"), Edit(3, 3, "-")]) == "AAbc-df"


def test_edits_that_overlap_are_refused() -> None:
    for one, other in [((0, 2), (1, 3)), ((1, 1), (1, 1)), ((1, 1), (0, 2)), ((0, 2), (0, 1))]:
        assert clash(Edit(*one, "x"), Edit(*other, "y"))
        with pytest.raises(ValueError, match="overlap"):
            apply_edits("abc", [Edit(*one, "x"), Edit(*other, "y")])
    assert apply_edits("abc", [Edit(0, 1, ""), Edit(1, 2, "B"), Edit(1, 1, "-"), Edit(2, 2, "+")]) == "-B+c"


@TRIALS
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.text("XY", max_size=3)), max_size=6), st.data())
def test_a_character_that_stays_is_found_after_edits_and_back(
    parts: list[tuple[int, int, str]], data: st.DataObject
) -> None:
    edits, at = [], 0
    for gap, length, text in parts:
        start = at + gap + 1
        edits.append(Edit(start, start + length, text))
        at = start + length
    old = "".join(chr(0x100 + index) for index in range(at + 5))
    new = apply_edits(old, edits)
    moves = Moves(edits)
    offset = data.draw(st.integers(0, len(old) - 1))
    if old[offset] in new:
        assert new[moves.forward(offset)] == old[offset]
        assert moves.back(moves.forward(offset)) == offset


ATOMS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12) | st.sampled_from(
    ["yes", "1e-4", "1_000", "0o17", "1:30", "~", "null", "- a", "a: b", "a #b", "{x}", "[", "--x", "-", "...", "---",
     "=", "<<", "2001-01-01", ".inf", "é", "\u2028", "\x85", "python ./a.py {parameters}", " x", "x ", "x:", "'", '"',
     "!a", "&a", "*a", "%a", "@a", "`a", "?", "? a", "-a", "a,b"]
)  # fmt: skip
DATA = st.recursive(
    ATOMS | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(WORDS.filter(lambda key: key != "<<"), inner, max_size=3)
    ),
    max_leaves=8,
)


@TRIALS
@given(DATA)
def test_yaml_text_of_data_reads_back_as_the_same_data(value: object) -> None:
    assert alike(read("\n".join(emit_block([value]))), [value])
    assert alike(read(emit_flow([value])), [value])


def test_plain_words_get_no_quotes() -> None:
    for word in ("python ./a.py {parameters}", "--flag=true", "s3://bucket/*.csv", "train model (v2)", "python:3.11"):
        assert emit_text(word) == word


TEXT = """\
# a comment
- &s step:
    name: 'x y'   # its name
    block: |
      one
      two

    # about the list
    list: &l
    - a
    -   {b: [1, "é😀"], c: *l}
    empty:
- !!map
  z: !!str 5 # end
"""


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_scalar_stands_where_its_span_says(newline: str) -> None:
    text = TEXT.replace("*l", "d").replace("\n", newline)
    spans = Spans(text)
    assert spans.root is not None
    scalars = [span for span in walk(spans.root) if span.kind == "scalar"]
    assert [span.text for span in scalars if span.style not in ("|", ">")] == [
        "step", "name", "x y", "block", "list", "a", "b", "1", "é😀", "c", "d", "empty", "", "z", "5",
    ]  # fmt: skip
    for span in scalars:
        start, end = spans.content(span)
        quotes = span.style if span.style in ("'", '"') else ""
        if span.style not in ("|", ">"):
            assert text[start:end] == f"{quotes}{span.text}{quotes}"
        assert spans.offset(spans.place(start)) == start


def test_a_list_without_brackets_ends_with_its_last_entry() -> None:
    spans = Spans("- a\n- b: |\n    c\n\n# end\n")
    assert spans.root is not None
    assert spans.text[spans.root.start : spans.root.end] == "- a\n- b: |\n    c"


def amended(text: str, old: object, new: object) -> str:
    amendment = Amendment(text)
    assert amendment.spans.root is not None
    amendment.follow(amendment.spans.root, old, new)
    return amendment.result()


def test_only_the_lines_that_say_something_else_are_changed() -> None:
    text = "a: 1  # one\nlist:\n- x   # first\n# below\nd: {e: 1}\nnothing:\nlast: z"
    new = {"a": 2, "list": ["x", "w"], "d": {"e": 1, "f": [True]}, "nothing": [{"k": 1}], "last": "z", "more": "m"}
    assert amended(text, read(text), new) == (
        "a: 2  # one\nlist:\n- x   # first\n- w\n# below\nd: {e: 1, f: [true]}\nnothing:\n  - k: 1\nlast: z\nmore: m"
    )


def test_line_breaks_of_windows_and_a_missing_one_at_the_end_stay() -> None:
    assert amended("a: 1\r\nb:\r\n  - 2", {"a": 1, "b": [2]}, {"a": 1, "b": [2, 3], "c": 4}) == (
        "a: 1\r\nb:\r\n  - 2\r\n  - 3\r\nc: 4"
    )


def test_what_stands_elsewhere_is_not_amended() -> None:
    for text, new in [
        ("a: &x {n: 1}\nb: *x\n", {"a": {"n": 1}, "b": {"n": 2}}),
        ("<<: {a: 1}\nb: 2\n", {"a": 2, "b": 2}),
    ]:
        with pytest.raises(CannotAmend):
            amended(text, read(text), new)


@TRIALS
@given(
    st.dictionaries(st.sampled_from("abc"), DATA, min_size=1),
    st.dictionaries(st.sampled_from("abcd"), DATA),
    st.booleans(),
)
def test_an_amended_text_says_the_new_data(old: dict[str, object], fresh: dict[str, object], flow: bool) -> None:
    new = {**old, **fresh}
    text = emit_flow(old) if flow else "\n".join(emit_block(old)) + "\n"
    # Lines with comments are never given up, and this test has none.
    assume("#" not in text)
    assert alike(read(amended(text, old, new)), new)
