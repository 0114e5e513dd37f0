"""What all formats take from a record in the same way: names, times, files, and what may be told at all. Pure."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from runner.digest import Digest, hash_bytes
from runner.escape import printable
from runner.job import InputFile
from runner.plan.address import public, scheme
from runner.store.datum import SCHEME, datum_id
from runner.store.record import Code, Execution, OutputFile, Run

PRODUCER = "urn:mlrun-yaml:producer:"
"""Begins the URI of the program that made a document; its version follows."""

_TOLD = re.compile(
    r"MLRUN_SEED|TZ|LANG|LC_\w+|PYTHONHASHSEED|SOURCE_DATE_EPOCH|CUBLAS_WORKSPACE_CONFIG|CUDA_VISIBLE_DEVICES"
    r"|NVIDIA_VISIBLE_DEVICES|TF_DETERMINISTIC_OPS|(?:OMP|MKL|OPENBLAS|NUMEXPR|VECLIB_MAXIMUM|BLIS)_(?:NUM_)?THREADS"
)
"""Variables whose values may be told: those that make a step repeatable. Others may be anybody's key."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED = re.compile(r"\\(?:\\|x([89a-f][0-9a-f]))")
_UNSAFE = re.compile(r'[\\<>:"|?*]')
_TAKEN = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?|.*[ .]| .*|.*-[0-9a-f]{16}_(?:\.[^.]*)?", re.I | re.S)
"""Names that Windows has for its devices or cuts short, and those that we make ourselves."""
_LONGEST, _LONGEST_STEM = 255, 150
"""Bytes of a name, and of what is kept of the stem of another one."""
_LONGEST_SUFFIX = 16
"""Characters at the end of a name that may be its suffix."""
_LOCAL = frozenset({"", "file"})
"""Schemes of what is a path."""
_LOCATION = re.compile(r"(?:(?P<user>[^@/\s:]+)@)?(?P<host>[^/\s:]+):(?P<path>[^/].*|/.*)")
"""How git writes the address of a repository that it reaches by SSH."""


def clean(text: str) -> str:
    r"""Any text as Unicode that every parser takes: bytes that are not UTF-8 become escapes such as `\xff`."""
    return _SURROGATE.sub(lambda match: printable(match[0]), text)


def clean_value(value: Any) -> Any:
    """A JSON value with `clean` texts and keys."""
    match value:
        case str():
            return clean(value)
        case Mapping():
            return {clean(str(key)): clean_value(one) for key, one in value.items()}
        case list() | tuple():
            return [clean_value(one) for one in value]
    return value


def file_name(path: str) -> str:
    r"""A path as such text that no two paths share: bytes that are not UTF-8 as `\xff`, a backslash as two."""
    return clean(path.replace("\\", "\\\\"))


def file_path(name: str) -> str:
    """The path of which `file_name` made this text."""
    return _ESCAPED.sub(lambda match: chr(0xDC00 + int(match[1], 16)) if match[1] else "\\", name)


def _source(origin: str) -> str:
    if scheme(origin) not in _LOCAL:
        return clean(public(origin).partition("?")[0])
    if not origin.startswith(("/", "file:")) and ".." not in origin.split("/"):
        return file_name(origin)
    own = hash_bytes(origin.encode("utf-8", "surrogatepass"))[:16]
    return f"outside/{own}/{file_name(origin.rpartition('/')[2])}"


def portable(path: str) -> str:
    """The path as every file system and archive has it: in each part what only some take becomes `_`, and then the
    start of the digest of its own name tells it apart. A path of usual names stays; no two paths become one."""
    return "/".join(_portable(part) for part in path.split("/"))


def _portable(part: str) -> str:
    named = part.encode("utf-8", "surrogatepass")
    if part.isprintable() and not _UNSAFE.search(part) and not _TAKEN.fullmatch(part) and len(named) <= _LONGEST:
        return part
    safe = "".join(char if char.isprintable() and not _UNSAFE.match(char) else "_" for char in part)
    stem, dot, suffix = safe.rpartition(".") if "." in safe[-_LONGEST_SUFFIX:] else (safe, "", "")
    start = stem.strip(" ").encode()[:_LONGEST_STEM].decode(errors="ignore")
    return f"{start}-{hash_bytes(named)[:16]}_{dot}{suffix}".rstrip(" .")


@dataclass(frozen=True, slots=True)
class Got:
    """A file that an execution got: in which input, and what the record says of it."""

    input: str
    file: InputFile

    @property
    def datum(self) -> str | None:
        """The id of the datum that it was, if it was one."""
        origin = self.file.origin
        return origin.removeprefix(SCHEME) if origin.startswith(SCHEME) else None

    @property
    def source(self) -> str:
        """Where it came from, without what is nobody else's business: an address without logins and queries, which may
        sign it; a path in the project; of any other path its last part, and a digest that tells such paths apart."""
        return _source(self.file.origin)

    @property
    def is_local(self) -> bool:
        """Whether it came from a path, and not from an address."""
        return scheme(self.file.origin) in _LOCAL

    @property
    def digest(self) -> Digest:
        """Its content."""
        return Digest(self.file.digest)


def got(execution: Execution) -> Iterator[Got]:
    """The files of all inputs, in order."""
    for declared in execution.job.get("inputs", ()):
        for file in declared["files"]:
            yield Got(declared["name"], InputFile(**dict(file)))


def left(execution: Execution) -> Iterator[tuple[str, OutputFile]]:
    """The outputs, each with its datum id."""
    return ((datum_id(execution.id, output.name), output) for output in execution.outputs)


def parameters(execution: Execution) -> dict[str, Any]:
    """The effective values by name."""
    return clean_value(execution.job.get("parameters", {}))  # type: ignore[no-any-return]


def variables(execution: Execution) -> dict[str, str]:
    """The environment variables whose values may be told."""
    environment = {**execution.job.get("defaults", {}), **execution.job.get("environment", {})}
    return {clean(name): clean(value) for name, value in environment.items() if _TOLD.fullmatch(name)}


def names_of_secrets(execution: Execution) -> tuple[str, ...]:
    """The variables that had secret values."""
    return tuple(map(clean, execution.job.get("secrets", ())))


def command(execution: Execution) -> tuple[str, ...]:
    """What the step ran, item by item."""
    return tuple(clean(str(item)) for item in execution.job.get("script", {}).get("items", ()))


def distributions(execution: Execution) -> Iterator[tuple[str, str]]:
    """Name and version of what was installed for the step's interpreter, where the record has it."""
    listed = (execution.identity or {}).get("distributions")
    for one in listed if isinstance(listed, list | tuple) else ():
        name, sign, version = str(one).partition("==")
        if sign:
            yield clean(name), clean(version)


def image_name(execution: Execution) -> str:
    """The image as the step names it; empty where it names none."""
    return clean(str(execution.job.get("image", "")))


def image_digest(execution: Execution) -> str | None:
    """The config digest of the container image, `sha256:…`; None where the step ran outside of one."""
    id = str((execution.identity or {}).get("id", ""))
    return id if id.startswith("sha256:") else None


def began(what: Run | Execution) -> str:
    """When it started, or else was begun."""
    return (what.started if isinstance(what, Execution) else None) or what.created


def failure(what: Run | Execution) -> str:
    """Why it did not succeed, in a line."""
    parts = [f"{what.state}"]
    if what.reason is not None:
        parts.append(f"reason `{what.reason}`")
    if isinstance(what, Execution):
        parts += [f"exit code {what.exit_code}"] if what.exit_code is not None else []
        parts += [clean(what.detail)] if what.detail else []
    return ", ".join(parts)


def repository(code: Code) -> str | None:
    """The address of the repository as a URI without logins; None without one. A folder of one machine is none."""
    remote = public(code.remote or "")
    if "://" in remote:
        return quote(clean(remote), safe=":/@?&=+,;~%#[]")
    if (match := _LOCATION.fullmatch(remote)) is None:
        return None
    user = f"{match['user']}@" if match["user"] else ""
    return f"ssh://{quote(user, safe='@')}{quote(match['host'])}/{quote(clean(match['path']).lstrip('/'), safe='/~')}"


def code_uri(code: Code) -> str:
    """A URI of exactly this code: its commit (SWHID, ISO/IEC 18670) if it had no changes, else its snapshot."""
    if code.commit and not code.dirty and len(code.commit) == 40:
        return f"swh:1:rev:{code.commit}"
    return f"urn:mlrun-yaml:snapshot:{code.snapshot}"


def text_of(value: Any) -> str:
    """A JSON value where only texts may stand."""
    return value if isinstance(value, str) else json.dumps(value)


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The items of nested objects with their keys joined by dots."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield clean(prefix + key), clean_value(value)
