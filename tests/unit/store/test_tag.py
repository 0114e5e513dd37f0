"""Which tags a run or an execution has."""

import pytest

from runner.store.ref import Tagging
from runner.store.store import Store
from runner.store.tag import Tags

from .conftest import Header, reader, tell, whole_run

RUN = {"id": "r1", "tags": ["own", "also"]}
EXECUTION = {"id": "e1", "run": "r1", "tags": ["own", "also"]}


@pytest.mark.parametrize(
    ("taggings", "run", "execution"),
    [
        ([], ["own", "also"], ["own", "also"]),
        ([Tagging("new", has={"r1": "run"})], ["own", "also", "new"], ["own", "also", "new"]),
        ([Tagging("new", has={"e1": "execution"})], ["own", "also"], ["own", "also", "new"]),
        ([Tagging("own", without={"r1": "run"})], ["also"], ["also"]),
        ([Tagging("own", without={"e1": "execution"})], ["own", "also"], ["also"]),
        ([Tagging("own", has={"e1": "execution"}, without={"r1": "run"})], ["also"], ["also", "own"]),
        ([Tagging("own", has={"r1": "run", "e1": "execution"})], ["own", "also"], ["own", "also"]),
        ([Tagging("x", has={"r1": "run"}, without={"e1": "execution"})], ["own", "also", "x"], ["own", "also"]),
        ([Tagging("x", has={"another": "run"})], ["own", "also"], ["own", "also"]),
    ],
)
def test_an_execution_has_the_tags_of_its_run_and_its_own(
    taggings: list[Tagging], run: list[str], execution: list[str]
) -> None:
    tags = Tags(taggings)
    assert tags.laid_over(RUN)["tags"] == run
    assert tags.laid_over(EXECUTION)["tags"] == execution


def test_tags_are_in_rows_of_the_index_and_of_journals_alike(store: Store, header: Header) -> None:
    ended = whole_run(store, header("a"))
    live = store.begin_run(header("a"))
    running = tell(live, end=False)
    (done,) = store.run(ended.id).executions
    with store.refs.changing({"user": "me"}) as change:
        for run, execution in ((ended.id, done), (live.id, running)):
            change.tag("run", run, "of run", own=False)
            change.tag("execution", execution, "of execution", own=False)
            change.untag("run", run, "best", own=True)
    with reader(store) as other:
        for seen in (store, other):
            assert [row["tags"] for row in seen.runs()] == [["of run"]] * 2
            assert [row["tags"] for row in seen.executions()] == [["of run", "of execution"]] * 2
            assert [row["tags"] for row in seen.parts("execution", "p1", ["tags"])] == [["of run", "of execution"]] * 2
            assert [row["tags"] for row in seen.rows_of("execution", [done, running])] == [
                ["of run", "of execution"]
            ] * 2
            run, execution = seen.find_execution("p1", "1")
            assert seen.tags_of(run) == ("of run",)
            assert seen.tags_of(run, execution) == ("of run", "of execution")
            assert run.tags == ("best",), "the record itself does not change"
