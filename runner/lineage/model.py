"""The graph of what was made from what: data by their content, executions, code and parameters; what an execution used
and what it generated. The words are those of the W3C's PROV. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from runner.digest import Digest, hash_json
from runner.state import Reason, State
from runner.store.datum import datum_id

Maker = tuple[str, str]
"""The ids of an execution and of its run."""


class Presence(StrEnum):
    """Whether content is in the store: `REMOVED` by a clean-up that told so, `PURGED` for good, `MISSING` without
    anybody's word."""

    PRESENT = "present"
    REMOVED = "removed"
    PURGED = "purged"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Data:
    """Some content; `size` in bytes, None where no record tells it. `names` are addresses that mean it, such as
    `datum://best`; `note` says in a few words that it is not present, and when, by whom or why."""

    digest: Digest
    size: int | None
    presence: Presence = Presence.PRESENT
    names: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Code:
    """The code of a run: a snapshot, and the commit that it came from."""

    snapshot: Digest
    commit: str | None
    branch: str | None
    remote: str | None
    dirty: bool


@dataclass(frozen=True, slots=True)
class Got:
    """A file that an execution used: `name` below the folder of its `input`, `origin` the address it came from."""

    input: str
    name: str
    digest: Digest
    size: int
    origin: str


@dataclass(frozen=True, slots=True)
class Left:
    """A file that an execution generated."""

    name: str
    digest: Digest
    size: int


@dataclass(frozen=True, slots=True)
class Value:
    """A value that came from the execution `maker` over an edge: its `key` there became `parameter` here."""

    maker: Maker
    key: str
    parameter: str


@dataclass(frozen=True, slots=True)
class Reuse:
    """A run in which an execution stands for a node."""

    run: str
    counter: int
    project: str


@dataclass(frozen=True, slots=True)
class Activity:
    """An execution as far as it tells what was made from what. `read` are the files of the code that it opened, None
    where nobody knows; `identity` is what its programs came from."""

    id: str
    counter: int
    run: str
    run_counter: int
    project: str
    step: str
    node: str
    state: State
    reason: Reason | None
    created: str
    finished: str | None
    duration: float | None
    executor: str | None
    image: str
    identity: str | None
    code: Code
    read: tuple[str, ...] | None
    parameters: Mapping[str, Any]
    metrics: Mapping[str, Any]
    inputs: tuple[Got, ...]
    outputs: tuple[Left, ...]
    values: tuple[Value, ...] = ()
    reuses: tuple[Reuse, ...] = ()
    more_reuses: int = 0
    """Runs that reused it and are not among `reuses`, which are the newest."""

    @property
    def parameters_id(self) -> Digest:
        """The same for the same parameters."""
        return hash_json(dict(self.parameters))

    def datum(self, left: Left) -> str:
        """The id of one of its outputs."""
        return datum_id(self.id, left.name)

    @property
    def figures(self) -> dict[str, float]:
        """Its metrics that are numbers."""
        return {name: value for name, value in self.metrics.items() if type(value) in (int, float)}

    def made_like(self, other: "Activity") -> bool:
        """Whether both were made from the same: code, parameters and contents of inputs."""
        return self._recipe() == other._recipe()

    def _recipe(self) -> tuple[object, ...]:
        files = sorted((got.input, got.name, got.digest) for got in self.inputs)
        return self.step, self.code.snapshot, self.parameters_id, files


@dataclass(frozen=True, slots=True)
class Use:
    """How an execution came by a file. `maker` is the execution that left it, None for what came from elsewhere;
    `exact` that its address names the output, else only the content is the same. `others` counts further executions
    that left the same content."""

    got: Got
    maker: str | None
    exact: bool
    others: int = 0


SubjectKind = Literal["file", "data", "execution", "run"]


@dataclass(frozen=True, slots=True)
class Subject:
    """What is asked about: contents, or executions. `shown` is what people call it; `meant` the executions that its
    name means, empty for mere content."""

    kind: SubjectKind
    shown: str
    data: tuple[tuple[str, Digest], ...] = ()
    executions: tuple[Maker, ...] = ()
    meant: frozenset[str] = frozenset()
    note: str = ""


@dataclass(slots=True)
class Graph:
    """What was found. `makers` and `users` tell executions by the contents that are asked about, newest first; `heirs`
    those that got an output of an execution, by that and by its name. `uses` is there for every execution whose
    origins were followed, `informed` (who got a value of it) for those whose outputs were. `more_makers`, `more_users`
    and `more_heirs` count those that were not looked at. `gone` has executions without a record."""

    subject: Subject
    data: dict[Digest, Data] = field(default_factory=dict)
    activities: dict[str, Activity] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    makers: dict[Digest, tuple[str, ...]] = field(default_factory=dict)
    users: dict[Digest, tuple[str, ...]] = field(default_factory=dict)
    uses: dict[str, tuple[Use, ...]] = field(default_factory=dict)
    heirs: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    informed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    more_makers: dict[Digest, int] = field(default_factory=dict)
    more_users: dict[Digest, int] = field(default_factory=dict)
    more_heirs: dict[tuple[str, str], int] = field(default_factory=dict)
    not_followed: set[str] = field(default_factory=set)
    """Executions that were one too many."""

    def codes(self) -> dict[Digest, Code]:
        """All code, by snapshot."""
        return {activity.code.snapshot: activity.code for activity in self.activities.values()}

    def contents(self) -> dict[Digest, int | None]:
        """Every content with its size in bytes."""
        found: dict[Digest, int | None] = {digest: None for _, digest in self.subject.data}
        for activity in self.activities.values():
            found |= {got.digest: got.size for got in activity.inputs}
            found |= {left.digest: left.size for left in activity.outputs}
        return found
