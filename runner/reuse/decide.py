"""Whether an earlier execution may stand for one that is asked for, and else why not. Pure but for what `Sight` reads.

A hit needs the same base key, the same content of all code that the earlier execution read, a success, and all of its
outputs present and whole; the newest such execution wins. A miss tells the nearest earlier execution and everything in
which it differs, by the same walk that made the key.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from runner.digest import Digest, hash_bytes
from runner.reuse.code import Code, Counts, changed, everything, read_paths, renamed
from runner.reuse.content import Contents
from runner.reuse.fact import Difference, Kind, Made, canonical, compare, facts
from runner.state import Reason, State
from runner.store.record import Execution

# Why not ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unreusable:
    """It is never reused, or not this time; `why` is the rest of a sentence that begins with it."""

    why: str


@dataclass(frozen=True, slots=True)
class NothingEarlier:
    """No execution of the step has succeeded in any project that shares the store."""


@dataclass(frozen=True, slots=True)
class FactsDiffer:
    """What it is made of is not the same."""

    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class NamesDiffer:
    """Files of the code came, went, or are of another kind or mode."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    other: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CodeDiffers:
    """Files that it read are others; with `doubt` nobody knows what it read, so that every file counts."""

    paths: tuple[str, ...]
    doubt: str | None


@dataclass(frozen=True, slots=True)
class OutputsGone:
    """An output of the earlier execution is missing or damaged."""

    name: str


@dataclass(frozen=True, slots=True)
class TooOld:
    """A policy bounds the age; both in seconds."""

    age: float
    bound: float


Cause = Unreusable | NothingEarlier | FactsDiffer | NamesDiffer | CodeDiffers | OutputsGone | TooOld

# The decision -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hit:
    """This execution stands for the one that is asked for; `accepted` because the user said that what differs does not
    matter."""

    execution: Execution
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class Miss:
    """It runs, for these causes; `nearest` is the earlier execution that they are told against."""

    causes: tuple[Cause, ...]
    nearest: Execution | None = None


Decision = Hit | Miss


@dataclass(frozen=True, slots=True)
class Earlier:
    """An execution that could stand for another, and what it was made of."""

    execution: Execution
    made: Made
    snapshot: Digest


class Sight(Protocol):
    """What a decision looks at besides the facts."""

    contents: Contents

    def code(self, snapshot: Digest) -> Code | None:
        """The files of a snapshot; None when it is gone."""
        ...

    def lost_output(self, execution: Execution) -> str | None:
        """The first output that is missing or damaged."""
        ...

    def age(self, execution: Execution) -> float:
        """Seconds since it ended, below 0 if the clock was ahead then or is behind now."""
        ...

    def source(self, execution: Execution) -> str | None:
        """Which other store its run came from; None for a run of this one."""
        ...


@dataclass(frozen=True, slots=True)
class Accepted:
    """The user has said of an execution that it stands for work of a base key, for as long as the files that it read
    are as they were then: `code` is their `reading_key`."""

    execution: Execution
    code: Digest


@dataclass(frozen=True, slots=True)
class Rule:
    """What the user wants of a node: `never` is why it is not to be reused, `most` the greatest age in seconds,
    `counts` which paths are code, `sources` the other stores whose runs are believed (None: all). Such a record is as
    its maker wrote it: that it is whole does not say that anybody ran what it tells."""

    never: str | None = None
    most: float | None = None
    counts: Counts = everything
    sources: frozenset[str] | None = frozenset()


def decide(
    snapshot: Digest, same_key: Iterable[Execution], sight: Sight, rule: Rule, accepted: Iterable[Accepted] = ()
) -> Hit | tuple[Execution, Cause] | None:
    """The newest of the executions with the same base key that may stand for what is asked for, else the newest of
    those that the user has accepted for it; else the newest of all and what is in the way; None without any."""
    first: tuple[Execution, Cause] | None = None
    code = sight.code(snapshot)
    for execution in same_key:
        cause = _in_the_way(execution, code, sight, rule)
        if cause is None:
            return Hit(execution)
        first = first or (execution, cause)
    for one in accepted:
        if unfit(one.execution, sight, rule) is None and reading_key(one.execution, code, sight, rule) == one.code:
            return Hit(one.execution, accepted=True)
    return first


def reading_key(execution: Execution, code: Code | None, sight: Sight, rule: Rule) -> Digest | None:
    """What counts of the files that an execution read, as they are in `code`; None where nobody knows any more which
    they are."""
    before = sight.code(Digest(execution.job["snapshot"]))
    if before is None or code is None:
        return None
    paths = read_paths(execution.read, before, rule.counts)
    entries = code.entries
    told = [[path, sight.contents.key(entries[path]) if path in entries else None] for path in paths]
    return hash_bytes(canonical(told))


def _in_the_way(execution: Execution, code: Code | None, sight: Sight, rule: Rule) -> Cause | None:
    before = sight.code(Digest(execution.job["snapshot"]))
    if before is None or code is None:
        return Unreusable(f"the code of execution {execution.counter} is not in the store any more")
    if paths := changed(execution.read, before, code, sight.contents, rule.counts):
        return CodeDiffers(paths, execution.read.doubt if execution.read.code is None else None)
    return unfit(execution, sight, rule)


def unfit(execution: Execution, sight: Sight, rule: Rule) -> Cause | None:
    """Why an execution can stand for nothing now, whatever it was made of. Its outputs are looked at last, which may
    mean to read them."""
    if execution.state is not State.SUCCEEDED:
        return Unreusable(f"execution {execution.counter} did not succeed")
    if execution.reason is Reason.STOP_CONDITION and execution.job.get("stop_condition") is None:
        # That of a step is a fact of what it makes; that of a task says nothing of one of its trials.
        return Unreusable(f"execution {execution.counter} was ended before its time by the stop-condition of its task")
    source = sight.source(execution)
    if source is not None and rule.sources is not None and source not in rule.sources:
        return Unreusable(
            f"execution {execution.counter} came from `{source}`, and `reuse-pulled` of the settings lets nothing of "
            "there stand for work of this store"
        )
    if rule.most is not None and (age := sight.age(execution)) > rule.most:
        return TooOld(age, rule.most)
    if rule.most is not None and age < 0:
        return Unreusable(f"execution {execution.counter} ended later than it is now, so its age is not known")
    if (name := sight.lost_output(execution)) is not None:
        return OutputsGone(name)
    return None


def explain(now: Made, snapshot: Digest, nearest: Earlier, sight: Sight, rule: Rule) -> tuple[Cause, ...]:
    """Everything in which an execution differs from an earlier one of another base key."""
    causes: list[Cause] = []
    differences: Sequence[Difference] = compare(facts(nearest.made), facts(now))
    told = tuple(difference for difference in differences if difference.fact.kind is not Kind.FILES)
    if told:
        causes.append(FactsDiffer(told))
    before, after = sight.code(nearest.snapshot), sight.code(snapshot)
    if before is not None and after is not None:
        added, removed, other = renamed(before, after, rule.counts)
        if added or removed or other:
            causes.append(NamesDiffer(tuple(added), tuple(removed), tuple(other)))
        gone = {*removed, *other}
        read = nearest.execution.read
        paths = tuple(path for path in changed(read, before, after, sight.contents, rule.counts) if path not in gone)
        if paths:
            causes.append(CodeDiffers(paths, read.doubt if read.code is None else None))
    return tuple(causes)
