"""Ids of data."""

from runner.store.datum import datum_id


def test_an_output_has_the_same_id_wherever_it_is_looked_at_even_with_an_odd_name() -> None:
    assert datum_id("e", "a\udcff") == datum_id("e", "a\udcff")
    assert len({datum_id("e", "ab"), datum_id("ea", "b"), datum_id("e", "a\udcff")}) == 3
