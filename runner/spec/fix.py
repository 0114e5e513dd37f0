"""Mends a file: writes what is spelt oddly in the canonical form, and changes not one byte elsewhere. Pure.

Every change is tried before it is kept: afterwards the file must mean what it meant, but for what the change is about,
and the problem must be gone without another one in its place. What needs judgement is left to people.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from runner.errors import Location, Problem, Severity
from runner.spec.edit import Edit, Moves, apply_edits, clash
from runner.spec.lint import lint
from runner.spec.mend import MENDS
from runner.spec.normalise import normalise
from runner.spec.project import parse_project
from runner.spec.site import Change, Mend, Renamed, Site
from runner.spec.source import Source, read_source, split_mark
from runner.spec.span import Spans
from runner.spec.tree import Place, Row, Table, alike

MOST_ROUNDS = 30
"""One change may uncover the next; more turns than this are not taken."""
MOST_BYTES = 8 << 20
MOST_READINGS = 8
"""To try changes so much text is read again in all, and beyond that the whole file so often."""


@dataclass(frozen=True, slots=True)
class Repair:
    """A file after mending, and the problems that are gone, where they stood in the file as it was."""

    data: bytes
    repaired: tuple[Problem, ...]


def repair(data: bytes, file: str) -> Repair:
    """Mend what can be mended without judgement. Never raises; a file that cannot be read is left as it is."""
    if read_source(data, file).tree is None:
        return Repair(data, ())
    mark, text = split_mark(data)
    if text.startswith("\ufeff"):
        return Repair(data, ())
    work = _Work(text, file)
    while work.advance():
        pass
    return Repair(mark + work.text.encode(), tuple(sorted(work.repaired, key=lambda problem: problem.location)))


@dataclass(frozen=True, slots=True)
class _Fix:
    """A change to try, and the problems that it is for."""

    mend: Mend
    problems: tuple[Problem, ...]


class _Work:
    """A text on its way to a better one."""

    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._original = Spans(text)
        self._history: list[Moves] = []
        self._budget = MOST_BYTES + MOST_READINGS * len(text)
        self.repaired: list[Problem] = []
        self.text = text
        self._problems = self._lint(text)

    def _lint(self, text: str) -> list[Problem]:
        data = text.encode()
        self._budget -= len(data)
        return lint(parse_project(data, self._file))

    def advance(self) -> bool:
        """Make what changes can be made at once; whether there was any."""
        if len(self._history) >= MOST_ROUNDS:
            return False
        site = Site(self.text, parse_project(self.text.encode(), self._file))
        waiting = _proposals(site, self._problems)
        while waiting and self._budget > 0:
            chosen, waiting = _apart(waiting)
            if self._make(site, chosen):
                return True
        return False

    def _make(self, site: Site, fixes: Sequence[_Fix]) -> bool:
        """Make those changes that stand the test; a set that fails as a whole is tried in halves."""
        while fixes and self._budget > 0:
            edits = [edit for fix in fixes for edit in fix.mend.edits]
            text = apply_edits(self.text, edits)
            if not self._means_the_same(text, [change for fix in fixes for change in fix.mend.changes]):
                half = len(fixes) // 2
                return half > 0 and (self._make(site, fixes[:half]) or self._make(site, fixes[half:]))
            problems = self._lint(text)
            moves = Moves(edits)
            failed = _failed(site, fixes, moves, Spans(text), self._problems, problems)
            if not failed:
                self.repaired += [self._as_it_was(site, problem) for fix in fixes for problem in fix.problems]
                self._history.append(moves)
                self.text, self._problems = text, problems
                return True
            fixes = [fix for index, fix in enumerate(fixes) if index not in failed]
        return False

    def _as_it_was(self, site: Site, problem: Problem) -> Problem:
        """The problem at its place in the file as it was given to us."""
        offset = site.spans.offset(problem.location.place)
        for moves in reversed(self._history):
            offset = moves.back(offset)
        return replace(problem, location=Location(self._file, *self._original.place(offset)))

    def _means_the_same(self, text: str, changes: Iterable[Change]) -> bool:
        """Whether the new text reads as the old one does with the changes made to its data."""
        before = read_source(self.text.encode(), self._file)
        after = read_source(text.encode(), self._file)
        self._budget -= 2 * len(text)
        if after.tree is None:
            return False
        _change(before.tree, changes)
        return alike(_canonical(before), _canonical(after))


def _proposals(site: Site, problems: Iterable[Problem]) -> list[_Fix]:
    """A change for each problem that has one; an aliased value is reported twice, and changed once."""
    found: dict[Mend, list[Problem]] = defaultdict(list)
    for problem in problems:
        mend = MENDS[problem.code](site, problem) if problem.code in MENDS else None
        if mend:
            found[mend].append(problem)
    return [_Fix(mend, tuple(alike)) for mend, alike in found.items()]


def _apart(fixes: Iterable[_Fix]) -> tuple[list[_Fix], list[_Fix]]:
    """Those that can be made at once, in the order of the text, and the others, which have to wait for the next turn.

    What is to go goes first: an entry that stands twice would not, once one of the two is written differently.
    """
    kept: list[_Fix] = []
    others: list[_Fix] = []
    taken: list[Edit] = []
    for fix in sorted(fixes, key=lambda fix: (bool(fix.mend.edits[0].text), fix.mend.edits)):
        if any(_hits(edit, taken) for edit in fix.mend.edits):
            others.append(fix)
            continue
        kept.append(fix)
        for edit in fix.mend.edits:
            insort(taken, edit)
    return kept, others


def _hits(edit: Edit, taken: Sequence[Edit]) -> bool:
    """Whether an edit clashes with one of those that do not clash with each other, in order."""
    at = bisect_left(taken, edit)
    return any(clash(edit, other) for other in taken[max(0, at - 1) : at + 2])


def _failed(
    site: Site,
    fixes: Sequence[_Fix],
    moves: Moves,
    spans: Spans,
    before: Iterable[Problem],
    after: Iterable[Problem],
) -> set[int]:
    """The changes after which the problem is still there, or another one about the form stands in its place.

    A warning that the problem had hidden, such as one about the image that a text names, is no fault of the change.
    """
    old, new = _codes(before), _codes(after)
    failed = set()
    for index, fix in enumerate(fixes):
        for problem in fix.problems:
            place = problem.location.place
            there = new[spans.place(moves.forward(site.spans.offset(place)))]
            if problem.code in there or there - old[place]:
                failed.add(index)
    return failed


def _codes(problems: Iterable[Problem]) -> dict[Place, set[str]]:
    """The codes by place, without warnings that are not about the form."""
    found: dict[Place, set[str]] = defaultdict(set)
    for problem in problems:
        if problem.severity is Severity.ERROR or problem.code in MENDS:
            found[problem.location.place].add(problem.code)
    return found


def _canonical(source: Source) -> object:
    return normalise(source).tree if isinstance(source.tree, Row) else source.tree


def _change(tree: object, changes: Iterable[Change]) -> None:
    """Make changes to data, wherever an alias has put them."""
    by_place = {change.place: change for change in changes}
    waiting, seen = [tree] if by_place else [], set[int]()
    while waiting:
        here = waiting.pop()
        if id(here) in seen:
            continue
        seen.add(id(here))
        if isinstance(here, Table):
            _change_table(here, by_place)
            waiting += here.values()
        elif isinstance(here, Row):
            for index, place in enumerate(here.items_at):
                if place in by_place:
                    _put(here, index, by_place[place])
            waiting += here


def _change_table(table: Table, by_place: dict[Place, Change]) -> None:
    for key in list(table):
        change = by_place.get(table.keys_at[key])
        if isinstance(change, Renamed):
            table.put(change.key, table.pop(key), table.keys_at[key], table.values_at[key])
            key = change.key
        change = by_place.get(table.values_at[key])
        if change and not isinstance(change, Renamed):
            table[key] = change.value


def _put(row: Row, index: int, change: Change) -> None:
    if not isinstance(change, Renamed):
        row[index] = change.value
