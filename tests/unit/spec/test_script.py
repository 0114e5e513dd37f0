"""Reading a script without running it, and writing its step into a YAML file."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import ExitCode, Location, MlrunError, Severity
from runner.spec.lint import lint
from runner.spec.prepare import write_step
from runner.spec.project import parse_project
from runner.spec.script import MAX_SCRIPT_BYTES, Prepared, read_script

TRIALS = settings(max_examples=60, deadline=None, database=None)
AT = Location("train.py", 3, 1)


def script(arguments: str, before: str = "") -> bytes:
    return f"import valohai\n{before}\nvalohai.prepare({arguments})\n".encode()


def refusal(data: bytes, file: str = "train.py") -> MlrunError:
    with pytest.raises(MlrunError) as caught:
        read_script(data, file)
    assert caught.value.code is ExitCode.SPEC
    return caught.value


def test_all_arguments_of_a_call_are_read() -> None:
    data = script(
        'step="train", default_parameters={"lr": -1e-3, "f": True, "d": {"type": "float"}}, image="a:1",'
        'default_inputs={"x": ["s3://a", "s3://b"], "y": None}, environment="gpu", multifile=True, upload_store="s"'
    )
    found = read_script(data, "train.py")
    assert found.location == AT
    assert replace(found, places={}) == Prepared(
        location=AT,
        step="train",
        parameters={"lr": -1e-3, "f": True, "d": {"type": "float"}},
        inputs={"x": ["s3://a", "s3://b"], "y": None},
        image="a:1",
        environment="gpu",
        multifile=True,
        upload_store="s",
    )


@pytest.mark.parametrize(
    "text",
    [
        "import valohai\nvalohai.prepare(step='train')",
        "import valohai as vh\nvh.prepare(step='train')",
        "from valohai import prepare\nprepare(step='train')",
        "from valohai import prepare as ready\nready(step='train')",
        "import valohai\ndef main():\n    x = valohai.prepare(step='train')",
        "import valohai\nNAME: str = 'train'\nvalohai.prepare(step=NAME)\nNAME = input()",
        "# -*- coding: latin-1 -*-\nimport valohai  # \xe9\nvalohai.prepare(step='train')",
    ],
)
def test_the_call_is_found_under_every_name(text: str) -> None:
    assert read_script(text.encode("latin-1"), "train.py").step == "train"


@pytest.mark.parametrize(
    ("arguments", "before", "place", "said"),
    [
        (
            "step='a', default_parameters={'x': f()}",
            "",
            (3, 52),
            "`default_parameters` of `valohai.prepare` is computed",
        ),
        ("step=f'{x}'", "", (3, 22), "`step` of `valohai.prepare` is computed"),
        ("step=NAME", "", (3, 22), "takes `NAME`, which is not set to one literal"),
        ("step=NAME", "NAME = input()", (3, 22), "takes `NAME`"),
        ("step='a', default_parameters=P", "P = {}; P['x'] = 1", (3, 46), "takes `P`"),
        ("step='a', default_parameters=P", "P = {}; P.update(x=1)", (3, 46), "takes `P`"),
        ("step='a', default_parameters=P", "P = {}\nfor P in (): pass", (4, 46), "takes `P`"),
        ("step='a', default_parameters=P", "P = {'a': {}}; P['a']['default'] = 1", (3, 46), "takes `P`"),
        ("step='a', default_parameters=P", "P = {'a': {}}; P['a'].update(default=1)", (3, 46), "takes `P`"),
        ("step='a', default_parameters=P", "P = {}; q = P; q['x'] = 1", (3, 46), "takes `P`"),
        ("step='\\ud800'", "", (3, 22), "cannot be written as UTF-8"),
        ("step='a', default_inputs={'\\ud800': 'x'}", "", (3, 43), "cannot be written as UTF-8"),
        ("step='a', default_inputs={**x}", "", (3, 45), "`default_inputs` of `valohai.prepare` is computed"),
        ("step='a', default_inputs={1: 'x'}", "", (3, 43), "a key that is not text"),
        ("**arguments", "", (3, 19), "are computed"),
        ("'a'", "", (3, 17), "by name"),
        ("step='a', inputs={}", "", (3, 27), "no argument `inputs`"),
        ("image='a'", "", (3, 1), "without `step`"),
        ("step=''", "", (3, 22), "is not text, or empty"),
        ("step=5", "", (3, 22), "is not text, or empty"),
        ("step=None", "", (3, 22), "is None"),
        ("step='a', default_inputs=[1]", "", (3, 42), "is not a dict"),
        ("step='a', multifile=1", "", (3, 37), "is not True or False"),
    ],
)
def test_an_argument_that_cannot_be_known_is_told_with_its_place(
    arguments: str, before: str, place: tuple[int, int], said: str
) -> None:
    error = refusal(script(arguments, before))
    assert said in error.message
    assert error.hint
    assert error.location == Location("train.py", *place)


@pytest.mark.parametrize(
    ("before", "encoding"), [("", "utf-8"), ("\ufeff", "utf-8"), ("# coding: latin-1\r\n\f", "latin-1")]
)
def test_columns_count_characters(before: str, encoding: str) -> None:
    text = f"{before}import valohai; é = 1; valohai.prepare(step='ö', image=x)\n"
    location = refusal(text.encode(encoding)).location
    assert location is not None
    line = text.removeprefix("\ufeff").split("\n")[-2]
    assert location.column == line.index("x)") + 1


def test_columns_of_a_notebook_count_characters_of_its_cell() -> None:
    error = refusal(notebook("%pip x\n'ä'; 'ö'", "import valohai\n'ß'; valohai.prepare(step=x)"), "n.ipynb")
    assert str(error.location) == "n.ipynb[2]:2:27"


def test_a_text_may_have_two_names() -> None:
    for name in ("NAME", "run"):
        assert read_script(script(f"step={name}", "NAME = 'a'; run = NAME"), "train.py").step == "a"


def test_a_name_that_stands_for_itself_ends() -> None:
    assert "takes `a`" in refusal(script("step=a", "a = b; b = a")).message


def test_two_calls_are_told_at_the_second() -> None:
    error = refusal(script("step='a'") + b"if x:\n  valohai.prepare(step='b')\n")
    assert error.location == Location("train.py", 5, 3)
    assert "line 3" in error.message


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"print('no call')\n", "does not call"),
        (b"other.prepare(step='a')\n", "does not call"),
        (b"def f(:\n", "not Python"),
        (b"\0", "not Python"),
        (b"x = '\xff'\n", "not Python"),
        (b"# coding: nonsense\n", "not Python"),
        (b"(" * 5000, "not Python"),
        (b"x = " + b"-" * 100_000 + b"1\n", "not Python"),
        (b"x = " + b"[" * 150 + b"]" * 150 + b"\n", "does not call"),
        (b"a" + b".b" * 100_000 + b"\n", "not Python"),
        (b"x = " + b"9" * 100_000 + b"\n", "not Python"),
        (b"#" * (MAX_SCRIPT_BYTES + 1), "MiB"),
    ],
    ids=range(12),
)
def test_what_is_no_script_is_refused(data: bytes, said: str) -> None:
    message = refusal(data).message
    # Which depth is too deep for Python depends on its version.
    assert said in message or (len(data) > 90_000 and "does not call" in message)


def test_a_deep_argument_is_refused_at_its_place() -> None:
    error = refusal(script("step='a', default_parameters={'x': " + "[" * 50 + "]" * 50 + "}"))
    assert "nested too deeply" in error.message
    assert error.location is not None


def notebook(*cells: object, kind: str = "code") -> bytes:
    return json.dumps({"nbformat": 4, "cells": [{"cell_type": kind, "source": cell} for cell in cells]}).encode()


def test_the_code_of_a_notebook_is_read_and_its_commands_are_not() -> None:
    data = notebook("!pip install x\n%matplotlib inline\nimport valohai", ["valohai.prepare(\n", " step='a')"])
    assert read_script(data, "n.ipynb").location == Location("n.ipynb[2]", 1, 1)


@pytest.mark.parametrize("cell", ["%%bash\nif [ x ]; then y; fi", "\n%%html\n<b>", "%%writefile a.py\nprepare()"])
def test_a_cell_that_is_no_python_is_passed_over(cell: str) -> None:
    prepared = read_script(notebook(cell, "import valohai\nvalohai.prepare(step='a')"), "n.ipynb")
    assert prepared.location == Location("n.ipynb[2]", 2, 1)


def test_a_long_line_of_a_notebook_is_read_in_no_time() -> None:
    for row in (" " * 500_000 + "x", "a" * 500_000, "a " * 200_000, "a=" * 200_000):
        assert "not Python" in refusal(notebook(row + "\n)"), "n.ipynb").message


@pytest.mark.parametrize(
    "line", ["x = !ls", "if 1:\n    !ls\nelse:\n    %pip install x", "x?", "?x", "a.b??", "a, b = %lsmagic"]
)
def test_a_line_for_the_notebook_is_passed_over_wherever_it_stands(line: str) -> None:
    data = notebook(f"%%time\nimport valohai\n{line}\nx = (1\n   % 2)\nvalohai.prepare(step='a')")
    assert read_script(data, "n.ipynb").step == "a"


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b"[" * 100_000, b'{"nbformat": 4, "cells": [1]}', b"\xff", b'{"nbformat": 4}'],
    ids=range(7),
)
def test_what_is_no_notebook_is_refused(data: bytes) -> None:
    error = refusal(data, "n.ipynb")
    assert "is not a Jupyter notebook" in error.message
    assert error.hint


@TRIALS
@given(st.text(st.sampled_from("valohi.prepare(step='a'){}[]:,=\n #\"\\*") | st.characters(), max_size=80))
def test_no_script_makes_reading_fail(text: str) -> None:
    for data in (text.encode("utf-8", "surrogatepass"), script(text.replace("\ud800", "")) if text.isascii() else b""):
        try:
            read_script(data, "train.py")
        except MlrunError as error:
            assert error.code is ExitCode.SPEC


def written(before: str, arguments: str, path: str = "./train.py") -> str:
    result = write_step(before.encode(), "valohai.yaml", read_script(script(arguments), "train.py"), path)
    errors = [p for p in lint(parse_project(result.data, "valohai.yaml")) if p.severity is Severity.ERROR]
    assert errors == []
    again = write_step(result.data, "valohai.yaml", read_script(script(arguments), "train.py"), path)
    assert again.data == result.data
    assert not again.changes
    return result.data.decode()


NEW = """\
- step:
    name: train
    image: python:3.11-slim
    command:
      - pip install -r requirements.txt
      - python ./train.py {parameters}
    parameters:
      - name: lr
        type: float
        default: 1.0e-07
      - name: fast
        type: flag
        default: true
        pass-true-as: --fast=true
        pass-false-as: --fast=false
    inputs:
      - name: rows
        default: s3://b/*.csv
        keep-directories: suffix
      - name: here
        optional: true
"""
ARGUMENTS = (
    "step='train', default_parameters={'lr': 1e-7, 'fast': True}, "
    "default_inputs={'rows': 's3://b/*.csv', 'here': 'data.csv'}"
)


def test_a_missing_step_is_written_as_valohais_client_does() -> None:
    assert written("", ARGUMENTS) == NEW


@pytest.mark.parametrize(
    ("before", "start"),
    [
        ("[]\n", ""),
        ("# only a comment\n", "# only a comment\n"),
        ("# c\n[]  # e\n", "# c\n  # e\n"),
        ("- step: {name: a, image: 'b:1', command: x}", "- step: {name: a, image: 'b:1', command: x}\n"),
        (
            "- step: {name: a, image: 'b:1', command: x}\n# end\n",
            "- step: {name: a, image: 'b:1', command: x}\n# end\n",
        ),
    ],
)
def test_a_step_is_added_at_the_end(before: str, start: str) -> None:
    assert written(before, ARGUMENTS) == start + NEW


def test_the_page_shows_what_is_written() -> None:
    page = (Path(__file__).parents[3] / "docs" / "yaml-step.md").read_text("utf-8")
    python, shown = re.findall(r"```(?:python|yaml)\n(.*?)```", page, re.DOTALL)
    result = write_step(b"", "valohai.yaml", read_script(python.encode(), "train.py"), "./train.py")
    assert result.data.decode() == shown


def test_a_step_is_added_to_a_list_in_brackets_and_before_the_end_of_the_document() -> None:
    assert written("[{step: {name: a, image: 'b:1', command: x}}]\n", "step='t'").startswith("[{step: {name: a, ")
    before = "- step: {name: a, image: 'b:1', command: x}\n...\n# rest\n"
    assert written(before, "step='t'").endswith("{parameters}\n...\n# rest\n")


OLD = """\
# mine
- step:
    name: train   # its name
    image: mine:1
    command: make train   # my own
    time-limit: 5h
    parameters:
      # how fast
      - name: lr
        description: the rate   # said by hand
        type: float
        default: 0.1   # of old
        pass-as: -l {v}
      - {name: kept, default: x}
    inputs:
    - name: rows
      default:
      - s3://old.csv
# next
- step: {name: other, image: 'b:1', command: x}
"""


def test_an_update_touches_only_what_the_script_says_otherwise() -> None:
    expected = (
        OLD.replace("default: 0.1   #", "default: 0.5   #")
        .replace(
            "- s3://old.csv\n", "- s3://new.csv\n    - name: more\n      default: s3://more\n    environment: gpu\n"
        )
        .replace("default: x}\n", "default: x}\n      - name: epochs\n        type: integer\n        default: 5\n")
    )
    arguments = (
        "step='train', environment='gpu', default_parameters={'lr': 0.5, 'epochs': 5},"
        "default_inputs={'rows': ['s3://new.csv'], 'more': 's3://more'}"
    )
    assert written(OLD, arguments) == expected
    windows = written(OLD.replace("\n", "\r\n"), arguments)
    assert windows == expected.replace("\n", "\r\n")


def test_changes_are_told_in_words_and_what_the_script_lacks_stays() -> None:
    prepared = read_script(script("step='train', image='new:2', default_parameters={'lr': 1, 'n': 2}"), "train.py")
    result = write_step(OLD.encode(), "valohai.yaml", prepared, "./train.py")
    assert result.changes == (
        "image `mine:1` → `new:2`",
        "default of parameter `lr` `0.1` → `1`",
        "parameter `n` added",
    )
    assert result.left == ("parameter `kept`", "input `rows`")
    assert b"mine:1" not in result.data


@pytest.mark.parametrize(
    ("entry", "value", "expected"),
    [
        ("{name: x, type: float, default: 1}", "1.0", "{name: x, type: float, default: 1}"),
        ("{name: x, type: float, default: 1e-4}", "1e-4", "{name: x, type: float, default: 1e-4}"),
        ("{name: x, type: float, default: 2}", "3", "{name: x, type: float, default: 3}"),
        ("{name: x}", "'a'", "{name: x, default: a}"),
        ("{name: x, default: a}", "5", "{name: x, default: 5, type: integer}"),
        ("{name: x, multiple: repeat, default: [a]}", "'b'", "{name: x, multiple: repeat, default: [a]}"),
        ("{name: x, description: d}", "{'default': 1, 'min': 0}",
         "{name: x, description: d, type: integer, default: 1, min: 0}"),
        ("{name: x, type: flag, default: true}", "False", "{name: x, type: flag, default: false}"),
        ("{name: x, default: a}", "True",
         "{name: x, default: true, type: flag, pass-true-as: --x=true, pass-false-as: --x=false}"),
        ("{name: x, default: 'a # b'}", "'c: d'", "{name: x, default: 'c: d'}"),
    ],
)  # fmt: skip
def test_a_parameter_follows_its_script(entry: str, value: str, expected: str) -> None:
    text = "- step:\n    name: s\n    image: b:1\n    command: x\n    parameters: [%s]\n"
    assert written(text % entry, f"step='s', default_parameters={{'x': {value}}}") == text % expected


@pytest.mark.parametrize(
    ("entry", "value", "expected"),
    [
        ("{name: i, default: s3://a}", "'local'", "{name: i, default: s3://a}"),
        ("{name: i, default: s3://a}", "['s3://a']", "{name: i, default: s3://a}"),
        ("{name: i, default: s3://a}", "['s3://a', 's3://b']", "{name: i, default: [s3://a, s3://b]}"),
        ("{name: i, default: [s3://a, s3://b]}", "'s3://c'", "{name: i, default: s3://c}"),
        ("{name: i, keep-directories: full}", "'s3://*'", "{name: i, keep-directories: full, default: s3://*}"),
        ("{name: i}", "{'optional': True}", "{name: i, optional: true}"),
    ],
)
def test_an_input_follows_its_script(entry: str, value: str, expected: str) -> None:
    text = "- step:\n    name: s\n    image: b:1\n    command: x\n    inputs: [%s]\n"
    assert written(text % entry, f"step='s', default_inputs={{'i': {value}}}") == text % expected


def test_an_odd_form_of_a_step_is_updated_in_place() -> None:
    flat = "- step:\n  name: s\n  image: b:1\n  command: x\n"
    assert written(flat, "step='s', image='c:2'") == flat.replace("b:1", "c:2")
    empty = "- step:\n    name: s\n    parameters:   # none\n    image: b:1\n    command: x\n    inputs: []\n"
    assert written(empty, "step='s', default_parameters={'a': 'v'}, default_inputs={'i': 's3://x'}") == (
        empty.replace("# none\n", "# none\n      - name: a\n        type: string\n        default: v\n").replace(
            "inputs: []", "inputs: [{name: i, default: s3://x}]"
        )
    )


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("./train.py", "python ./train.py {parameters}"),
        ("src/my train.py", "python 'src/my train.py' {parameters}"),
        ("./n.ipynb", "papermill -k python3 -f /valohai/config/parameters.json /valohai/repository/./n.ipynb"
                      " /valohai/outputs/n.ipynb"),
    ],
)  # fmt: skip
def test_the_command_runs_the_script(path: str, command: str) -> None:
    assert yaml.safe_load(written("", "step='s'", path))[0]["step"]["command"][1] == command


def test_a_script_of_several_files_has_a_source_path() -> None:
    step = yaml.safe_load(written("", "step='s', multifile=True", "src/a.py"))[0]["step"]
    assert (step["source-path"], step["command"][1]) == ("src/a.py", "python {source-path} {parameters}")


@pytest.mark.parametrize(
    ("before", "arguments", "said"),
    [
        ("- step: [", "step='s'", "did not find expected"),
        ("step: {}\n", "step='s'", "not a list of items"),
        ("~\n", "step='s'", "not a list of items"),
        ("", "step='s', default_parameters={'x': [1]}", "the parameter `x` has a list"),
        ("", "step='s', default_parameters={'x': None}", "the parameter `x` has no value"),
        ("", "step='s', default_parameters={'x': 1e999}", "has no value that has a type"),
        ("", "step='s', default_parameters={'x': {'typ': 'float'}}", "`typ` is not a key of step `s`"),
        ("", "step='s', default_parameters={'x': {'type': 'int'}}", "not one of"),
        ("", "step='s', default_inputs={'x': 5}", "a default that is not text"),
        ("", "step='s', default_inputs={'a/b': 's3://x'}", "cannot be the name of a folder"),
        ("- step: {name: s, image: 'b:1', command: x, parameters: 5}\n", "step='s'",
         "`parameters` of step `s` is not a list"),
        ("- a: &a {name: s, image: 'b:1', command: x}\n- step: *a\n", "step='s', image='c:1'", "an alias"),
        ("- step: &a {name: t, image: &i 'b:1', command: x}\n- step: {<<: *a, name: s}\n",
         "step='s', image='c:1'", "merged"),
        ("- step: {name: s, image: &i 'b:1', command: x}\n- step: {name: t, image: *i, command: x}\n",
         "step='s', image='c:1'", "anchor"),
    ],
)  # fmt: skip
def test_what_would_not_be_right_is_refused(before: str, arguments: str, said: str) -> None:
    with pytest.raises(MlrunError) as caught:
        write_step(before.encode(), "valohai.yaml", read_script(script(arguments), "train.py"), "./train.py")
    assert said in caught.value.message
    assert caught.value.location is not None
    assert caught.value.hint or before
    assert caught.value.code is ExitCode.SPEC


def test_errors_that_were_there_before_do_not_hinder() -> None:
    before = "- step: {name: broken, imag: x}\n"
    result = write_step(before.encode(), "valohai.yaml", read_script(script("step='s'"), "train.py"), "./train.py")
    assert result.data.startswith(before.encode())


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=10)
VALUES = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS


@TRIALS
@given(
    st.dictionaries(st.sampled_from(["a", "b", "c d", "é", "kept", "lr"]), VALUES, max_size=4),
    st.dictionaries(st.sampled_from(["i", "rows"]), TEXTS.map("s3://{}".format) | st.lists(TEXTS, max_size=2)),
    st.sampled_from(["", OLD, OLD.replace("\n", "\r\n"), OLD.rstrip()]),
)
def test_whatever_a_script_says_is_in_the_file_afterwards(
    parameters: dict[str, object], inputs: dict[str, object], before: str
) -> None:
    arguments = f"step='train', default_parameters={parameters!r}, default_inputs={inputs!r}"
    result = write_step(before.encode(), "f.yaml", read_script(script(arguments), "train.py"), "./train.py")
    project = parse_project(result.data, "f.yaml")
    step = project.steps["train"]
    for name, value in parameters.items():
        parameter = step.parameter(name)
        assert parameter is not None
        assert parameter.default == value
    for line in before.splitlines():
        if "#" in line:
            assert line.partition("#")[2] in result.data.decode()
