"""A lineage as an SVG picture (`runner.drawing`): boxes for executions, and for files that came from elsewhere, are
asked about or were got by nobody; all other files stand at the lines between executions. Pure.

Of many siblings the newest are drawn and one box stands for the others; the picture reaches as far as it can be read.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from runner.digest import Digest
from runner.drawing import svg
from runner.drawing.model import BoxType, Drawing, DrawnEdge, DrawnNode
from runner.lineage.model import Activity, Graph, Left, Presence, Use, Value
from runner.sign import word_of
from runner.spec.model import SocketType
from runner.spec.phrase import counted
from runner.state import State
from runner.store.datum import SCHEME

FEW = 4
"""Siblings that are drawn of many."""

BOXES = 60
"""Boxes of a picture whose depth nobody has asked for."""

_DEEPEST = 30
_DIGITS = 12

Key = tuple[str, str]
"""A box: its kind, and what it stands for."""


def draw(graph: Graph, depth: int | None = None) -> str:
    """An SVG document, `depth` executions deep in both directions; None lets it reach as far as it can be read."""
    sketch = _Sketch(graph, depth or 1)
    while depth is None and sketch.is_cut and sketch.depth < _DEEPEST:
        deeper = _Sketch(graph, sketch.depth + 1)
        if len(deeper.boxes) > BOXES:
            break
        sketch = deeper
    return svg.render(sketch.drawing())


class _Sketch:
    """The boxes and lines of one depth."""

    def __init__(self, graph: Graph, depth: int) -> None:
        self.depth = depth
        self.boxes: dict[Key, DrawnNode] = {}
        self.is_cut = False
        self._graph = graph
        self._lines: dict[tuple[Key, Key, str, str, bool], None] = {}
        self._add_subject()

    def drawing(self) -> Drawing:
        """All of it."""
        places = {key: place for place, key in enumerate(self.boxes)}
        edges = [
            DrawnEdge(
                places[source],
                places[target],
                SocketType.METADATA if value else SocketType.OUTPUT,
                source_key,
                SocketType.PARAMETER if value else SocketType.INPUT,
                target_key,
            )
            for source, target, source_key, target_key, value in self._lines
        ]
        return Drawing(self._graph.subject.shown, tuple(self.boxes.values()), tuple(edges), "Lineage of")

    def _line(self, source: Key, target: Key, source_key: str, target_key: str, *, value: bool = False) -> None:
        self._lines[source, target, source_key, target_key, value] = None

    def _add_subject(self) -> None:
        graph, subject = self._graph, self._graph.subject
        for name, digest in subject.data[:FEW]:
            key = self._add_file("data", digest, name, "what is asked about")
            makers = self._add_all(graph.makers.get(digest, ()), "makers of " + digest)
            for maker, box in makers:
                self._line(box, key, _left_name(maker, digest, name), _left_name(maker, digest, name))
            users = self._add_all(graph.users.get(digest, ()), "users of " + digest) if graph.informed else []
            for user, box in users:
                word = _input_of(user, digest)
                self._line(key, box, word, word)
            self._follow_up([maker for maker, _ in makers])
            self._follow_down([user for user, _ in users])
        if more := len(subject.data) - FEW:
            self._box(("more", "data"), f"… {more} more files", "file") if more > 0 else None
        starts = [graph.activities[id] for id, _ in subject.executions if id in graph.activities]
        for activity in starts:
            self._add_activity(activity)
        self._follow_up(starts)
        self._follow_down(starts)

    # Boxes ----------------------------------------------------------------------------------------------------------

    def _box(self, key: Key, name: str, kind: BoxType, *facts: str) -> Key:
        if key not in self.boxes:
            self.boxes[key] = DrawnNode(name, kind, facts=tuple(fact for fact in facts if fact))
        return key

    def _add_file(self, kind: str, digest: Digest, name: str, *facts: str) -> Key:
        data = self._graph.data[digest]
        gone = "" if data.presence is Presence.PRESENT else data.note
        return self._box((kind, digest), name, "file", *facts, data.digest[:_DIGITS], *data.names[:2], gone)

    def _add_activity(self, activity: Activity) -> Key:
        code = activity.code
        commit = f"commit {code.commit[:_DIGITS]}" if code.commit else f"snapshot {code.snapshot[:_DIGITS]}"
        return self._box(
            ("execution", activity.id),
            activity.node,
            "execution",
            f"step {activity.step}" if activity.step != activity.node else "",
            f"execution {activity.counter} of run {activity.run_counter}",
            "" if activity.state is State.SUCCEEDED else word_of(activity),
            commit + (", dirty" if code.dirty else ""),
            ", ".join(f"{name}={value}" for name, value in activity.parameters.items()),
            ", ".join(f"{name} {value:.5g}" for name, value in activity.figures.items()),
            f"reused by {counted(len(activity.reuses) + activity.more_reuses, 'run')}" if activity.reuses else "",
        )

    def _add_all(self, ids: Iterable[str], where: str) -> list[tuple[Activity, Key]]:
        """A box for the newest executions of each step, and one for the others of it."""
        steps: dict[str, list[Activity]] = defaultdict(list)
        for id in ids:
            if id in self._graph.activities:
                steps[self._graph.activities[id].step].append(self._graph.activities[id])
        found: list[tuple[Activity, Key]] = []
        for step, of_step in steps.items():
            # One box for a single one would hide it for nothing.
            kept = of_step if len(of_step) <= FEW + 1 else of_step[:FEW]
            found += [(one, self._add_activity(one)) for one in kept]
            if rest := of_step[len(kept) :]:
                counters = sorted(one.counter for one in rest)
                span = f"{len(rest)} executions: {counters[0]} … {counters[-1]}"
                found.append((rest[0], self._box(("group", f"{step} of {where}"), step, "group", span)))
        return found

    # Upwards --------------------------------------------------------------------------------------------------------

    def _follow_up(self, starts: Sequence[Activity]) -> None:
        seen: set[str] = set()
        level = list(starts)
        for _ in range(self.depth):
            level = [above for one in level if one.id not in seen for above in self._above(one, seen)]
        self.is_cut |= any(self._uses(one) or one.values for one in level if one.id not in seen)

    def _uses(self, activity: Activity) -> tuple[Use, ...]:
        return self._graph.uses.get(activity.id, ())

    def _above(self, activity: Activity, seen: set[str]) -> Iterator[Activity]:
        """What an execution used, and the executions that made that."""
        if ("execution", activity.id) not in self.boxes:
            return
        seen.add(activity.id)
        target = ("execution", activity.id)
        uses = self._uses(activity)
        values: dict[str, list[Value]] = defaultdict(list)
        for value in activity.values if activity.id in self._graph.uses else ():
            values[value.maker[0]].append(value)
        makers = dict.fromkeys([*(use.maker for use in uses if use.maker), *values])
        for maker, box in self._add_all(makers, "above " + activity.id):
            for use in uses:
                if use.maker == maker.id:
                    self._line(box, target, _source_name(maker, use), use.got.input)
            for value in values[maker.id]:
                self._line(box, target, value.key, value.parameter, value=True)
            if box[0] == "execution":
                yield maker
        known = self._graph.activities
        foreign: dict[str, list[Use]] = defaultdict(list)
        for use in uses:
            if use.maker not in known:
                foreign[use.got.input].append(use)
        asked = {digest for _, digest in self._graph.subject.data}
        for input, files in foreign.items():
            self._add_foreign(target, input, [use for use in files if use.got.digest not in asked])

    def _add_foreign(self, target: Key, input: str, uses: Sequence[Use]) -> None:
        """Files of an input that came from elsewhere: each has a box where they are few, else all have one."""
        if len(uses) > FEW:
            got = uses[0].got
            facts = (f"{len(uses)} files", f"from {got.origin}", "and others")
            key = self._box(("files", f"{target[1]} {input}"), input, "file", *facts)
            self._line(key, target, input, input)
            return
        for use in uses:
            key = self._add_file("data", use.got.digest, use.got.name, f"from {use.got.origin}")
            self._line(key, target, input, input)

    # Downwards ------------------------------------------------------------------------------------------------------

    def _follow_down(self, starts: Sequence[Activity]) -> None:
        if not self._graph.informed:
            return
        seen: set[str] = set()
        level = list(starts)
        for _ in range(self.depth):
            level = [below for one in level if one.id not in seen for below in self._below(one, seen)]
        self.is_cut |= any(one.outputs for one in level if one.id not in seen)

    def _below(self, activity: Activity, seen: set[str]) -> Iterator[Activity]:
        """What an execution left, and the executions that got that."""
        if ("execution", activity.id) not in self.boxes:
            return
        seen.add(activity.id)
        source = ("execution", activity.id)
        got: dict[str, list[Left]] = defaultdict(list)
        unused = []
        for left in activity.outputs:
            heirs = self._graph.heirs.get((activity.id, left.name), ())
            for id in heirs:
                got[id].append(left)
            if not heirs:
                unused.append(left)
        for heir, box in self._add_all(got, "below " + activity.id):
            for left in got[heir.id]:
                self._line(source, box, left.name, _input_of(heir, left.digest))
            if box[0] == "execution":
                yield heir
        asked = {digest for _, digest in self._graph.subject.data}
        if results := [left for left in unused if left.digest not in asked]:
            names = [left.name for left in results]
            facts = (", ".join(names[1:FEW]), f"… {len(names) - FEW} more" if len(names) > FEW else "")
            self._box(("left", activity.id), names[0], "file", *facts)
            word = names[0] if len(names) == 1 else f"{len(names)} files"
            self._line(source, ("left", activity.id), word, word)


def _source_name(maker: Activity, use: Use) -> str:
    """What the maker of a file called it."""
    same = [left for left in maker.outputs if left.digest == use.got.digest]
    exact = [left for left in same if SCHEME + maker.datum(left) == use.got.origin]
    return (exact or same)[0].name if same else use.got.name


def _left_name(maker: Activity, digest: Digest, otherwise: str) -> str:
    return next((left.name for left in maker.outputs if left.digest == digest), otherwise)


def _input_of(user: Activity, digest: Digest) -> str:
    return next((got.input for got in user.inputs if got.digest == digest), "")
