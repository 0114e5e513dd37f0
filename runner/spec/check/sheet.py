"""The file under check: where exactly its texts stand, and which name a wrong one probably meant. Pure.

The typed items know where they begin; the words inside them are found through the tree and the file's lines, which are
read only when there is something to point at.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from runner.errors import Location, Problem, Severity, did_you_mean
from runner.spec.model import Edge, Node, Pipeline, Project, Step
from runner.spec.normalise import items_of
from runner.spec.reader import start_of_text
from runner.spec.socket import ends_of
from runner.spec.source import source_lines
from runner.spec.tree import Place, Row, Table, entries, tables

MAX_COMPARISONS = 20_000
"""How many names are compared for hints in one file; looking for close names is the slow part of a message."""


@dataclass(frozen=True, slots=True)
class _Found:
    """The word of a scalar's text that was found last: its offset, its line and column from 0, and how much of the file
    behind it may belong to the text."""

    text: str
    start: Location
    offset: int
    number: int
    column: int
    left: int


_NO_FILES: Mapping[str, Project] = MappingProxyType({})


class Sheet:
    """One file for as long as it is checked. `others` are the files of other commits by the names that nodes give to
    these; what a node at a commit that is not among them runs, nobody knows."""

    def __init__(self, project: Project, others: Mapping[str, Project] = _NO_FILES) -> None:
        self.project = project
        self.others = others
        self.tree = project.tree if isinstance(project.tree, Row) else Row((1, 1))
        self._comparisons = MAX_COMPARISONS
        self._tables: dict[str, dict[Place, Table]] = {}
        self._edges: dict[Place, dict[Place, tuple[Place, Place]]] = {}
        self._before: _Found | None = None

    # Names

    def guess(self, name: str, known: Collection[str], otherwise: str | None = None) -> str | None:
        """A hint that names what was probably meant, or what there is; `otherwise` where there is nothing."""
        self._comparisons -= len(known)
        if known and self._comparisons < 0:
            return None
        return did_you_mean(name, known) or otherwise

    @cached_property
    def task_steps(self) -> dict[str, str]:
        """The step of each task by the task's name, broken tasks included; empty where the task names none."""
        found = {}
        for body in items_of(self.tree, "task"):
            if isinstance(name := body.get("name"), str):
                found[name] = step if isinstance(step := body.get("step"), str) else ""
        return found

    @cached_property
    def broken_steps(self) -> dict[str, Problem]:
        """The first problem of each step that cannot be understood."""
        return {name: problem for kind, name, problem in self.project.broken if kind == "step" and name}

    @cached_property
    def step_names(self) -> frozenset[str]:
        """The names of all steps, broken ones included."""
        return frozenset({*self.project.steps, *self.broken_steps})

    def file_of(self, node: Node) -> Project | None:
        """The file in which that is what a node runs; None where it is not here."""
        return self.others.get(node.commit) if node.commit else self.project

    def node_step(self, node: Node) -> str | None:
        """The name of the step that a node runs, itself or by its task; None where nobody can tell."""
        file = self.file_of(node)
        if node.type == "deployment" or file is None:
            return None
        if node.task is None:
            return node.step
        if file is self.project:
            return self.task_steps.get(node.task)
        task = file.tasks.get(node.task)
        return task.step if task else None

    def step_of(self, node: Node) -> Step | None:
        """The step that a node runs, if its file is here and the step can be understood."""
        file, name = self.file_of(node), self.node_step(node)
        return None if name is None or file is None else file.steps.get(name)

    @cached_property
    def endpoint_files(self) -> dict[str, set[str]]:
        """The names of the files that each endpoint expects, broken endpoints included."""
        found = {}
        for body in items_of(self.tree, "endpoint"):
            if isinstance(name := body.get("name"), str):
                files = [row.get("name") for row in tables(body.get("files"))]
                found[name] = {file for file in files if isinstance(file, str)}
        return found

    # Places

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The lines of the file."""
        return source_lines(self.project.data)

    def at(self, place: Place) -> Location:
        """A place as a location."""
        return Location(self.project.file, *place)

    def value(self, table: Table, key: str) -> Location:
        """Where the value of a key stands, or the mapping if it has no such key."""
        return self.at(table.values_at.get(key, table.at))

    def body(self, kind: str, location: Location) -> Table:
        """The mapping of an item by the place of its name; an empty one if there is none."""
        if kind not in self._tables:
            bodies = items_of(self.tree, kind)
            self._tables[kind] = {body.values_at.get("name", body.at): body for body in bodies}
        return self._tables[kind].get(location.place) or Table(location.place)

    def nodes(self, pipeline: Pipeline) -> list[Table]:
        """The mappings of a pipeline's nodes, in order."""
        found = tables(self.body("pipeline", pipeline.location).get("nodes"))
        return found if len(found) == len(pipeline.nodes) else [Table(node.location.place) for node in pipeline.nodes]

    def ends(self, pipeline: Pipeline, edge: Edge) -> tuple[Place, Place]:
        """Where the source and the target of an edge stand."""
        place = edge.location.place
        return self._ends(pipeline).get(place, (place, place))

    def _ends(self, pipeline: Pipeline) -> dict[Place, tuple[Place, Place]]:
        start = pipeline.location.place
        if start not in self._edges:
            found = self._edges[start] = {}
            for edge, place in entries(self.body("pipeline", pipeline.location).get("edges")):
                ends = ends_of(edge)
                if len(ends) == 2:
                    found[place] = (ends[0][1], ends[1][1])
        return self._edges[start]

    def text(self, place: Place) -> Location:
        """Where the text of a scalar begins: behind its quote, or below its `|` or `>`."""
        return self.at(start_of_text(self.lines, place))

    def part(self, place: Place, number: int) -> Location:
        """Where the node (0), the type (1) or the key (2) of an edge's end begins."""
        start = self.text(place)
        line = self.lines[start.line - 1] if start.line <= len(self.lines) else ""
        column = start.column
        for _ in range(number):
            dot = line.find(".", column - 1)
            if dot < 0:
                return start
            column = dot + 2
        return self.at((start.line, column))

    def within(self, start: Location, text: str, offset: int, word: str) -> Location:
        """Where `word`, which is at `offset` of a scalar's text, stands in the file; `start` is where the text does.

        Quotes, escapes and folding change the text, so the word is counted: it is the same occurrence in both. Words of
        one text are mostly asked for in order, so the count goes on where it ended.
        """
        before = self._before
        if before is None or before.text is not text or before.start != start or before.offset > offset:
            before = _Found(text, start, 0, start.line - 1, start.column - 1, 2 * len(text) + _MARGIN)
        wanted = text.count(word, before.offset, offset)
        column, left = before.column, before.left + len(word)
        for number in range(before.number, len(self.lines)):
            line = self.lines[number]
            found = line.find(word, column, column + left)
            while found >= 0:
                if not wanted:
                    self._before = _Found(text, start, offset, number, found, left - len(word) - (found - column))
                    return self.at((number + 1, found + 1))
                wanted -= 1
                found = line.find(word, found + len(word), column + left)
            left -= len(line[column : column + left].strip())
            if left < 0:
                break
            column = 0
        return start


_MARGIN = 200
"""What a scalar may take more in the file than twice its text."""


class Findings:
    """Collects problems of one kind of item. `dangling` is how bad a reference is that leads nowhere."""

    def __init__(self, sheet: Sheet, dangling: Severity = Severity.WARNING) -> None:
        self.sheet = sheet
        self.dangling = dangling
        self.problems: list[Problem] = []

    def error(self, code: str, message: str, location: Location, hint: str | None = None) -> None:
        """Something that can never work."""
        self.problems.append(Problem(Severity.ERROR, code, message, location, hint))

    def warn(self, code: str, message: str, location: Location, hint: str | None = None) -> None:
        """Something that is odd."""
        self.problems.append(Problem(Severity.WARNING, code, message, location, hint))

    def dangle(self, code: str, message: str, location: Location, hint: str | None = None) -> None:
        """Something that leads nowhere: odd in a file, an error in what is run."""
        self.problems.append(Problem(self.dangling, code, message, location, hint))
