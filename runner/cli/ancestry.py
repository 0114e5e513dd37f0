"""A lineage as an indented tree for terminals: what made it above, what was made from it below. Pure.

What was shown once is not shown again, of many siblings the newest stand for all, and the tree is as deep as a page
allows, unless somebody asks for a depth.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from runner.cli.cell import shorten
from runner.escape import printable
from runner.lineage.model import Activity, Code, Data, Graph, Left, Presence, Use
from runner.quantity import exact_text, local_time, size_text, value_text
from runner.sign import word_of
from runner.spec.phrase import counted
from runner.state import State
from runner.store.datum import SCHEME

FEW = 10
"""Siblings that are shown of many."""

PAGE = 200
"""Lines of a tree whose depth nobody has asked for."""

DEEPEST = 12
"""Its depth at most: deeper lines would be mostly blank."""

_DIGITS = 16
_BOLD, _RED, _DIM = "1", "31", "2"

Paint = Callable[[str, str], str]
"""A text in a colour of the terminal (an SGR code)."""


@dataclass(slots=True)
class Branch:
    """A part of the tree: its lines with their colours, and what hangs below. `label` is for the first line only."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    children: list["Branch"] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.lines) + sum(map(len, self.children))


@dataclass(frozen=True, slots=True)
class Drawn:
    """The lines of a page, how many executions it does not tell of, and whether some of them are further away
    than it reaches."""

    lines: list[str]
    hidden: int
    is_cut: bool


def render(
    graph: Graph,
    depth: int | None,
    *,
    up: bool,
    down: bool,
    width: int | None = None,
    paint: Paint = lambda text, _: text,
) -> Drawn:
    """The page of a graph, `depth` executions deep; None chooses a depth. Lines are cut at `width` columns."""
    trees = _Tree(graph, depth or 1, up=up, down=down)
    while depth is None and trees.is_cut and trees.depth < DEEPEST:
        deeper = _Tree(graph, trees.depth + 1, up=up, down=down)
        if deeper.size > PAGE:
            break
        trees = deeper
    lines = [line for branch in trees.branches for line in _laid_out(branch, width, paint)]
    while lines and not lines[0]:
        del lines[0]
    return Drawn(lines, trees.hidden, trees.is_cut)


def _laid_out(branch: Branch, width: int | None, paint: Paint) -> Iterator[str]:
    """The lines of a branch, without recursion: a lineage may be longer than Python's stack is deep."""
    waiting: list[tuple[Branch, str, str]] = [(branch, "", "")]
    while waiting:
        one, first, rest = waiting.pop()
        below = "│ " if one.children else "  "
        for place, (text, colour) in enumerate(one.lines):
            prefix = first if place == 0 else rest + below
            shown = text if width is None else shorten(text, max(20, width - len(prefix)))
            yield (prefix + (paint(shown, colour) if colour else shown)).rstrip()
        for place, child in reversed(list(enumerate(one.children))):
            last = place == len(one.children) - 1
            waiting.append((child, rest + ("╰─ " if last else "├─ "), rest + ("   " if last else "│  ")))


class _Tree:
    """The branches of one depth."""

    def __init__(self, graph: Graph, depth: int, *, up: bool, down: bool) -> None:
        self.depth = depth
        self._graph = graph
        self._cut: set[str] = set()
        """Executions that are too far away."""
        self._seen: set[str] = set()
        self._told: set[str] = set()
        """Those that were seen in the other direction."""
        self._codes: set[str] = set()
        self.branches = list(self._sections(up=up, down=down))

    @property
    def size(self) -> int:
        """How many lines there are."""
        return sum(map(len, self.branches))

    @property
    def hidden(self) -> int:
        """How many executions are not told of, or only named."""
        return len(self._graph.activities.keys() - self._seen - self._told)

    @property
    def is_cut(self) -> bool:
        """Whether some are not told because they are too far away."""
        return not self._cut <= self._seen | self._told

    def _sections(self, *, up: bool, down: bool) -> Iterator[Branch]:
        graph, subject = self._graph, self._graph.subject
        for name, digest in subject.data[:FEW]:
            yield Branch(list(_head(graph.data[digest], name)))
        if len(subject.data) > FEW:
            yield Branch([(f"… and {counted(len(subject.data) - FEW, 'more file')}", _DIM)])
        if up:
            yield from _title("made by" if subject.data else "made from")
            yield from self._origins()
        if down:
            self._told, self._seen = self._seen, set()
            yield from _title("made from it")
            yield from self._results()

    # Upwards --------------------------------------------------------------------------------------------------------

    def _origins(self) -> Iterator[Branch]:
        graph, subject = self._graph, self._graph.subject
        if subject.executions:
            for id, _ in reversed(subject.executions):
                if id not in self._seen:
                    yield self._upwards(id, "")
            return
        found = False
        for digest in dict.fromkeys(digest for _, digest in subject.data):
            shown: list[Activity] = []
            for id in graph.makers[digest]:
                found = True
                yield self._maker(graph.activities[id], shown)
            if more := graph.more_makers[digest]:
                yield Branch([(f"… and {counted(more, 'more execution')} that left the same content", _DIM)])
        for id in sorted(subject.meant - graph.activities.keys()):
            found = True
            yield Branch([(f"execution {id}, whose record is not in this store any more", _RED)])
        if not found:
            yield Branch([("no execution left it: it came from elsewhere", ""), *_foreign_origins(graph)])

    def _maker(self, activity: Activity, shown: list[Activity]) -> Branch:
        """One of those that left a content that is asked about."""
        mark = f"  ← `{printable(self._graph.subject.shown)}` means this one"
        note = mark if activity.id in self._graph.subject.meant else ""
        like = next((one for one in shown if activity.made_like(one)), None)
        if like is not None and not note:
            self._seen.add(activity.id)
            return Branch([(f"{_name(activity)}, from the same as execution {like.counter}", "")])
        shown.append(activity)
        return self._upwards(activity.id, note)

    def _upwards(self, root: str, note: str) -> Branch:
        """An execution and where its files and values came from; breadth first, so that the nearest are told."""
        top = Branch()
        waiting = [(top, root, 1, note)]
        for branch, id, level, remark in waiting:
            activity = self._open(branch, id, level, remark)
            if activity is None:
                continue
            branch.lines += _facts(activity)
            for maker, uses in _by_maker(self._graph.uses.get(id, ())):
                group = Branch(list(self._files(maker, uses)))
                branch.children.append(group)
                if maker is not None:
                    self._add(group, waiting, maker, level)
            for value in activity.values:
                label = f"value {printable(value.key)} → {printable(value.parameter)}"
                group = Branch([(label, "")])
                branch.children.append(group)
                self._add(group, waiting, value.maker[0], level)
        return top

    def _add(self, group: Branch, waiting: list[tuple[Branch, str, int, str]], id: str, level: int) -> None:
        child = Branch()
        group.children.append(child)
        waiting.append((child, id, level + 1, ""))

    def _open(self, branch: Branch, id: str, level: int, note: str) -> Activity | None:
        """The headline of an execution; gives it if more of it is to be told."""
        activity = self._graph.activities.get(id)
        if activity is None:
            known = id in self._graph.not_followed
            why = "further away than was looked" if known else "whose record is not in this store any more"
            branch.lines.append((f"execution {id}, {why}", _DIM if known else _RED))
            return None
        if id in self._seen:
            branch.lines.append((f"{_name(activity)}, told already{note}", _DIM))
            return None
        if level > self.depth:
            self._cut.add(id)
            branch.lines.append((f"{_name(activity)} …{note}", _DIM))
            return None
        self._seen.add(id)
        branch.lines += [(_headline(activity) + note, _BOLD), (self._code(activity), "")]
        return activity

    def _code(self, activity: Activity) -> str:
        """The code of an execution, in full where it was not told before."""
        told = activity.code.snapshot in self._codes
        self._codes.add(activity.code.snapshot)
        words = "the same code" if told and len(self._graph.codes()) == 1 else _code_words(activity.code)
        return words + (f", read {_joined(map(printable, activity.read), 3)}" if activity.read else "")

    def _files(self, maker: str | None, uses: Sequence[Use]) -> Iterator[tuple[str, str]]:
        for use in uses[:FEW]:
            got = use.got
            data = self._graph.data[got.digest]
            words = f"{printable(got.input)}/{printable(got.name)}  {_data_words(data)}"
            if maker is None:
                words += f"  from {printable(got.origin)}"
                if got.origin.startswith(SCHEME):
                    words += ", whose maker is not in this store any more"
            elif not use.exact:
                words += f"  from {printable(got.origin)}: the same content as an output of"
            if use.others:
                words += f"  (also left by {counted(use.others, 'other execution')})"
            yield words, _colour(data)
        if len(uses) > FEW:
            yield f"… and {counted(len(uses) - FEW, 'more file')}", _DIM

    # Downwards ------------------------------------------------------------------------------------------------------

    def _results(self) -> Iterator[Branch]:
        graph, subject = self._graph, self._graph.subject
        found = False
        if subject.executions:
            for id, _ in subject.executions:
                if id in graph.activities and id not in self._seen:
                    found = True
                    yield self._downwards(id, "")
        for name, digest in dict(zip((one[1] for one in subject.data), subject.data, strict=True)).values():
            if not graph.users[digest]:
                continue
            found = True
            note = f"{printable(name)}: " if len(subject.data) > 1 else ""
            branches = self._folded(graph.users[digest], graph.more_users[digest])
            for ids, line in branches:
                if line:
                    yield Branch([(line, _DIM)])
                for id in ids:
                    if id not in self._seen:
                        yield self._downwards(id, f"  got {note}{_got_as(graph.activities[id], digest)}")
        if not found:
            yield Branch([("nothing: no execution got it", "")])

    def _folded(self, ids: Sequence[str], more: int) -> Iterator[tuple[Sequence[str], str]]:
        """The newest executions of each step, and a line that stands for the others."""
        steps: dict[str, list[str]] = defaultdict(list)
        for id in ids:
            steps[self._graph.activities[id].step].append(id)
        for step, of_step in steps.items():
            yield of_step[:FEW], ""
            if rest := of_step[FEW:]:
                self._seen.update(rest)
                numbers = sorted(self._graph.activities[id].counter for id in rest)
                span = f"{numbers[0]} … {numbers[-1]}" if len(numbers) > 1 else str(numbers[0])
                yield (), f"… and {counted(len(rest), 'more execution')} of {printable(step)}: {span}"
        if more:
            yield (), f"… and {counted(more, 'more execution')} that got it"

    def _downwards(self, root: str, note: str) -> Branch:
        """An execution, what it left, and what came of that."""
        top = Branch()
        waiting = [(top, root, 1, note)]
        for branch, id, level, remark in waiting:
            activity = self._open(branch, id, level, remark)
            if activity is None:
                continue
            branch.lines += _facts(activity, results=True)
            unused: list[Left] = []
            for left in activity.outputs:
                heirs = self._graph.heirs.get((id, left.name), ())
                if not heirs:
                    unused.append(left)
                    continue
                group = Branch([self._output(left)])
                branch.children.append(group)
                for ids, line in self._folded(heirs, self._graph.more_heirs.get((id, left.name), 0)):
                    if line:
                        group.children.append(Branch([(line, _DIM)]))
                    for heir in ids:
                        child = Branch()
                        group.children.append(child)
                        waiting.append(
                            (child, heir, level + 1, f"  as {_got_as(self._graph.activities[heir], left.digest)}")
                        )
            if unused:
                lines = [self._output(left) for left in unused[:FEW]]
                if len(unused) > FEW:
                    lines.append((f"… and {counted(len(unused) - FEW, 'more file')}", _DIM))
                branch.children.append(Branch(lines))
            for heir in self._graph.informed.get(id, ()):
                group = Branch([("values of it", "")])
                branch.children.append(group)
                self._add(group, waiting, heir, level)
        return top

    def _output(self, left: Left) -> tuple[str, str]:
        data = self._graph.data[left.digest]
        return f"{printable(left.name)}  {_data_words(data)}", _colour(data)


def _by_maker(uses: Iterable[Use]) -> list[tuple[str | None, list[Use]]]:
    """Files that came from one maker together; those from elsewhere input by input."""
    groups: dict[tuple[str, str], list[Use]] = defaultdict(list)
    for use in uses:
        groups[use.maker or "", "" if use.maker else use.got.input].append(use)
    return [(maker or None, found) for (maker, _), found in groups.items()]


def _title(text: str) -> Iterator[Branch]:
    yield Branch([("", "")])
    yield Branch([(text, _BOLD)])


def _head(data: Data, name: str) -> Iterator[tuple[str, str]]:
    size = "" if data.size is None else f"  {size_text(data.size)}"
    yield f"{printable(name)}{size}  {data.digest}", _BOLD
    if data.names:
        yield _joined(map(printable, data.names)), ""
    if data.presence is not Presence.PRESENT:
        yield printable(data.note), _RED


def _data_words(data: Data) -> str:
    size = "" if data.size is None else f"{size_text(data.size)}  "
    called = f"  {_joined(map(printable, data.names))}" if data.names else ""
    gone = "" if data.presence is Presence.PRESENT else f"  [{printable(data.note)}]"
    return f"{size}{data.digest[:_DIGITS]}{called}{gone}"


def _colour(data: Data) -> str:
    return "" if data.presence is Presence.PRESENT else _RED


def _name(activity: Activity) -> str:
    node = "" if activity.node == activity.step else f" as {printable(activity.node)}"
    return f"execution {activity.counter} ({printable(activity.step)}{node}) of run {activity.run_counter}"


def _headline(activity: Activity) -> str:
    state = "" if activity.state is State.SUCCEEDED else f", {word_of(activity)}"
    return f"{_name(activity)}{state}, {local_time(activity.finished or activity.created)}"


def _code_words(code: Code) -> str:
    commit = f"commit {code.commit[:12]}" if code.commit else "no commit"
    return f"code {commit}{', dirty' if code.dirty else ''}, snapshot {code.snapshot[:_DIGITS]}"


def _facts(activity: Activity, *, results: bool = False) -> Iterator[tuple[str, str]]:
    """Parameters and who reused it; with its metrics, as far as they are results."""
    if activity.parameters:
        yield _joined((f"{printable(name)}={exact_text(value)}" for name, value in activity.parameters.items()), 20), ""
    if results and activity.figures:
        shown = (f"{printable(name)} {value_text(value)}" for name, value in activity.figures.items())
        yield f"metrics {_joined(shown, 8)}", ""
    if activity.reuses:
        runs = [f"run {one.counter}" for one in activity.reuses]
        more = f" and {activity.more_reuses} more" if activity.more_reuses else ""
        yield f"reused by {', '.join(runs)}{more}", ""


def _joined(words: Iterable[str], most: int = FEW) -> str:
    found = list(words)
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")


def _got_as(activity: Activity, digest: str) -> str:
    return _joined(
        (f"{printable(got.input)}/{printable(got.name)}" for got in activity.inputs if got.digest == digest), 2
    )


def _foreign_origins(graph: Graph) -> Iterator[tuple[str, str]]:
    """The addresses from which executions got the contents that are asked about."""
    asked = {digest for _, digest in graph.subject.data}
    users = (graph.activities[id] for ids in graph.users.values() for id in ids)
    found = dict.fromkeys(got.origin for user in users for got in user.inputs if got.digest in asked)
    yield from ((f"from {printable(origin)}", "") for origin in list(found)[:FEW])
