"""`mlrun export --format bundle`: one file with all of a run, for `mlrun open`."""

from pathlib import Path

from runner.app.bundle import Bundled, write_bundle
from runner.app.container import Images
from runner.app.executor import open_site
from runner.cli.terminal import say, show_hint
from runner.cli.transfer import Ticker
from runner.errors import usage_error
from runner.escape import printable
from runner.executors.docker import DockerExecutor
from runner.quantity import size_text
from runner.remote.lane import Lanes
from runner.remote.meter import Meter
from runner.settings import load_settings
from runner.spec.phrase import counted
from runner.store.record import Run
from runner.store.store import Store

SUMMARY = "one file with everything, for `mlrun open`"
SUFFIX = ".mlrun"


def export_bundle(run: Run, output: str | None, *, with_image: bool) -> None:
    """Write the bundle of a run that has ended. Raises MlrunError."""
    if output == "-":
        raise usage_error("a bundle is a file, not a stream", hint="`-o PATH` names it")
    path = Path(output or f"run-{run.counter}{SUFFIX}")
    settings = load_settings()
    ticker = Ticker("export")
    with Store.open(settings.store, create=True) as store:
        images = Images(DockerExecutor(open_site(settings)), store.layout.cache) if with_image else None
        try:
            done = write_bundle(store, run, path, Meter(Lanes(1), ticker.show), images=images)
        finally:
            ticker.clear()
    say(_sentence(done, path))
    if done.without:
        names = ", ".join(f"`{printable(name)}`" for name in done.without)
        show_hint(f"to repeat it needs the image {names}, which `--with-image` puts into the file, too")


def _sentence(done: Bundled, path: Path) -> str:
    words = f"wrote {printable(str(path))} ({size_text(done.size)}): {counted(1 + len(done.along), 'run')}"
    if done.along:
        words += ", for those come along whose executions stand for nodes"
    if done.left_behind:
        words += f", but {len(done.left_behind)} of these cannot"
    words += f"; {counted(done.objects, 'object')}"
    if done.images:
        words += f"; {counted(len(done.images), 'image')}: {', '.join(f'`{printable(name)}`' for name in done.images)}"
    if done.absent:
        words += f"; {counted(done.absent, 'object')} had been given up here before"
    return words
