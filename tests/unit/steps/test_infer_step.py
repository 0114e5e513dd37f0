from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("sklearn", reason="the steps need scikit-learn")

HEADER = "sepal_length,sepal_width,petal_length,petal_width"
SETOSA = f"{HEADER}\n5.1,3.5,1.4,0.2\n4.90,3.0,1.4,0.2\n"


@pytest.fixture
def infer(step: Any, trained: Any) -> Callable[..., Any]:
    """Predict for the given CSVs with the trained model."""

    def run(files: dict[str, Any]) -> Any:
        model = {"model": {"model.pkl": trained.outputs / "model.pkl"}}
        scaler = {"scaler": {"scaler.pkl": trained.outputs / "scaler.pkl"}}
        return step("infer", inputs={**model, **scaler, "attributes": files})

    return run


def test_flowers_are_returned_as_they_were_given_with_their_species(infer: Any) -> None:
    done = infer({"mine.csv": SETOSA})
    assert done.text("mine.csv") == f"{HEADER},species\n5.1,3.5,1.4,0.2,setosa\n4.90,3.0,1.4,0.2,setosa\n"


def test_flowers_that_the_model_never_saw_are_mostly_named_rightly(infer: Any, ingested: Any) -> None:
    done = infer({"new-flowers.csv": ingested.outputs / "new-flowers.csv"})
    truth = {row.rpartition(",")[0]: row for row in ingested.text("reference.csv").splitlines()}
    predicted = done.text("new-flowers.csv").splitlines()[1:]
    assert len(predicted) == 15
    assert sum(truth[row.rpartition(",")[0]] == row for row in predicted) >= 13


def test_every_csv_has_a_prediction_file_of_its_name(infer: Any) -> None:
    done = infer({"a.csv": SETOSA, "b.CSV": SETOSA, "deep/a.csv": SETOSA})
    assert sorted(done.written()) == ["a.csv", "b.csv", "deep/a.csv"]
    assert done.events["infer"] == {"stage": "infer", "files": 3, "rows": 6}


def test_columns_may_come_in_another_order(infer: Any) -> None:
    done = infer({"mine.csv": "petal_width,petal_length,sepal_width,sepal_length\n0.2,1.4,3.5,5.1\n"})
    assert done.text("mine.csv").splitlines()[1] == "0.2,1.4,3.5,5.1,setosa"


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (
            {"mine.csv": "sepal_length,sepal_width,petal_length\n1,2,3\n"},
            "`mine.csv` has no column `petal_width`; its columns are sepal_length, sepal_width, petal_length",
        ),
        (
            {"mine.csv": f"{HEADER},colour\n1,2,3,4,blue\n"},
            f"`mine.csv` has a column `colour`; wanted are only {HEADER.replace(',', ', ')}",
        ),
        (
            {"mine.csv": f"{HEADER}\n1,2,3,4\n1,2,three,4\n"},
            "`mine.csv` row 3, column `petal_length`: `three` is not a number",
        ),
        ({"mine.csv": f"{HEADER}\n1,2,3,\n"}, "`mine.csv` row 2, column `petal_width`: the cell is empty"),
        ({"mine.csv": f"{HEADER}\n1,2,3\n"}, "`mine.csv` row 2: the number of cells is 3, but 4 in the header"),
        ({"mine.csv": f"{HEADER}\n"}, "`mine.csv` has a header but no rows"),
        ({"mine.csv": ""}, "`mine.csv` is empty"),
        ({"mine.csv": SETOSA, "notes.txt": "x"}, "input `attributes`: `notes.txt` is not a .csv file"),
        ({"a.CSV": SETOSA, "a.csv": SETOSA}, "two files of input `attributes` would both become `a.csv`"),
    ],
)
def test_wrong_attributes_are_refused_in_one_sentence_and_nothing_is_written(
    infer: Any, files: dict[str, str], sentence: str
) -> None:
    done = infer({"0-good.csv": SETOSA, **files})
    assert (done.code, done.err) == (1, f"infer: {sentence}\n")
    assert done.written() == {}
    assert done.out == ""


def test_model_and_scaler_in_each_others_place_are_refused(step: Any, trained: Any) -> None:
    files = {"model": {"m.pkl": trained.outputs / "model.pkl"}, "scaler": {"s.pkl": trained.outputs / "model.pkl"}}
    done = step("infer", inputs={**files, "attributes": {"mine.csv": SETOSA}})
    assert (done.code, done.err) == (1, "infer: `s.pkl` holds a SVC, not a fitted scaler\n")
