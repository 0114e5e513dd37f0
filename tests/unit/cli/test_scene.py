"""What the live display shows of a run, by the size of the terminal."""

from collections.abc import Iterable

import pytest

from runner.cli.board import Board
from runner.cli.scene import Scene
from runner.escape import display_width
from runner.events import (
    ApprovalAsked,
    ApprovalDecided,
    Event,
    ImagePulled,
    InputFetched,
    LogArrived,
    MetricsArrived,
    NodeChanged,
    NodeShown,
    RunStarted,
    TrialsAdded,
)
from runner.goal import Goal
from runner.state import Reason, State
from tests.cost import steps

NODES = (
    NodeShown("prep", "s", "i", ()),
    NodeShown("sweep", "t", "i", ("prep",), kind="task", goal=Goal("accuracy", "maximize")),
    NodeShown("deploy", "d", "i", ("sweep", "prep")),
)


def started(*nodes: NodeShown) -> RunStarted:
    return RunStarted("id", 3, "pipeline", "p", "sandbox", nodes)


def trials(count: int, size: int | None) -> TrialsAdded:
    shown = (
        NodeShown(f"sweep.{number}", "t", "i", ("prep",), trial_of="sweep", parameters={"lr": number / 10, "depth": 4})
        for number in range(1, count + 1)
    )
    return TrialsAdded("sweep", tuple(shown), size)


def running(name: str) -> list[Event]:
    return [NodeChanged(name, State.STARTING, execution=1), NodeChanged(name, State.RUNNING, execution=1)]


def scene_after(events: Iterable[Event]) -> Scene:
    board = Board()
    for event in events:
        board.take(event)
    return Scene(board)


def shown(scene: Scene, width: int = 100, height: int = 30, question: str | None = None) -> list[str]:
    lines = ["".join(text for text, _ in line).rstrip() for line in scene.lines(width, height, question)]
    assert len(lines) <= height
    assert all(display_width(line) <= width for line in lines)
    return lines


def squeezed(lines: list[str]) -> list[str]:
    return [" ".join(line.split()) for line in lines]


SWEEPING: list[Event] = [
    started(*NODES),
    NodeChanged("prep", State.SUCCEEDED, duration=1.0),
    NodeChanged("sweep", State.RUNNING),
    trials(6, 50),
    *running("sweep.1"),
    *running("sweep.2"),
    MetricsArrived("sweep.1", {"accuracy": 0.5}),
    NodeChanged("sweep.1", State.SUCCEEDED, Reason.EXIT, duration=1.0),
    NodeChanged("sweep.3", State.STOPPED, Reason.PRUNED),
    NodeChanged("sweep.4", State.FAILED, Reason.EXIT, "command 1 failed"),
]


def test_nodes_stand_in_the_order_of_the_graph_with_rails_to_what_they_wait_for() -> None:
    lines = shown(scene_after([started(*NODES)]))
    assert lines[1:] == [
        "·   prep    waiting",
        "├─· sweep   waiting    after prep",
        "·─╯ deploy  waiting    after sweep, prep",
    ]


def test_what_a_node_waits_for_is_told_until_it_is_done() -> None:
    lines = shown(scene_after([started(*NODES), NodeChanged("prep", State.REUSED, detail="execution 4 of run 2")]))
    assert lines[1].endswith("reused     execution 4 of run 2")
    assert lines[2].endswith("waiting")
    assert lines[3].endswith("after sweep")


def test_the_trials_of_a_task_are_one_row_and_below_it_those_that_run() -> None:
    lines = squeezed(shown(scene_after(SWEEPING), 200))
    assert lines[2].startswith("├─▸ sweep running ")
    assert lines[2].endswith(
        " s 1/50 done · 1 running · 1 failed · 1 pruned · best accuracy 0.5 (trial 1: lr=0.1, depth=4)"
    )
    assert lines[3].startswith("│ │ ▸ sweep.2 running ")
    assert lines[3].endswith(" s lr=0.2, depth=4")
    assert lines[4].startswith("·─╯ deploy waiting")


@pytest.mark.parametrize(("aim", "best"), [("maximize", 3), ("minimize", 1), (0.25, 2)])
def test_the_best_trial_is_the_one_that_the_goal_seeks(aim: "float | str", best: int) -> None:
    goal = Goal("accuracy", aim)  # type: ignore[arg-type]
    events: list[Event] = [started(NodeShown("sweep", "t", "i", (), kind="task", goal=goal)), trials(4, None)]
    for number, value in ((1, 0.1), (2, 0.2), (3, 0.9)):
        events += [
            MetricsArrived(f"sweep.{number}", {"accuracy": value}),
            NodeChanged(f"sweep.{number}", State.SUCCEEDED),
        ]
    events += [MetricsArrived("sweep.4", {"accuracy": float("nan")}), NodeChanged("sweep.4", State.SUCCEEDED)]
    events += [NodeChanged("sweep", State.RUNNING)]
    assert f"4 done · best accuracy {[0, 0.1, 0.2, 0.9][best]} (trial {best}: " in shown(scene_after(events), 200)[1]


def test_many_nodes_side_by_side_are_one_row_and_few_are_not() -> None:
    folds = [NodeShown(f"fold-{number}", "fold", "i", ("prep",)) for number in range(40)]
    below = NodeShown("mean", "m", "i", tuple(fold.name for fold in folds))
    events = [started(NODES[0], *folds, below), *running("fold-3"), NodeChanged("fold-0", State.SUCCEEDED)]
    lines = squeezed(shown(scene_after(events)))
    assert lines[2] == "▸ fold ×40 running 1/40 done · 1 running"
    assert lines[3].startswith("│ ▸ fold-3 running")
    assert lines[4] == "· mean waiting after fold ×40"
    assert len(shown(scene_after([started(NODES[0], *folds[:12])]))) == 14


def test_what_has_no_room_is_counted_and_what_runs_or_failed_is_shown_first() -> None:
    chain = [NodeShown(f"n{number}", f"s{number}", "i", (f"n{number - 1}",) if number else ()) for number in range(100)]
    events: list[Event] = [started(*chain)]
    events += [NodeChanged(f"n{number}", State.SUCCEEDED) for number in range(40)]
    events += [*running("n50"), NodeChanged("n45", State.FAILED, Reason.EXIT, "command 1 failed")]
    lines = squeezed(shown(scene_after(events), 80, 10))
    assert len(lines) == 10
    assert [line.split()[1] for line in lines[1:9]] == ["n40", "n41", "n42", "n43", "n44", "n45", "n46", "n50"]
    assert lines[6] == "✗ n45 failed command 1 failed"
    assert lines[9] == "… 92 more: 52 waiting, 40 succeeded"


def test_every_trial_that_runs_has_room_only_as_far_as_the_terminal_is_high() -> None:
    events = [started(*NODES), NodeChanged("sweep", State.RUNNING), trials(200, 200)]
    events += [change for number in range(1, 201) for change in running(f"sweep.{number}")]
    scene = scene_after(events)
    for height in (1, 2, 3, 5, 12, 24, 60):
        lines = shown(scene, 100, height)
        if height >= 8:
            assert any("0/200 done · 200 running" in line for line in lines)
            assert sum("▸ sweep." in line for line in lines) == height - 4


@pytest.mark.parametrize("width", [1, 5, 12, 20, 40, 64, 80, 300])
@pytest.mark.parametrize("height", [1, 2, 4, 8, 24])
def test_no_terminal_is_too_small(width: int, height: int) -> None:
    events = [*SWEEPING, ApprovalAsked("deploy", "node-starting"), LogArrived("sweep.2", "stdout", b"hello\tyou\n" * 9)]
    scene = scene_after(events)
    scene.pulls["busybox"] = ImagePulled("busybox", "layer 3", 1, 2)
    for number in range(9):
        scene.fetches["a", str(number)] = InputFetched("a", str(number), 1, 2)
    shown(scene, width, height)
    shown(scene, width, height, "approve `deploy` (node-starting)? [y/n/later] ")


def test_on_a_narrow_terminal_what_matters_of_a_node_stands_below_it() -> None:
    lines = shown(scene_after(SWEEPING), 40, 20)
    assert lines[2].startswith("├─▸ sweep")
    assert "1/50 done · 1 running" in lines[3]


def test_a_retry_is_told_with_what_failed_and_when_it_is_tried_again() -> None:
    said = "command 1 failed with 1; attempt 2 of 3 in 2 s"
    events = [started(*NODES), *running("prep"), NodeChanged("prep", State.WAITING, Reason.RETRY, said)]
    assert squeezed(shown(scene_after(events)))[1] == f"↻ prep retrying {said}"
    assert squeezed(shown(scene_after([*events, *running("prep")])))[1].endswith("attempt 2")


def test_an_approval_stands_out_with_what_is_to_be_typed_until_it_is_decided() -> None:
    asked = [*SWEEPING, NodeChanged("deploy", State.AWAITING_APPROVAL), ApprovalAsked("deploy", "node-starting")]
    scene = scene_after(asked)
    assert squeezed(shown(scene))[5] == "?─╯ deploy awaiting-approval"
    assert shown(scene, 200)[-1].startswith(
        "deploy: awaiting approval (node-starting): `mlrun approve run:3 deploy` lets"
    )
    assert shown(scene, 100, 3, "approve?")[-1] == "approve?"
    scene.board.take(ApprovalDecided("deploy", "node-starting", approved=True, by="ann"))
    assert "approve" not in "\n".join(shown(scene))


def test_foreign_names_cannot_speak_to_the_terminal() -> None:
    evil = "\x1b[2J\u202eevil"
    nodes = (NodeShown(evil, evil, "i", ()), NodeShown("sweep", evil, "i", (evil,), kind="task"))
    trial = NodeShown("sweep.1", evil, "i", (), trial_of="sweep", parameters={evil: evil})
    events = [
        started(*nodes),
        TrialsAdded("sweep", (trial,), 1),
        *running("sweep.1"),
        NodeChanged("sweep", State.RUNNING),
        MetricsArrived("sweep.1", {evil: 1}),
        LogArrived(evil, "stdout", evil.encode() + b"\n"),
        ApprovalAsked(evil, "node-starting"),
    ]
    scene = scene_after(events)
    scene.pulls[evil] = ImagePulled(evil, evil, 1, 2)
    assert not set("\x1b\u202e") & set("".join(shown(scene, 200, 40)))


def test_a_scene_costs_the_same_however_many_nodes_there_are() -> None:
    """Counted in looks at nodes, so that no clock can make it fail."""
    looks = 0

    class Counting(dict):  # type: ignore[type-arg]
        def __getitem__(self, key: str) -> object:
            nonlocal looks
            looks += 1
            return super().__getitem__(key)

    events = [started(*NODES), NodeChanged("sweep", State.RUNNING), trials(5000, 5000)]
    scene = scene_after([*events, *(change for number in range(1, 3000) for change in running(f"sweep.{number}"))])
    scene.board.nodes = Counting(scene.board.nodes)
    shown(scene, 100, 30)
    assert looks <= 30


def test_an_event_costs_the_same_however_many_trials_there_are() -> None:
    def cost(count: int) -> int:
        board = scene_after([started(*NODES), trials(count, count)]).board

        def tell() -> None:
            for number in range(1, count + 1):
                for event in (*running(f"sweep.{number}"), NodeChanged(f"sweep.{number}", State.SUCCEEDED)):
                    board.take(event)

        taken = steps(tell)
        found = board.units[1].group
        assert found is not None
        assert (found.over, found.members.words["succeeded"], found.members.words["running"]) == (count, count, 0)
        return taken

    assert cost(1000) < 11 * cost(100)
