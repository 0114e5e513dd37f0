"""What is wrong with a file, remembered by the file's digest: a file that has not changed is not checked again.

Linting asks for everything, a run only whether what it was asked for is sound. Both remember their answers here, under
a key of all that an answer depends on: the question, the bytes of the file, this program's own code and schema, the
version of Python and the libraries that read the file. The name by which a file was named is not part of it.
"""

import contextlib
import functools
import json
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

import runner
from runner.digest import hash_bytes, hash_json, hash_pieces
from runner.errors import ExitCode, Location, MlrunError, Problem, Severity
from runner.spec.model import Pipeline, Project, Step, Task
from runner.spec.project import parse_project
from runner.store.durable import make_folder

MAX_ENTRIES = 256
"""Verdicts that are kept; the oldest make room."""
MAX_BYTES = 256 << 10
"""A longer verdict is not kept: somebody who reads so many problems can wait for them."""

_FOLDER = "verdict"
_SCHEMAS = "schemas"
"""Where the schema is in a source checkout, beside the package; an installed one has it within."""
_LIBRARIES = ("yaml", "jsonschema", "leval")
"""The packages whose words and readings are part of a verdict."""


def find_problems(data: bytes, file: str, cache: Path | None) -> list[Problem]:
    """All problems of a file's bytes, sorted by place; `file` is its name in them.

    `cache` is the folder for what can be found out again, made if need be; None remembers nothing. No state of it is
    an error.
    """
    return _remembered("lint", data, file, cache, lambda: _lint(data, file))


def find_mendable(data: bytes, file: str, cache: Path | None) -> list[Problem]:
    """Those problems of a file that `runner.spec.fix` mends; remembered as `find_problems` does."""
    return _remembered("fix", data, file, cache, lambda: _repaired(data, file))


# The checks are loaded only for a file that was not met before, as a run that finds its verdict does without.


def _lint(data: bytes, file: str) -> list[Problem]:
    from runner.spec.lint import lint

    return lint(parse_project(data, file))


def _repaired(data: bytes, file: str) -> list[Problem]:
    from runner.spec.fix import repair

    return list(repair(data, file).repaired)


def _validate(project: Project) -> list[Problem]:
    from runner.spec.schema import validate

    return validate(project.tree, project.file)


def refuse_broken(project: Project, asked: Iterable[Step | Pipeline | Task], cache: Path | None) -> None:
    """Raise MlrunError (code SPEC) with all errors of the items that were asked for; others may have errors."""
    found = _remembered("schema", project.data, project.file, cache, lambda: _validate(project))
    problems = [problem for problem in found if problem.severity is Severity.ERROR]
    if not problems:
        return
    from runner.spec.lint import problems_within

    within = {problem for one in problems_within(project, problems, asked) for problem in one}
    if within:
        first, *others = sorted(within, key=lambda problem: (problem.location, problem.code))
        raise MlrunError(first.message, code=ExitCode.SPEC, location=first.location, hint=first.hint, problems=others)


def _remembered(
    question: str, data: bytes, file: str, cache: Path | None, find: Callable[[], list[Problem]]
) -> list[Problem]:
    program = _program() if cache else None
    if cache is None or program is None:
        return find()
    key = hash_json([question, hash_bytes(data), program])
    entry = cache / _FOLDER / f"{key}.json"
    known = _read(entry, key, file)
    if known is not None:
        return known
    problems = find()
    _write(entry, key, problems)
    return problems


@functools.cache
def _program() -> str | None:
    """The identity of everything that judges a file; None where it cannot be known, and nothing is remembered.

    The version alone would not do: in a source checkout the code changes and the version stays. What tells one state of
    a file from another is what git looks at, too: no content is read, as every run waits for this.
    """
    package = Path(runner.__file__).parent
    try:
        code = [*_stamps(package), *_stamps(package.parent / _SCHEMAS)]
        libraries = [_stamp(name, os.stat(_origin(name))) for name in _LIBRARIES]
    except OSError:
        return None
    return hash_json([runner.__version__, sys.version, libraries, code]) if code else None


def _stamps(folder: Path) -> Iterator[list[str | int]]:
    """Every module and schema below a folder, with what changes when it is written, even with its old time put back."""
    for place, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if name != "__pycache__")
        for name in sorted(names):
            if name.endswith((".py", ".json")):
                path = os.path.join(place, name)
                yield _stamp(os.path.relpath(path, folder), os.stat(path))


def _origin(library: str) -> str:
    """The file of a package that is not loaded for this. Raises OSError when there is none."""
    spec = find_spec(library)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(library)
    return spec.origin


def _stamp(name: str, status: os.stat_result) -> list[str | int]:
    return [name, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _read(entry: Path, key: str, file: str) -> list[Problem] | None:
    """A verdict; None if there is none, or if what is there was not written whole, for this key, by this program."""
    try:
        status = entry.stat()
        # To open a pipe would be to wait for its writer.
        if not stat.S_ISREG(status.st_mode) or status.st_size > 2 * MAX_BYTES:
            return None
        seal, _, body = entry.read_bytes().partition(b"\n")
    except OSError:
        return None
    if seal != _seal(key, body):
        return None
    return [
        Problem(Severity(severity), code, message, Location(file, line, column), hint)
        for severity, code, message, line, column, hint in json.loads(body)
    ]


def _seal(key: str, body: bytes) -> bytes:
    return hash_pieces([key.encode(), body]).encode()


def _write(entry: Path, key: str, problems: list[Problem]) -> None:
    """Whole or not at all. A verdict that cannot be kept is found again."""
    rows = [[p.severity, p.code, p.message, p.location.line, p.location.column, p.hint] for p in problems]
    body = json.dumps(rows, separators=(",", ":")).encode()
    if len(body) > MAX_BYTES:
        return
    temporary = entry.with_suffix(f".{os.getpid()}.tmp")
    try:
        make_folder(entry.parent)
        temporary.write_bytes(_seal(key, body) + b"\n" + body)
        temporary.replace(entry)
        _make_room(entry.parent)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _make_room(folder: Path) -> None:
    """Remove the oldest files beyond the limit, what a killed process left half written among them."""
    with os.scandir(folder) as entries:
        files = [(entry.stat(follow_symlinks=False).st_mtime_ns, entry.path) for entry in entries if _is_ours(entry)]
    for _, path in sorted(files)[: max(0, len(files) - MAX_ENTRIES)]:
        Path(path).unlink(missing_ok=True)


def _is_ours(entry: "os.DirEntry[str]") -> bool:
    return entry.name.endswith((".json", ".tmp"))
