"""What the live display shows: lines that fit into a terminal, from what is known of a run. Pure but for elapsed times.

The work for a scene is bounded by the size of the terminal, not by the number of nodes: what there is no room for is
counted, never looked at.
"""

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from runner.cli.board import Board, NodeView, Unit, metrics_text
from runner.cli.cell import padded, shorten
from runner.cli.display import approval_sentence, fetch_sentence, stand_words, start_sentence, stopping_words, why
from runner.cli.group import Group, parameters_text
from runner.cli.tally import Attention
from runner.drawing.rail import Rail, bare, rails
from runner.drawing.text import RAILS
from runner.escape import display_width, printable
from runner.events import ImagePulled, InputFetched
from runner.quantity import duration_text
from runner.sign import RETRYING, Tone, sign_of, tone_of
from runner.state import DONE, FINAL, Reason, State

Line = tuple[tuple[str, str], ...]
"""Texts of one line of the terminal, each with its style (a word of `rich`, empty for none)."""

_FAINT = "dim"
_STYLES: Mapping[Tone, str] = {
    Tone.GOOD: "green",
    Tone.SAME: "dim green",
    Tone.BAD: "bold red",
    Tone.ODD: "yellow",
    Tone.ASKING: "bold yellow",
    Tone.BUSY: "cyan",
    Tone.QUIET: _FAINT,
}
_NARROW = 64
"""In fewer columns what is said of a node stands below it, as does what takes more than half of the width."""
_SHORT = 10
"""Columns that a state has then."""
_WIDEST_TANGLE = 200
"""Of more rows nobody sees the rails."""
_MOST_NOTES = 3
"""So many downloads are shown at the same time, and so many questions."""
_LOG = 3
"""Lines of the log that a terminal of some height has room for in any case."""
_HIGH = 16


@dataclass(frozen=True, slots=True)
class _Entry:
    """A row: what is left of its sign and right of it, left of what stands below, and its cells."""

    rail: Rail
    name: str
    word: str
    time: str
    words: str
    is_told: bool
    """Whether its words matter even where they need a line of their own."""

    def height(self, width: int) -> int:
        """How many lines it takes."""
        is_long = width < _NARROW or display_width(self.words) > width // 2
        return 2 if self.is_told and self.words and is_long else 1


@dataclass(slots=True)
class Scene:
    """Draws a board, again and again. `pulls` and `fetches` are the downloads under way."""

    board: Board
    pulls: dict[str, ImagePulled] = field(default_factory=dict)
    fetches: dict[tuple[str, str], InputFetched] = field(default_factory=dict)
    _rails: list[Rail] = field(default_factory=list)
    _railed: int = -1
    """How many rows there were when the rails were made."""

    def lines(self, width: int, height: int, question: str | None = None) -> list[Line]:
        """At most `height` lines of at most `width` columns; `question` is what somebody at the terminal is asked."""
        run = self.board.run
        if run is None:
            return self._notes(width)[:height]
        title = f"{run.kind} {printable(run.name)} · run {run.counter} · {run.executor}"
        title += f" · {start_sentence(self.board.foreseen)}" if self.board.foreseen else ""
        head: list[Line] = [((shorten(title, width), "bold"),)]
        foot = [*self._notes(width), *self._approvals(width, question)]
        room = max(1, height - len(head) - len(foot))
        kept = min(len(self.board.recent), _LOG if height >= _HIGH else 0)
        rows = self._rows(width, max(1, room - kept))
        logged = islice(reversed(self.board.recent), max(0, room - len(rows)))
        log: list[Line] = [((shorten(line.expandtabs(), width), _FAINT),) for line in reversed(list(logged))]
        # What is asked stands last and is never cut.
        return (head + rows + log)[: max(0, height - len(foot))] + foot[-height:]

    def forget(self, node: str | None) -> None:
        """Nothing is downloaded for this node any more."""
        if self.fetches:
            self.fetches = {key: fetch for key, fetch in self.fetches.items() if key[0] != node}

    def _rows(self, width: int, room: int) -> list[Line]:
        board = self.board
        busy = sum(group.members.count(Attention.ASKED, Attention.ACTIVE) for group in self._groups(room))
        inner = min(busy, max(room - len(board.units), room // 3))
        if len(board.units) <= room - inner:
            places: Sequence[int] = range(len(board.units))
            drawn = self._drawn(width)
        else:
            found = board.tally.first(*Attention)
            places = sorted(islice(found, max(0, room - inner - 1)))
            drawn = dict.fromkeys(places, bare(1)[0])
        entries: list[_Entry] = []
        hidden = Counter(board.tally.words)
        left, spare = room - (len(places) < len(board.units)), inner
        for position, place in enumerate(places):
            unit = board.units[place]
            entry = self._entry(unit, drawn[place])
            left -= entry.height(width)
            if left < 0:
                break
            entries.append(entry)
            hidden[board.tally.word(place)] -= 1
            # Each row that follows keeps a line of its own.
            more = min(spare, max(0, left - (len(places) - position - 1)))
            members = list(self._members(unit, drawn[place], more))
            entries += members
            spare -= len(members)
            left -= len(members)
        lines = list(_laid_out(entries, width))
        if rest := _hidden_words(hidden):
            lines.append(((shorten(f"… {rest}", width), _FAINT),))
        return lines

    def _groups(self, room: int) -> Iterator[Group]:
        """The groups that are at work, as many as there could be room for."""
        found = self.board.tally.first(Attention.ASKED, Attention.ACTIVE)
        groups = (self.board.units[place].group for place in islice(found, room))
        return (group for group in groups if group is not None)

    def _drawn(self, width: int) -> Mapping[int, Rail] | Sequence[Rail]:
        units = self.board.units
        if self._railed != len(units):
            self._railed = len(units)
            pairs = [(above, place) for place, unit in enumerate(units) for above in unit.upstream]
            found = rails(range(len(units)), pairs, RAILS) if len(units) <= _WIDEST_TANGLE else None
            # Names stand one column behind the last rail.
            self._rails = [Rail(rail.before, rail.after[:-1], rail.below[:-1]) for rail in found or ()]
        if self._rails and display_width(self._rails[0].at(" ")) <= width // 6:
            return self._rails
        return bare(len(units))

    def _entry(self, unit: Unit, rail: Rail) -> _Entry:
        node, group = unit.node, unit.group
        word = node.word if node else group.word if group else ""
        words = self._words(unit)
        time = duration_text(node.elapsed()) if node else ""
        told = group is not None or word in {State.AWAITING_APPROVAL, State.FAILED, RETRYING}
        return _Entry(rail, printable(unit.title), word, time, words, told and word != State.WAITING)

    def _members(self, unit: Unit, rail: Rail, room: int) -> Iterator[_Entry]:
        """Those of a group that are at work, as many as there is room for."""
        if unit.group is None or not room:
            return
        inner = Rail(f"{rail.below}  ", " ", f"{rail.below}    ")
        for name in islice(unit.group.members.first(Attention.ASKED, Attention.ACTIVE), room):
            node = self.board.nodes[name]
            said = (parameters_text(node.shown.parameters), _node_words(node))
            words = " · ".join(filter(None, said))
            yield _Entry(inner, printable(name), node.word, duration_text(node.elapsed()), words, False)

    def _words(self, unit: Unit) -> str:
        node, group = unit.node, unit.group
        if node is not None and node.state is State.WAITING and node.word != RETRYING:
            return self._waits(unit)
        if node is not None and (group is None or (node.state in FINAL and node.state not in DONE)):
            return _node_words(node)
        return group.sentence(self.board.best_parameters(group)) if group else ""

    def _waits(self, unit: Unit) -> str:
        """What it waits for that is not done yet."""
        done = {str(state) for state in DONE}
        open_ = [self.board.units[above].title for above in unit.upstream if self.board.tally.word(above) not in done]
        named = ", ".join(printable(title) for title in open_[:_MOST_NOTES])
        more = f" and {len(open_) - _MOST_NOTES} more" if len(open_) > _MOST_NOTES else ""
        return f"after {named}{more}" if open_ else ""

    def _notes(self, width: int) -> list[Line]:
        """The downloads under way."""
        texts = [
            f"pulling {printable(pull.image)}: {printable(pull.text)}{_share(pull)}" for pull in self.pulls.values()
        ]
        texts += [fetch_sentence(fetch) for fetch in self.fetches.values() if fetch.done != fetch.total]
        more = [f"… {len(texts) - _MOST_NOTES} more downloads"] if len(texts) > _MOST_NOTES else []
        return [((shorten(text, width), ""),) for text in [*texts[:_MOST_NOTES], *more]]

    def _approvals(self, width: int, question: str | None) -> list[Line]:
        """What is to be typed, here or elsewhere."""
        run, asked = self.board.run, self.board.asked
        texts = [] if question is None else [question]
        if run is not None and question is None:
            first = islice(asked.items(), _MOST_NOTES)
            texts = [f"{printable(node)}: {approval_sentence(run.counter, node, point)}" for node, point in first]
        if len(asked) > max(1, len(texts)):
            texts.insert(0, f"{len(asked)} nodes await approval")
        wrapped = [piece for text in texts for piece in textwrap.wrap(text, width, drop_whitespace=False) or [text]]
        return [((shorten(piece, width), _STYLES[Tone.ASKING]),) for piece in wrapped]


def _share(pull: ImagePulled) -> str:
    return f" ({100 * pull.done // pull.total} %)" if pull.total else ""


def _node_words(node: NodeView) -> str:
    """What is to be said of a node beside its state."""
    last = node.last
    if last is None:
        return ""
    if node.state is State.REUSED:
        return stand_words(last.detail or "", last.age)
    if node.state is State.AWAITING_APPROVAL or last.reason is Reason.RETRY:
        return printable(last.detail or "")
    if node.state in FINAL and (node.state is not State.SUCCEEDED or last.reason is Reason.STOP_CONDITION):
        return why(last)
    if node.state is State.STOPPING:
        return stopping_words(last)
    again = f"attempt {node.attempts}" if node.attempts > 1 and node.state is State.RUNNING else ""
    return " · ".join(filter(None, (again, metrics_text(node.metrics, 200))))


def _hidden_words(hidden: Counter[str]) -> str:
    """`14 more waiting`, `14 more: 12 waiting, 2 queued`; empty where everything is shown."""
    words = {word: number for word, number in hidden.items() if number > 0}
    if len(words) == 1:
        [(word, number)] = words.items()
        return f"{number:,} more {word}"
    told = ", ".join(f"{number:,} {word}" for word, number in words.items())
    return f"{sum(words.values()):,} more: {told}" if words else ""


def _laid_out(entries: Iterable[_Entry], width: int) -> Iterator[Line]:
    """Rows in columns; what does not fit is cut, first what is said of a node, then its name."""
    rows = list(entries)
    most = max(8, width * 2 // 5)
    leads = [(entry.rail.before, sign_of(entry.word), entry.rail.after, entry.name) for entry in rows]
    named = [sum(map(display_width, lead)) for lead in leads]
    room = min(most, max(named, default=0))
    state = min(width if width >= _NARROW else _SHORT, max((len(entry.word) for entry in rows), default=0))
    time = max((len(entry.time) for entry in rows), default=0)
    for entry, (before, sign, after, name) in zip(rows, leads, strict=True):
        style = _STYLES[tone_of(entry.word)]
        name_room = max(1, room - display_width(before + sign + after))
        cells = [(before, _FAINT), (sign, style), (after, _FAINT), (padded(shorten(name, name_room), name_room), style)]
        cells += [("  " + padded(shorten(entry.word, state), state), style), ("  " + entry.time.rjust(time), "")]
        below = entry.height(width) == 2
        if entry.words and not below:
            cells.append(("  " + entry.words, style if entry.is_told else ""))
        yield _cut(cells, width)
        if below:
            yield _cut([(entry.rail.below + "  ", _FAINT), (entry.words, "")], width)


def _cut(cells: Iterable[tuple[str, str]], width: int) -> Line:
    """As much of a line as fits."""
    kept: list[tuple[str, str]] = []
    left = width
    for text, style in cells:
        size = display_width(text)
        if size > left:
            if left > 1:
                kept.append((shorten(text, left), style))
            break
        kept.append((text, style))
        left -= size
    return tuple(kept)
