"""What a report is about: a run with what stands for its nodes, and a view of the store. Values and a Protocol."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from runner.digest import Digest
from runner.export.subject import Part
from runner.goal import Goal
from runner.store.record import Execution, Run


class Evidence(Protocol):
    """What executions left, as far as it is here. Only reads."""

    def gone(self, digest: Digest) -> str | None:
        """Why content is not here, as a clause such as `was purged on 2026-01-02 by anna: a request`; None if it is."""
        ...

    def read(self, digest: Digest) -> bytes:
        """The content, checked. Raises MlrunError."""
        ...

    def events(self, run: Run, execution: Execution) -> Iterator[Mapping[str, Any]]:
        """The values of each metric event, in order. Raises MlrunError where they are not to be had."""
        ...

    def tail(self, run: Run, execution: Execution, lines: int, most: int) -> bytes:
        """The last lines of the log, both streams merged, `most` bytes of them; secrets are masked. Raises MlrunError
        where it is not to be had."""
        ...


@dataclass(frozen=True, slots=True)
class Subject:
    """A run, its `parts` in the order of the plan (of a reused node with the earlier execution), its tags by now and
    the goals of its task nodes by name. `written` is when the report is made, UTC in ISO 8601; `values` are those of
    pipeline parameters that were given."""

    run: Run
    parts: tuple[Part, ...]
    tags: tuple[str, ...]
    evidence: Evidence
    written: str
    goals: Mapping[str, Goal] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    came_from: str | None = None

    def executions(self) -> Iterator[tuple[Part, Execution]]:
        """The parts that have an execution, with it; one that stands for several nodes comes once for each."""
        return ((part, part.execution) for part in self.parts if part.execution is not None)

    def last(self) -> Mapping[str, Part]:
        """Of each node that has an execution its last one, by the node's name."""
        return {part.node.name: part for part, _ in self.executions()}
