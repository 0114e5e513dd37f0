"""The step that does the work: check the files, compare the commits, tell the pull request, give the verdict."""

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pullrequest import report, tool
from pullrequest.api import Api
from pullrequest.comment import Thread, marker
from pullrequest.log import Log
from pullrequest.problem import ActionError, ApiError, Denied
from pullrequest.repository import NoFile, Repository
from pullrequest.setting import FailOn, PullRequest, Setting, read_setting
from pullrequest.span import Span, find_span

IGNORE_FILE = ".vhignore"
"""What is in it is no code of any step."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What there is to say. `changes` has what `mlrun diff` says per file; None where nothing was compared."""

    errors: int
    warnings: int
    span: Span
    changes: tuple[tool.Change, ...] | None

    @property
    def is_changed(self) -> bool:
        """Whether the pull request changes what steps and pipelines do."""
        return any(change.is_one for change in self.changes or ())

    def text(self, head: str, limit: int) -> str:
        """The report for people, in Markdown, in at most `limit` characters."""
        sections = [change.text for change in self.changes or () if change.is_one]
        foot = report.footer(self.errors, self.warnings, self.span.base, self.span.head)
        return report.compose(head, sections or [report.NO_CHANGE if self.changes else ""], foot, limit)


def main(environment: Mapping[str, str] = os.environ) -> int:
    """Do it all; the exit code. Nothing is raised, and the token is not shown."""
    log = Log((environment.get("INPUT_TOKEN", "").strip(),))
    try:
        return run(read_setting(environment), log)
    except ActionError as error:
        log.error(str(error))
    except Exception as error:  # noqa: BLE001
        log.error(f"this is a bug in the action: {type(error).__name__}: {error}")
    return 1


def run(setting: Setting, log: Log) -> int:
    """Do what the setting asks for. Raises ActionError when it cannot be done at all."""
    repository = Repository(setting.workspace)
    span = find_span(repository, setting)
    errors, warnings = _lint(setting, repository, span, log)
    finding = Finding(errors, warnings, span, _compare(setting, repository, span, log))
    _summarise(setting, finding)
    address = ""
    if setting.comment and setting.pull_request is not None and finding.changes is not None:
        address = _tell(setting, setting.pull_request, finding, log)
    _output(setting, finding, address)
    log.plain(f"{report.counted(errors, 'error')}, {report.counted(warnings, 'warning')}")
    worst = {FailOn.ERROR: errors, FailOn.WARNING: errors + warnings, FailOn.NEVER: 0}
    return 1 if worst[setting.fail_on] else 0


def _lint(setting: Setting, repository: Repository, span: Span, log: Log) -> tuple[int, int]:
    """The numbers of errors and warnings, each of which is told."""
    files, refused = {}, 0
    for path in setting.files:
        try:
            files[path] = repository.read(span.head, path)
        except NoFile as reason:
            log.error(f"{path}: {reason}", file=path)
            refused += 1
    verdict = tool.lint(setting, files)
    log.annotate(verdict.annotations)
    return verdict.errors + refused, verdict.warnings


def _compare(setting: Setting, repository: Repository, span: Span, log: Log) -> tuple[tool.Change, ...] | None:
    """What changes in each file; None, which is told, where it cannot be said."""
    if span.base is None:
        return None
    # `mlrun diff` fetches nothing: of a partial clone, what it will read is got here.
    for path in (*setting.files, IGNORE_FILE):
        for commit in (span.base, span.head):
            with contextlib.suppress(NoFile):
                repository.read(commit, path)
    try:
        return tuple(tool.diff(setting, path, span.base, span.head) for path in setting.files)
    except ActionError as error:
        log.warning(f"the pull request is not compared with its base: {error}")
        return None


def _summarise(setting: Setting, finding: Finding) -> None:
    """The report on the page of the job, where whoever may see the job may read it."""
    if setting.summary is not None:
        _append(setting.summary, finding.text("", report.MAX_SUMMARY))


def _tell(setting: Setting, pull_request: PullRequest, finding: Finding, log: Log) -> str:
    """Keep the comment; its address. What the API does not let us do fails no job: the summary has the report."""
    api = Api(setting.api, setting.token)
    mark = marker(setting.files)
    thread = Thread(api, setting.repository, pull_request.number, mark, setting.author)
    body = finding.text(mark, report.MAX_COMMENT)
    change: Callable[[str], str | None] = thread.publish if finding.is_changed else thread.replace
    try:
        return _shown(change(body) or "", setting.server)
    except Denied as reason:
        why = "a pull request from a fork gets a token that only reads" if pull_request.fork else str(reason)
        log.notice(f"there is no comment, the report is in the summary of the job: {why}")
    except ApiError as error:
        log.warning(f"there is no comment, the report is in the summary of the job: {error}")
    return ""


def _shown(address: str, server: str) -> str:
    """An address that the server gave, if it is one of its own pages."""
    return address if address.startswith(f"{server}/") and address.isprintable() and " " not in address else ""


def _output(setting: Setting, finding: Finding, address: str) -> None:
    if setting.output is not None:
        changed = str(finding.is_changed).lower() if finding.changes is not None else ""
        values = {
            "errors": finding.errors,
            "warnings": finding.warnings,
            "changed": changed,
            "comment-url": address,
        }
        _append(setting.output, "".join(f"{name}={value}\n" for name, value in values.items()))


def _append(file: Path, text: str) -> None:
    try:
        with file.open("a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
    except OSError as error:
        raise ActionError(f"{file.name} cannot be written: {error.strerror}") from None
