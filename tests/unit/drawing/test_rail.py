"""The rails at the left of a list of nodes."""

from runner.drawing.rail import Rail, bare, rails


def drawn(count: int, *pairs: tuple[int, int]) -> list[str]:
    found = rails(range(count), pairs, 12)
    assert found is not None
    return [rail.at("●").rstrip() for rail in found]


def test_a_chain_is_one_column() -> None:
    assert drawn(3, (0, 1), (1, 2)) == ["●", "●", "●"]


def test_a_rail_ends_at_the_last_node_that_takes_from_it() -> None:
    assert drawn(3, (0, 1), (0, 2)) == ["●", "├─●", "●"]


def test_nodes_that_nothing_joins_stand_below_one_another() -> None:
    assert drawn(3) == ["●", "●", "●"]


def test_all_rails_of_a_list_are_of_one_width() -> None:
    found = rails(range(4), [(0, 1), (0, 3), (1, 3), (2, 3)], 12)
    assert found is not None
    assert len({len(rail.at("●")) for rail in found} | {len(rail.below) for rail in found}) == 1


def test_a_tangle_has_none() -> None:
    pairs = [(source, target) for target in range(30) for source in range(target)]
    assert rails(range(30), pairs, 12) is None
    assert bare(2) == [Rail("", " ", "  ")] * 2
