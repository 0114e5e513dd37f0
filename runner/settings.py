"""What the user has decided for this machine: `settings.toml` and two environment variables. Reads one small file.

Policy is the user's, not the repository's: nothing here can be set from a `valohai.yaml`.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

from runner.errors import MlrunError, did_you_mean, usage_error
from runner.job import Network

EXECUTOR_NAMES = ("auto", "docker", "sandbox", "process")


@dataclass(frozen=True, slots=True)
class Settings:
    """The effective settings.

    `jobs` is how many executions may run at once (0: one per processor); `grace` is how many seconds a stopped step
    gets between SIGTERM and SIGKILL.
    """

    store: Path
    executor: str = "auto"
    network: Network = Network.DEFAULT
    jobs: int = 0
    grace: float = 10.0


def settings_file(environment: Mapping[str, str]) -> Path:
    """Where the settings are looked for: `$XDG_CONFIG_HOME/mlrun/settings.toml`."""
    return _folder(environment, "XDG_CONFIG_HOME", ".config") / "mlrun" / "settings.toml"


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
    try:
        written = tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        written = {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise usage_error(f"{file}: {error}", hint="it is a TOML file of `name = value` lines") from error
    known = [field.name for field in fields(Settings)]
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
    )


def executor_name(value: object) -> str:
    """`value` if it names an executor. Raises MlrunError (code USAGE)."""
    if value in EXECUTOR_NAMES:
        return str(value)
    raise usage_error(f"there is no executor `{value}`", hint=did_you_mean(str(value), EXECUTOR_NAMES))


def network_name(value: object) -> Network:
    """The network of this name. Raises MlrunError (code USAGE)."""
    try:
        return Network(str(value))
    except ValueError:
        raise usage_error(f"there is no network `{value}`", hint=did_you_mean(str(value), list(Network))) from None


T = TypeVar("T")


def _named(source: object, check: Callable[[object], T], value: object) -> T:
    """`check(value)`; a refusal says where the value stands."""
    try:
        return check(value)
    except MlrunError as error:
        raise usage_error(f"{source}: {error.message}", error.hint) from None


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
