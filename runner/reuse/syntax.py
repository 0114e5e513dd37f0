"""What a Python file says, apart from how it is written: a digest of its syntax tree. Pure.

Comments, blank lines and formatting do not count; docstrings do, because programs read them (argparse, docopt, typer),
and so does the declared encoding. Tracebacks, `inspect.getsource` and line numbers are of the text, not of the tree: a
program whose results depend on those needs `--code-key bytes` (docs/reuse.md).
"""

import ast
import io
import platform
import sys
import tokenize
import warnings

from runner.digest import Digest, hash_bytes

MAX_BYTES = 1 << 20
"""A larger file is data rather than a program."""

_GRAMMAR = f"python {platform.python_version()}"
"""A tree means what it does in the grammar that it was read with, which its text does not say."""


def syntax_key(data: bytes) -> Digest | None:
    """The digest of the tree of a Python file; None for what cannot be read as one, is too deep or too large."""
    if len(data) > MAX_BYTES:
        return None
    try:
        encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
        with warnings.catch_warnings():
            # An invalid escape sequence is a warning for whoever writes the file.
            warnings.simplefilter("ignore")
            tree = ast.parse(data)
        text = f"{_GRAMMAR}\n{encoding}\n{ast.dump(tree, annotate_fields=False)}"
        return hash_bytes(text.encode("utf-8", "surrogatepass"))
    except (SyntaxError, ValueError, RecursionError, MemoryError, LookupError):
        return None


def is_python(path: str) -> bool:
    """Whether the name says that a file is a Python program."""
    return path.endswith(".py")


def grammar() -> str:
    """What a remembered key depends on besides the bytes of the file."""
    return f"{_GRAMMAR} {sys.implementation.cache_tag}"
