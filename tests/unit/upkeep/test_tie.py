"""What a run is tied to: everything that would point to nothing without it, and nothing else."""

from typing import Any

from runner.digest import hash_bytes
from runner.store.catalog import data_of
from runner.store.record import Execution
from runner.upkeep.tie import ties

from .test_reuse import reuse

Scene = Any


def told(scene: Scene, execution: Execution) -> list[str]:
    with scene.reading() as view:
        return list(ties(view, scene.run_of(execution)))


def test_a_run_that_nobody_needs_has_no_tie(scene: Scene) -> None:
    execution = scene.execute(outputs={"model": b"m"})
    other = scene.execute(outputs={"other": b"o"})
    scene.name(other, "prod")
    scene.version(data_of(other), "d", "v1")
    assert told(scene, execution) == []


def test_every_kind_of_tie_is_told_once(scene: Scene) -> None:
    execution = scene.execute(outputs={"a": b"a", "b": b"b"})
    data = data_of(execution)
    run = scene.run_of(execution)
    with scene.writing() as store, store.refs.changing({"user": "me"}) as change:
        change.pin("run", run.id)
        change.pin("execution", execution.id)
        change.pin("datum", data[0].id, None, data[0])
    scene.name(execution, "prod")
    scene.version(data, "d", "v1")
    user = scene.execute("evaluate", inputs=data)
    assert told(scene, execution) == [
        "it is pinned",
        f"execution {execution.counter} is pinned",
        "`a` is pinned",
        "`a` has the alias `prod`",
        "files of it are in dataset `d/v1`",
        f"execution {user.counter} of run {scene.run_of(user).counter} (evaluate) got files of it",
    ]


def test_runs_that_go_together_are_no_tie_of_each_other(scene: Scene) -> None:
    execution = scene.execute(outputs={"a": b"a"})
    user = scene.run_of(scene.execute("evaluate", inputs=data_of(execution)))
    other = reuse(scene, execution)
    run = scene.run_of(execution)
    with scene.reading() as view:
        assert len(list(ties(view, run, [user.id]))) == len(list(ties(view, run, [other.id]))) == 1
        assert list(ties(view, run, [run.id, user.id, other.id])) == []


def test_an_execution_that_got_the_same_bytes_from_another_is_no_tie(scene: Scene) -> None:
    first, second = (scene.execute(outputs={"model": b"same"}) for _ in range(2))
    scene.execute("evaluate", inputs=data_of(second))
    assert told(scene, first) == []
    assert len(told(scene, second)) == 1


def test_other_runs_for_whose_nodes_it_stands_and_work_it_was_accepted_for_are_ties(scene: Scene) -> None:
    execution = scene.execute(outputs={"model": b"m"})
    other = reuse(scene, execution)
    with scene.writing() as store, store.refs.changing({"user": "me"}) as change:
        change.accept(hash_bytes(b"key"), hash_bytes(b"code"), execution.id, scene.run_of(execution).id)
    assert told(scene, execution) == [
        f"execution {execution.counter} stands for node `train` of run {other.counter} (train)",
        f"execution {execution.counter} is accepted in the place of other work",
    ]


def test_names_of_files_cannot_steer_the_terminal(scene: Scene) -> None:
    execution = scene.execute(outputs={"\x1b[2J": b"m"})
    scene.name(execution, "prod")
    (tie,) = told(scene, execution)
    assert "\x1b" not in tie
