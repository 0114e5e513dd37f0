"""What came of a file: everyone who got it, what they left, and who got that; nothing of those who only look alike."""

from typing import Any

from runner.digest import Digest, hash_bytes
from runner.store.catalog import data_of
from runner.upkeep.inventory import Inventory
from runner.upkeep.lineage import Heir, heirs

Scene = Any


def of(scene: Scene, data: bytes) -> list[Heir]:
    with scene.reading() as view:
        return heirs(view, Inventory(view.layout), Digest(hash_bytes(data)))


def test_heirs_of_heirs_are_found_and_who_got_nothing_is_not(scene: Scene) -> None:
    people = scene.execute("gather", {"people.csv": b"people"})
    model = scene.execute("train", {"model.pkl": b"model"}, inputs=data_of(people))
    report = scene.execute("report", {"report.md": b"report"}, inputs=data_of(model))
    scene.execute("train", {"model.pkl": b"another"})
    found = of(scene, b"people")
    assert [(heir.execution, heir.direct) for heir in found] == [(model.id, True), (report.id, False)]
    assert [[left.name for left in heir.outputs] for heir in found] == [["model.pkl"], ["report.md"]]
    assert of(scene, b"report") == []


def test_a_file_in_the_code_of_a_run_reached_its_executions(scene: Scene) -> None:
    scene.code = ("people",)
    execution = scene.execute(outputs={"model": b"m"})
    assert [(heir.execution, heir.direct) for heir in of(scene, b"people")] == [(execution.id, True)]


def test_an_empty_file_hands_nothing_on(scene: Scene) -> None:
    people = scene.execute("gather", {"people.csv": b"people"})
    middle = scene.execute("filter", {"empty": b""}, inputs=data_of(people))
    scene.execute("train", {"model": b"m"}, inputs=data_of(middle))
    assert [heir.execution for heir in of(scene, b"people")] == [middle.id]


def test_the_names_of_what_was_left_are_told_as_addresses(scene: Scene) -> None:
    people = scene.execute("gather", {"people.csv": b"people"})
    model = scene.execute("train", {"model.pkl": b"model"}, inputs=data_of(people))
    scene.name(model, "prod")
    scene.version(data_of(model), "models", "v1")
    ((left,),) = [heir.outputs for heir in of(scene, b"people")]
    assert left.names == ("datum://prod", "dataset://models/v1")


def test_a_run_that_cannot_be_read_does_not_hide_the_others(scene: Scene) -> None:
    people = scene.execute("gather", {"people.csv": b"people"})
    damaged, whole = (scene.execute("train", {"model": data}, inputs=data_of(people)) for data in (b"a", b"b"))
    with scene.layout.run(scene.run_of(damaged).id).journal.open("ab") as file:
        file.write(b"junk\n")
    assert [heir.execution for heir in of(scene, b"people")] == [whole.id]
