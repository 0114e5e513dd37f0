import json
import math

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from runner.worker.document import to_json, to_yaml

_WORDS = ["yes", "No", "null", "~", "1e5", "0x1F", "12:30:45", "2024-01-01", ".inf", "<<", "=", "a: b", "- a", "y"]
_SIGNS = ["", " ", "#", "a #b", "a\nb", "\x85", "\u2028", "\ufeff", "\x7f", "\udcff", "é", "\U0001f600", "x" * 2000]
_text = st.one_of(st.text(), st.sampled_from(_WORDS), st.sampled_from(_SIGNS))
_scalar = st.one_of(st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), _text, st.none())
_value = st.recursive(
    _scalar,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_text, inner, max_size=4)),
    max_leaves=12,
)
_document = st.dictionaries(_text, _value, max_size=5)


@given(_document)
@example({"a": 1e-05, "b": 1e22, "c": -1.5e-300, "d": 5.0, "e": True, "f": [64, 32], "g": []})
@example({"a": [[1, [2, {"b": [3]}]], {"c": {"d": 1}, "e": [{}]}]})
@example({"x" * 2000: {"y" * 2000: [{"z" * 2000: 1}]}})
def test_yaml_and_json_hold_the_same_data(document: dict[str, object]) -> None:
    assert json.loads(to_json(document)) == document
    assert yaml.safe_load(to_yaml(document)) == document


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinity_is_a_number_in_both(value: float) -> None:
    assert json.loads(to_json({"a": value})) == yaml.safe_load(to_yaml({"a": value})) == {"a": value}


def test_nan_is_a_number_in_both() -> None:
    assert math.isnan(json.loads(to_json({"a": math.nan}))["a"])
    assert math.isnan(yaml.safe_load(to_yaml({"a": math.nan}))["a"])


def test_yaml_reads_well() -> None:
    document = {"epochs": 5, "lr": 0.001, "augment": False, "model": "svm", "layers": [64, 32], "note": "yes"}
    assert to_yaml(document).decode() == (
        'epochs: 5\nlr: 0.001\naugment: false\nmodel: svm\nlayers:\n  - 64\n  - 32\nnote: "yes"\n'
    )


def test_an_empty_document_is_an_empty_mapping() -> None:
    assert yaml.safe_load(to_yaml({})) == json.loads(to_json({})) == {}
