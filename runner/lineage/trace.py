"""Walks from data and executions to what made them and to what was made from them. Pure but for what `Sources` reads.

Upwards one maker is followed for each file: the execution whose output its address names, else the newest that had left
the same content by then. Downwards a content leads to whoever got it, but not to who got the same from another maker.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from runner.digest import Digest
from runner.lineage.model import Activity, Got, Graph, Left, Maker, Subject, Use
from runner.store.datum import SCHEME

PER_CONTENT = 100
"""Makers or users of one content that are looked at."""

IN_ALL = 2_000
"""Executions that are looked at."""


class Sources(Protocol):
    """What is known of one store."""

    def makers_of(self, digest: Digest) -> Sequence[Maker]:
        """The executions that left this content, newest first."""
        ...

    def users_of(self, digest: Digest) -> Sequence[Maker]:
        """The executions that got this content, newest first."""
        ...

    def maker_of(self, datum: str) -> Maker | None:
        """The execution of which this is the id of an output."""
        ...

    def activity(self, maker: Maker) -> Activity | None:
        """An execution by its record, which is read once; None where there is none that can be read."""
        ...

    def informed_by(self, activity: Activity) -> Iterable[Maker]:
        """The executions of its run that got a value of it."""
        ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is looked at; None for all there is."""

    per_content: int | None = PER_CONTENT
    in_all: int | None = IN_ALL


def trace(sources: Sources, subject: Subject, bounds: Bounds, *, up: bool = True, down: bool = True) -> Graph:
    """What is asked about, with what made it and what was made from it. Raises MlrunError (STORE)."""
    graph = Graph(subject)
    walk = _Walk(sources, graph, bounds)
    digests = list(dict.fromkeys(digest for _, digest in subject.data))
    starts = walk.found(subject.executions)
    for digest in digests:
        walk.add_makers(digest)
        # What nobody left has its origin told by those who got it.
        if down or not graph.makers[digest]:
            walk.add_users(digest)
    if up:
        makers = [graph.activities[id] for digest in digests for id in graph.makers[digest]]
        walk.follow_up([*starts, *makers])
    if down:
        users = [graph.activities[id] for digest in digests for id in graph.users[digest]]
        walk.follow_down([*starts, *users])
    return graph


class _Walk:
    def __init__(self, sources: Sources, graph: Graph, bounds: Bounds) -> None:
        self._sources = sources
        self._graph = graph
        self._bounds = bounds

    def found(self, makers: Iterable[Maker]) -> list[Activity]:
        """Executions by their records, without those that are gone or too many."""
        return [one for one in map(self._find, makers) if one is not None]

    def add_makers(self, digest: Digest) -> None:
        """Who left a content that is asked about: the one that is meant, and the newest."""
        graph = self._graph
        makers = self._sources.makers_of(digest)
        chosen = [one for one in makers if one[0] in graph.subject.meant]
        chosen += [one for one in makers[: self._bounds.per_content] if one not in chosen]
        graph.makers[digest] = tuple(sorted((one.id for one in self.found(chosen)), reverse=True))
        graph.more_makers[digest] = len(makers) - len(chosen)

    def add_users(self, digest: Digest) -> None:
        """Who got a content that is asked about: the newest."""
        graph, most = self._graph, self._bounds.per_content
        users = self._sources.users_of(digest)
        graph.users[digest] = tuple(one.id for one in self.found(users[:most]))
        graph.more_users[digest] = 0 if most is None else len(users[most:])

    def follow_up(self, starts: Iterable[Activity]) -> None:
        """The origins of executions, and theirs."""
        waiting = deque(starts)
        while waiting:
            activity = waiting.popleft()
            if activity.id in self._graph.uses:
                continue
            origins = [self._origin(activity, got) for got in activity.inputs]
            self._graph.uses[activity.id] = tuple(use for _, use in origins)
            waiting += self.found(dict.fromkeys(maker for maker, _ in origins if maker is not None))
            waiting += self.found(value.maker for value in activity.values)

    def follow_down(self, starts: Iterable[Activity]) -> None:
        """What came of executions, and of that."""
        graph = self._graph
        waiting = deque(starts)
        while waiting:
            activity = waiting.popleft()
            if activity.id in graph.informed:
                continue
            informed = self.found(self._sources.informed_by(activity))
            graph.informed[activity.id] = tuple(one.id for one in informed)
            waiting += informed
            for left in activity.outputs:
                waiting += self._add_heirs(activity, left)

    def _find(self, maker: Maker) -> Activity | None:
        graph = self._graph
        id, _ = maker
        if id in graph.activities:
            return graph.activities[id]
        if self._bounds.in_all is not None and len(graph.activities) >= self._bounds.in_all:
            graph.not_followed.add(id)
            return None
        found = self._sources.activity(maker)
        if found is None:
            graph.gone.add(id)
        else:
            graph.activities[id] = found
        return found

    def _origin(self, activity: Activity, got: Got) -> tuple[Maker | None, Use]:
        """Where a file of an execution came from."""
        others = [one for one in self._sources.makers_of(got.digest) if one[0] != activity.id]
        if got.origin.startswith(SCHEME):
            maker = self._sources.maker_of(got.origin.removeprefix(SCHEME))
            if maker is not None:
                return maker, Use(got, maker[0], exact=True, others=sum(one != maker for one in others))
        # Empty files are all the same, and hold nothing of anybody. Ids of executions grow with time.
        earlier = [one for one in others if one[0] < activity.id] if got.size else []
        if not earlier:
            return None, Use(got, None, exact=False)
        return earlier[0], Use(got, earlier[0][0], exact=False, others=len(earlier) - 1)

    def _add_heirs(self, maker: Activity, left: Left) -> list[Activity]:
        """Who got an output, unless it is said to come from another maker of the same content."""
        graph, key = self._graph, (maker.id, left.name)
        users = [one for one in self._sources.users_of(left.digest) if one[0] != maker.id]
        most = self._bounds.per_content
        if most is not None and len(users) > most:
            graph.more_heirs[key] = len(users) - most
        heirs = [one for one in users[:most] if (user := self._sources.activity(one)) and _inherits(user, maker, left)]
        found = self.found(heirs)
        graph.heirs[key] = tuple(one.id for one in found)
        return found


def _inherits(user: Activity, maker: Activity, left: Left) -> bool:
    """Whether a file of an execution is this very output, or may be it: its address names no other."""
    origins = {got.origin for got in user.inputs if got.digest == left.digest}
    if SCHEME + maker.datum(left) in origins:
        return True
    return left.size > 0 and maker.id < user.id and any(not origin.startswith(SCHEME) for origin in origins)
