"""Which executor runs a run, decided once, and the images it needs, fetched before anything starts."""

from collections.abc import Iterable
from pathlib import Path

from runner.errors import ExitCode, MlrunError
from runner.events import ImagePulled, Listener
from runner.executors import EXECUTORS, Site
from runner.job import Executor, Identity
from runner.settings import Settings

AUTO = ("docker", "sandbox")
"""What `auto` tries, in this order. `process` is never chosen by itself: it isolates nothing."""


def open_site(settings: Settings, checkout: Path | None = None, *, keep: bool = True) -> Site:
    """What executors are told about this machine; `checkout` is the project that no step may see; without `keep`
    nothing is written to the cache."""
    return Site(settings.store, settings.store / "cache", checkout, keep=keep)


def choose_executor(settings: Settings, checkout: Path, *, keep: bool = True) -> tuple[Executor, str]:
    """The executor and one line that says which and why; without `keep` nothing that it finds out is written.

    Raises MlrunError (code EXECUTOR) when it cannot work.
    """
    site = open_site(settings, checkout, keep=keep)
    if settings.executor != "auto":
        executor = EXECUTORS[settings.executor](site)
        probe = executor.probe()
        if not probe.works:
            raise MlrunError(f"{executor.name}: {probe.sentence}", code=ExitCode.EXECUTOR, hint=probe.hint)
        return executor, f"executor {executor.name}: {probe.sentence}"
    refusals: list[str] = []
    for name in AUTO:
        executor = EXECUTORS[name](site)
        probe = executor.probe()
        if probe.works:
            because = f" ({'; '.join(refusals)})" if refusals else ""
            return executor, f"executor {name}: {probe.sentence}{because}"
        refusals.append(f"{name}: {probe.sentence}")
    raise MlrunError(
        f"no executor works here: {'; '.join(refusals)}",
        code=ExitCode.EXECUTOR,
        hint="`mlrun doctor` explains; `--executor process` runs steps without any isolation",
    )


def find_images(executor: Executor, images: Iterable[str], emit: Listener) -> dict[str, Identity]:
    """What each image is on this machine, pulled if need be. Raises MlrunError (code IMAGE)."""
    found: dict[str, Identity] = {}
    for image in dict.fromkeys(images):
        identity = executor.resolve(image)
        if identity is None:
            for progress in executor.pull(image):
                emit(ImagePulled(image, progress.text, progress.done, progress.total))
            identity = executor.resolve(image)
        if identity is None:
            raise MlrunError(
                f"image `{image}` was pulled, but is not on this machine",
                code=ExitCode.IMAGE,
                hint="`--executor sandbox` runs the step without an image",
            )
        found[image] = identity
    return found
