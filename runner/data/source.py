"""From the sources of an input (path, glob, folder, URI) to files in the store, named as the step will see them."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from runner.data.means import Means, Want
from runner.data.substitute import Substitutes
from runner.errors import ExitCode, MlrunError, did_you_mean
from runner.job import InputFile
from runner.plan.address import scheme
from runner.plan.model import Source
from runner.spec.model import Input

MODULES = {
    "": "runner.data.local",
    "file": "runner.data.local",
    "http": "runner.data.http",
    "https": "runner.data.http",
    "s3": "runner.data.bucket",
    "gs": "runner.data.bucket",
    "azure": "runner.data.bucket",
    "datum": "runner.data.catalog",
    "dataset": "runner.data.catalog",
    "model": "runner.data.catalog",
}
"""The module that knows a scheme, loaded when first needed; each is a `SourceModule`."""


class SourceModule(Protocol):
    """What fetches sources of one kind."""

    def check(self, want: Want, means: Means) -> None:
        """Refuse what is plainly not to be had; reads no content and asks no other machine. Raises as `fetch`."""
        ...

    def fetch(self, want: Want, means: Means) -> tuple[InputFile, ...]:
        """Bring the files into the store. Raises MlrunError: INPUT, POLICY, DISK, STORE."""
        ...


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Brings inputs into the store. `root` is the project folder, `substitutes` the user's own map of addresses.

    A path that only the YAML file names must lie inside the project; the command line and the map may name any.
    """

    root: Path
    means: Means
    substitutes: Substitutes

    def fetch(self, declared: Input, sources: tuple[Source, ...], means: Means | None = None) -> tuple[InputFile, ...]:
        """All files of one input, in the order of its sources; `means` instead of those that are set.

        The input's `filename` is left to whoever knows whether edges bring more files.

        Raises MlrunError: INPUT when something is not to be had, POLICY for what needs the user's word, DISK, STORE.
        """
        means = means or self.means
        files: list[InputFile] = []
        for source in sources:
            want = self._want(declared, source, means.notice)
            files += _module(want).fetch(want, means)
        return tuple(files)

    def check(self, declared: Input, sources: tuple[Source, ...]) -> None:
        """Refuse sources that are plainly not to be had, without reading any. Raises MlrunError like `fetch`."""
        for source in sources:
            want = self._want(declared, source, lambda sentence: None)
            _module(want).check(want, self.means)

    def _want(self, declared: Input, source: Source, notice: Callable[[str], None]) -> Want:
        instead = self.substitutes.find(source.uri)
        if instead is None:
            return Want(declared, source, self.root)
        want = Want(declared, Source(instead, str(self.root), trusted=True), self.root, mapped=True)
        before = Want(declared, source, self.root)
        notice(f"input `{declared.name}`: `{before.shown}` is taken from `{want.shown}` (`mlrun inputs map`)")
        return want


def _module(want: Want) -> SourceModule:
    name = scheme(want.uri)
    if name not in MODULES:
        raise MlrunError(
            f"input `{want.declared.name}`: nobody here knows `{name}://` addresses ({want.shown})",
            code=ExitCode.INPUT,
            location=want.location,
            hint=_hint(name, want),
        )
    return cast(SourceModule, importlib.import_module(MODULES[name]))


def _hint(name: str, want: Want) -> str:
    near = did_you_mean(name, [known for known in MODULES if known])
    if near is not None and near.startswith("did"):
        return near
    return f"a local file takes its place: {want.instead}"
