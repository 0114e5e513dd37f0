"""The walk through a lineage, over records that are made up, and the page and the picture of what it finds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree

import pytest

from runner.cli.ancestry import PAGE, render
from runner.digest import Digest, hash_bytes
from runner.lineage.document import to_json
from runner.lineage.model import Activity, Code, Data, Got, Graph, Left, Maker, Subject, Value
from runner.lineage.picture import BOXES, draw
from runner.lineage.trace import Bounds, trace
from runner.state import Reason, State
from runner.store.datum import SCHEME, datum_id

ALL = Bounds()
CODE = Code(hash_bytes(b"tree"), "c0ffee", "main", None, dirty=False)


def digest(text: str) -> Digest:
    return hash_bytes(text.encode())


def activity(
    number: int,
    got: Iterable[tuple[str, str]] = (),
    left: Iterable[str] = (),
    step: str = "step",
    values: tuple[Value, ...] = (),
) -> Activity:
    """An execution that got contents from origins, and left contents."""
    return Activity(
        id=f"{number:036}",
        counter=number,
        run=f"run of {number}",
        run_counter=number,
        project="p",
        step=step,
        node=step,
        state=State.SUCCEEDED,
        reason=Reason.EXIT,
        created="2026-01-01T00:00:00.000000Z",
        finished=None,
        duration=None,
        executor=None,
        image="",
        identity=None,
        code=CODE,
        read=None,
        parameters={},
        metrics={},
        inputs=tuple(Got("in", content, digest(content), len(content), origin) for content, origin in got),
        outputs=tuple(Left(content, digest(content), len(content)) for content in left),
        values=values,
    )


def exactly(number: int, content: str) -> tuple[str, str]:
    """The very output of an execution, as an input."""
    return content, SCHEME + datum_id(f"{number:036}", content)


@dataclass
class Records:
    """Executions by id; counts how often each was read."""

    activities: Mapping[str, Activity]
    read: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        newest = sorted(self.activities.values(), key=lambda one: one.id, reverse=True)
        self.makers: dict[Digest, list[Maker]] = {}
        self.users: dict[Digest, list[Maker]] = {}
        self.data: dict[str, Maker] = {}
        self.informed: dict[str, list[Maker]] = {}
        for one in newest:
            maker = one.id, one.run
            for left in one.outputs:
                self.makers.setdefault(left.digest, []).append(maker)
                self.data[one.datum(left)] = maker
            for got in one.inputs:
                self.users.setdefault(got.digest, []).append(maker)
            for value in one.values:
                self.informed.setdefault(value.maker[0], []).append(maker)

    def makers_of(self, content: Digest) -> Sequence[Maker]:
        return self.makers.get(content, [])

    def users_of(self, content: Digest) -> Sequence[Maker]:
        return self.users.get(content, [])

    def maker_of(self, datum: str) -> Maker | None:
        return self.data.get(datum)

    def activity(self, maker: Maker) -> Activity | None:
        self.read[maker[0]] = self.read.get(maker[0], 0) + 1
        return self.activities.get(maker[0])

    def informed_by(self, one: Activity) -> Iterable[Maker]:
        return self.informed.get(one.id, [])


def records(*activities: Activity) -> Records:
    return Records({one.id: one for one in activities})


def of(number: int) -> Subject:
    return Subject("execution", f"execution {number}", executions=((f"{number:036}", f"run of {number}"),))


def content(text: str) -> Subject:
    return Subject("file", text, ((text, digest(text)),))


def find(
    known: Records, subject: Subject, bounds: Bounds | None = None, *, up: bool = True, down: bool = True
) -> Graph:
    graph = trace(known, subject, bounds or Bounds(), up=up, down=down)
    graph.data = {one: Data(one, size) for one, size in graph.contents().items()}
    return graph


def numbers(graph: Graph) -> list[int]:
    return sorted(one.counter for one in graph.activities.values())


def chain(length: int) -> Records:
    """Executions each of which got what the one before left."""
    return records(*(activity(n, [exactly(n - 1, f"file {n - 1}")] if n else [], [f"file {n}"]) for n in range(length)))


def test_the_address_of_a_file_decides_who_made_it_and_else_the_newest_that_was_there() -> None:
    known = records(
        activity(1, left=["a"]),
        activity(2, left=["a"]),
        activity(3, [exactly(1, "a")]),
        activity(4, [("a", "/tmp/a")]),
        activity(5, left=["a"]),
    )
    (exact,) = find(known, of(3), down=False).uses[f"{3:036}"]
    assert (exact.maker, exact.exact, exact.others) == (f"{1:036}", True, 2)
    (same,) = find(known, of(4), down=False).uses[f"{4:036}"]
    assert (same.maker, same.exact, same.others) == (f"{2:036}", False, 1)


def test_executions_that_got_what_each_other_left_are_walked_once() -> None:
    known = records(activity(1, [exactly(2, "b")], ["a"]), activity(2, [exactly(1, "a")], ["b"]))
    graph = find(known, of(1))
    assert numbers(graph) == [1, 2]
    assert "told already" in "\n".join(render(graph, 10, up=True, down=True).lines)
    ElementTree.fromstring(draw(graph))
    to_json(graph)


def test_an_execution_that_got_its_own_output_is_no_trouble() -> None:
    graph = find(records(activity(1, [exactly(1, "a")], ["a"])), of(1))
    assert numbers(graph) == [1]
    render(graph, None, up=True, down=True)
    ElementTree.fromstring(draw(graph))


def test_a_chain_is_followed_to_its_end_and_told_without_recursion() -> None:
    known = chain(1_500)
    graph = find(known, of(1_499), down=False)
    assert len(graph.activities) == 1_500
    deep = render(graph, 1_500, up=True, down=False)
    assert len([line for line in deep.lines if "of run" in line]) == 1_500
    assert deep.hidden == 0
    chosen = render(graph, None, up=True, down=False)
    assert len(chosen.lines) <= PAGE
    assert chosen.hidden == 1_500 - len([line for line in chosen.lines if "of run" in line and line[-1] != "…"])
    assert chosen.is_cut
    assert len([line for line in render(graph, 2, up=True, down=False).lines if line.endswith("…")]) == 1


def test_no_more_is_looked_at_than_the_bounds_allow() -> None:
    known = records(activity(0, left=["a"]), *(activity(n, [exactly(0, "a")]) for n in range(1, 51)))
    graph = find(known, content("a"), Bounds(10, None))
    assert graph.more_users[digest("a")] == 40
    assert numbers(graph) == [0, *range(41, 51)]
    bounded = find(known, content("a"), Bounds(None, 10))
    assert len(bounded.activities) == 10
    assert len(bounded.not_followed) == 41
    assert len(find(known, content("a"), Bounds(None, None)).activities) == 51


def test_the_maker_that_a_name_means_is_looked_at_however_many_newer_ones_there_are() -> None:
    known = records(*(activity(n, left=["a"]) for n in range(1, 20)))
    meant = Subject("data", "best", (("a", digest("a")),), meant=frozenset({f"{3:036}"}))
    graph = find(known, meant, Bounds(2, None), down=False)
    assert numbers(graph) == [3, 18, 19]
    assert graph.more_makers[digest("a")] == 16
    lines = render(graph, None, up=True, down=False).lines
    assert [line.split()[1] for line in lines if "`best` means this one" in line] == ["3"]


def test_the_page_of_ten_thousand_executions_is_short_and_says_what_it_leaves_out() -> None:
    heirs = [activity(n, [exactly(0, "a")], [f"b{n}"], step=f"step-{n % 3}") for n in range(1, 10_001)]
    known = records(activity(0, left=["a"]), *heirs)
    graph = find(known, content("a"), Bounds(None, None), up=False)
    assert len(graph.activities) == 10_001
    page = render(graph, None, up=False, down=True)
    assert len(page.lines) < PAGE
    assert "… and 3,324 more executions of step-1: 1 … 9970" in page.lines
    picture = ElementTree.fromstring(draw(graph))
    boxes = [element for element in picture.iter() if element.get("class", "").startswith("node ")]
    assert len(boxes) <= BOXES


def test_files_of_one_maker_stand_together_and_many_are_folded() -> None:
    known = records(
        activity(1, left=[f"f{n}" for n in range(30)]), activity(2, [exactly(1, f"f{n}") for n in range(30)])
    )
    lines = render(find(known, of(2), down=False), None, up=True, down=False).lines
    assert sum("in/f" in line for line in lines) == 10
    assert any("… and 20 more files" in line for line in lines)
    assert sum("execution 1 (step)" in line for line in lines) == 1


def test_a_record_that_is_gone_is_told_in_the_place_where_it_was() -> None:
    known = records(activity(2, [exactly(1, "a")]))
    known.data[datum_id(f"{1:036}", "a")] = f"{1:036}", "gone"
    graph = find(known, of(2), down=False)
    assert graph.gone == {f"{1:036}"}
    lines = render(graph, None, up=True, down=False).lines
    assert f"execution {1:036}, whose record is not in this store any more" in lines[-1]
    ElementTree.fromstring(draw(graph))


def test_values_lead_upwards_and_downwards() -> None:
    known = records(activity(1), activity(2, values=(Value((f"{1:036}", "run of 1"), "best", "C"),)))
    assert numbers(find(known, of(2), down=False)) == [1, 2]
    assert numbers(find(known, of(1), up=False)) == [1, 2]
    (edge,) = [edge for edge in to_json(find(known, of(2)))["used"] if edge["kind"] == "value"]
    assert (edge["maker"], edge["key"], edge["parameter"]) == (f"{1:036}", "best", "C")


@pytest.mark.parametrize("direction", ["up", "down"])
def test_one_direction_does_not_read_the_other(direction: str) -> None:
    known = chain(9)
    find(known, of(4), up=direction == "up", down=direction == "down")
    expected = range(5) if direction == "up" else range(4, 9)
    assert sorted(int(id) for id in known.read) == list(expected)


def test_a_picture_reaches_as_far_as_it_is_asked_to() -> None:
    graph = find(chain(9), of(4))

    def boxes(depth: int | None) -> int:
        picture = ElementTree.fromstring(draw(graph, depth))
        return sum(element.get("class", "").startswith("node execution") for element in picture.iter())

    assert boxes(1) == 3
    assert boxes(2) == 5
    assert boxes(None) == 9
