"""The checked-out repository, asked by git plumbing that runs nothing a repository could name.

No hooks, monitors, filters, text conversions or submodules; file contents come from the object store as they were
committed (githooks(5), gitattributes(5)).
"""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pullrequest.problem import ActionError

MAX_BYTES = 16 << 20
"""Bytes of the largest file that is looked at."""

PATIENCE = 300.0
"""Seconds that one git command may take."""

_SWITCHES = (
    "--no-pager",
    "--literal-pathspecs",
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "protocol.ext.allow=never"),
    *("-c", "safe.bareRepository=explicit"),
    *("-c", "maintenance.auto=false"),
    *("-c", "gc.auto=0"),
)


class NoFile(Exception):
    """A commit does not have the file in a form that can be checked; the text says why."""


def git_environment(environment: Mapping[str, str], root: Path) -> dict[str, str]:
    """The variables for git, and for programs that call it: no prompts, no locks, the job's own checkout trusted.

    In a container job the checkout belongs to another user, and git would refuse it.
    """
    kept = {name: environment[name] for name in ("PATH", "HOME", "TMPDIR", "SSH_AUTH_SOCK") if name in environment}
    proxies = {name: value for name, value in environment.items() if name.lower().endswith("_proxy")}
    return {
        **kept,
        **proxies,
        "LC_ALL": "C.UTF-8",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": str(root),
    }


@dataclass(frozen=True, slots=True)
class Repository:
    """The repository whose top folder is `root`."""

    root: Path

    def commit(self, revision: str) -> str | None:
        """The full id of a commit that is here."""
        found = self._ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        return found.decode().strip() if found else None

    def parents(self, commit: str) -> tuple[str, ...]:
        """The parents that a commit names, those beyond the border of a shallow clone, too."""
        head = (self._ask("cat-file", "commit", commit) or b"").partition(b"\n\n")[0]
        return tuple(line[7:].decode() for line in head.split(b"\n") if line.startswith(b"parent "))

    def merge_base(self, one: str, other: str) -> str | None:
        """The best common ancestor that this clone knows of."""
        found = self._ask("merge-base", one, other)
        return found.decode().split()[0] if found else None

    def is_shallow(self) -> bool:
        """Whether history is cut off somewhere."""
        return self._ask("rev-parse", "--is-shallow-repository") == b"true\n"

    def fetch(self, *revisions: str, how: str | None = None) -> bool:
        """Get commits from `origin`, as objects only; `how` is an option about depth. False when that fails."""
        options = ["--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-maintenance"]
        options += ["--upload-pack=git-upload-pack", *([how] if how else [])]
        return self._ask("fetch", *options, "origin", *revisions) is not None

    def read(self, commit: str, path: str) -> bytes:
        """The bytes of a regular file as they were committed. Raises NoFile."""
        row = self._ask("ls-tree", "-z", "--full-tree", commit, "--", path)
        if not row:
            raise NoFile("the file does not exist")
        mode, kind, object = row.partition(b"\t")[0].decode().split()
        if mode == "120000":
            raise NoFile("this is a symbolic link, which is not followed")
        if kind != "blob":
            raise NoFile("this is a folder" if kind == "tree" else "this is a submodule")
        if int(self._ask("cat-file", "-s", object) or 0) > MAX_BYTES:
            raise NoFile(f"the file has more than {MAX_BYTES >> 20} MiB")
        data = self._ask("cat-file", "blob", object)
        if data is None:
            raise NoFile("git cannot read the file")
        return data

    def _ask(self, *words: str) -> bytes | None:
        """What git prints; None when it says no."""
        try:
            done = subprocess.run(
                ["git", *_SWITCHES, *words],
                cwd=self.root,
                env=git_environment(os.environ, self.root),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ActionError(f"`git {words[0]}` took more than {PATIENCE:g} s") from None
        except OSError as error:
            raise ActionError(f"git cannot be run: {error.strerror}") from None
        return done.stdout if done.returncode == 0 else None
