"""A Python script or notebook → what its call of `valohai.prepare` says. Pure: nothing is run, imported or opened.

Only literals are understood, and names that stand for one literal. What the library `valohai-utils` would compute at
run time cannot be known here, and is told with its place.
"""

import ast
import json
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import decode_source

from runner.errors import Location, MlrunError, did_you_mean, spec_error
from runner.spec.tree import shorten

MAX_SCRIPT_BYTES = 1 << 20
MAX_NOTEBOOK_BYTES = 32 << 20
"""Notebooks hold the pictures that their cells have shown."""
MAX_DEPTH = 20
"""How deep lists and dicts of an argument may be nested."""

LIBRARY = "valohai"
FUNCTION = "prepare"
_EXAMPLE = 'write `import valohai`, then `valohai.prepare(step="train", default_parameters={"epochs": 5})`'

ARGUMENTS = ("step", "default_parameters", "default_inputs", "image", "environment", "multifile", "upload_store")


@dataclass(frozen=True, slots=True)
class Prepared:
    """The arguments of a call of `valohai.prepare`; `places` has where each of them stands, by its name."""

    location: Location
    step: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    inputs: Mapping[str, object] = field(default_factory=dict)
    image: str | None = None
    environment: str | None = None
    multifile: bool = False
    upload_store: str | None = None
    places: Mapping[str, Location] = field(default_factory=dict)


def read_script(data: bytes, file: str) -> Prepared:
    """What the one call of `valohai.prepare` in a script says; a `file` that ends in `.ipynb` is a notebook.

    Raises MlrunError (SPEC), located, when there is not exactly one such call, when an argument is not a literal, or
    when the file is not Python.
    """
    source = _Source.notebook(data, file) if file.endswith(".ipynb") else _Source.script(data, file)
    tree = source.parse()
    found = sorted(_calls(tree), key=lambda call: (call.lineno, call.col_offset))
    if not found:
        raise spec_error(f"`{file}` does not call `valohai.prepare`", None, _EXAMPLE)
    if len(found) > 1:
        message = f"`valohai.prepare` is called here and on line {found[0].lineno}"
        raise spec_error(message, source.at(found[1]), "a script is one step: keep one of the calls")
    return _Reader(source, dict(_literals(tree, found[0]))).read(found[0])


@dataclass(frozen=True, slots=True)
class _Source:
    """Python code, and where its lines come from: (file as shown, line there) by line."""

    code: str | bytes
    file: str
    lines: tuple[tuple[str, int], ...] = ()

    @classmethod
    def script(cls, data: bytes, file: str) -> "_Source":
        if len(data) > MAX_SCRIPT_BYTES:
            raise spec_error(f"`{file}` has more than {MAX_SCRIPT_BYTES >> 20} MiB", None, "this is no script")
        return cls(data, file)

    @classmethod
    def notebook(cls, data: bytes, file: str) -> "_Source":
        """The code of all cells, without the lines that are for the notebook or its shell."""
        if len(data) > MAX_NOTEBOOK_BYTES:
            raise spec_error(f"`{file}` has more than {MAX_NOTEBOOK_BYTES >> 20} MiB", None, "clear its outputs")
        try:
            cells = list(_cells(json.loads(data)))
        except (ValueError, RecursionError):
            message = f"`{file}` is not a Jupyter notebook"
            raise spec_error(message, Location(file, 1, 1), "save it in Jupyter, as nbformat 4") from None
        code, lines = [], []
        for number, text in cells:
            for line, row in enumerate(text.splitlines(), 1):
                code.append(_python(row))
                lines.append((f"{file}[{number}]", line))
        if sum(map(len, code)) > MAX_SCRIPT_BYTES:
            message = f"the code of `{file}` has more than {MAX_SCRIPT_BYTES >> 20} MiB"
            raise spec_error(message, None, "move some of it into modules")
        return cls("\n".join(code), file, tuple(lines))

    def parse(self) -> ast.Module:
        try:
            with warnings.catch_warnings():
                # What Python says of odd escapes is for those who run the script.
                warnings.simplefilter("ignore")
                return ast.parse(self.code)
        except SyntaxError as error:
            place = self._location(error.lineno or 1, max(error.offset or 1, 1))
            raise spec_error(f"not Python: {error.msg}", place, "mend it first: `python FILE` says more") from None
        except (ValueError, RecursionError, MemoryError):
            message = "not Python that can be read: nested too deeply, or with a NUL"
            raise spec_error(message, self._location(1, 1), "mend it first: `python FILE` says more") from None

    def at(self, node: ast.expr | ast.keyword) -> Location:
        """Where a piece of code stands; columns count from 1, in characters, where Python's count bytes of UTF-8."""
        text = self.code if isinstance(self.code, str) else decode_source(self.code)
        before = text.split("\n")[node.lineno - 1].encode()[: node.col_offset]
        return self._location(node.lineno, len(before.decode()) + 1)

    def _location(self, line: int, column: int) -> Location:
        if not self.lines:
            return Location(self.file, line, column)
        file, line = self.lines[min(line, len(self.lines)) - 1]
        return Location(file, line, column)


def _cells(document: object) -> Iterator[tuple[int, str]]:
    """Number and text of the code cells. Raises ValueError when it is no notebook."""
    if isinstance(document, dict) and document.get("type") == "notebook":
        document = document.get("content")
    cells = document.get("cells") if isinstance(document, dict) and isinstance(document.get("nbformat"), int) else None
    if not isinstance(cells, list):
        raise ValueError("not a notebook")
    for number, cell in enumerate(cells, 1):
        if not isinstance(cell, dict):
            raise ValueError("not a cell")
        text = cell.get("source", "")
        text = "".join(map(str, text)) if isinstance(text, list) else str(text)
        magic = _CELL_MAGIC.match(text)
        if cell.get("cell_type") == "code" and (magic is None or magic[1] in _PYTHON_MAGICS):
            yield number, text


_CELL_MAGIC = re.compile(r"\s*%%(\w+)")
_PYTHON_MAGICS = frozenset({"capture", "prun", "time", "timeit"})
"""Cell magics of IPython below which Python stands; below others it is a shell script, HTML, a file to be written …"""
_FOR_NOTEBOOK = re.compile(
    r"""[!%?]              # a command of the shell or of the notebook, at the margin
    | \s++(?:!|%%?[A-Za-z]\w*+(?:\s|$))
    | \s*+[\w.,\[\]\ ]++=\s*+(?:!|%[A-Za-z])
    | \s*+[\w.]++\?{1,2}\s*$  # a question for its documentation""",
    re.VERBOSE,
)
"""A line that is for IPython, and no Python (IPython's documentation, "Python vs IPython")."""


def _python(row: str) -> str:
    """A line of a notebook; in place of one that is no Python one that does nothing, as a block must not be empty."""
    return row[: len(row) - len(row.lstrip())] + "pass" if _FOR_NOTEBOOK.match(row) else row


def _calls(tree: ast.Module) -> Iterator[ast.Call]:
    """Calls of `prepare` of the library, under whatever name it was imported."""
    modules, functions = {LIBRARY}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.asname for alias in node.names if alias.name == LIBRARY and alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module == LIBRARY and not node.level:
            functions |= {alias.asname or alias.name for alias in node.names if alias.name == FUNCTION}
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="prepare")) if name in modules:
                yield node
            case ast.Call(func=ast.Name(id=name)) if name in functions:
                yield node


class _Dynamic(Exception):
    """Code whose value is known only when it runs."""

    def __init__(self, node: ast.expr | ast.keyword, said: str) -> None:
        super().__init__(said)
        self.node, self.said = node, said


class _Reader:
    """Reads the arguments of a call."""

    def __init__(self, source: _Source, names: Mapping[str, ast.expr]) -> None:
        self._source = source
        self._names = names

    def read(self, call: ast.Call) -> Prepared:
        location = self._source.at(call)
        for argument in call.args:
            raise spec_error(
                "`valohai.prepare` takes its arguments by name", self._source.at(argument), 'such as `step="train"`'
            )
        values, places = {}, {}
        for keyword in call.keywords:
            if keyword.arg is None:
                raise spec_error("the arguments of `valohai.prepare` are computed here", self._source.at(keyword.value),
                                 "write them out as literals")  # fmt: skip
            if keyword.arg not in ARGUMENTS:
                message = f"`valohai.prepare` has no argument `{shorten(keyword.arg)}`"
                raise spec_error(message, self._source.at(keyword), did_you_mean(keyword.arg, ARGUMENTS))
            values[keyword.arg] = self._value(keyword)
            places[keyword.arg] = self._source.at(keyword.value)
        if "step" not in values:
            raise spec_error(
                "`valohai.prepare` is called without `step`", location, 'add `step="train"`, the name of the step'
            )
        return self._prepared(values, places, location)

    def _value(self, keyword: ast.keyword) -> object:
        try:
            return self._literal(keyword.value, 0)
        except _Dynamic as error:
            raise spec_error(
                f"the argument `{keyword.arg}` of `valohai.prepare` {error.said}",
                self._source.at(error.node),
                "write it as a literal: it is read without running the script",
            ) from None

    def _literal(self, node: ast.expr, depth: int) -> object:
        if depth > MAX_DEPTH:
            raise _Dynamic(node, "is nested too deeply")
        match node:
            case ast.Constant(value=str() as value) if not _is_unicode(value):
                raise _Dynamic(node, "has a text that cannot be written as UTF-8")
            case ast.Constant(value=str() | int() | float() | None as value):
                return value
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=ast.Constant(value=int() | float() as value)):
                return -value if isinstance(sign, ast.USub) else value
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return [self._literal(item, depth + 1) for item in items]
            case ast.Dict(keys=keys, values=values):
                return {
                    self._key(key, value): self._literal(value, depth + 1)
                    for key, value in zip(keys, values, strict=True)
                }
            case ast.Name(id=name):
                return self._named(node, name, depth)
        raise _Dynamic(node, "is computed here")

    def _key(self, key: ast.expr | None, value: ast.expr) -> str:
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            return str(self._literal(key, 0))
        raise _Dynamic(key or value, "has a key that is not text" if key else "is computed here")

    def _named(self, node: ast.expr, name: str, depth: int) -> object:
        meant = self._names.get(name)
        if meant is None:
            raise _Dynamic(node, f"takes `{shorten(name)}`, which is not set to one literal")
        try:
            return self._literal(meant, depth + 1)
        except _Dynamic as error:
            raise _Dynamic(node, f"takes `{shorten(name)}`, which is not set to one literal") from error

    def _prepared(self, values: Mapping[str, object], places: Mapping[str, Location], location: Location) -> Prepared:
        def text(key: str) -> str | None:
            value = values.get(key)
            if value is None or (isinstance(value, str) and value.strip()):
                return value
            raise self._wrong(key, "is not text, or empty", places)

        def table(key: str) -> Mapping[str, object]:
            value = values.get(key)
            if isinstance(value, dict) or value is None:
                return value or {}
            raise self._wrong(key, "is not a dict", places)

        if not isinstance(values.get("multifile", False), bool):
            raise self._wrong("multifile", "is not True or False", places)
        step = text("step")
        if step is None:
            raise self._wrong("step", "is None", places)
        return Prepared(
            location=location,
            step=step,
            parameters=table("default_parameters"),
            inputs=table("default_inputs"),
            image=text("image"),
            environment=text("environment"),
            multifile=values.get("multifile") is True,
            upload_store=text("upload_store"),
            places=places,
        )

    def _wrong(self, key: str, said: str, places: Mapping[str, Location]) -> MlrunError:
        return spec_error(f"the argument `{key}` of `valohai.prepare` {said}", places[key], _FORMS[key])


_FORMS: Mapping[str, str] = {
    "step": 'write it like `step="train"`',
    "image": 'write it like `image="python:3.12"`, or leave it out',
    "environment": "write the name of an environment, or leave it out",
    "upload_store": "write the name of a store, or leave it out",
    "multifile": "write `multifile=True`, or leave it out",
    "default_parameters": 'write it like `default_parameters={"epochs": 5}`',
    "default_inputs": 'write it like `default_inputs={"rows": "s3://bucket/rows.csv"}`',
}
"""What each argument looks like."""


def _is_unicode(text: str) -> bool:
    """Whether it has no lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_CHANGING = frozenset({"update", "setdefault", "pop", "popitem", "clear", "append", "extend", "insert", "remove"})


def _literals(tree: ast.Module, call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    """The names that are set exactly once above the call, and not changed, with what they are set to."""
    touched: Counter[str] = Counter()
    renamed: set[str] = set()
    assigned: dict[str, ast.expr] = {}
    for node in ast.walk(tree):
        if getattr(node, "lineno", 0) > call.lineno:
            continue
        touched.update(_touched(node))
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                assigned[name] = value
        match node:
            case ast.Assign(value=ast.Name(id=name)) | ast.AnnAssign(value=ast.Name(id=name)):
                renamed.add(name)
    # What a list or dict holds may be changed under its other name.
    shared = {name for name in renamed & assigned.keys() if isinstance(assigned[name], ast.Dict | ast.List)}
    return ((name, value) for name, value in assigned.items() if touched[name] == 1 and name not in shared)


def _touched(node: ast.AST) -> Iterator[str]:
    """The names that a piece of code sets, or whose value it changes."""
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.Subscript(ctx=ast.Store() | ast.Del()):
            yield from _owner(node)
        case ast.Call(func=ast.Attribute(value=owner, attr=method)) if method in _CHANGING:
            yield from _owner(owner)
        case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Global(names=names) | ast.Nonlocal(names=names):
            yield from names
        case ast.alias(name=name, asname=asname):
            yield asname or name.partition(".")[0]


def _owner(node: ast.AST) -> Iterator[str]:
    """The name whose value has a piece of data inside, as `a` of `a["b"]["c"]`."""
    while isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id
