"""What must hold of a store whatever happened to it: the one check that every fault suite ends with.

What was acknowledged comes as lines: `object DIGEST`, `run ID ENTRIES` (so many are in its journal), `run #N`,
`run #N STATE`, `execution #N`, `execution #N STATE`, `alias NAME DIGEST`. `#N` are numbers of the only project.
"""

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from runner.cli.main import run as mlrun
from runner.digest import Digest, Hasher
from runner.state import FINAL, State
from runner.store.journal import read
from runner.store.reach import FILES, Named, named_by
from runner.store.record import Run
from runner.store.removal import Removals, Removed
from runner.store.store import Store

_PIECE = 1 << 20
_SHOWN = (
    (re.compile(r"\(run (\d+)[,)]"), "run #{}"),
    (re.compile(r"\(execution (\d+)\)"), "execution #{}"),
    (re.compile(r": (succeeded|failed) \(execution (\d+)\)"), "execution #{1} {0}"),
    (re.compile(r"run (\d+) (succeeded|failed) in"), "run #{} {}"),
)


def acknowledgements(shown: str) -> list[str]:
    """What `mlrun exec` and `mlrun pipeline` promise by what they show."""
    return [form.format(*found.groups()) for pattern, form in _SHOWN for found in pattern.finditer(shown)]


class Contents:
    """What a store serves under digests, each read once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._whole: set[Digest] = set()

    def check(self, digest: Digest, what: object) -> None:
        """Raises AssertionError, with `what`, where the content is another one, and what the store raises."""
        if digest in self._whole:
            return
        hasher = Hasher()
        with self._store.objects.open(digest) as file:
            while piece := file.read(_PIECE):
                hasher.update(piece)
        assert hasher.hexdigest() == digest, what
        self._whole.add(digest)


def check(root: Path, acknowledged: Iterable[str] = (), *, readable: Iterable[Digest] = ()) -> None:
    """Everything acknowledged is whole, everything else recognisably unfinished, and nothing needs a repair.

    `readable` are objects that must be there whatever was removed. Raises AssertionError, or what the store raises.
    """
    if not (root / "format").exists():
        assert not list(acknowledged), "acknowledged in a store that was never made"
        return
    before = files(root)
    with Store.open(root, create=False) as store:
        shown = states(store)
        check_objects(store, Contents(store), readable)
    assert files(root) == before, "reading wrote"
    with Store.open(root, create=True) as store:
        store.reconcile()
        assert store.reconcile() == ()
        assert states(store) == shown, "a reader saw other states than the ones that were written"
        assert {state for _, state in shown} <= FINAL
        assert not store.unreadable()
        runs = [store.run(id) for id, _ in shown]
        contents = Contents(store)
        for run in runs:
            check_run(store, contents, run)
        check_lines(store, contents, runs, acknowledged)
        check_objects(store, contents, readable)
        assert {path.name for path in store.layout.runs.iterdir() if not path.name.startswith(".new-")} == {
            run.id for run in runs
        }
        check_index(store)
    check_by_command(root)


def states(store: Store) -> list[tuple[str, str]]:
    """Id and state of every run, newest first."""
    return [(row["id"], row["state"]) for row in store.runs()]


def check_run(store: Store, contents: Contents, run: Run) -> None:
    """A run and its executions have numbers of their own and every object that they name."""
    removed = Removals(store.layout).read()
    for named in named_by(run, lambda digest: tree(store, digest)):
        if is_kept(named, removed):
            contents.check(named.digest, named)
    for execution in run.executions.values():
        assert execution.state in FINAL, execution
        if execution.state is State.SUCCEEDED:
            assert execution.log is not None or not execution.job.get("script"), execution


def tree(store: Store, digest: Digest) -> Iterator[tuple[str, Digest, int]]:
    """The files of a tree manifest."""
    for entry in store.objects.read_tree(digest):
        if entry.mode != "120000":
            yield entry.path, Digest(entry.content), entry.size


def is_kept(named: Named, removed: Removed) -> bool:
    """Whether nobody has asked for the removal of what a record names."""
    dropped = named.kind in FILES and named.execution in removed.dropped
    return not dropped and named.digest not in removed.purged


def check_lines(store: Store, contents: Contents, runs: list[Run], acknowledged: Iterable[str]) -> None:
    """Everything that was promised holds."""
    executions = {str(one.counter): one.state for run in runs for one in run.executions.values()}
    numbered = {str(run.counter): run.state for run in runs}
    entries: dict[str, int] = {}
    for line in acknowledged:
        kind, name, *facts = line.split()
        if kind == "object":
            contents.check(Digest(name), line)
        elif kind == "alias":
            alias = store.refs.alias(name)
            assert alias is not None, line
            assert alias.datum.digest == facts[0], line
        elif name.startswith("#"):
            found = (executions if kind == "execution" else numbered).get(name[1:])
            assert found is not None, line
            assert not facts or found == facts[0], (line, found)
        else:
            entries[name] = max(entries.get(name, 0), int(facts[0]))
    for id, count in entries.items():
        assert len(read(store.layout.run(id).journal)) >= count, (id, count)


def check_objects(store: Store, contents: Contents, digests: Iterable[Digest]) -> None:
    """These are there, and whatever has the name of an object has its content."""
    for digest in digests:
        contents.check(digest, digest)
    for path in store.layout.objects.rglob("*"):
        if path.is_file() and len(path.name) == 64:
            contents.check(Digest(path.name), path)


def check_index(store: Store) -> None:
    """No number is given twice, and the index is what a rebuild makes of the journals."""
    for rows in (store.runs(), store.executions()):
        counters = [(row["project"], row["counter"]) for row in rows]
        assert len(set(counters)) == len(counters), counters
    before, rows = tables(store.layout.index), (store.runs(), store.executions())
    assert not store.rebuild({"user": "me"})
    assert (store.runs(), store.executions()) == rows, "a rebuild gives other rows"
    after = tables(store.layout.index)
    changed = {name: (before[name] - after[name], after[name] - before[name]) for name in before}
    changed = {name: both for name, both in changed.items() if any(both)}
    assert not changed, f"a rebuild gives another index: {changed}"


def tables(index: Path) -> dict[str, set[Any]]:
    """Every row of an index that a query can reach, of runs that have ended: the others are found in their journals,
    and the index may be behind those. The counters may be ahead of what was recorded."""
    with sqlite3.connect(index) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        living = dict.fromkeys(
            ("data", "inputs", "keys", "steps"), "WHERE execution IN (SELECT id FROM executions WHERE final = 1)"
        )
        living["reuses"] = "WHERE run IN (SELECT id FROM runs WHERE final = 1)"
        living |= dict.fromkeys(("runs", "executions"), "WHERE final = 1")
        return {
            name: set(database.execute(f"SELECT * FROM {name} {living.get(name, '')}"))
            for name in names
            if name != "counters"
        }


def check_by_command(root: Path) -> None:
    """What the command says that looks after the store."""
    os.environ["MLRUN_STORE"] = str(root)
    assert mlrun(["store", "check", "--read-data"]) == 0
    assert not (root / "quarantine").is_dir() or not os.listdir(root / "quarantine")


def files(root: Path) -> dict[str, tuple[int, int]]:
    """Path to size and time of all in a store but what may be thrown away, and what a step that still runs writes."""
    found = {}
    for path in root.rglob("*"):
        top = path.relative_to(root).parts[0]
        if top not in {"cache", "work"} and path.is_file():
            status = path.stat()
            found[str(path)] = (status.st_size, status.st_mtime_ns)
    return found
