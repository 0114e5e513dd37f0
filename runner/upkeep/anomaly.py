"""What a check of the store comes to: what is wrong, whom it concerns, and what can be done. Pure."""

from dataclasses import dataclass, field
from pathlib import Path

from runner.digest import Digest
from runner.escape import printable
from runner.store.layout import Layout


@dataclass(frozen=True, slots=True)
class Touch:
    """A record that names what is damaged: an execution (or, without one, its whole run), or a name such as an alias.

    `kind` is what the object is to it (`output`, `input`, `log`, `code`, `spec`, `metrics`, or `alias`, `dataset`,
    `model`), `name` which file of it. Numbers are 0 where there are none.
    """

    kind: str
    name: str
    project: str = ""
    run: str = ""
    run_counter: int = 0
    execution: str = ""
    counter: int = 0
    step: str = ""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One thing that is not as it should be.

    `code` is a stable kebab-case word; `place` a path below the store; `what` a sentence without a subject. `damage`
    tells whether something is lost or wrong, otherwise it is a note. `done` says what the check did about it, `remedy`
    what is left to do.
    """

    code: str
    place: str
    what: str
    damage: bool = True
    digest: Digest | None = None
    touched: tuple[Touch, ...] = ()
    done: str = ""
    remedy: str = ""


def note(code: str, place: str, what: str, remedy: str = "") -> Anomaly:
    """Something odd that harms nobody."""
    return Anomaly(code, place, what, damage=False, remedy=remedy)


def place_of(layout: Layout, path: Path) -> str:
    """How the place of a file of the store is told: below its root."""
    return printable(str(path.relative_to(layout.root)))


@dataclass(frozen=True, slots=True)
class Reading:
    """How far the reading of all objects came: `objects` and `size` (bytes) were read by this call, `begun` is when
    this round began, `position` the digits up to which everything was read, empty when the round is complete;
    `last_full` is when the round before it was complete. Times in UTC (ISO 8601)."""

    objects: int
    size: int
    begun: str
    position: str
    last_full: str | None

    @property
    def is_full(self) -> bool:
        """Whether every object was read in this round."""
        return not self.position


@dataclass(slots=True)
class Report:
    """The outcome of a check. Counts are of what was looked at; `dropped` are files that executions gave up and that
    are gone, `purged` contents that were destroyed on purpose and are still named; `whole` is False when the time was
    over before all records were looked at."""

    anomalies: list[Anomaly] = field(default_factory=list)
    runs: int = 0
    executions: int = 0
    names: int = 0
    objects: int = 0
    dropped: int = 0
    purged: int = 0
    whole: bool = True
    reading: Reading | None = None

    @property
    def damages(self) -> list[Anomaly]:
        """What is lost or wrong."""
        return [anomaly for anomaly in self.anomalies if anomaly.damage]

    @property
    def notes(self) -> list[Anomaly]:
        """What is odd and harms nobody."""
        return [anomaly for anomaly in self.anomalies if not anomaly.damage]
