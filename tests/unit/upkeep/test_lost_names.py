"""What a removal does when names, or the journal of what was removed, are lost: it mends them or refuses, and says the
same before as it does."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.app.withdrawal import withdraw
from runner.errors import ExitCode, MlrunError
from runner.store.naming import Refs
from runner.store.removal import Removals
from runner.upkeep.chain import store_journals

Lose = Callable[[Path], object]


def without_files(refs: Path) -> None:
    for path in refs.rglob("*"):
        if path.is_file() and path.name != "log":
            path.unlink()


def with_damaged_files(refs: Path) -> None:
    for path in refs.rglob("*"):
        if path.is_file() and path.name != "log":
            path.write_bytes(b"X")


@pytest.fixture
def wanted(scene: Any) -> list[str]:
    """Digests of what has a name, each of an execution of its own."""
    ones = [scene.execute(outputs={"model": data}) for data in (b"1", b"2", b"3")]
    scene.name(ones[0], "prod")
    with scene.writing() as store, store.refs.changing({"user": "me"}) as change:
        change.pin("execution", ones[1].id)
        change.pin("run", scene.run_of(ones[2]).id)
    return [one.outputs[0].digest for one in ones]


@pytest.mark.parametrize("lose", [without_files, with_damaged_files])
def test_names_whose_files_are_lost_are_mended_first_and_known_to_a_dry_plan(
    scene: Any, wanted: list[str], lose: Lose
) -> None:
    lose(scene.layout.refs)
    assert scene.plan().losers == []
    assert scene.collect().plan.losers == []
    assert all(map(scene.has, wanted))
    with scene.reading() as store:
        assert len(store.refs.pins()) == 2


@pytest.mark.parametrize("lose", [shutil.rmtree, lambda refs: (refs / "log").unlink()])
def test_a_removal_refuses_when_the_log_of_names_is_lost(scene: Any, wanted: list[str], lose: Lose) -> None:
    lose(scene.layout.refs)
    for attempt in (scene.plan, scene.collect):
        with pytest.raises(MlrunError, match="has lost what it once told") as caught:
            attempt()
        assert caught.value.code is ExitCode.STORE
    assert all(map(scene.has, wanted))


def test_a_store_that_never_had_names_has_lost_none(scene: Any) -> None:
    old = scene.execute(outputs={"model": b"1"})
    shutil.rmtree(scene.layout.refs)
    assert not Refs(scene.layout.refs, scene.layout.seen_names).has_lost_turns()
    assert scene.plan().losers == [old.id]
    scene.collect()
    assert not scene.has(old.outputs[0].digest)


# --- the journal of removals


@pytest.fixture
def removed_run(scene: Any) -> str:
    """The id of a run, the second of its project, that waits in the trash."""
    scene.execute()
    (one,) = withdraw(scene.settings, [scene.run_of(scene.execute()).id], force=False)
    return one.id


def test_a_removal_refuses_and_the_check_tells_when_the_journal_of_removals_is_lost(
    scene: Any, removed_run: str
) -> None:
    scene.layout.removed.unlink()
    other = scene.ended[0].id
    for attempt in (
        scene.plan,
        scene.collect,
        lambda: withdraw(scene.settings, [scene.run_of(scene.ended[0]).id], force=True),
    ):
        with pytest.raises(MlrunError, match="has lost what it once told") as caught:
            attempt()
        assert caught.value.code is ExitCode.STORE
    assert [one.name for one in scene.layout.trash.glob("*/runs/*")] == [removed_run]
    assert scene.run_of(scene.ended[0]).executions.keys() == {other}
    assert [one.code for one in store_journals(scene.layout)] == ["log-shortened"]


@pytest.mark.usefixtures("removed_run")
def test_numbers_of_runs_in_the_trash_are_not_given_out_when_journal_and_index_are_lost(scene: Any) -> None:
    for path in (scene.layout.removed, scene.layout.index):
        path.unlink()
    assert scene.run_of(later := scene.execute()).counter == 3
    assert later.counter == 3


def test_an_accepted_loss_of_the_journal_of_removals_is_made_good_from_the_trash(scene: Any, removed_run: str) -> None:
    scene.layout.removed.unlink()
    with scene.writing() as store:
        (problem,) = store.rebuild({"user": "me"})
        assert "has lost what it once told" in problem.message
        assert store.rebuild({"user": "me"}) == ()
    assert list(scene.removed().runs) == [removed_run]
    assert list(store_journals(scene.layout)) == []
    scene.collect()


@pytest.mark.parametrize("who", ["a check", "a removal"])
@pytest.mark.usefixtures("removed_run")
def test_how_long_the_journal_of_removals_was_may_be_forgotten_and_is_learned_again(scene: Any, who: str) -> None:
    scene.layout.seen_removals.unlink()
    assert list(store_journals(scene.layout)) == []
    assert not scene.layout.seen_removals.exists()
    if who == "a check":
        assert list(store_journals(scene.layout, writable=True)) == []
    else:
        scene.collect(last=9)
    scene.layout.removed.unlink()
    assert Removals(scene.layout).has_lost_turns()
