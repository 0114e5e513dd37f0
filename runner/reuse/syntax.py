"""What a Python file says, apart from how it is laid out: a digest of its words in the syntax of Python. Pure.

Comments, blank lines, blanks, the depth of indentation, line breaks inside brackets and the kind of quotes around plain
text do not count. That is less than a syntax tree would let pass, such as parentheses or a last comma, because the tree
is that of our Python: an older or newer one, which may run the step, can refuse one of two texts that ours takes for
the same, or do something else. In their words they agree. What comments say to others than people counts:

- the first line if it is `#!`, which says what runs the file;
- the declared encoding, and whether there is anything but ASCII, which old Pythons refuse without one;
- comments that tell programs something: types (`torch.jit` reads them), checkers, compilers;
- all of a file in which comments hold text that is run or installed: inline script metadata, notebooks as scripts.

Docstrings count, because programs read them (argparse, docopt, typer). Tracebacks, `inspect.getsource` and line numbers
are of the text: a program whose results depend on those needs `--code-key bytes` (docs/reuse.md).
"""

import ast
import io
import platform
import re
import sys
import tokenize
import warnings
from collections.abc import Iterator

from runner.digest import Digest, hash_bytes

MAX_BYTES = 1 << 20
"""A larger file is data rather than a program."""

_GRAMMAR = f"python {platform.python_version()}"
"""A tree means what it does in the grammar that it was read with, which its text does not say."""

_TEXTUAL = re.compile(
    rb"^[ \t]*#[ \t]*(?:///|%%|\+(?:\s|$)|-[ \t\r]*$|In ?\[|<codecell>|jupyter:|MAGIC |COMMAND -)", re.MULTILINE
)
"""Comments that are data: inline script metadata (PEP 723), cells of notebooks kept as scripts."""

_DIRECTIVE = re.compile(
    r"#[\s:!]*(?:type:|(?:noqa|pragma|nosec|nopep8)\b|"
    r"(?:pylint|mypy|pyright|pytype|ruff|flake8|isort|fmt|yapf|black|cython|distutils|nuitka-project)\b\s*[:=])",
    re.IGNORECASE,
)
"""Comments that tell a program something."""

_LAYOUT = {tokenize.NEWLINE: "\n", tokenize.INDENT: "\n>", tokenize.DEDENT: "\n<"}
"""Ends of lines and borders of blocks, as what no word can be."""
_NOTHING = frozenset({tokenize.NL, tokenize.ENCODING})
_PLAIN = re.compile(r"""('|")([^'"\\\n]*)\1""")
_OPEN_TEXT = frozenset(getattr(tokenize, name, -1) for name in ("FSTRING_START", "TSTRING_START"))
_END_OF_TEXT = frozenset(getattr(tokenize, name, -1) for name in ("FSTRING_END", "TSTRING_END"))


def syntax_key(data: bytes) -> Digest | None:
    """The digest of what a Python file says; None for what cannot be read as one, is too deep or too large, or whose
    comments are more than that."""
    if len(data) > MAX_BYTES or _TEXTUAL.search(data):
        return None
    first = data.partition(b"\n")[0] if data.startswith(b"#!") else b""
    if first and b"python" not in first:
        return None
    try:
        encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
        with warnings.catch_warnings():
            # An invalid escape sequence is a warning for whoever writes the file.
            warnings.simplefilter("ignore")
            ast.parse(data)
        told = [_GRAMMAR, encoding, data.isascii(), first, list(_words(data, encoding))]
        # Of every part its beginning and its end can be seen, and of every character which it is.
        return hash_bytes(ascii(told).encode("ascii"))
    except (SyntaxError, ValueError, RecursionError, MemoryError, LookupError, tokenize.TokenError):
        return None


def _words(data: bytes, encoding: str) -> Iterator[str]:
    """The words of a program in order, with the ends of its lines and blocks. Raises SyntaxError, ValueError and
    tokenize.TokenError."""
    for kind, text in _tokens(data, encoding):
        if kind == tokenize.STRING:
            yield _plain(text)
        elif kind in _LAYOUT:
            yield _LAYOUT[kind]
        elif kind not in _NOTHING and (kind != tokenize.COMMENT or _DIRECTIVE.match(text)):
            yield text


def _plain(text: str) -> str:
    """A text that is the same with either kind of quotes, with one of them."""
    found = _PLAIN.fullmatch(text)
    return f'"{found[2]}"' if found else text


def _tokens(data: bytes, encoding: str) -> Iterator[tuple[int, str]]:
    """The tokens with their text; a formatted text is one, though a newer tokenizer takes it apart: inside it older
    Pythons see quotes and comments otherwise."""
    if b"\r" in data.replace(b"\r\n", b""):
        raise ValueError("not everybody takes a carriage return alone for the end of a line")
    lines = [f"{line}\n" for line in data.decode(encoding).split("\n")]
    depth, start = 0, (0, 0)
    for token in tokenize.tokenize(io.BytesIO(data).readline):
        if token.type in _OPEN_TEXT:
            start = start if depth else token.start
            depth += 1
        elif token.type in _END_OF_TEXT:
            depth -= 1
            if depth == 0:
                yield tokenize.STRING, _cut(lines, start, token.end)
        elif depth == 0:
            yield token.type, token.string


def _cut(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    """The text between two places; lines from 1, columns from 0."""
    if start[0] == end[0]:
        return lines[start[0] - 1][start[1] : end[1]]
    between = lines[start[0] : end[0] - 1]
    return "".join([lines[start[0] - 1][start[1] :], *between, lines[end[0] - 1][: end[1]]])


def is_python(path: str) -> bool:
    """Whether the name says that a file is a Python program."""
    return path.endswith(".py")


def grammar() -> str:
    """What a remembered key depends on besides the bytes of the file."""
    return f"{_GRAMMAR} {sys.implementation.cache_tag}"
