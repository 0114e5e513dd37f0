"""What came of a file that is destroyed: every execution that got it, what that left, who got those, and so on.

Reads all records and no index, follows the contents of code as well as inputs, and asks of no content from which maker
it came: none that the file may have reached is missed. What people ask about is told by `runner.lineage`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from runner.digest import Digest
from runner.errors import MlrunError
from runner.store.history import run_folders, shown_run
from runner.store.record import Execution, Run
from runner.store.store import Store
from runner.upkeep.inventory import Inventory
from runner.upkeep.mention import Trees, named_data


@dataclass(frozen=True, slots=True)
class Left:
    """An output: its name, its digest, and the aliases and versions that mean it."""

    name: str
    digest: Digest
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Heir:
    """An execution that got something of the file, as an input or in its code; `direct` if it got the file itself."""

    project: str
    run: str
    run_counter: int
    execution: str
    counter: int
    step: str
    direct: bool
    outputs: tuple[Left, ...]


@dataclass(frozen=True, slots=True)
class _Use:
    """What an execution got and left."""

    run: Run
    execution: Execution
    got: frozenset[Digest]


def heirs(store: Store, inventory: Inventory, digest: Digest) -> list[Heir]:
    """All executions that the file has reached, oldest first. Runs that cannot be read are passed over."""
    uses = sorted(_uses(store, inventory, digest), key=lambda use: use.execution.id)
    reached: set[Digest] = {digest}
    chosen: dict[str, _Use] = {}
    # What an execution got was there before it, so one walk in the order of time would do, but for clocks put back.
    while fresh := [use for use in uses if use.execution.id not in chosen and use.got & reached]:
        for use in fresh:
            chosen[use.execution.id] = use
            # Empty files are all the same, and hold nothing of anybody.
            reached.update(output.digest for output in use.execution.outputs if output.size)
    names = _names(store, inventory, reached)
    return [_heir(use, digest, names) for _, use in sorted(chosen.items())]


def _uses(store: Store, inventory: Inventory, digest: Digest) -> Iterator[_Use]:
    trees = Trees(inventory)
    in_code: dict[Digest, bool] = {}
    for folder in run_folders(store.layout):
        try:
            run = shown_run(folder)
        except MlrunError:
            continue
        if run is None:
            continue
        for execution in run.executions.values():
            got = {Digest(file["digest"]) for given in execution.job.get("inputs", ()) for file in given["files"]}
            snapshot = Digest(execution.job.get("snapshot") or run.code.snapshot)
            if snapshot not in in_code:
                in_code[snapshot] = any(content == digest for _, content, _ in trees.files(snapshot))
            if in_code[snapshot]:
                got.add(digest)
            yield _Use(run, execution, frozenset(got))


def _names(store: Store, inventory: Inventory, digests: set[Digest]) -> dict[Digest, list[str]]:
    """What the names of a store call these objects, as addresses."""
    found: dict[Digest, list[str]] = {}
    try:
        for meant in named_data(store.refs, inventory):
            if meant.digest in digests:
                scheme = "datum" if meant.kind == "alias" else meant.kind
                found.setdefault(meant.digest, []).append(f"{scheme}://{meant.name}")
    except MlrunError:
        return found
    return found


def _heir(use: _Use, digest: Digest, names: dict[Digest, list[str]]) -> Heir:
    run, execution = use.run, use.execution
    return Heir(
        run.project.name,
        run.id,
        run.counter,
        execution.id,
        execution.counter,
        execution.step,
        digest in use.got,
        tuple(Left(one.name, one.digest, tuple(names.get(one.digest, ()))) for one in execution.outputs),
    )
