"""Runs `mlrun lint` and `mlrun diff` and takes down what they say. Both get a clean environment, without the token."""

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pullrequest.log import annotations
from pullrequest.problem import ActionError
from pullrequest.repository import git_environment
from pullrequest.setting import Setting

PATIENCE = 120.0
"""Seconds that one command may take."""
MAX_TEXT = 8 << 20
"""Bytes of an answer that are looked at."""

OK, CHANGED, SPEC, STRICT = 0, 1, 10, 11
"""Exit codes of `mlrun` that are a verdict."""


@dataclass(frozen=True, slots=True)
class Said:
    """A command that has ended."""

    code: int
    out: str
    talk: str

    @property
    def complaint(self) -> str:
        """The first line of its talk."""
        return next(iter(self.talk.splitlines()), "") or f"exit code {self.code}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `mlrun lint` found: workflow commands, one per problem."""

    annotations: tuple[str, ...]

    @property
    def errors(self) -> int:
        """How many errors."""
        return self._count("error")

    @property
    def warnings(self) -> int:
        """How many warnings."""
        return self._count("warning")

    def _count(self, word: str) -> int:
        return sum(line.startswith((f"::{word} ", f"::{word}::")) for line in self.annotations)


def lint(setting: Setting, files: Mapping[str, bytes]) -> Verdict:
    """Check files, given as path and bytes: in an empty folder, where nothing else of the repository is.

    Raises ActionError when there is no verdict.
    """
    if not files:
        return Verdict(())
    with tempfile.TemporaryDirectory(dir=setting.scratch) as folder:
        for path, data in files.items():
            place = Path(folder, path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        words = ["lint", "--format", "github", *(["--strict"] if setting.strict else []), "--", *files]
        said = _run(setting, words, Path(folder))
    found = Verdict(tuple(annotations(said.out)))
    if said.code not in {OK, SPEC, STRICT} or (said.code == SPEC and not found.errors):
        raise ActionError(f"mlrun lint: {said.complaint}")
    return found


@dataclass(frozen=True, slots=True)
class Change:
    """What `mlrun diff` says of one file, in Markdown; `is_one` tells whether anything changes."""

    text: str
    is_one: bool


def diff(setting: Setting, path: str, base: str, head: str) -> Change:
    """What becomes different between two commits. Raises ActionError when that cannot be said."""
    words = ["diff", base, head, "--format", "markdown", "--exit-code", f"--yaml={path}"]
    said = _run(setting, words, setting.workspace)
    if said.code not in {OK, CHANGED}:
        raise ActionError(f"mlrun diff: {said.complaint}")
    return Change(said.out, said.code == CHANGED)


def _run(setting: Setting, words: Sequence[str], folder: Path) -> Said:
    environment = git_environment(os.environ, setting.workspace) | {
        "MLRUN_STORE": str(setting.scratch / "store"),
        "NO_COLOR": "1",
    }
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as talk:
        try:
            done = subprocess.run(
                [str(setting.mlrun), *words],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=talk,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ActionError(f"`mlrun {words[0]}` took more than {PATIENCE:g} s") from None
        except OSError as error:
            raise ActionError(f"mlrun cannot be run: {error.strerror}") from None
        texts = []
        for stream in (out, talk):
            stream.seek(0)
            texts.append(stream.read(MAX_TEXT).decode("utf-8", "replace"))
    return Said(done.returncode, *texts)
