"""What is exported: a run with what stands for its nodes, and a view of the contents that it names."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from runner.digest import Digest
from runner.store.record import Code, Execution, NodeRecord, Run, code_of, in_order
from runner.store.tree import TreeEntry


class Contents(Protocol):
    """The objects that a record names, as far as they are here. Only reads."""

    def gone(self, digest: Digest) -> str | None:
        """Why the content is not here, as a clause such as `was purged on 2026-01-02 by anna: a request`; None if it
        is here."""
        ...

    def read(self, digest: Digest) -> bytes:
        """The content, checked. Raises MlrunError."""
        ...

    def sha256(self, digest: Digest) -> str:
        """The SHA-256 of the content in hexadecimal; all of it is read. Raises MlrunError."""
        ...

    def tree(self, snapshot: Digest) -> tuple[TreeEntry, ...]:
        """The files of a snapshot of code. Raises MlrunError."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """A node, and one execution that tells what became of it: `execution` is one of `run`.

    Of a node that was reused it is the earlier one that stands for it, of another run. None where a node never had
    one, or where that of a reused node was removed from the store.
    """

    node: NodeRecord
    run: Run
    execution: Execution | None

    @property
    def is_reused(self) -> bool:
        """Whether the node did not run because an earlier execution stands for it."""
        return self.node.reused is not None

    @property
    def code(self) -> Code:
        """The code of the node."""
        return code_of(self.run, self.node.name if self.execution is None else self.execution.node)


def parts_of(run: Run, chosen: Execution | None, earlier: Callable[[str], Run | None]) -> Iterator[Part]:
    """The parts of a run, or the one of an execution of it; `earlier` gives runs by id, None for a removed one."""
    for node in in_order(run) if chosen is None else [run.nodes[chosen.node]]:
        if chosen is not None:
            yield Part(node, run, chosen)
        elif node.reused is not None:
            other = earlier(node.reused.run)
            yield Part(node, other or run, other.executions.get(node.reused.execution) if other else None)
        elif node.executions:
            yield from (Part(node, run, run.executions[id]) for id in node.executions)
        else:
            yield Part(node, run, None)


@dataclass(frozen=True, slots=True)
class Subject:
    """A run, and an execution of it if only that was named.

    `parts` has the nodes in the order of the plan, a node that was tried or repeated several times once for each of its
    executions; of a named execution that alone. `tags` are those by now. With `metadata_only` a folder holds no files
    of the store, whose digests stand in the documents.
    """

    run: Run
    chosen: Execution | None
    parts: tuple[Part, ...]
    tags: tuple[str, ...]
    contents: Contents
    metadata_only: bool = False

    def executions(self) -> Iterator[tuple[Part, Execution]]:
        """The parts that have an execution, with it."""
        return ((part, part.execution) for part in self.parts if part.execution is not None)

    def each_execution(self) -> Iterator[tuple[Run, Execution]]:
        """Every execution once, with its run: the same one may stand for several nodes."""
        yield from {one.id: (part.run, one) for part, one in self.executions()}.values()
