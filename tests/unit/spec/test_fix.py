"""Mending a file: only what is wrong changes, and the file means what it meant."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.spec.check.code import CODES
from runner.spec.fix import repair
from runner.spec.lint import lint
from runner.spec.mend import MENDS
from runner.spec.normalise import normalise
from runner.spec.project import parse_project
from runner.spec.source import MAX_BYTES, MAX_DEPTH, read_source

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*/*.yaml"))
TRIALS = settings(max_examples=60, deadline=None, database=None)

HEAD = "- step:\n    name: train\n    image: busybox:1\n    command: run {parameters}\n"


def mended(text: str) -> str:
    return repair(text.encode(), "f.yaml").data.decode()


def codes(text: str) -> list[str]:
    return [problem.code for problem in repair(text.encode(), "f.yaml").repaired]


def comments(text: str) -> list[str]:
    """What stands behind a `#` that begins a comment; generated files have no other."""
    return sorted(re.findall(r"(?:^|\s)#(.*?)\s*$", text, re.MULTILINE))


def test_every_mend_is_for_a_code_that_there_is() -> None:
    assert set(MENDS) <= set(CODES)


def test_the_fields_of_a_flat_item_are_indented_with_their_comments() -> None:
    text = """\
# top
- step:   # keep

  # the name
  name: 'a'   # of it
  image: busybox:1
  command:
  - |
    if true; then

      echo
    fi
  # last
# bottom
- step: {name: b, image: 'busybox:1', command: x}
"""
    assert (
        mended(text)
        == """\
# top
- step:   # keep

    # the name
    name: 'a'   # of it
    image: busybox:1
    command:
    - |
      if true; then

        echo
      fi
    # last
# bottom
- step: {name: b, image: 'busybox:1', command: x}
"""
    )


def test_an_empty_value_that_is_written_out_goes_when_fields_move_below_it() -> None:
    assert mended("- step: ~ # c\n  name: a\n  image: b:1\n  command: x\n").startswith("- step: # c\n    name: a\n")


def test_a_flat_item_in_brackets_is_left_alone() -> None:
    text = "- {step: null, name: a, image: b:1, command: x}\n"
    assert mended(text) == text


def test_old_edges_become_canonical_and_get_their_nodes() -> None:
    text = (
        HEAD
        + """\
- pipeline:
    name: p
    # how it flows
    connections:
    - ["train.outputs.a*", 'train two.inputs.x']   # one
    - {source: train.outputs.b, target: train two.input.inputs.b}
"""
    )
    assert mended(text) == (
        HEAD
        + """\
- pipeline:
    name: p
    nodes:
    - name: train
      type: execution
      step: train
    - name: train two
      type: execution
      step: train two
    # how it flows
    edges:
    - ["train.output.a*", 'train two.input.x']   # one
    - {source: train.output.b, target: train two.input.inputs.b}
"""
    )


def test_nodes_are_written_in_brackets_where_the_pipeline_is() -> None:
    text = HEAD + "- pipeline: {name: p, edges: [[train.output.a, train.input.b]]}\n"
    assert "{name: p, nodes: [{name: train, type: execution, step: train}], edges: [[" in mended(text)


def test_an_aliased_edge_is_mended_once() -> None:
    text = HEAD + "- pipeline:\n    name: p\n    edges:\n    - &e [train.outputs.a, train.inputs.b]\n    - *e\n"
    assert "- &e [train.output.a, train.input.b]\n    - *e\n" in mended(text)


PARAMETERS = HEAD + "    parameters:\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("default: 1e-4", "default: 1.0e-4"),
        ("default: 1E5", "default: 1.0e+5"),
        ("default: 2.5e3", "default: 2.5e+3"),
        ("default: '0.5'", "default: 0.5"),
        ('default: " 3 "', "default: 3"),
        ("default: &a 1e-4", "default: &a 1.0e-4"),
        ("default: !!str 5", "default: !!str 5"),
        ("pass_as: '-x {v}'", "pass-as: '-x {v}'"),
        ("Optional: true", "optional: true"),
        ("optional: 'yes'", "optional: yes"),
        ("'pass_as': x", "'pass-as': x"),
        ("default: 3, default: 3", "default: 3"),
        ("default: 3, default: 4", "default: 3, default: 4"),
        ("default: 3, default: 3.0", "default: 3, default: 3.0"),
        ("pass_as: x, pass-as: y", "pass_as: x, pass-as: y"),
        ("colour: red", "colour: red"),
    ],
)
def test_a_number_or_key_of_a_parameter_is_written_canonically(before: str, after: str) -> None:
    text = f"{PARAMETERS}    - {{name: x, type: float, %s}}  # c\n"
    assert mended(text % before) == text % after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("type: Integer", "type: integer"),
        ("type: STRING", "type: string"),
        ("type: int", "type: int"),
        ("type: string\n      default: 5", 'type: string\n      default: "5"'),
        ("type: string\n      default: 1.10", "type: string\n      default: 1.10"),
        ("type: string\n      default: 2001-01-01", 'type: string\n      default: "2001-01-01"'),
        ("type: integer\n      default: 012", "type: integer\n      default: 012"),
        ("multiple: repeat\n      default: [1, a]", 'multiple: repeat\n      default: ["1", a]'),
    ],
)
def test_a_word_or_text_of_a_parameter_is_written_canonically(before: str, after: str) -> None:
    text = f"{PARAMETERS}    - name: x\n      %s\n"
    assert mended(text % before) == text % after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("time-limit: '90'", "time-limit: 90"),
        ("time-limit: 5 ms", "time-limit: 5 ms"),
        ("time-limit: 1.5", "time-limit: 1.5"),
        ("environment_variables: [{name: A, default: 1}]", 'environment-variables: [{name: A, default: "1"}]'),
        ("environment-variables:\n    - name: A\n      default: on # c",
         'environment-variables:\n    - name: A\n      default: "on" # c'),
        ("environment-variables:\n    - name: A\n      default: [1]",
         "environment-variables:\n    - name: A\n      default: [1]"),
        ("inputs: [{name: d, keep_directories: Full}]", "inputs: [{name: d, keep-directories: full}]"),
        ("source-path: 1.50", 'source-path: "1.50"'),
        ("description:", "description:"),
    ],
)  # fmt: skip
def test_a_field_of_a_step_is_written_canonically(before: str, after: str) -> None:
    assert mended(f"{HEAD}    {before}\n") == f"{HEAD}    {after}\n"


def test_a_name_that_looks_like_a_word_of_the_language_stays() -> None:
    text = "- endpoint:\n    name: Continue\n    image: x:1\n    wsgi: a:b\n"
    assert [problem.code for problem in lint(parse_project(text.encode(), "f.yaml"))] == ["wrong-value"]
    assert mended(text) == text


def test_the_middle_word_of_edges_and_targets_is_written_canonically() -> None:
    text = (
        PARAMETERS
        + """\
    - {name: lr, type: float, default: 1}
- pipeline:
    name: p
    nodes: [{name: a, type: execution, step: train}, {name: b, type: execution, step: train}]
    edges: [[a.Metadata.x, b.PARAMETERS.lr]]
    parameters:
    - {name: lr, targets: [a.Parameter.lr], default: 2}
"""
    )
    result = mended(text)
    assert "[[a.metadata.x, b.parameter.lr]]" in result
    assert "targets: [a.parameter.lr]" in result


def test_of_an_entry_that_stands_twice_the_earlier_goes() -> None:
    again = "    command:\n      - x\n"
    text = "- step:\n    name: train\n    image: b:1\n\n    # c\n    image: b:1\n" + 2 * again
    expected = "- step:\n    name: train\n    image: b:1\n\n    # c\n    image: b:1\n    command:\n      - x\n"
    assert mended(text.replace("\n    # c\n    image: b:1\n", "")) == expected.replace(
        "\n    # c\n    image: b:1\n", ""
    )
    assert "# c" in mended(text)


def test_an_entry_with_a_comment_is_never_removed() -> None:
    text = "- step:\n    name: a # first\n    name: a\n    image: b:1\n    command: x\n"
    assert mended(text) == text


def test_an_anchored_value_that_others_need_otherwise_is_left_alone() -> None:
    text = PARAMETERS + "    - {name: x, type: float, default: &d 1e-4}\n    - {name: y, type: string, default: *d}\n"
    assert mended(text) == text


def test_one_change_that_would_alter_the_meaning_does_not_hinder_the_others() -> None:
    bad = "    - {name: x, type: float, default: &d 1e-4}\n    - {name: y, type: string, default: *d}\n"
    good = "".join(f"    - {{name: z{number}, type: float, default: %s}}\n" for number in range(5))
    assert mended(PARAMETERS + bad + good % (("1e-3",) * 5)) == PARAMETERS + bad + good % (("1.0e-3",) * 5)


def test_line_breaks_the_mark_of_utf8_and_a_missing_end_stay() -> None:
    text = "- step:\r\n  name: é\r\n  image: b:1 # ü\r\n  command: x"
    data = b"\xef\xbb\xbf" + text.encode()
    expected = "- step:\r\n    name: é\r\n    image: b:1 # ü\r\n    command: x"
    assert repair(data, "f.yaml").data == b"\xef\xbb\xbf" + expected.encode()


def test_problems_are_told_where_they_stood_in_the_file_as_it_was() -> None:
    text = "- pipeline:\n  name: p\n  connections:\n  - [a.outputs.x, b.inputs.x]\n"
    found = repair(text.encode(), "f.yaml").repaired
    places = {(problem.code, problem.location.line, problem.location.column) for problem in found}
    assert places == {
        ("flat-item", 1, 3),
        ("connections", 3, 3),
        ("inferred-nodes", 3, 3),
        ("plural-edge-type", 4, 6),
        ("plural-edge-type", 4, 19),
    }


def test_a_file_that_is_right_is_not_touched() -> None:
    assert repair(HEAD.encode(), "f.yaml").repaired == ()
    assert mended(HEAD) == HEAD


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"a: [",
        b"\xff\xfe-\0",
        b"- step:\n\tname: x\n",
        b"[" * (MAX_DEPTH + 1),
        b"- a\n---\n- b\n",
        b"\xef\xbb\xbf\xef\xbb\xbf- step:\n  name: a\n",
        b"- &a [x]\n" + b"".join(b"- &%c [%s]\n" % (98 + i, b",".join([b"*%c" % (97 + i)] * 9)) for i in range(8)),
        b"- step: {name: '" + b"a" * MAX_BYTES + b"'}\n",
        b"- step:\n  name: \xff\n",
        b"step:\n  name: a\n  name: a\n",
    ],
    ids=range(11),
)  # fmt: skip
def test_a_hostile_file_is_left_as_it_is(data: bytes) -> None:
    assert repair(data, "f.yaml").data in (data, b"step:\n  name: a\n")


def test_many_problems_at_once_are_mended() -> None:
    lines = [f"    - {{name: p{number}, type: float, default: 1e-4, pass_as: x}}\n" for number in range(300)]
    text = PARAMETERS + "".join(lines)
    assert mended(text) == text.replace("1e-4", "1.0e-4").replace("pass_as", "pass-as")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_mended_example_has_fewer_problems_and_every_comment(path: Path) -> None:
    data = path.read_bytes()
    result = repair(data, path.name)
    assert repair(result.data, path.name).data == result.data
    if result.data != data:
        assert comments(result.data.decode()) == comments(data.decode())
        left = [problem.code for problem in lint(parse_project(result.data, path.name))]
        assert sum(code in MENDS for code in left) < sum(
            problem.code in MENDS for problem in lint(parse_project(data, path.name))
        )


KEYS = st.sampled_from(["pass_as", "default", "default", "Optional", "optional", "description", "min", "type", "x_y"])
VALUES = st.sampled_from(["1e-4", "'3'", "5", "1.10", "Float", "integer", "yes", '"true"', "x", "2001-01-01", "",
                          "&a 7", "*a", "[1, a]", "|\n        text\n        no#comment", "'a#b'", "012",
                          "null"])  # fmt: skip
ENDS = st.sampled_from(["a.outputs.x", "b.Inputs.y", "a.parameters.z", "'b.input.y'", "c.x", "5", "*e"])


@st.composite
def files(draw: st.DrawFn) -> str:
    """A file with odd spellings, comments of its own on many lines, and anchors."""
    flat = draw(st.booleans())
    margin = "  " if flat else "    "
    lines = ["- step:"]
    lines += [f"{margin}name: a", f"{margin}image: {draw(st.sampled_from(['b:1', '3.10', 'b:1 #i']))}"]
    lines += [f"{margin}command: |", f"{margin}  run", "", f"{margin}  end"]
    if draw(st.booleans()):
        lines.append(f"{margin}{draw(st.sampled_from(['time-limit', 'time_limit']))}: {draw(VALUES)}")
    lines.append(f"{margin}parameters: # p")
    for number in range(draw(st.integers(1, 3))):
        lines.append(f"{margin}- name: p{number} # n{number}")
        lines += [f"{margin}  {draw(KEYS)}: {draw(VALUES)}" for _ in range(draw(st.integers(0, 4)))]
        lines += draw(st.sampled_from([[], [""], [f"{margin}# between"], ["# at the margin"]]))
    lines += ["- pipeline:", f"{margin}name: p # c", f"{margin}{draw(st.sampled_from(['edges', 'connections']))}:"]
    for number in range(draw(st.integers(1, 3))):
        anchor = "&e " if number == 0 and draw(st.booleans()) else ""
        lines.append(f"{margin}- {anchor}[{draw(ENDS)}, {draw(ENDS)}] # e{number}")
    return draw(st.sampled_from(["\n", "\r\n"])).join(lines) + draw(st.sampled_from(["", "\n", "\n# the end\n"]))


def meaning(data: bytes) -> object:
    return normalise(read_source(data, "f.yaml")).tree


@TRIALS
@given(files())
def test_mending_is_done_at_once_keeps_comments_and_never_breaks_a_file(text: str) -> None:
    data = text.encode()
    result = repair(data, "f.yaml")
    assert repair(result.data, "f.yaml").data == result.data
    assert comments(result.data.decode()) == comments(text)
    after = {problem.code for problem in lint(parse_project(result.data, "f.yaml"))}
    if read_source(data, "f.yaml").tree is not None:
        assert not after & {"flat-item", "yaml-syntax", "connections"}
    forms = {
        "flat-item",
        "connections",
        "inferred-nodes",
        "plural-edge-type",
        "text-number",
        "duplicate-key",
        "yaml-type",
    }
    if {problem.code for problem in result.repaired} <= forms:
        assert meaning(result.data) == meaning(data)


@TRIALS
@given(files(), st.data())
def test_no_file_makes_mending_fail(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 6))
    extra = data.draw(
        st.sampled_from(["", "\t", "&a ", "*a", "!!str ", "'", "{", "]", "#", ": ", "- ", "\n", "<<: ", "\ufeff"])
    )
    broken = (text[:at] + extra + text[at + length :]).encode()
    result = repair(broken, "f.yaml")
    assert repair(result.data, "f.yaml").data == result.data
    if result.data != broken:
        assert read_source(result.data, "f.yaml").tree is not None
