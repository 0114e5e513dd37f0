"""What `push`, `fetch` and `pull` share: which remote and which runs are meant, how far it is, and what came of it."""

import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from runner.cli.subject import find, project_here
from runner.cli.terminal import put, say, show_error, show_hint, show_warning
from runner.errors import ExitCode, MlrunError, usage_error
from runner.escape import printable
from runner.quantity import size_text
from runner.remote.depot import Depot
from runner.remote.kind import choose_remote, open_remote
from runner.remote.lane import Lanes
from runner.remote.meter import Meter
from runner.remote.pull import Pulled, pull
from runner.settings import load_settings
from runner.spec.phrase import counted
from runner.state import FINAL
from runner.store.reach import Kind
from runner.store.record import Run
from runner.store.store import RUN_PREFIX, Store

REMOTE_HELP = "A folder, `ssh://HOST/FOLDER`, `s3://BUCKET/PREFIX`, or a name of the settings' `[remotes]`."

All = Annotated[bool, typer.Option("--all-projects", help="Of all projects.")]
Json = Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")]
From = Annotated[str | None, typer.Option("--from", metavar="REMOTE", help=REMOTE_HELP)]
There = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[RUN...]", help="The start of an id there; or a run or execution here. Default: all of this project."
    ),
]

Accept = Annotated[
    bool, typer.Option("--accept-purges", help="Let this store refuse, too, what was destroyed for good there.")
]

_LEAST_PREFIX = 4
_FEW = 5
_BETWEEN = 0.1
"""Seconds between two looks of the progress line."""


class Ticker:
    """One line on a terminal that says how far it is, written over and over; silent anywhere else."""

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._shown = 0.0
        self._is_on = sys.stderr.isatty()

    def show(self, meter: Meter) -> None:
        """Called often, from any thread, one at a time."""
        now = time.monotonic()
        if self._is_on and now - self._shown >= _BETWEEN:
            self._shown = now
            objects = f"{meter.objects_done:,} of {meter.objects:,} objects"
            sizes = f"{size_text(meter.bytes_done)} of {size_text(meter.size)}"
            put(f"\r\x1b[K{self._verb}: {objects}, {sizes}", sys.stderr, end="")

    def clear(self) -> None:
        """Let the line be gone."""
        if self._shown:
            put("\r\x1b[K", sys.stderr, end="")


@contextmanager
def at_remote(wanted: str | None, verb: str) -> Iterator[tuple[Store, Depot, Meter]]:
    """The user's store, to be written, the remote, and a meter that is shown. An interrupt is told to keep what is
    there. Raises MlrunError."""
    settings = load_settings()
    address = choose_remote(wanted, settings.remotes, "--to" if verb == "push" else "--from")
    with Store.open(settings.store, create=True) as store:
        store.reconcile()
        depot = Depot(open_remote(address))
        ticker = Ticker(verb)
        try:
            yield store, depot, Meter(Lanes(depot.remote.lanes), ticker.show)
        except KeyboardInterrupt:
            ticker.clear()
            say("interrupted: what has arrived is kept, and the same command goes on from there")
            raise
        finally:
            ticker.clear()
            depot.close()


def runs_here(store: Store, words: Sequence[str], *, all_projects: bool) -> list[Run]:
    """The runs that words name, else all that have ended, oldest first. Raises MlrunError (USAGE)."""
    if words:
        found = {run.id: run for run in (find(text).run for text in words)}
        return list(found.values())
    project = None if all_projects else _project()
    for id, error in store.unreadable(project).items():
        show_warning(f"run `{id}` cannot be read and is left out: {error.message}")
    ids = [row["id"] for row in store.runs(project) if row["state"] in FINAL]
    return [store.run(id) for id in reversed(ids)]


def runs_there(depot: Depot, words: Sequence[str], *, all_projects: bool) -> Mapping[str, Collection[str] | None]:
    """The runs that words name, by project; None for all of one. Raises MlrunError (USAGE)."""
    if not words:
        return dict.fromkeys(depot.projects() if all_projects else [_project()])
    known: dict[str, Collection[str]] = {}
    chosen: dict[str, set[str]] = {}
    for text in words:
        for project, run in [_one_there(depot, text, known)]:
            chosen.setdefault(project, set()).add(run)
    return chosen


def _one_there(depot: Depot, text: str, known: dict[str, Collection[str]]) -> tuple[str, str]:
    """Project and id of a run that is named by the start of its id there, or by what it is here."""
    prefix = text.removeprefix(RUN_PREFIX).lower()
    found: list[tuple[str, str]] = []
    if len(prefix) >= _LEAST_PREFIX and set(prefix) <= set("0123456789abcdef-"):
        if not known:
            known.update((project, depot.names(project)) for project in depot.projects())
        found = [(project, run) for project, runs in known.items() for run in runs if run.startswith(prefix)]
    if len(found) == 1:
        return found[0]
    if found:
        few = ", ".join(f"`{run}`" for _, run in found[:3])
        raise usage_error(f"`{printable(text)}` could be any of {len(found)} runs there", hint=f"write more: {few}")
    try:
        run = find(text).run
    except MlrunError as error:
        if error.code is not ExitCode.USAGE:
            raise
        raise usage_error(
            f"there is no run `{printable(text)}`, neither here nor at `{depot.remote.shown}`",
            hint="`mlrun fetch --all-projects` brings the records of all, and `mlrun list runs` shows them",
        ) from error
    return run.project.id, run.id


def _project() -> str:
    project = project_here()
    if project is None:
        raise usage_error(
            "there is no project here", hint="go to a project's folder, or name runs, or say `--all-projects`"
        )
    return project


def bring(
    remote: str | None,
    words: Sequence[str],
    *,
    all_projects: bool,
    verb: str,
    files: frozenset[Kind],
    accept_purges: bool,
) -> Pulled:
    """Bring runs from a remote, and say what was lacking there. Raises MlrunError."""
    with at_remote(remote, verb) as (store, depot, meter):
        depot.check()
        runs = runs_there(depot, words, all_projects=all_projects)
        pulled = pull(store, depot, runs, meter, files, accept_purges=accept_purges)
        for digest in pulled.purged:
            show_warning(f"`{digest}` was destroyed for good at the remote, and is here: `mlrun purge {digest}`")
    if pulled.left_behind:
        lacking = counted(len(pulled.left_behind), "run")
        show_warning(f"{lacking} whose executions stand for nodes of these cannot be had from the remote")
    if pulled.destroyed:
        few = ", ".join(f"`{printable(name)}`" for name in list(pulled.destroyed.values())[:_FEW])
        more = ", …" if len(pulled.destroyed) > _FEW else ""
        lost = counted(len(pulled.destroyed), "file")
        show_warning(f"{lost} not brought, destroyed for good at the remote: {few}{more}")
        show_hint("`--accept-purges` lets this store refuse their content, too")
    return pulled


def pulled_document(pulled: Pulled) -> dict[str, Any]:
    """What a fetch or a pull did, as JSON."""
    return {
        "new": pulled.new,
        "renewed": pulled.renewed,
        "restored": pulled.restored,
        "known": pulled.known,
        "refused": refusals(pulled.refused),
        "received": pulled.received,
        "received_bytes": pulled.received_bytes,
        "absent": pulled.absent,
        "along": pulled.along,
        "left_behind": pulled.left_behind,
        "purged": pulled.purged,
        "destroyed": list(pulled.destroyed),
    }


def refusals(refused: Mapping[str, MlrunError]) -> dict[str, str]:
    """Why runs were refused, by id."""
    return {id: error.message for id, error in refused.items()}


def show_refused(refused: Mapping[str, MlrunError]) -> int:
    """Tell each, and give the exit code."""
    for error in refused.values():
        show_error(error)
    return next((error.code for error in refused.values()), ExitCode.OK)
