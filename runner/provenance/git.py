"""A git repository as a source of code: where it is, what HEAD and its commits are. Takes nothing into the store.

Nothing is ever written into the user's `.git`, and nothing that the repository names is run (`command`).
"""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from runner.errors import ExitCode, MlrunError
from runner.provenance.command import ask


@dataclass(frozen=True, slots=True)
class Head:
    """What is checked out; `commit` is None before the first one, `branch` None when detached."""

    commit: str | None
    branch: str | None
    remote: str | None
    describe: str | None


def find_repository(start: Path) -> "Repository | None":
    """The repository whose working tree `start` lies in."""
    start = start.absolute()
    for folder in (start, *start.parents):
        if os.path.lexists(folder / ".git"):
            return Repository(folder)
    return None


@dataclass(frozen=True, slots=True)
class Repository:
    """The working tree at `root`."""

    root: Path

    def head(self) -> Head:
        """What is checked out. Raises MlrunError when git is missing or refuses the repository."""
        commit, branch, remote, describe = ask(
            self.root,
            ("rev-parse", "--verify", "-q", "HEAD^{commit}"),
            ("symbolic-ref", "-q", "--short", "HEAD"),
            ("config", "--get", "remote.origin.url"),
            ("describe", "--always", "--long", "--tags"),
        )
        return Head(commit.line, branch.line, _without_login(remote.line), describe.line)

    def first_commit(self) -> str | None:
        """The root commit that HEAD comes from by first parents.

        None before the first commit, and in a shallow clone, which does not know it.
        """
        roots, shallow = ask(
            self.root,
            ("rev-list", "--max-parents=0", "--first-parent", "HEAD"),
            ("rev-parse", "--is-shallow-repository"),
        )
        return roots.line if shallow.line == "false" else None

    def resolve(self, revision: str) -> str:
        """The full id of a commit. Raises MlrunError (code USAGE)."""
        (commit,) = ask(self.root, ("rev-parse", "--verify", "-q", "--end-of-options", f"{revision}^{{commit}}"))
        if commit.line is None or "\0" in revision:
            raise MlrunError(
                f"there is no commit `{revision}` in {self.root}",
                code=ExitCode.USAGE,
                hint="`git log --oneline` shows commits",
            )
        return commit.line

    def read_file(self, commit: str, path: str) -> bytes:
        """A file of a commit. Raises MlrunError (code SPEC) when the commit has none."""
        (data,) = ask(self.root, ("cat-file", "blob", f"{commit}:{path}"))
        if data.output is None:
            raise MlrunError(
                f"commit {commit[:12]} has no `{path}`",
                code=ExitCode.SPEC,
                hint="`--commit` takes the YAML file of that commit, too; `--yaml FILE` names another",
            )
        return data.output


def _without_login(remote: str | None) -> str | None:
    """The address of a remote without passwords, tokens and queries, which are nobody's business in a record.

    The user of an SSH address stays: it is part of the address and no secret.
    """
    if remote is None or "://" not in remote:
        return remote
    parts = urlsplit(remote)
    login, _, host = parts.netloc.rpartition("@")
    user = login.partition(":")[0]
    netloc = f"{user}@{host}" if user and parts.scheme in {"ssh", "git+ssh"} else host
    return urlunsplit(parts._replace(netloc=netloc, query="", fragment=""))
