"""The user's secrets: values of environment variables that no record shows. Their store, and files of variables.

The store is the user's, in the folder of the settings, outside every repository: a JSON file for each project and one
for all. What lies there is a grant; asked for is a secret by a step that declares the variable.
"""

import fcntl
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from runner.app.place import Place
from runner.errors import ExitCode, MlrunError, usage_error, write_code
from runner.escape import printable
from runner.provenance.command import ask
from runner.provenance.ignore import IGNORE_FILE, Ignore
from runner.settings import settings_file
from runner.store.durable import replace_file

EVERYWHERE = "everywhere"
"""The name of the file whose secrets count for every project."""

MAX_BYTES = 100_000
"""A little less than Linux lets a program have in one variable (execve(2), MAX_ARG_STRLEN)."""

_MAX_FILE = 4 << 20
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BLANKS = " \t"
_LINE_END = re.compile(r"\r\n|\n|\r")
_EXPORT = re.compile(r"^export[ \t]+")
_FORM = "write `NAME=VALUE`"
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class Secrets:
    """Values by name: `stored` are for steps that declare the variable, `given` (by `--env-file`) for every step."""

    stored: Mapping[str, str] = field(default_factory=dict, repr=False)
    given: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def values(self) -> Mapping[str, str]:
        """All of them; what was given for this run wins."""
        return {**self.stored, **self.given}


def secrets_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the user's secrets are kept, beside the settings; it need not exist."""
    return settings_file(environment).parent / "secrets"


def load_secrets(place: Place, files: Iterable[str] = ()) -> Secrets:
    """The user's secrets for the project of `place` and those of `files`; of a name that two give the last counts.

    Raises MlrunError: POLICY where others could read them or the code's record would hold them, USAGE for a file that
    cannot be understood.
    """
    given: dict[str, str] = {}
    for name in files:
        given |= read_variables(name, place)
    stored = {**SecretFile.of(EVERYWHERE).read(), **SecretFile.of(place.ref.id).read()}
    return Secrets(stored, given)


@dataclass(frozen=True, slots=True)
class SecretFile:
    """The secrets of one project, by its id, or of every project."""

    path: Path

    @classmethod
    def of(cls, project: str, environment: Mapping[str, str] = os.environ) -> "SecretFile":
        """The file in the user's folder of settings, which need not exist."""
        return cls(secrets_folder(environment) / f"{project}.json")

    def read(self) -> dict[str, str]:
        """Values by name; empty without a file. Raises MlrunError (POLICY, USAGE)."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise usage_error(f"cannot read `{self.path}`: {error.strerror}") from error
        with open(fd, "rb") as file:
            self._check(os.fstat(fd))
            try:
                written = json.loads(file.read(_MAX_FILE))
                return {check_name(str(name)): check_value(name, str(value)) for name, value in written.items()}
            except (ValueError, AttributeError, RecursionError):
                # Not the parser's own words: they might quote a value.
                raise usage_error(
                    f"`{self.path}` is damaged", hint="remove it and set its secrets again with `mlrun secret set`"
                ) from None

    def set(self, name: str, value: str) -> bool:
        """Keep a value; whether there was one before. Raises MlrunError."""
        check_value(check_name(name), value)
        with self._changing() as secrets:
            known = name in secrets
            secrets[name] = value
        return known

    def remove(self, name: str) -> bool:
        """Forget a value; whether there was one. Raises MlrunError."""
        with self._changing() as secrets:
            return secrets.pop(name, None) is not None

    def _check(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise usage_error(f"`{self.path}` is not a regular file", hint="remove it")
        if found.st_uid != os.geteuid():
            raise MlrunError(
                f"`{self.path}` belongs to another user", code=ExitCode.POLICY, hint="secrets are read from your own"
            )
        if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise MlrunError(
                f"`{self.path}` can be read by others, so its secrets are not used",
                code=ExitCode.POLICY,
                hint=f"`chmod 600 {self.path}`, and think of the secrets as known",
            )

    @contextmanager
    def _changing(self) -> Iterator[dict[str, str]]:
        """The secrets, to be changed; written when the block ends, and nobody else changes them meanwhile."""
        folder = self.path.parent
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise usage_error(f"cannot make `{folder}`: {error.strerror}") from error
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            secrets = self.read()
            before = dict(secrets)
            yield secrets
            if secrets != before:
                self._write(secrets)
        finally:
            os.close(held)

    def _write(self, secrets: Mapping[str, str]) -> None:
        """Replace the file, readable by its owner alone from its first moment on."""
        try:
            replace_file(self.path, json.dumps(secrets, indent=1).encode() + b"\n")
        except OSError as error:
            raise MlrunError(f"cannot write `{self.path}`: {error.strerror}", code=write_code(error)) from error


def check_name(name: str) -> str:
    """`name` if a variable can have it. Raises MlrunError (USAGE)."""
    if not _NAME.fullmatch(name):
        raise usage_error(
            f"`{printable(name)}` cannot be the name of a variable",
            hint="letters, digits and `_`, no digit first; a value is never given on the command line",
        )
    if name.startswith("VH_"):
        raise usage_error(f"`{name}` is set by mlrun itself", hint="choose another name for your own variable")
    return name


def check_value(name: str, value: str) -> str:
    """`value` if a variable can have it. Raises MlrunError (USAGE), which does not quote it."""
    if not value:
        raise usage_error(f"the value of `{name}` is empty")
    if "\0" in value:
        raise usage_error(f"the value of `{name}` has a zero byte, which no variable can hold")
    if len(value.encode("utf-8", "surrogateescape")) > MAX_BYTES:
        raise usage_error(
            f"the value of `{name}` is longer than {MAX_BYTES // 1000} KB", hint="give such a thing as an input"
        )
    return value


def read_variables(file: str, place: Place) -> dict[str, str]:
    """The variables of a file of `NAME=VALUE` lines, as `docker run --env-file` and `.env` files have them.

    Blank lines and lines that begin with `#` do not count, `export` in front is allowed. A value in single quotes is
    what stands between them, in double quotes `\\n`, `\\r`, `\\t`, `\\"` and `\\\\` mean what they do in JSON; else it
    is the rest of the line. A `NAME` alone is taken from our own environment. Raises MlrunError (USAGE, POLICY).
    """
    path = Path(file)
    _check_not_recorded(path, file, place)
    try:
        with path.open("rb") as source:
            text = source.read(_MAX_FILE).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise usage_error(f"cannot read `--env-file {printable(file)}`: {why}") from None
    values: dict[str, str] = {}
    for number, line in enumerate(_LINE_END.split(text.removeprefix("\ufeff")), 1):
        try:
            if (found := _variable(line.strip(_BLANKS))) is not None and found[1]:
                values[found[0]] = check_value(*found)
        except MlrunError as error:
            raise usage_error(f"{printable(file)}:{number}: {error.message}", error.hint) from None
    return values


def _variable(line: str) -> tuple[str, str] | None:
    """Name and value of a line, None where there is nothing. Raises MlrunError, which never quotes a value."""
    if not line or line.startswith("#"):
        return None
    name, equals, value = _EXPORT.sub("", line).partition("=")
    name = name.strip(_BLANKS)
    if not _NAME.fullmatch(name):
        raise usage_error("this is no `NAME=VALUE`", hint="a name has letters, digits and `_`")
    check_name(name)
    if equals:
        return name, _unquoted(name, value.strip(_BLANKS))
    if name not in os.environ:
        # Not the word itself: a file with nothing but a token looks just the same.
        raise usage_error("a word alone names a variable of your environment, and this one is not there", _FORM)
    return name, os.environ[name]


def _unquoted(name: str, value: str) -> str:
    mark = value[:1]
    if mark not in ('"', "'"):
        return value
    if len(value) < 2 or not value.endswith(mark):
        raise usage_error(f"the quote before the value of `{name}` is not closed", hint="a value ends with its line")
    inner = value[1:-1]
    return inner if mark == "'" else re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), inner)


def _check_not_recorded(path: Path, shown: str, place: Place) -> None:
    """Refuse a file that would be recorded with the code. Raises MlrunError (POLICY)."""
    real = Path(os.path.realpath(path))
    root = Path(os.path.realpath(place.root))
    if real.is_file() and real.is_relative_to(root) and not _is_ignored(real, root, place):
        raise MlrunError(
            f"`{printable(shown)}` belongs to the project, so its secrets would be recorded with the code",
            code=ExitCode.POLICY,
            hint=f"add `{real.relative_to(root)}` to `.gitignore`, or keep it outside",
        )


def _is_ignored(real: Path, root: Path, place: Place) -> bool:
    """Whether a run leaves a file of the project out of its record of the code."""
    path = os.fsencode(real.relative_to(root))
    with suppress(OSError):
        if Ignore((root / os.fsdecode(IGNORE_FILE)).read_bytes()).leaves_out(path):
            return True
    if place.repository is None:
        return path.startswith(b".git/")
    (listed,) = ask(
        root, ("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", f":(literal){os.fsdecode(path)}")
    )
    return not listed.required(root)
