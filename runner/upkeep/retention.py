"""Which executions keep their files and which have had their time, and why. Pure.

Records stay for ever; what an execution can lose are its outputs, its copies of inputs and its logs. It keeps them when
somebody said so (a pin, an alias, a version), while its run is under way, while it is among the newest or young, and
when one that is kept for these reasons got an output of it as an input. That goes one step back and not further:
an execution that is kept names its own inputs, so those files stay in any case.

An execution that stands for a node of a later run was of use then: that run makes it as new and as young as if it had
run again, and a run that is pinned or under way keeps it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from runner.quantity import span_text
from runner.spec.phrase import counted

_ID = 16
"""Bytes of a datum's id."""
_DAY = 86400


class Ground(StrEnum):
    """Why an execution keeps its files; `EXPIRED` and `REMOVED` tell that it does not."""

    UNDER_WAY = "under way"
    NAMED = "pinned or named"
    NEWEST = "among the newest"
    YOUNG = "young"
    REUSED = "reused by a later run"
    INPUT = "an input of one that is kept"
    ELSEWHERE = "in another project"
    EXPIRED = "expired"
    REMOVED = "removed before"


class Use(NamedTuple):
    """The newest run in which an execution stands for a node: its id and number, and when it ended (or else began)."""

    run: str
    counter: int
    ended: str


class Fact(NamedTuple):
    """What has to be known of an execution. `ended` is when it ended (or else began), UTC, ISO 8601; `open` tells that
    its run is under way. Digests are 32 bytes each, data ids 16, with nothing between them: `made` are the ids of its
    outputs, `got` those of data among its inputs. `use` is the newest run that reused it."""

    id: str
    run: str
    project: str
    project_name: str
    step: str
    counter: int
    ended: str
    succeeded: bool
    open: bool
    outputs: bytes
    inputs: bytes
    logs: bytes
    made: bytes
    got: bytes
    use: Use | None = None

    @property
    def newest(self) -> str:
        """What it is sorted by: the id of its last use. Ids of runs and executions sort by time."""
        return max(self.id, self.use.run) if self.use else self.id

    @property
    def files(self) -> bytes:
        """The digests of all that it can lose."""
        return self.outputs + self.inputs + self.logs


class Verdict(NamedTuple):
    """What becomes of an execution's files; `why` is a clause such as `aliased as model-prod`."""

    ground: Ground
    why: str

    @property
    def is_kept(self) -> bool:
        """Whether it keeps its files."""
        return self.ground not in {Ground.EXPIRED, Ground.REMOVED}


@dataclass(frozen=True, slots=True)
class Policy:
    """`last`: the newest so many of each step of a project stay, and as many of those that succeeded; `within`: those
    that ended in the last so many seconds. None: this keeps nothing. `is_default`: nobody has decided."""

    last: int | None
    within: float | None
    is_default: bool = False

    def __str__(self) -> str:
        parts = [] if not self.last else [f"the newest {counted(self.last, 'execution')} of each step"]
        parts += [] if self.within is None else [f"everything younger than {span_text(self.within)}"]
        return " and ".join(parts) or "nothing for its age or number"


DEFAULT = Policy(last=10, within=30.0 * _DAY, is_default=True)
"""Careful, for who has not decided anything."""


def decide(
    facts: Sequence[Fact],
    named: Mapping[str, str],
    policy: Policy,
    young_since: str,
    *,
    project: str | None = None,
    removed: Iterable[str] = (),
    held: Mapping[str, str] | None = None,
) -> dict[str, Verdict]:
    """The verdict on every execution, by id.

    `named` tells by execution why somebody wants it kept, `held` why a run that uses it does; `young_since` is the
    moment (UTC, ISO 8601) from which on one is young enough for the policy; only those of `project` can expire, None:
    of all. `removed` have lost their files already: being young or among the newest brings nothing back, but a name
    does keep what is still there.
    """
    judge = _Judge(policy, young_since, project, frozenset(removed), _newest(facts, policy.last or 0))
    verdicts = {fact.id: _by_word(fact, named, held or {}) or judge.verdict(fact) for fact in facts}
    users = {
        fact.got[at : at + _ID]: fact.counter
        for fact in facts
        if verdicts[fact.id].is_kept and verdicts[fact.id].ground is not Ground.ELSEWHERE
        for at in range(0, len(fact.got), _ID)
    }
    for fact in facts:
        if users and not verdicts[fact.id].is_kept:
            user = next(filter(None, (users.get(fact.made[at : at + _ID]) for at in range(0, len(fact.made), _ID))), 0)
            if user:
                verdicts[fact.id] = Verdict(Ground.INPUT, f"execution {user}, which is kept, got a file of it")
    return verdicts


def _by_word(fact: Fact, named: Mapping[str, str], held: Mapping[str, str]) -> Verdict | None:
    """The verdict on an execution that somebody, or a run that is kept, holds on to."""
    if fact.open:
        return None
    if fact.id in named:
        return Verdict(Ground.NAMED, named[fact.id])
    return Verdict(Ground.REUSED, held[fact.id]) if fact.id in held else None


class _Judge:
    """Says what becomes of an execution that nobody names."""

    def __init__(
        self, policy: Policy, young_since: str, project: str | None, gone: frozenset[str], newest: frozenset[str]
    ) -> None:
        self._young_since = young_since if policy.within is not None else None
        self._project = project
        self._gone = gone
        self._newest = newest
        self._under_way = Verdict(Ground.UNDER_WAY, "its run is under way")
        self._removed = Verdict(Ground.REMOVED, "its files were removed before")
        self._elsewhere = Verdict(Ground.ELSEWHERE, "it belongs to another project")
        self._among = Verdict(Ground.NEWEST, f"among the newest {policy.last} of its step")
        self._young = Verdict(Ground.YOUNG, f"younger than {span_text(policy.within or 0.0)}")
        self._expired = Verdict(Ground.EXPIRED, _why_expired(policy))

    def verdict(self, fact: Fact) -> Verdict:
        """The same object for the same reason: there may be many executions."""
        if fact.open:
            return self._under_way
        if fact.id in self._gone:
            return self._removed
        if self._project is not None and fact.project != self._project:
            return self._elsewhere
        if fact.id in self._newest:
            return self._among
        if self._is_young(fact.ended):
            return self._young
        if fact.use is not None and self._is_young(fact.use.ended):
            return Verdict(Ground.REUSED, f"run {fact.use.counter} reused it, and is {self._young.why}")
        return self._expired

    def _is_young(self, moment: str) -> bool:
        return self._young_since is not None and moment >= self._young_since


def _why_expired(policy: Policy) -> str:
    parts = [] if not policy.last else [f"not among the newest {policy.last} of its step"]
    parts += [] if policy.within is None else [f"older than {span_text(policy.within)}"]
    return ", ".join(parts) or "nothing keeps it"


def _newest(facts: Sequence[Fact], last: int) -> frozenset[str]:
    """The newest of each step, whatever became of them, and the newest that succeeded: ten failures in a row must not
    drive out the last good model. One that was reused since is as new as that run."""
    kept: set[str] = set()
    counts: dict[tuple[str, str, bool], int] = {}
    for fact in sorted(facts, key=lambda fact: (fact.newest, fact.id), reverse=True):
        for good in (False, True) if fact.succeeded else (False,):
            key = fact.project, fact.step, good
            if counts.get(key, 0) < last:
                counts[key] = counts.get(key, 0) + 1
                kept.add(fact.id)
    return frozenset(kept)
