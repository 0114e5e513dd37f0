import csv
from typing import Any

import pytest

np = pytest.importorskip("numpy", reason="the steps need numpy")
pytest.importorskip("sklearn", reason="the steps need scikit-learn")

HEADER = "sepal_length,sepal_width,petal_length,petal_width,species"


def lengths(text: str) -> Any:
    return np.array([[float(cell) for cell in row[:4]] for row in list(csv.reader(text.splitlines()))[1:]])


def test_the_scaler_is_fitted_on_the_training_part_only(preprocessed: Any) -> None:
    train, test = lengths(preprocessed.text("train.csv")), lengths(preprocessed.text("test.csv"))
    assert np.allclose(train.mean(axis=0), 0)
    assert np.allclose(train.std(axis=0), 1)
    assert not np.allclose(test.mean(axis=0), 0, atol=1e-6)


def test_every_flower_is_in_exactly_one_part(preprocessed: Any, ingested: Any) -> None:
    parts = [lengths(preprocessed.text(name)) for name in ("train.csv", "test.csv")]
    assert [len(part) for part in parts] == [101, 34]
    raw = lengths(ingested.text("iris.csv"))
    # Scaling is a straight line per column, so the raw lengths come back from the two moments of the training part.
    train_rows = {tuple(row) for row in parts[0]}
    slope = (raw.max(axis=0) - raw.min(axis=0)) / (np.vstack(parts).max(axis=0) - np.vstack(parts).min(axis=0))
    back = np.vstack(parts) * slope + raw.min(axis=0) - np.vstack(parts).min(axis=0) * slope
    assert sorted(map(tuple, back.round(4).tolist())) == sorted(map(tuple, raw.round(4).tolist()))
    assert len(train_rows) > 90


def test_all_species_are_in_both_parts(preprocessed: Any) -> None:
    for name in ("train.csv", "test.csv"):
        assert {row.rpartition(",")[2] for row in preprocessed.text(name).splitlines()[1:]} == {
            "setosa",
            "versicolor",
            "virginica",
        }


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(
    step: Any, ingested: Any, preprocessed: Any
) -> None:
    data = {"data": {"iris.csv": ingested.outputs / "iris.csv"}}
    assert step("preprocess", "--seed=7", inputs=data).written() == preprocessed.written()
    assert step("preprocess", "--seed=8", inputs=data).text("train.csv") != preprocessed.text("train.csv")


def test_minmax_scaling_puts_the_training_part_between_0_and_1(step: Any, ingested: Any) -> None:
    done = step("preprocess", "--scaling=minmax", inputs={"data": {"iris.csv": ingested.outputs / "iris.csv"}})
    train = lengths(done.text("train.csv"))
    assert np.allclose(train.min(axis=0), 0)
    assert np.allclose(train.max(axis=0), 1)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (["1,2,3,x,setosa"], "`iris.csv` row 2, column `petal_width`: `x` is not a number"),
        (["1,2,3,4,"], "`iris.csv` row 2, column `species`: the cell is empty"),
        (
            ["1,2,3,4,setosa"] * 9 + ["1,2,3,4,b"],
            "there is only 1 flower of `b`: a split needs at least 2 of each species",
        ),
        (
            ["1,2,3,4,setosa"] * 2 + ["1,2,3,4,b"] * 2,
            "`test_share` 0.25 of 4 flowers leaves a part with fewer rows than species",
        ),
    ],
)
def test_what_cannot_be_split_is_refused_in_one_sentence(step: Any, rows: list[str], sentence: str) -> None:
    done = step("preprocess", inputs={"data": {"iris.csv": "\n".join([HEADER, *rows]) + "\n"}})
    assert (done.code, done.err) == (1, f"preprocess: {sentence}\n")
    assert done.written() == {}


def test_a_missing_column_is_refused_with_the_columns_there_are(step: Any) -> None:
    done = step("preprocess", inputs={"data": {"iris.csv": "sepal_length,species\n1,setosa\n"}})
    sentence = "`iris.csv` has no column `sepal_width`; its columns are sepal_length, species"
    assert (done.code, done.err) == (1, f"preprocess: {sentence}\n")


def test_two_files_where_one_is_wanted_are_refused(step: Any) -> None:
    done = step("preprocess", inputs={"data": {"a.csv": "a\n1\n", "b.csv": "a\n1\n"}})
    assert (done.code, done.err) == (1, "preprocess: input `data` takes one file but has 2: `a.csv`, `b.csv`\n")
