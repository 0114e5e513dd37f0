"""What a key means, and in which order rows stand."""

import pytest

from runner.cli.row import Row, Tags, flat, sort_rows


def row(**metrics: object) -> Row:
    return Row({"counter": 1, "step": "train", "exit_code": None}, metrics, {"C": 0.5, "loss": "hinge"})


def test_a_field_wins_over_a_metric_of_the_same_name() -> None:
    one = row(step=7, loss=0.1)
    assert one["step"] == "train"
    assert one["metric.step"] == 7
    assert one["loss"] == 0.1
    assert one["param.loss"] == "hinge"


@pytest.mark.parametrize("key", ["metadata.loss", "metrics.loss", "metric.loss"])
def test_valohais_own_words_reach_metrics(key: str) -> None:
    assert row(loss=0.1)[key] == 0.1


def test_valohais_own_word_reaches_parameters() -> None:
    assert row()["parameter.C"] == 0.5


@pytest.mark.parametrize("key", ["los", "metric.los", "param.D", "exit_code"])
def test_a_key_without_a_value_is_missing(key: str) -> None:
    with pytest.raises(KeyError):
        row(loss=0.1)[key]


def test_a_metric_may_be_called_like_a_prefix() -> None:
    assert row(**{"param.x": 5})["metric.param.x"] == 5
    assert row(**{"metric.x": 5})["metric.x"] == 5


def test_nan_and_missing_values_stand_last_in_both_directions() -> None:
    rows = [row(loss="NaN"), row(loss=2), row(), row(loss=0.5), row(loss="Infinity")]
    ascending = [one.value("loss") for one in sort_rows(rows, "loss", reverse=False)]
    descending = [one.value("loss") for one in sort_rows(rows, "loss", reverse=True)]
    assert ascending == [0.5, 2, "Infinity", "NaN", None]
    assert descending == ["Infinity", 2, 0.5, "NaN", None]


def test_numbers_and_text_can_be_sorted_together() -> None:
    rows = [row(x="b"), row(x=3), row(x="A"), row(x=True)]
    assert [one.value("x") for one in sort_rows(rows, "x", reverse=False)] == [True, 3, "A", "b"]


def test_a_tag_is_equal_to_each_of_the_tags() -> None:
    tags = Tags(("best", "nightly"))
    assert tags == "best"
    assert tags != "worst"
    assert "nightly" in tags
    assert Tags(()) != "best"


def test_nested_objects_are_joined_by_dots() -> None:
    assert dict(flat({"a": {"b": {"c": 1}}, "d": [1], "e": {}})) == {"a.b.c": 1, "d": [1], "e": {}}
