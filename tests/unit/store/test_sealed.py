import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.store.sealed import seal, unseal

VALUES = st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.none(), st.lists(st.text())))


@given(VALUES)
def test_what_was_sealed_comes_back(value: dict[str, object]) -> None:
    assert unseal(seal(value)) == value


@given(VALUES, st.data())
def test_every_flipped_bit_is_noticed(value: dict[str, object], data: st.DataObject) -> None:
    sealed = bytearray(seal(value))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ValueError):
        unseal(bytes(sealed))


@pytest.mark.parametrize("cut", range(1, 20))
def test_a_file_that_was_cut_is_noticed(cut: int) -> None:
    with pytest.raises(ValueError):
        unseal(seal({"a": 1})[:-cut])


def test_a_file_of_format_1_is_read_as_it_is() -> None:
    assert unseal(json.dumps({"name": "prod"}).encode()) == {"name": "prod"}
