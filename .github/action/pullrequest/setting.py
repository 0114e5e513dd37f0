"""What the workflow asks for and where it runs, read from the environment and the event; everything is checked here.

The event is written by GitHub, but its texts are the pull request's author's: only numbers and commit ids are taken.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from pullrequest.problem import ActionError

COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")
_REVISION = re.compile(r"[A-Za-z0-9_][^\x00-\x20\x7f:^~?*\[\\]*")
_MAX_EVENT = 32 << 20


class FailOn(StrEnum):
    """The least thing in a file that fails the job."""

    ERROR = "error"
    WARNING = "warning"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class PullRequest:
    """The pull request of the event: the tips of the branch it goes to and of its own. `fork`: from another repository.

    `distrusted`: the event is `pull_request_target`, whose checkout is not the pull request's.
    """

    number: int
    base: str
    head: str
    fork: bool
    distrusted: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything the action is told. `files` are paths in the repository; `scratch` is a folder for its own use."""

    files: tuple[str, ...]
    strict: bool
    comment: bool
    fail_on: FailOn
    base: str | None
    author: str | None
    token: str
    api: str
    server: str
    repository: str
    pull_request: PullRequest | None
    workspace: Path
    scratch: Path
    mlrun: Path
    output: Path | None
    summary: Path | None


def read_setting(environment: Mapping[str, str]) -> Setting:
    """The setting of this job. Raises ActionError for what does not fit."""
    base = environment.get("INPUT_BASE", "").strip()
    if base and (not _REVISION.fullmatch(base) or ".." in base):
        raise ActionError(f"the input `base` is no commit, tag or branch: `{base}`")
    repository = _needed(environment, "GITHUB_REPOSITORY")
    if not _REPOSITORY.fullmatch(repository):
        raise ActionError("GITHUB_REPOSITORY is not `owner/name`")
    return Setting(
        files=_files(environment.get("INPUT_YAML", "")),
        strict=_truth(environment, "INPUT_STRICT", False),
        comment=_truth(environment, "INPUT_COMMENT", True),
        fail_on=_fail_on(environment.get("INPUT_FAIL_ON", "")),
        base=base or None,
        author=environment.get("INPUT_COMMENT_AUTHOR", "").strip() or None,
        token=environment.get("INPUT_TOKEN", "").strip(),
        api=_url(environment, "GITHUB_API_URL", "https://api.github.com"),
        server=_url(environment, "GITHUB_SERVER_URL", "https://github.com"),
        repository=repository,
        pull_request=_pull_request(environment, repository),
        workspace=Path(_needed(environment, "GITHUB_WORKSPACE")),
        scratch=Path(_needed(environment, "MLRUN_ACTION_SCRATCH")),
        mlrun=Path(_needed(environment, "MLRUN_ACTION_COMMAND")),
        output=_path(environment, "GITHUB_OUTPUT"),
        summary=_path(environment, "GITHUB_STEP_SUMMARY"),
    )


def _needed(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise ActionError(f"{name} is not set: this runs as a step of a GitHub workflow only")
    return value


def _path(environment: Mapping[str, str], name: str) -> Path | None:
    return Path(environment[name]) if environment.get(name) else None


def _truth(environment: Mapping[str, str], name: str, default: bool) -> bool:
    value = environment.get(name, "").strip().lower()
    if value not in {"", "true", "false"}:
        raise ActionError(f"the input `{_input(name)}` is `true` or `false`, not `{value}`")
    return value == "true" if value else default


def _input(name: str) -> str:
    return name.removeprefix("INPUT_").lower().replace("_", "-")


def _fail_on(text: str) -> FailOn:
    try:
        return FailOn(text.strip() or FailOn.ERROR)
    except ValueError:
        raise ActionError(f"the input `fail-on` is `error`, `warning` or `never`, not `{text.strip()}`") from None


def _files(text: str) -> tuple[str, ...]:
    """Paths, one a line, each below the repository's top folder."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        path = PurePosixPath(line)
        if path.is_absolute() or ".." in path.parts or "\0" in line or str(path) == ".":
            raise ActionError(f"the input `yaml` names a file of the repository, not `{line}`")
        found.append(str(path))
    return tuple(dict.fromkeys(found)) or ("valohai.yaml",)


def _url(environment: Mapping[str, str], name: str, default: str) -> str:
    url = environment.get(name) or default
    try:
        parts = urlsplit(url)
        sound = parts.scheme in {"http", "https"} and parts.hostname and parts.username is None and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise ActionError(f"{name} is no address of a server")
    return url.rstrip("/")


def _pull_request(environment: Mapping[str, str], repository: str) -> PullRequest | None:
    """The pull request that the event is about, if it is about one."""
    name = environment.get("GITHUB_EVENT_NAME", "")
    if name not in {"pull_request", "pull_request_target"}:
        return None
    try:
        with Path(_needed(environment, "GITHUB_EVENT_PATH")).open("rb") as file:
            found = json.loads(file.read(_MAX_EVENT))["pull_request"]
        number, base, head = found["number"], found["base"]["sha"], found["head"]["sha"]
        origin = _repository_of(found["head"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ActionError(f"the event cannot be read: {type(error).__name__}") from None
    if not isinstance(number, int) or number < 1 or not all(isinstance(x, str) for x in (base, head)):
        raise ActionError("the event names no pull request")
    if not (COMMIT.fullmatch(base) and COMMIT.fullmatch(head)):
        raise ActionError("the event's commits are no commit ids")
    return PullRequest(number, base, head, origin != repository.lower(), name == "pull_request_target")


def _repository_of(end: Mapping[str, Any]) -> str | None:
    """`owner/name` of one end of a pull request; None when its repository has been deleted."""
    found = end["repo"]
    return str(found["full_name"]).lower() if found else None
