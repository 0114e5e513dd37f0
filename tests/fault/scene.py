"""What is stopped everywhere: runs, the upkeep of a store, and exchanges with another one."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import script
from ground import Ground, Scene, alone, checked, printed
from injection import Fault, injected

from runner.digest import Digest
from runner.store.identity import is_id
from runner.store.reach import named_by
from runner.store.store import Store


def nothing(here: Ground, place: Path) -> None:
    """No store at all."""


def one_run(here: Ground, place: Path) -> None:
    """A store with one run."""
    here.run(place, "exec", "make")


def versions(here: Ground, place: Path, count: int = 3) -> None:
    """Runs whose outputs grow by a line from one to the next."""
    for number in range(count):
        here.write(number)
        here.run(place, "exec", "make")
    here.write(0)


def told(here: Ground, place: Path) -> Callable[[], int]:
    """The script that takes objects in in every way."""
    return lambda: script.main(place / "store")


def verb(*arguments: str) -> Callable[[Ground, Path], Callable[[], int]]:
    """A command of `mlrun`."""
    return lambda here, place: here.command(place, *arguments)


def newest(place: Path) -> list[Digest]:
    """All that the newest run names."""
    with Store.open(place / "store", create=False) as store:
        run = store.run(store.runs()[0]["id"])
        return [named.digest for named in named_by(run, lambda _: iter(()))]


def every(place: Path) -> list[Digest]:
    """All that any run names."""
    with Store.open(place / "store", create=False) as store:
        runs = [store.run(row["id"]) for row in store.runs()]
        return sorted({named.digest for run in runs for named in named_by(run, lambda _: iter(()))})


def after(*commands: tuple[str, ...]) -> Callable[[Ground, Path], None]:
    """Three versions, and what some commands made of them."""

    def prepare(here: Ground, place: Path) -> None:
        versions(here, place)
        for arguments in commands:
            here.run(place, *arguments)

    return prepare


def cut_short(*arguments: str, share: float, begin: Callable[[Ground, Path], None]) -> Callable[[Ground, Path], None]:
    """A store in which a command was killed when it had done so much of its work."""

    def prepare(here: Ground, place: Path) -> None:
        begin(here, place)
        whole = place.with_name(f"{place.name}-whole")
        subprocess.run(["cp", "-a", place, whole], check=True)
        points = injected(here.command(whole, *arguments), None).calls
        shutil.rmtree(whole)
        done = injected(here.command(place, *arguments), Fault(int(points * share)))
        assert done.code == -9, done

    return prepare


def of_format_1(here: Ground, place: Path) -> None:
    """A store as the first format had it: without the folders that came later, and without an index."""
    one_run(here, place)
    root = place / "store"
    for name in ("packed", "claims", "trash", "quarantine"):
        shutil.rmtree(root / name, ignore_errors=True)
    for path in (*root.glob("index.sqlite*"), root / "removed"):
        path.unlink(missing_ok=True)
    (root / "format").write_text("mlrun store, format 1\n")


def without_index(here: Ground, place: Path) -> None:
    """A store that lost its index."""
    versions(here, place)
    for path in (place / "store").glob("index.sqlite*"):
        path.unlink()


def elsewhere(here: Ground, place: Path) -> None:
    """A remote with three runs, and an empty store."""
    versions(here, place)
    here.run(place, "push", "--to", str(place / "remote"))
    shutil.rmtree(place / "store")


def has_all(here: Ground, place: Path) -> str:
    """Whether three runs came out of the remote, with all their files."""
    if not (place / "store" / "runs").is_dir():
        return "there are no runs"
    found = sum(is_id(name) for name in os.listdir(place / "store" / "runs"))
    return checked(place / "store", (), every(place)) if found == 3 else f"{found} runs came"


def pull_elsewhere(here: Ground, place: Path) -> str:
    """Whether the remote has three whole runs for another store."""
    other = place / "other"
    other.mkdir()
    done = alone(here.command(other, "pull", "--from", str(place / "remote")))
    return has_all(here, other) if done.code == 0 else f"`mlrun pull` elsewhere: {done.code} {done.err[-800:]}"


AGAIN = (("exec", "make"),)
GC = ("gc", "--keep-last", "1", "--keep-within", "0d", "--yes")
PURGE = ("purge", "2/words.txt", "--yes")
PUSH = ("push", "--to", "{place}/remote")
PULL = ("pull", "--from", "{place}/remote")

RUNS = (
    Scene("script", nothing, told, printed),
    Scene("exec in no store", nothing, verb("exec", "make"), again=AGAIN),
    Scene("exec", one_run, verb("exec", "make"), again=AGAIN),
    Scene("pipeline", one_run, verb("pipeline", "both")),
)
UPKEEP = (
    Scene("gc --yes", versions, verb(*GC), again=(GC, *AGAIN), readable=newest),
    Scene("gc --now", versions, verb(*GC[:-1], "--now"), again=((*GC[:-1], "--now"),), readable=newest),
    Scene("gc --undo", after(GC), verb("gc", "--undo"), again=AGAIN, readable=newest),
    Scene("store pack", versions, verb("store", "pack"), again=(("store", "pack"), *AGAIN), readable=every),
    Scene("gc of packed", after(("store", "pack")), verb(*GC), again=(GC, *AGAIN), readable=newest),
    Scene("rm", versions, verb("rm", "run:1"), again=AGAIN, readable=newest),
    Scene("purge", versions, verb(*PURGE), again=(PURGE, *AGAIN), readable=newest),
    Scene("push", versions, verb(*PUSH), again=(PUSH,), readable=every, then=pull_elsewhere),
    Scene("pull", elsewhere, verb(*PULL), again=(PULL,), then=has_all),
    Scene("pull of what gc took", after(PUSH, GC), verb(*PULL), again=(PULL,), readable=newest, then=has_all),
    Scene("upgrade of format 1", of_format_1, verb("exec", "make"), again=AGAIN),
    Scene("rebuild of the index", without_index, verb("exec", "make"), again=AGAIN, readable=every),
    Scene("exec after a kill", cut_short("exec", "make", share=0.6, begin=one_run), verb("exec", "make"), again=AGAIN),
    Scene("gc after a kill", cut_short(*GC, share=0.5, begin=versions), verb(*GC), again=(GC,), readable=newest),
)
FROM_FILE = Scene("exec of a file", one_run, verb("exec", "use", "--words=words"), again=AGAIN)
READS = (RUNS[3], FROM_FILE, UPKEEP[0])
FULL_SHORT = frozenset({"exec", "pipeline", "gc --yes", "pull"})
FULL = (*RUNS[1:], *(one for one in UPKEEP if one.name in {"gc --yes", "store pack", "pull"}))
