"""What the user has decided for this machine: `settings.toml` and two environment variables. Reads one small file.

Policy is the user's, not the repository's: nothing here can be set from a `valohai.yaml`.
"""

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from runner.errors import MlrunError, did_you_mean, usage_error
from runner.job import Network
from runner.notifier import Notifier, parse_notifiers

EXECUTOR_NAMES = ("auto", "docker", "sandbox", "process")
CHECKSUM_NAMES = ("md5", "sha1", "sha256")
CODE_KEY_NAMES = ("syntax", "bytes")
REUSE_PULLED_NAMES = ("remotes", "all", "none")

RETRIES = 2
"""How many times more a node with `on-error: retry` is tried where nobody says."""
MOST_RETRIES = 100
LARGEST_POOL = 10_000

_AGES = {
    "s sec second seconds": 1,
    "min minute minutes": 60,
    "h hour hours": 3600,
    "d day days": 86400,
    "w week weeks": 7 * 86400,
    "y year years": 365 * 86400,
}
"""Seconds of what an age may be told in."""


@dataclass(frozen=True, slots=True)
class Door:
    """A folder of this machine, absolute, that steps may see if a file asks for it or for something in it."""

    path: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """The effective settings.

    `jobs` is how many executions may run at once (0: one per processor that this process may use); `grace` is how
    many seconds a stopped step gets between SIGTERM and SIGKILL; `mounts` are the host folders and `devices` the
    names of devices that a file may ask for (`all`: any); `shm` is the size of a step's `/dev/shm` in bytes, None
    for half of its memory; `checksums` are those that `inputs.json` gives of every file besides BLAKE3. `quota` is
    how many bytes the store may have, None for any number; `keep_last` and `keep_within` (seconds) say what `mlrun
    gc` keeps. `remotes` are addresses of remote stores by name, of which `default` is the one that is meant without
    a name. `reserve` is how many bytes of the store's disk stay free, 0 for none, None for one in a hundred, at
    most 1 GiB. `code_key` says what of a Python file that a step read counts when it is asked whether the step has
    to run; `reuse_pulled` whether what came from other stores may then stand for work of this one: only what was
    pulled from the `remotes`, `all`, or `none`. `cpus` and `memory` (bytes) are what executions that run at the
    same time share, None for all that this process may use; `pools` are the places of the pools that a file may
    name. `retries` is how many times more a failed node is tried whose `on-error` is `retry`, `retry_delay` the
    seconds before that, which double each further time. `notify` are the ways to tell somebody of a run that nobody
    watches.
    """

    store: Path
    executor: str = "auto"
    network: Network = Network.DEFAULT
    jobs: int = 0
    grace: float = 10.0
    mounts: tuple[Door, ...] = ()
    devices: tuple[str, ...] = ()
    shm: int | None = None
    checksums: tuple[str, ...] = ()
    quota: int | None = None
    keep_last: int | None = None
    keep_within: float | None = None
    reserve: int | None = None
    code_key: str = "syntax"
    reuse_pulled: str = "remotes"
    remotes: Mapping[str, str] = field(default_factory=dict)
    cpus: float | None = None
    memory: int | None = None
    pools: Mapping[str, int] = field(default_factory=dict)
    retries: int = RETRIES
    retry_delay: float = 1.0
    notify: tuple[Notifier, ...] = ()


def settings_file(environment: Mapping[str, str]) -> Path:
    """Where the settings are looked for: `$XDG_CONFIG_HOME/mlrun/settings.toml`.

    Who has no home but says where the store is has none: it is a place where no file can be. Raises MlrunError (USAGE)
    for who says neither.
    """
    try:
        return _folder(environment, "XDG_CONFIG_HOME", ".config") / "mlrun" / "settings.toml"
    except MlrunError:
        if not environment.get("MLRUN_STORE"):
            raise
        return Path(os.devnull) / "settings.toml"


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Where answers are kept that can be found again at any time: `$XDG_CACHE_HOME/mlrun`.

    None for who has no home, also where HOME names a folder that is not there, as it does for the users of services.
    """
    try:
        base = _folder(environment, "XDG_CACHE_HOME", ".cache")
    except MlrunError:
        return None
    return base / "mlrun" if base.parent.is_dir() else None


def load_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings file, if there is one; `MLRUN_STORE` and `MLRUN_EXECUTOR` win over it.

    Raises MlrunError (code USAGE) for a file that cannot be understood and for values that do not fit.
    """
    file = settings_file(environment)
    written = _read(file)
    known = [one.name.replace("_", "-") for one in fields(Settings)]
    for name in written:
        if name not in known:
            raise usage_error(f"{file}: there is no setting `{name}`", hint=did_you_mean(name, known))
    store = environment.get("MLRUN_STORE") or written.get("store")
    executor = environment.get("MLRUN_EXECUTOR")
    return Settings(
        store=Path(str(store)).expanduser().absolute()
        if store
        else _folder(environment, "XDG_DATA_HOME", ".local/share") / "mlrun",
        executor=_named("MLRUN_EXECUTOR", executor_name, executor)
        if executor
        else _named(file, executor_name, written.get("executor", "auto")),
        network=_named(file, network_name, written.get("network", Network.DEFAULT)),
        jobs=int(_number(written, "jobs", 0, file)),
        grace=_number(written, "grace", 10.0, file),
        mounts=tuple(_named(file, open_door, text) for text in _texts(written, "mounts", file)),
        devices=_texts(written, "devices", file),
        shm=_named(file, parse_size, written["shm"]) if "shm" in written else None,
        checksums=tuple(_named(file, checksum_name, text) for text in _texts(written, "checksums", file)),
        quota=_named(file, parse_size, written["quota"]) if "quota" in written else None,
        keep_last=_named(file, parse_count, written["keep-last"]) if "keep-last" in written else None,
        keep_within=_named(file, parse_age, written["keep-within"]) if "keep-within" in written else None,
        reserve=_named(file, parse_reserve, written["reserve"]) if "reserve" in written else None,
        code_key=_named(file, code_key_name, written.get("code-key", "syntax")),
        reuse_pulled=_named(file, reuse_pulled_name, written.get("reuse-pulled", "remotes")),
        remotes=_table(written, "remotes", file),
        cpus=_named(file, parse_cpus, written["cpus"]) if "cpus" in written else None,
        memory=_named(file, parse_size, written["memory"]) if "memory" in written else None,
        pools=_pools(written.get("pools", {}), file),
        retries=_named(file, parse_retries, written.get("retries", RETRIES)),
        retry_delay=_number(written, "retry-delay", 1.0, file),
        notify=_notifiers(written["notify"], file) if "notify" in written else (),
    )


def executor_name(value: object) -> str:
    """`value` if it names an executor. Raises MlrunError (code USAGE)."""
    if value in EXECUTOR_NAMES:
        return str(value)
    raise usage_error(f"there is no executor `{value}`", hint=did_you_mean(str(value), EXECUTOR_NAMES))


def _read(file: Path) -> Mapping[str, Any]:
    """What the file says, by name; nothing where there is none."""
    try:
        text = file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise _not_understood(file, error) from error
    # Not at the top: most users have no settings, and every command asks for them.
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _not_understood(file, error) from error


def _not_understood(file: Path, error: Exception) -> MlrunError:
    return usage_error(f"{file}: {error}", hint="it is a TOML file of `name = value` lines")


def network_name(value: object) -> Network:
    """The network of this name. Raises MlrunError (code USAGE)."""
    try:
        return Network(str(value))
    except ValueError:
        raise usage_error(f"there is no network `{value}`", hint=did_you_mean(str(value), list(Network))) from None


def checksum_name(value: object) -> str:
    """`value` if it names a checksum. Raises MlrunError (code USAGE)."""
    if value in CHECKSUM_NAMES:
        return str(value)
    raise usage_error(f"there is no checksum `{value}`", hint=did_you_mean(str(value), CHECKSUM_NAMES))


def code_key_name(value: object) -> str:
    """`value` if it says what counts of a Python file. Raises MlrunError (code USAGE)."""
    if value in CODE_KEY_NAMES:
        return str(value)
    raise usage_error(f"there is no code key `{value}`", hint="write `syntax` or `bytes`")


def reuse_pulled_name(value: object) -> str:
    """`value` if it says which pulled runs may be reused. Raises MlrunError (code USAGE)."""
    if value in REUSE_PULLED_NAMES:
        return str(value)
    raise usage_error(f"`reuse-pulled` cannot be `{value}`", hint="write `remotes`, `all` or `none`, as a text")


def open_door(text: object) -> Door:
    """The door that `/folder` or `/folder:ro` names; a path of the command line may be relative.

    Raises MlrunError (code USAGE).
    """
    said = str(text)
    path = os.path.expanduser(said.removesuffix(":ro"))
    if not path or "\0" in path:
        raise usage_error(f"`{said}` is not a folder to mount", hint="write a path, or a path with `:ro` behind it")
    return Door(os.path.abspath(path), said.endswith(":ro"))


def parse_size(value: object) -> int:
    """Bytes: a number of them, or text such as `512M` or `8 GiB`, in powers of 1024. Raises MlrunError (code USAGE)."""
    found = re.fullmatch(r"(\d{1,12}(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", str(value).strip().lower())
    if (
        isinstance(value, bool)
        or found is None
        or not (size := int(float(found[1]) * 1024 ** " kmgt".index(found[2] or " ")))
    ):
        raise usage_error(f"`{value}` is not a size", hint="write bytes, or such as `512M` or `8G`")
    return size


def parse_reserve(value: object) -> int:
    """A size, or 0. Raises MlrunError (code USAGE)."""
    return 0 if str(value).strip() == "0" else parse_size(value)


def parse_count(value: object) -> int:
    """A whole number of at least 0. Raises MlrunError (code USAGE)."""
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,9}", str(value).strip(), re.ASCII):
        raise usage_error(f"`{value}` is not a number of executions", hint="write a whole number, such as `10`")
    return int(str(value))


def parse_cpus(value: object) -> float:
    """A number of processors. Raises MlrunError (code USAGE)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise usage_error(f"`{value}` is not a number of processors", hint="write such as `4`, or leave the line out")
    return float(value)


def parse_retries(value: object) -> int:
    """How many times more something is tried. Raises MlrunError (code USAGE)."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_RETRIES:
        raise usage_error(f"`retries` cannot be `{value}`", hint=f"write a whole number from 0 to {MOST_RETRIES}")
    return value


def parse_age(value: object, *, minute: str = "min") -> float:
    """Seconds: text such as `12h`, `30d` or `8 weeks`. Raises MlrunError (code USAGE).

    `minute` is the shortest word for one: `m` only where nobody can mean a month.
    """
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)\s*([a-z]+)", str(value).strip().lower(), re.ASCII)
    word = "min" if found and found[2] == minute else found and found[2]
    unit = next((size for words, size in _AGES.items() if word in words.split()), None)
    if found is None or unit is None:
        raise usage_error(f"`{value}` is not an age", hint="write such as `12h`, `30d` or `8w`")
    return float(found[1]) * unit


T = TypeVar("T")


def _named(source: object, check: Callable[[object], T], value: object) -> T:
    """`check(value)`; a refusal says where the value stands."""
    try:
        return check(value)
    except MlrunError as error:
        raise usage_error(f"{source}: {error.message}", error.hint) from None


def _texts(written: Mapping[str, object], name: str, file: Path) -> tuple[str, ...]:
    """A text, or a list of them."""
    value = written.get(name, [])
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise usage_error(f"{file}: `{name}` must be a list of texts", hint=f'such as `{name} = ["…"]`')
    return tuple(texts)


def _table(written: Mapping[str, object], name: str, file: Path) -> dict[str, str]:
    value = written.get(name, {})
    if not isinstance(value, dict) or not all(isinstance(text, str) and text for text in value.values()):
        raise usage_error(
            f"{file}: `{name}` must be a table of texts", hint=f'such as `[{name}]` and `lab = "…"` below'
        )
    return dict(value)


def _pools(value: object, file: Path) -> dict[str, int]:
    """The places of each pool by its name."""
    if not isinstance(value, dict):
        raise usage_error(f"{file}: `pools` must be a table of numbers", hint="such as `[pools]` and `gpu = 1` below")
    for name, size in value.items():
        if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= LARGEST_POOL:
            said = f"{file}: the pool `{name}` cannot have `{size}` places"
            raise usage_error(said, hint="write a whole number of at least 1; a pool of 1 is a mutex")
    return dict(value)


def _notifiers(value: object, file: Path) -> tuple[Notifier, ...]:
    return _named(file, lambda table: parse_notifiers(table, parse_age), value)


def _number(written: Mapping[str, object], name: str, default: float, file: Path) -> float:
    value = written.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise usage_error(f"{file}: `{name}` must be a number of at least 0, not `{value}`", hint="leave the line out")
    return value


def _folder(environment: Mapping[str, str], variable: str, below_home: str) -> Path:
    """An XDG base folder; relative values are ignored, as the XDG base directory specification asks."""
    value = environment.get(variable, "")
    if value.startswith("/"):
        return Path(value)
    try:
        return Path(environment.get("HOME") or Path.home()) / below_home
    except RuntimeError as error:
        raise usage_error("there is no home folder", hint="set HOME, or MLRUN_STORE for the store") from error
