"""When nodes were at work, and the table that tells it."""

import io
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from runner.cli import presentation
from runner.cli.presentation import results_line
from runner.cli.summary import final_table, path_text, timeline_rows
from runner.cli.timeline import Span, bar, critical_path, tracks
from runner.digest import Digest
from runner.goal import Goal
from runner.state import Reason, State
from runner.store.record import Code, Execution, NodeRecord, OutputFile, Owner, ProjectRef, Reused, Run

BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NOW = BEGAN + timedelta(seconds=100)


def at(seconds: float | None) -> str | None:
    return None if seconds is None else (BEGAN + timedelta(seconds=seconds)).isoformat()


def execution(counter: int, node: str, began: float | None, ended: float | None, **more: Any) -> Execution:
    state = State.RUNNING if ended is None else State.SUCCEEDED
    times = {"created": at(began or 0), "started": at(began), "finished": at(ended)}
    return Execution(str(counter), counter, node, "s", {}, **{"state": state, **times, **more})


def run_of(nodes: list[NodeRecord], executions: list[Execution], **plan: Any) -> Run:
    upstream = plan.pop("upstream", {})
    goals = plan.pop("goals", {})
    told = [
        {"name": node.name, "step": node.step, "upstream": upstream.get(node.name, [])}
        | ({"goal": goals[node.name]} if node.name in goals else {})
        for node in nodes
        if node.trial_of is None
    ]
    attempts: dict[str, tuple[str, ...]] = {}
    for one in executions:
        attempts[one.node] = (*attempts.get(one.node, ()), one.id)
    header = {
        "project": ProjectRef("p", "p", "/p", "valohai.yaml"),
        "title": None,
        "tags": (),
        "argv": (),
        "code": Code(Digest("0" * 64)),
        "spec": Digest("1" * 64),
        "executor": "sandbox",
        "host": {},
        "version": "1",
        "owner": Owner("h", "b", 1, 1),
        "created": at(0),
        "state": State.SUCCEEDED,
        "finished": at(40),
    } | plan
    return Run(
        "id",
        3,
        "pipeline",
        "p",
        plan={"nodes": told},
        nodes={node.name: replace(node, executions=attempts.get(node.name, ())) for node in nodes},
        executions={one.id: one for one in executions},
        **header,
    )


CHAIN = run_of(
    [NodeRecord(name, "s", state=State.SUCCEEDED) for name in ("a", "b", "c", "d")],
    [
        execution(1, "a", 0, 10, metrics={"loss": 0.5}),
        execution(2, "b", 10, 12),
        execution(3, "c", 10, 30),
        execution(4, "d", 30, 40),
    ],
    upstream={"b": ["a"], "c": ["a"], "d": ["b", "c"]},
)


def test_a_row_has_a_bar_where_its_node_was_at_work() -> None:
    lines = final_table(CHAIN, NOW).splitlines()
    assert lines == [
        "node  state      execution  duration  timeline                  metrics",
        "a     succeeded  #1         10 s      ━━━━━━                    loss=0.5",
        "b     succeeded  #2         2.0 s           ━",
        "c     succeeded  #3         20 s            ━━━━━━━━━━━━",
        "d     succeeded  #4         10 s                        ━━━━━━",
    ]


def test_the_critical_path_goes_back_from_the_node_that_ended_last() -> None:
    assert [track.node.name for track in critical_path(CHAIN, tracks(CHAIN, NOW))] == ["a", "c", "d"]
    assert path_text(CHAIN, NOW) == "a → c → d; c took 20 s of 40 s"


def test_of_one_node_at_work_no_path_is_told() -> None:
    nodes = [NodeRecord("a", "s", state=State.SUCCEEDED), NodeRecord("b", "s", state=State.SKIPPED)]
    assert path_text(run_of(nodes, [execution(1, "a", 0, 10)]), NOW) is None
    assert path_text(run_of(nodes, []), NOW) is None


def test_attempts_are_bars_of_their_own_and_the_pause_between_them_is_none() -> None:
    nodes = [NodeRecord("a", "s", state=State.SUCCEEDED)]
    run = run_of(nodes, [execution(1, "a", 0, 10), execution(2, "a", 30, 40)])
    row = final_table(run, NOW).splitlines()[1]
    assert row == "a     succeeded  #1, #2     20 s      ━━━━━━            ━━━━━━"


def test_what_did_not_run_is_marked_in_words() -> None:
    nodes = [
        NodeRecord("a", "s", state=State.REUSED, reused=Reused("x", 7, "r")),
        NodeRecord("b", "s", state=State.SKIPPED, reason=Reason.UPSTREAM),
        NodeRecord("名前", "s", state=State.AWAITING_APPROVAL),
    ]
    assert final_table(run_of(nodes, []), NOW, {"a": {"loss": 0.25}}).splitlines()[1:] == [
        "a     reused             #7                                             loss=0.25",
        "b     skipped",
        "名前  awaiting-approval",
    ]


def sweep(count: int) -> Run:
    nodes = [NodeRecord("sweep", "t", "task", State.FAILED, Reason.TRIAL)]
    executions = []
    for number in range(1, count + 1):
        name, state, reason = f"sweep.{number}", State.SUCCEEDED, Reason.EXIT
        if number % 5 == 0:
            state, reason = State.STOPPED, Reason.PRUNED
        elif number == 3:
            state = State.FAILED
        values = {"lr": number / 10}
        nodes.append(NodeRecord(name, "t", "execution", state, reason, trial_of="sweep", parameters=values))
        metrics = {"accuracy": number / count}
        executions.append(execution(number, name, number, number + 1, state=state, metrics=metrics))
    goal = {"metric": "accuracy", "aim": "maximize"}
    return run_of(nodes, executions, goals={"sweep": goal})


def test_a_task_is_one_row_with_the_count_of_its_trials_and_the_best_of_them() -> None:
    lines = final_table(sweep(9), NOW).splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("sweep  failed  9 trials   9.0 s ")
    assert lines[1].endswith("7/9 done · 1 failed · 1 pruned · best accuracy 1 (trial 9: lr=0.9)")


def test_a_task_that_was_stopped_says_of_how_many_trials() -> None:
    run = sweep(9)
    unbegun = NodeRecord("sweep.10", "t", state=State.SKIPPED, reason=Reason.STOP, trial_of="sweep")
    nodes = run.nodes | {"sweep": replace(run.nodes["sweep"], size=50), "sweep.10": unbegun}
    row = final_table(replace(run, nodes=nodes), NOW).splitlines()[1]
    assert row.startswith("sweep  failed  9 of 50 trials  9.0 s ")
    assert "7/50 done · 1 failed · 1 pruned · 1 skipped" in row


def test_a_trial_that_was_given_up_is_not_the_best() -> None:
    assert "best accuracy 0.9 (trial 9: lr=0.9)" in final_table(sweep(10), NOW)


def test_rows_of_a_page_tell_when_a_node_began() -> None:
    assert timeline_rows(CHAIN, NOW)[1] == ("b", "|      ━                 |", "+10 s", "2.0 s")


def test_what_still_runs_has_done_so_until_now() -> None:
    run = run_of(
        [NodeRecord("a", "s", state=State.RUNNING)], [execution(1, "a", 40, None)], finished=None, state=State.RUNNING
    )
    [track] = tracks(run, NOW)
    assert track.spans == (Span(40, 100),)


def test_how_long_an_execution_took_that_lost_its_runner_nobody_knows() -> None:
    lost = execution(1, "a", 0, 3600, state=State.INTERRUPTED, reason=Reason.RUNNER_LOST)
    node = NodeRecord("a", "s", state=State.INTERRUPTED)
    row = final_table(run_of([node], [lost]), NOW).splitlines()[1]
    assert row == "a     interrupted  #1                   ━"
    assert path_text(run_of([node, NodeRecord("b", "s")], [lost, replace(lost, id="2", node="b")]), NOW) is None
    (track,) = tracks(run_of([node], [lost, execution(2, "a", 3601, 3611)]), NOW)
    assert track.took == 10


def test_an_execution_whose_end_was_never_recorded_has_no_length() -> None:
    lost = execution(1, "a", 5, None, state=State.INTERRUPTED)
    run = run_of([NodeRecord("a", "s", state=State.INTERRUPTED)], [lost], finished=None, state=State.INTERRUPTED)
    assert tracks(run, NOW)[0].spans == (Span(5, 5),)
    assert final_table(run, NOW)


@pytest.mark.parametrize(
    ("spans", "drawn"),
    [
        ([], "          "),
        ([Span(0, 100)], "=========="),
        ([Span(0, 0)], "=         "),
        ([Span(100, 100)], "         ="),
        ([Span(99.9, 100)], "         ="),
        ([Span(0, 10), Span(50, 60)], "=    =    "),
    ],
)
def test_every_span_is_seen(spans: list[Span], drawn: str) -> None:
    assert bar(spans, 100, 10, ascii=True) == drawn


def test_a_run_of_no_length_has_bars_all_the_same() -> None:
    assert bar([Span(0, 0)], 0, 4, ascii=True) == "===="


def test_where_the_signs_lack_plain_letters_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    final_table(CHAIN, NOW).encode("ascii")
    str(path_text(CHAIN, NOW)).encode("ascii")


@pytest.mark.parametrize(("aim", "costs"), [("maximize", [-1, -2]), ("minimize", [1, 2]), (2.0, [1, 0])])
def test_a_goal_says_how_bad_a_value_is(aim: Any, costs: list[float]) -> None:
    assert [Goal("m", aim).cost(value) for value in (1, 2)] == costs


def test_what_a_node_left_before_another_stood_for_it_is_not_what_the_run_has_come_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [{"id": "old", "outputs": 0}]
    store = SimpleNamespace(rows_of=lambda kind, ids: [row for row in rows if row["id"] in ids])
    monkeypatch.setattr(presentation, "open_store", lambda: nullcontext(store))
    left = (OutputFile("a.txt", Digest("2" * 64), 1),)
    executions = [execution(1, "first", 0, 1, outputs=left), execution(2, "last", 1, 2, outputs=left)]
    nodes = [
        NodeRecord("first", "s", state=State.SUCCEEDED),
        NodeRecord("last", "s", state=State.REUSED, reused=Reused("old", 1, "r")),
    ]
    assert "`mlrun outputs 1`" in str(results_line(run_of(nodes, executions)))
    rows[0]["outputs"] = 1
    assert "`mlrun outputs run:3 --node last`" in str(results_line(run_of(nodes, executions)))
