"""`mlrun open`: takes the runs of a bundle into a store, on any machine, without a network."""

import importlib
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from runner.app.bundle import Opened, open_bundle
from runner.app.container import Images
from runner.app.executor import open_site
from runner.cli.main import call
from runner.cli.terminal import print_json, say, show_hint, show_warning
from runner.cli.transfer import Ticker, pulled_document, show_refused
from runner.errors import ExitCode, MlrunError, usage_error
from runner.escape import printable
from runner.executors.docker import DockerExecutor
from runner.quantity import size_text
from runner.remote.lane import Lanes
from runner.remote.meter import Meter
from runner.settings import Settings, load_settings
from runner.spec.phrase import counted
from runner.store.record import Run
from runner.store.store import Store

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun open run-5.mlrun

  mlrun open run-5.mlrun --run

  mlrun open run-5.mlrun --store /tmp/theirs"""

_LANES = 4
"""Objects that are taken in side by side: each may wait for the disk."""


@app.command(name="open", epilog=EXAMPLES)
def open_file(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What `mlrun export --format bundle` wrote.")],
    run: Annotated[bool, typer.Option("--run", help="Repeat the run at once, as `mlrun reproduce` does.")] = False,
    store: Annotated[
        str | None, typer.Option("--store", metavar="DIR", help="Take it into this store, not into yours.")
    ] = None,
    no_image: Annotated[bool, typer.Option("--no-image", help="Leave container images in the bundle.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> int:
    """Take the runs of a bundle into the store: records, code, inputs, outputs, logs, and images if it has some.

    Needs no network and no repository. Nothing is taken that does not match its digest, and nothing of a run that is
    wrong somewhere. Names that are set here stay what they are.
    """
    if run and store is not None:
        raise usage_error(
            "`--run` repeats in your own store", hint=f"`MLRUN_STORE={printable(store)} mlrun open FILE --run`"
        )
    settings = load_settings()
    root = settings.store if store is None else Path(store).absolute()
    opened, first = _take(Path(file), root, settings, images=not no_image)
    if json:
        names = {key: value for key, value in asdict(opened.names).items() if value}
        images = {"images": opened.images, "images_lacking": opened.without}
        print_json({"runs": opened.runs, **pulled_document(opened.pulled), "names": names, **images})
    _tell(opened, first, root, elsewhere=store is not None)
    code = show_refused(opened.pulled.refused)
    if code or not run or first is None:
        return code
    return call("reproduce", importlib.import_module("runner.cli.reproduce"), [first.id])


def _take(path: Path, root: Path, settings: Settings, *, images: bool) -> tuple[Opened, Run | None]:
    """What came, and the run that the bundle was made for; None where it was refused."""
    ticker = Ticker("open")
    if not os.path.lexists(path):
        raise MlrunError(f"there is no file `{path}`", code=ExitCode.INPUT, hint="is the path right?")
    with Store.open(root, create=True) as store:
        store.reconcile()
        engine = _engine(settings, store) if images else None
        try:
            opened = open_bundle(store, path, Meter(Lanes(_LANES), ticker.show), images=engine)
        finally:
            ticker.clear()
        id = opened.runs[0]
        return opened, None if id in opened.pulled.refused else store.run(id)


def _engine(settings: Settings, store: Store) -> Images | None:
    """Where images are loaded; None where no engine answers, which who has none does not miss."""
    executor = DockerExecutor(open_site(settings))
    return Images(executor, store.layout.cache) if executor.probe().works else None


def _tell(opened: Opened, first: Run | None, root: Path, *, elsewhere: bool) -> None:
    pulled, names = opened.pulled, opened.names
    if not (pulled.new or pulled.renewed or pulled.known or pulled.restored):
        return
    sentence = counted(len(pulled.new), "new run")
    if pulled.renewed:
        sentence += f", {counted(len(pulled.renewed), 'run')} gone on with"
    if known := len(pulled.known) + len(pulled.restored):
        sentence += f", {known:,} known before"
    sentence += f", {counted(pulled.received, 'object')} ({size_text(pulled.received_bytes)}) in `{root}`"
    if pulled.absent:
        sentence += f"; {counted(pulled.absent, 'file')} had been given up where it was made"
    say(sentence)
    if opened.images:
        say("image " + ", ".join(f"`{printable(name)}`" for name in opened.images) + " is on this machine")
    if opened.without:
        lacking = ", ".join(f"`{printable(name)}`" for name in opened.without)
        say(f"image {lacking} is not in the bundle: to repeat the run needs it on this machine")
    called = [f"alias `{printable(name)}`" for name in names.aliases]
    called += [f"dataset `{printable(name)}`" for name in names.datasets]
    called += [f"model `{printable(name)}`" for name in names.models]
    if called:
        say(f"called there: {', '.join(called)}")
    if pulled.destroyed:
        show_warning(f"{counted(len(pulled.destroyed), 'file')} not brought: destroyed for good where it was made")
    if first is not None:
        before = f"MLRUN_STORE={printable(str(root))} " if elsewhere else ""
        show_hint(f"`{before}mlrun show {first.id}` shows it, `{before}mlrun reproduce {first.id}` repeats it")
