"""Which recipes need an object: also those in the trash, and none that cannot be read."""

import pytest

from runner.digest import Digest, hash_bytes
from runner.store.packed import Packed
from runner.store.recipe import Piece, Recipe
from runner.store.store import Store
from runner.store.trash import Trash
from runner.upkeep.lead import Leads
from runner.upkeep.turn import Turn, alone

A, B, C = (hash_bytes(name) for name in (b"a", b"b", b"c"))


def of(source: Digest, offset: int = 0) -> Recipe:
    return Recipe((Piece(source, offset, 10),))


@pytest.fixture
def turn(store: Store) -> Turn:
    with alone(store.layout) as turn:
        yield turn


def test_a_store_without_recipes_leads_nowhere(turn: Turn) -> None:
    leads = Leads(turn)
    assert leads.to(A) == set()
    assert list(leads.of(A)) == []
    leads.redirect({A: of(B)})


def test_a_recipe_in_the_trash_counts_and_is_redirected_there(store: Store, turn: Turn) -> None:
    Leads(turn).put(A, of(B))
    trash = Trash(store.layout)
    batch = trash.begin("gc", "me")
    trash.move(batch, Packed(store.layout.packed).path(A))
    leads = Leads(turn)
    assert leads.to(B) == {A}
    leads.redirect({B: of(C, 5)})
    assert (leads.to(B), leads.to(C)) == (set(), {A})
    ((path, recipe),) = leads.of(A)
    assert path.is_relative_to(trash.folder(batch))
    assert recipe == of(C, 5)


def test_a_recipe_that_cannot_be_read_leads_nowhere_and_stays_as_it_is(store: Store, turn: Turn) -> None:
    path = Packed(store.layout.packed).path(A)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"{}")
    Leads(turn).put(B, of(C))
    leads = Leads(turn)
    assert list(leads.of(A)) == []
    assert leads.to(C) == {B}
    leads.redirect({C: of(A)})
    assert path.read_bytes() == b"{}"


def test_a_recipe_that_was_removed_meanwhile_needs_nothing(store: Store, turn: Turn) -> None:
    leads = Leads(turn)
    leads.put(A, of(B))
    Packed(store.layout.packed).remove(A)
    assert leads.to(B) == set()
    leads.redirect({B: of(C)})
    assert not Packed(store.layout.packed).path(A).exists()


def test_an_object_is_never_described_by_itself(store: Store, turn: Turn) -> None:
    leads = Leads(turn)
    leads.put(A, of(B))
    leads.redirect({B: of(A)})
    assert Packed(store.layout.packed).find(A) is None
