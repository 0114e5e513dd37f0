"""Calling git on a repository that nobody vouches for: no hooks, no monitors, no filters, no network, nothing written.

A repository's own configuration may name programs (githooks(5), `core.fsmonitor`, `filter.*.clean`, `diff.external`,
lazy fetches of partial clones). Only plumbing that runs none of them is called, and those that git would run for
plumbing are switched off here.
"""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.errors import ExitCode, MlrunError

_SWITCHES = (
    "--no-pager",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.quotePath=false",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What git printed; `output` is None when it said no, and `complaint` tells why."""

    output: bytes | None
    complaint: str

    @property
    def line(self) -> str | None:
        """The output as one line of text; None when there is none."""
        text = self.output.decode("utf-8", "replace").strip() if self.output else ""
        return text or None

    def required(self, root: Path) -> bytes:
        """The output. Raises MlrunError when git said no, with its words."""
        if self.output is None:
            raise MlrunError(
                f"git cannot read the repository `{root}`: {self.complaint}",
                code=ExitCode.INPUT,
                hint="`git status` and `git fsck` there say more",
            )
        return self.output


def environment() -> dict[str, str]:
    """The variables git is given: of the caller's `GIT_*` only configuration; no prompts, locks or replaced objects."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith("GIT_CONFIG")
    }
    return kept | {
        "LC_ALL": "C",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "none",
    }


def start(root: Path, arguments: Sequence[str], *, feed: bool = False) -> "subprocess.Popen[bytes]":
    """Start git in `root`. Naming the work tree keeps a repository from pointing at another folder by `core.worktree`.

    Raises MlrunError when there is no git.
    """
    try:
        return subprocess.Popen(
            ["git", *_SWITCHES, f"--work-tree={root}", *arguments],
            cwd=root,
            env=environment(),
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if feed else subprocess.PIPE,
        )
    except FileNotFoundError as error:
        raise MlrunError(
            "git is not installed", code=ExitCode.USAGE, hint="install the package `git`, or use `--no-git`"
        ) from error


def ask(root: Path, *questions: Sequence[str]) -> list[Answer]:
    """Run several git commands at the same time, all to their end.

    Raises MlrunError (POLICY) for a repository that git refuses to look at.
    """
    processes = [start(root, question) for question in questions]
    answers = [_answer(process) for process in processes]
    if any("dubious ownership" in answer.complaint for answer in answers):
        raise MlrunError(
            f"git refuses the repository `{root}`, because it belongs to another user",
            code=ExitCode.POLICY,
            hint=f"if you trust it: `git config --global --add safe.directory '{root}'`",
        )
    return answers


def _answer(process: "subprocess.Popen[bytes]") -> Answer:
    output, complaint = process.communicate()
    words = complaint.decode("utf-8", "replace").strip().splitlines()
    return Answer(output if process.returncode == 0 else None, words[0].removeprefix("fatal: ") if words else "")
