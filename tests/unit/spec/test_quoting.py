"""Scripts that are really run: a value arrives as it is, or the run is refused; nothing in it ever executes."""

import shutil
import subprocess
from pathlib import Path

import pytest

from runner.errors import ExitCode, Location, MlrunError
from runner.spec.command import build_script
from runner.spec.model import CommandItem, Parameter, Step

MARKER = "executed"

VALUES = [
    "plain",
    "",
    "0.001",
    "a b",
    "  spaces  ",
    "it's",
    '"',
    "'",
    "''",
    "\\",
    "a\\",
    "\\'",
    "$HOME",
    "$(touch executed)",
    "`touch executed`",
    "; touch executed",
    "'; touch executed; '",
    '"; touch executed; "',
    "\"'; touch executed; '\"",
    "a\ntouch executed\n",
    "\ntouch executed\n#",
    "a[$(touch executed)]",
    "a[`touch executed`]",
    "EOF\ntouch executed",
    "EOF",
    "&& touch executed",
    "| touch executed",
    "> executed",
    "$'\\'; touch executed; '",
    "*",
    "~",
    "{a,b}",
    "!!",
    "#x",
    "-n",
    "--flag",
    "%s%n",
    "größe 日本",
    "a\tb",
    "executed)",
]

CONTEXTS = {
    "bare": ["show {parameter-value:v}"],
    "glued": ["show pre{parameter-value:v}post"],
    "double": ['show "{parameter-value:v}"'],
    "double inside text": ['show "pre {parameter-value:v} post"'],
    "double behind a variable": ['x=1; show "$x{parameter-value:v}"'],
    "bare behind a variable": ["x=1; show $x{parameter-value:v}"],
    "single": ["show '{parameter-value:v}'"],
    "single inside text": ["show 'pre {parameter-value:v} post'"],
    "single inside double": ["show \"it's '{parameter-value:v}'\""],
    "over items": ['show "', "x{parameter-value:v}", '"'],
    "assignment": ["x={parameter-value:v}", 'show "$x"'],
    "comment": ["# {parameter-value:v}", "show x"],
    "trailing comment": ["show x # {parameter-value:v}"],
    "argument of a shell": ['sh -c \'for a in "$@"; do printf "%s\\0" "$a"; done\' _ {parameter-value:v} >> got'],
    "here-document": ["cat > got <<EOF", "{parameter-value:v}", "EOF"],
    "quoted here-document": ["cat > got <<'EOF'", "{parameter-value:v}", "EOF"],
    "substitution": ["show $(echo {parameter-value:v})"],
    "quoted substitution": ['show "$(echo "{parameter-value:v}")"'],
    "backquotes": ["show `echo {parameter-value:v}`"],
    "code": ['sh -c "echo {parameter-value:v}" > got'],
    "code in single quotes": ["sh -c 'echo {parameter-value:v}' > got"],
    "eval": ["eval echo {parameter-value:v} > got"],
    "piped into a shell": ['echo "echo {parameter-value:v}" | sh > got'],
    "behind a backslash": ["show \\{parameter-value:v}"],
    "behind a dollar": ["show ${parameter-value:v}"],
    "double behind a backslash": ['show "\\{parameter-value:v}"'],
    "escaped quotes": ["show \\'{parameter-value:v}\\'"],
    "redirection": ["echo x > /dev/null; show {parameter-value:v}>&2"],
    "test": ["[ {parameter-value:v} = x ] || show y"],
    "loop": ['for a in {parameter-value:v}; do show "$a"; done'],
    "sed": ["echo a | sed 's/a/{parameter-value:v}/' > got"],
    "pass-as": ["show {parameters}"],
    "pass-as in quotes": ['show "{parameters}"'],
}
BASH_ONLY = {
    "expression": ["[[ {parameter-value:v} == x ]] || show y"],
    "arithmetic expression": ["[[ '{parameter-value:v}' -eq 1 ]] || show y"],
    "subscript": ["a[{parameter-value:v}]=1 || show y"],
    "here-string": ["cat > got <<< {parameter-value:v}"],
    "here-string of a shell": ['bash <<< "echo {parameter-value:v}" > got'],
    "array": ['a=(x {parameter-value:v}); show "${a[1]}"'],
    "process substitution": ["cat <(echo {parameter-value:v}) > got"],
    "dollar quote": ["show $'{parameter-value:v}'"],
}
ARRIVES = {
    "bare": "{}",
    "glued": "pre{}post",
    "double": "{}",
    "double inside text": "pre {} post",
    "double behind a variable": "1{}",
    "bare behind a variable": "1{}",
    "single": "{}",
    "single inside text": "pre {} post",
    "single inside double": "it's '{}'",
    "over items": "\nx{}\n",
    "assignment": "{}",
    "argument of a shell": "{}",
    "escaped quotes": "'{}'",
    "loop": "{}",
    "pass-as": "--v={}",
    "pass-as in quotes": "--v={}",
    "array": "{}",
}
SHOW = """show() { for a in "$@"; do printf '%s\\0' "$a"; done >> got; }"""


def script(commands: list[str], value: str) -> str:
    here = Location("f", 1, 1)
    items = tuple(CommandItem(text, here) for text in [SHOW, *commands])
    step = Step("s", here, "i", items, (Parameter("v", here),))
    return "\n".join(build_script(step, {"v": value}).items)


def run(shell: str, text: str, folder: Path) -> bytes | None:
    """What the script showed; fails if a part of the value was executed."""
    (folder / "script").write_text(text)
    done = subprocess.run(
        [shell, "-e", "script"], cwd=folder, capture_output=True, timeout=20, stdin=subprocess.DEVNULL
    )
    assert not (folder / MARKER).exists(), f"executed by {shell}: {text}"
    got = folder / "got"
    return got.read_bytes() if got.exists() and done.returncode == 0 else None


@pytest.mark.parametrize(
    ("shell", "name"), [*(("bash", name) for name in [*CONTEXTS, *BASH_ONLY]), *(("sh", name) for name in CONTEXTS)]
)
def test_a_value_is_data_in_every_context(shell: str, name: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    refused = 0
    for number, value in enumerate(VALUES):
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            text = script((CONTEXTS | BASH_ONLY)[name], value)
        except MlrunError as error:
            assert error.code is ExitCode.SPEC
            assert error.location is not None
            refused += 1
            continue
        got = run(shell, text, folder)
        if name in ARRIVES:
            assert got == ARRIVES[name].format(value).encode() + b"\0", text
    assert refused < len(VALUES)
    assert refused == 0 or name not in ARRIVES


@pytest.mark.parametrize(
    ("first", "refuses"),
    [
        ("#!/bin/bash", False),
        ("#!/usr/bin/env bash", False),
        ("#!/bin/sh -e", False),
        ("#!/usr/bin/env -S A=b bash -e", False),
        ("#!/usr/bin/env python3", True),
        ("#!/usr/bin/perl", True),
        ("#!", True),
    ],
)
def test_a_script_for_another_program_takes_plain_values_only(first: str, refuses: bool) -> None:
    here = Location("f", 1, 1)
    items = (CommandItem(f"{first}\nprint('{{parameter-value:v}}')", here),)
    step = Step("s", here, "i", items, (Parameter("v", here),))
    assert "plain-1" in build_script(step, {"v": "plain-1"}).items[0]
    if refuses:
        with pytest.raises(MlrunError, match="would not be plain data"):
            build_script(step, {"v": "a b"})
    else:
        assert "a b" in build_script(step, {"v": "a b"}).items[0]
