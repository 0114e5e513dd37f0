"""Who names how much."""

from typing import Any

from runner.store.packed import Packed
from runner.store.recipe import Piece, make_recipe
from runner.upkeep.ledger import By, Ledger, keep_ledger

Scene = Any


def ledger(scene: Scene, by: By) -> Ledger:
    with scene.reading() as view:
        return keep_ledger(view, by)


def own(kept: Ledger) -> dict[str, int]:
    return {account.holder.name or account.holder.project: account.own.size for account in kept.accounts}


def named(kept: Ledger) -> dict[str, int]:
    return {account.holder.name or account.holder.project: account.named.size for account in kept.accounts}


def total(kept: Ledger) -> int:
    return kept.shared.size + kept.unnamed.size + sum(account.own.size for account in kept.accounts)


def objects(scene: Scene) -> int:
    return sum(path.stat().st_size for path in scene.layout.objects.glob("??/*"))


def test_what_two_projects_name_is_counted_once_and_told_as_shared(scene: Scene) -> None:
    for project in ("p1", "p2"):
        scene.execute(outputs={"same": b"s" * 1000, "own": project.encode() * 50}, project=project)
    kept = ledger(scene, By.PROJECT)
    assert named(kept)["p1"] - own(kept)["p1"] == kept.shared.size > 1000
    assert total(kept) == objects(scene)


def test_every_way_to_tell_counts_every_byte_once(scene: Scene) -> None:
    data = scene.execute("clean", {"data": b"d" * 500})
    scene.execute("train", {"model": b"m" * 700}, [scene.datum(data)])
    scene.put(b"nobody's")
    for by in By:
        kept = ledger(scene, by)
        assert total(kept) == objects(scene) and kept.unnamed.size == 8, by


def test_the_kinds_of_files_are_told(scene: Scene) -> None:
    scene.execute(outputs={"model": b"m" * 700})
    sizes = own(ledger(scene, By.KIND))
    assert sizes["outputs"] == 700 and sizes["spec"] == len(b"- step")
    assert set(sizes) == {"outputs", "logs", "code", "spec", "metrics"}


def test_an_execution_has_its_number(scene: Scene) -> None:
    first, second = (scene.execute(outputs={"m": data}) for data in (b"1" * 10, b"2" * 2000))
    logs = {one.counter: sum(len(b"done\n" + one.id.encode() + part) for part in (b"stdout", b"stderr", b"index"))
            for one in (first, second)}  # fmt: skip
    sizes = own(ledger(scene, By.EXECUTION))
    assert sizes["1"] == 10 + logs[1] and sizes["2"] == 2000 + logs[2]


def test_the_parts_of_a_packed_object_belong_to_who_names_it(scene: Scene) -> None:
    one = scene.execute("train", {"model": b"m" * 3000})
    digest, source = one.outputs[0].digest, scene.put(b"x" + b"m" * 3000)
    Packed(scene.layout.packed).put(digest, make_recipe([Piece(source, 1, 3000)]))
    (scene.layout.objects / digest[:2] / digest).unlink()
    kept = ledger(scene, By.STEP)
    assert kept.unnamed.size == 0 and own(kept)["train"] > 3001


def test_a_run_that_cannot_be_read_is_counted_as_such(scene: Scene) -> None:
    one = scene.execute(outputs={"model": b"m" * 3000})
    scene.layout.run(scene.run_of(one).id).journal.write_bytes(b"broken\n")
    kept = ledger(scene, By.PROJECT)
    assert kept.unread == 1 and kept.unnamed.size == objects(scene)
