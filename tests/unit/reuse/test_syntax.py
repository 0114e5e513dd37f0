"""The words of a Python file: layout does not count, and everything that another Python may take otherwise does."""

import ast
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.reuse.syntax import MAX_BYTES, is_python, syntax_key

TEXT = '''\
"""Trains."""

import json


def f(a, b):
    """Say it."""
    if a:
        return {"a": [1, 2.5, 'x' 'y'], **b}
    return f"{a!r:>{b}} and {a}"
'''

SAME = {
    "a comment": TEXT.replace("    if a:", "    # whether\n    if a:  # or not"),
    "a comment at the end": TEXT + "# the end",
    "blank lines": TEXT.replace("\n", "\n\n").replace("\n\n\n\n\n", "\n\n"),
    "blanks": TEXT.replace("(a, b)", "( a ,b )").replace("import json", "import  json "),
    "the depth of indentation": TEXT.replace("    ", "  "),
    "tabs": TEXT.replace("    ", "\t"),
    "a line break in brackets": TEXT.replace("[1, 2.5,", "[\n1,\n  2.5,  # half\n"),
    "a line that goes on": TEXT.replace("import json", "import \\\n  json"),
    "the quotes of a plain text": TEXT.replace("'x'", '"x"').replace('"a"', "'a'"),
    "the end of lines": TEXT.replace("\n", "\r\n"),
    "no last line break": TEXT.rstrip("\n"),
}

OTHER = {
    "a docstring": TEXT.replace("Say it.", "Say  it."),
    "the docstring of the module": TEXT.replace("Trains.", "Tests."),
    "a name": TEXT.replace("json", "csv"),
    "a number": TEXT.replace("2.5", "2.50"),
    "another kind of number": TEXT.replace("1,", "1.0,"),
    "a text": TEXT.replace("'x'", "'z'"),
    "where a text ends": TEXT.replace("'x' 'y'", "'xy' ''"),
    "how a text is written": TEXT.replace("'x'", "'\\x78'"),
    "a prefix of a text": TEXT.replace("'x' 'y'", "u'x' 'y'"),
    "a text of three quotes": TEXT.replace("'x'", "'''x'''"),
    "parentheses": TEXT.replace("return {", "return ({").replace("**b}", "**b})"),
    "a last comma": TEXT.replace("'y'],", "'y',],"),
    "how a formatted text is laid out": TEXT.replace("{a}", "{ a }"),
    "the quotes of a formatted text": TEXT.replace('f"{a!r:>{b}} and {a}"', "f'{a!r:>{b}} and {a}'"),
    "what is inside a block": TEXT.replace("        return {", "        pass\n    return {"),
    "which block a line is in": "if a:\n    b\n    c\n",
    "the order": TEXT.replace("a, b", "b, a"),
    "what runs it": "#!/usr/bin/env python3\n" + TEXT,
    "its encoding": "# coding: latin-1\n" + TEXT,
    "a letter beyond ASCII in a comment": TEXT + "# \u00e4\n",
    "a mark of the byte order": "\ufeff" + TEXT,
    "a type in a comment": TEXT.replace("(a, b):", "(a, b):  # type: (int, int) -> str"),
    "a word for a checker": TEXT.replace("import json", "import json  # noqa: F401"),
    "a word for a compiler": "# cython: boundscheck=False\n" + TEXT,
}


@pytest.mark.parametrize("what", SAME)
def test_layout_does_not_count(what: str) -> None:
    assert SAME[what] != TEXT
    assert syntax_key(SAME[what].encode()) == syntax_key(TEXT.encode()) is not None


@pytest.mark.parametrize("what", OTHER)
def test_whatever_may_be_understood_otherwise_counts(what: str) -> None:
    assert syntax_key(OTHER[what].encode()) != syntax_key(TEXT.encode())
    assert syntax_key(OTHER[what].encode()) is not None


def test_a_word_that_is_called_like_the_end_of_a_line_is_none() -> None:
    assert syntax_key(b"a\nNEWLINE\n") != syntax_key(b"a\n\n")


@pytest.mark.parametrize("first", [b"#!/usr/bin/env python3", b"#!/usr/bin/python -u"])
def test_what_runs_a_file_counts_to_its_last_byte(first: bytes) -> None:
    body = b"\nx = 1\n"
    assert syntax_key(first + body) == syntax_key(first + b"\n" + body) is not None
    assert syntax_key(first + b" -O" + body) != syntax_key(first + body)
    # The kernel looks for an interpreter whose name ends with a carriage return.
    assert syntax_key(first + b"\r\nx = 1\r\n") != syntax_key(first + body)


@pytest.mark.parametrize(
    "data",
    [
        b"print 'a'\n",
        b"def f(:\n",
        b"if a:\n        b\n\tc\n",
        b"x = '\xff'\n",
        b"# coding: nonsense\nx = 1\n",
        b"x = 1\0\n",
        b"x = 1\ry = 2\n",
        b"x = " + b"9" * 5000,
        b"#!/bin/sh\nx=1\n",
        b"#!/bin/sh\n'''exec' python \"$0\" \"$@\"\n' '''\n",
        b"# /// script\n# dependencies = ['numpy']\n# ///\nx = 1\n",
        b"x = 1\n# %% [markdown]\n# Some text\n",
        b"# ---\n# jupyter:\n#   kernel: a\n# ---\nx = 1\n",
        b"# +\nx = 1\n# -\n",
        b"# Databricks notebook source\n# MAGIC %sql select 1\n# COMMAND ----------\nx = 1\n",
        b"#" * (MAX_BYTES + 1),
        b"(" * 5000 + b")" * 5000,
        b"-" * 200_000 + b"1",
        b"[" * 300 + b"]" * 300,
        b"x" + b".a" * 200_000,
        b"if a: pass\n" + b"elif a: pass\n" * 20_000,
    ],
    ids=lambda data: repr(data[:30]),
)
def test_what_cannot_be_read_or_is_more_than_a_program_has_no_words(data: bytes) -> None:
    found: list[object] = []
    # Nodes are bound on threads, whose stacks are smaller.
    thread = threading.Thread(target=lambda: found.append(syntax_key(data)))
    thread.start()
    thread.join()
    assert found == [None] or is_deep_but_fine(data)


def is_deep_but_fine(data: bytes) -> bool:
    """Whether this Python reads it all the same; others have other depths."""
    return data.startswith((b"x.", b"if a", b"[[["))


def test_numbers_of_any_size_and_texts_of_any_character_can_be_read() -> None:
    assert syntax_key(b"x = 0x" + b"f" * 100_000) is not None
    assert syntax_key(b"x = '" + b"a" * 500_000 + b"'") is not None
    assert syntax_key(b"x = '\\ud800'\n") not in {None, syntax_key(b"x = '\\ud801'\n")}
    assert syntax_key("x = '\u2028'\n".encode()) != syntax_key(b"x = ' '\n")
    assert syntax_key(b"") == syntax_key(b"\n# nothing\n") is not None


def test_a_comment_of_a_list_is_a_comment() -> None:
    assert syntax_key(b"# - one\n# - two\n# -----\nx = 1\n") == syntax_key(b"x = 1\n")


def test_only_files_that_say_so_are_python() -> None:
    assert is_python("a/b.py")
    assert not any(map(is_python, ("a.pyi", "a.pyx", "py", "a.py.txt", "Makefile")))


def shown(data: bytes) -> str | None:
    """The syntax tree of a text, where it has one."""
    try:
        return ast.dump(ast.parse(data))
    except (SyntaxError, ValueError):
        return None


LINES = st.lists(
    st.sampled_from(
        [
            *("a = 1", "a = '1'", 'a = "1"', "a  =  1", "# c", "", "if a:", "  b", "    b", "\tb", "a = (1)", "a = 1,"),
            *(
                "f'{a}'",
                "f'{ a }'",
                "'''x",
                "y'''",
                "a = [1,",
                "2]",
                "# type: int",
                "a; b",
                "a \\",
                "#!/usr/bin/python",
            ),
            *("f'''{a", "}'''", "f'{a=}'", "f'{a =}'", "\x0c", "x = '#'", "# coding: latin-1", "\u00e4 = 1"),
        ]
    ),
    max_size=6,
).map(lambda lines: "\n".join(lines).encode())


@given(LINES, LINES)
def test_two_texts_with_the_same_words_have_the_same_syntax_tree(one: bytes, other: bytes) -> None:
    key = syntax_key(one)
    if key is not None and key == syntax_key(other):
        assert shown(one) == shown(other) is not None
