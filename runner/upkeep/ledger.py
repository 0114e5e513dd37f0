"""Who names how much of a store: bytes on the disk by project, pipeline, step, kind or execution. Writes nothing."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from runner.digest import Digest, is_digest
from runner.errors import MlrunError
from runner.store.durable import disk_errors
from runner.store.history import recorded_run, run_folders
from runner.store.layout import SHARDS
from runner.store.reach import FILES, Kind, Named, named_by
from runner.store.recipe import decode_recipe
from runner.store.record import Run
from runner.store.store import Store
from runner.upkeep.disk import Heap, entries
from runner.upkeep.mark import Mentions, mentioned, raw


class By(StrEnum):
    """What bytes are told by."""

    PROJECT = "project"
    PIPELINE = "pipeline"
    STEP = "step"
    KIND = "kind"
    EXECUTION = "execution"


class Holder(NamedTuple):
    """Something that names objects: `name` is that of a pipeline, a step or a kind, or an execution's number; empty
    where the project says it all."""

    project: str
    project_name: str
    name: str


@dataclass(slots=True)
class Account:
    """`named` is all that a holder names, `own` what nobody else does."""

    holder: Holder
    named: Heap = field(default_factory=Heap)
    own: Heap = field(default_factory=Heap)


@dataclass(slots=True)
class Ledger:
    """The accounts, the largest first; `shared` is what several name, counted once; `unnamed` what no record names;
    `unread` tells how many runs cannot be read, whose objects count as unnamed."""

    accounts: list[Account]
    shared: Heap = field(default_factory=Heap)
    unnamed: Heap = field(default_factory=Heap)
    unread: int = 0


def keep_ledger(view: Store, by: By) -> Ledger:
    """Count everything in the objects and recipes of a store that is open for reading. Raises MlrunError (STORE)."""
    keeper = Keeper(view, by)
    for folder in run_folders(view.layout):
        try:
            run = recorded_run(folder)
            if run is not None:
                keeper.add_run(run)
        except MlrunError:
            keeper.unread += 1
    return keeper.ledger()


class Keeper:
    """Numbers the holders while runs come in, then weighs what they name. Writes nothing."""

    def __init__(self, view: Store, by: By) -> None:
        self.unread = 0
        self._view = view
        self._by = by
        self._holders: dict[Holder, int] = {}
        self._mentions = Mentions()
        self._trees: set[tuple[Digest, int]] = set()

    def add_run(self, run: Run) -> None:
        """All that a run names. Raises MlrunError for a tree that cannot be read."""

        def note(tree: Digest) -> Iterator[tuple[str, Digest, int]]:
            """The files of a tree are put down with the tree: most trees come many times."""
            return iter(())

        for named in named_by(run, note):
            for number in self._numbers(run, named):
                self._mentions.add(raw([named.digest]), number)
                if named.kind is Kind.CODE:
                    self._add_tree(named.digest, number)

    def _add_tree(self, tree: Digest, number: int) -> None:
        if (tree, number) not in self._trees:
            self._trees.add((tree, number))
            with suppress(MlrunError):
                self._mentions.add(mentioned(self._view.objects.read(tree)), number)

    def _numbers(self, run: Run, named: Named) -> list[int]:
        """The holders of what a run names: where that is not one execution's, all of them that it can be."""
        return [self._holders.setdefault(holder, len(self._holders)) for holder in self._holding(run, named)]

    def _holding(self, run: Run, named: Named) -> list[Holder]:
        project, name = run.project.id, run.project.name
        concerned = [run.executions[named.execution]] if named.execution else list(run.executions.values())
        match self._by:
            case By.PROJECT:
                return [Holder(project, name, "")]
            case By.PIPELINE:
                return [Holder(project, name, "single steps" if run.kind == "exec" else run.name)]
            case By.KIND:
                return [Holder("", "", f"{named.kind}s" if named.kind in FILES else str(named.kind))]
            case By.STEP:
                return [Holder(project, name, step) for step in dict.fromkeys(one.step for one in concerned)]
            case By.EXECUTION:
                if named.kind not in FILES:
                    return [Holder(project, name, "code, specs, metrics and deployments")]
                return [Holder(project, name, str(one.counter)) for one in concerned]

    def _follow_recipes(self) -> None:
        """What a packed object is made of belongs to who names it."""
        for index, shard in enumerate(SHARDS):
            packed = [entry for entry in entries(self._view.layout.packed / shard) if is_digest(entry.name)]
            numbers = self._by_digest(index) if packed else {}
            for entry in packed:
                with suppress(OSError, ValueError), open(entry.path, "rb") as file:
                    sources = raw(decode_recipe(file.read()).sources)
                    for number in numbers.get(bytes.fromhex(entry.name), ()):
                        self._mentions.add(sources, number)

    def ledger(self) -> Ledger:
        """Weigh everything in the objects and recipes of the store. Raises MlrunError (STORE)."""
        with disk_errors(self._view.layout.root):
            self._follow_recipes()
            return self._weighed()

    def _weighed(self) -> Ledger:
        accounts = [Account(holder) for holder in self._holders]
        ledger = Ledger(accounts, unread=self.unread)
        layout = self._view.layout
        for index, shard in enumerate(SHARDS):
            numbers = self._by_digest(index)
            for top in (layout.objects, layout.packed):
                for entry in entries(top / shard):
                    if is_digest(entry.name):
                        with suppress(FileNotFoundError):
                            size = entry.stat(follow_symlinks=False).st_size
                            _put_down(ledger, numbers.get(bytes.fromhex(entry.name), set()), size)
        accounts.sort(key=lambda account: account.named.size, reverse=True)
        return ledger

    def _by_digest(self, index: int) -> dict[bytes, set[int]]:
        found: dict[bytes, set[int]] = {}
        for digest, number in self._mentions.shard(index):
            found.setdefault(digest, set()).add(number)
        return found


def _put_down(ledger: Ledger, numbers: set[int], size: int) -> None:
    for number in numbers:
        ledger.accounts[number].named.add(size)
        if len(numbers) == 1:
            ledger.accounts[number].own.add(size)
    if not numbers:
        ledger.unnamed.add(size)
    elif len(numbers) > 1:
        ledger.shared.add(size)
