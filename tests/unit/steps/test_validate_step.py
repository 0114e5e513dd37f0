import json
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("sklearn", reason="the steps need scikit-learn")

Edit = Callable[[list[str]], list[str]]


@pytest.fixture
def validate(step: Any, ingested: Any) -> Callable[..., Any]:
    """Validate the ingested flowers against the reference, after `edit` has changed the lines of the file."""

    def run(*arguments: str, edit: Edit = list) -> Any:
        lines = edit(ingested.text("iris.csv").splitlines())
        return step("validate", *arguments, inputs=inputs("\n".join(lines) + "\n"))

    def inputs(text: str) -> dict[str, Any]:
        return {"data": {"iris.csv": text}, "reference": {"reference.csv": ingested.outputs / "reference.csv"}}

    return run


def replace_cell(row: int, column: int, value: str) -> Edit:
    """Change one cell; the header is row 1, as in an editor."""

    def edit(lines: list[str]) -> list[str]:
        cells = lines[row - 1].split(",")
        cells[column] = value
        return [*lines[: row - 1], ",".join(cells), *lines[row:]]

    return edit


def only(species: str, limit: int) -> Edit:
    """Keep no more than `limit` rows of a species."""

    def edit(lines: list[str]) -> list[str]:
        surplus = [number for number, line in enumerate(lines) if line.endswith(species)][limit:]
        return [line for number, line in enumerate(lines) if number not in surplus]

    return edit


def test_good_data_pass_and_are_handed_on_byte_for_byte(validate: Any, ingested: Any) -> None:
    done = validate()
    assert (done.code, done.err) == (0, "")
    assert done.text("iris.csv") == ingested.text("iris.csv")
    report = json.loads(done.text("validation.json"))
    assert report["passed"] is True
    assert report["anomalies"] == []
    assert report["files"][0]["shares"] == dict.fromkeys(("setosa", "versicolor", "virginica"), 0.333333)


def test_the_result_is_one_json_line(validate: Any) -> None:
    done = validate()
    assert len(done.out.splitlines()) == 1
    event = done.events["validate"]
    assert (event["passed"], event["rows"], event["anomalies"]) == (True, 135, 0)
    assert 0 < event["drift"] < 0.1


@pytest.mark.parametrize(
    ("edit", "rule", "column", "value", "sentence"),
    [
        (
            replace_cell(18, 3, "25.0"),
            "range",
            "petal_width",
            25.0,
            "range: `iris.csv` row 18, column `petal_width`: 25.0 is outside 0.05 to 3.7 cm",
        ),
        (
            replace_cell(2, 0, "-5.1"),
            "range",
            "sepal_length",
            -5.1,
            "range: `iris.csv` row 2, column `sepal_length`: -5.1 is outside 2.5 to 9.7 cm",
        ),
        (
            replace_cell(136, 1, "wide"),
            "type",
            "sepal_width",
            "wide",
            "type: `iris.csv` row 136, column `sepal_width`: `wide` is not a number",
        ),
        (
            replace_cell(9, 2, "nan"),
            "type",
            "petal_length",
            "nan",
            "type: `iris.csv` row 9, column `petal_length`: `nan` is not a number",
        ),
        (
            replace_cell(5, 2, ""),
            "missing",
            "petal_length",
            "",
            "missing: `iris.csv` row 5, column `petal_length`: the cell is empty",
        ),
        (
            replace_cell(5, 4, " "),
            "missing",
            "species",
            "",
            "missing: `iris.csv` row 5, column `species`: the cell is empty",
        ),
        (
            replace_cell(7, 4, "Setosa"),
            "category",
            "species",
            "Setosa",
            "category: `iris.csv` row 7, column `species`: `Setosa` is none of setosa, versicolor, virginica",
        ),
    ],
)
def test_a_bad_cell_stops_the_step_and_is_named(
    validate: Any, edit: Edit, rule: str, column: str, value: str | float, sentence: str
) -> None:
    done = validate(edit=edit)
    assert done.code == 1
    assert done.err.splitlines() == [sentence, "validate: 1 anomaly in 1 file: refused"]
    event = done.events["validate"]
    assert (event["passed"], event["rule"], event["column"], event["value"]) == (False, rule, column, value)
    assert list(done.written()) == ["validation.json"]
    (anomaly,) = json.loads(done.text("validation.json"))["anomalies"]
    assert (anomaly["rule"], anomaly["column"], anomaly["value"]) == (rule, column, value)


def test_a_missing_and_an_unknown_column_are_both_named(validate: Any) -> None:
    done = validate(edit=lambda lines: [lines[0].replace("petal_width", "petal_colour"), *lines[1:]])
    assert done.code == 1
    assert "columns: `iris.csv`, column `petal_width`: the column is missing" in done.err
    assert "columns: `iris.csv`, column `petal_colour`: no such column is expected" in done.err


def test_a_rare_species_is_out_of_balance(validate: Any) -> None:
    done = validate("--max_drift=1", edit=only("virginica", 5))
    assert done.code == 1
    sentence = "balance: `iris.csv`, column `species`: `virginica` has 5.3% of the rows, less than 20.0%"
    assert done.err.splitlines()[0] == sentence
    assert validate("--max_drift=1", "--min_share=0.05", edit=only("virginica", 5)).code == 0


def test_too_few_rows_are_refused(validate: Any) -> None:
    done = validate("--min_rows=200")
    assert (done.code, done.err.splitlines()[0]) == (1, "rows: `iris.csv`: 135 rows are fewer than the 200 wanted")


def test_data_that_have_moved_away_from_the_reference_are_drift(validate: Any) -> None:
    def longer(lines: list[str]) -> list[str]:
        cells = [line.split(",") for line in lines[1:]]
        return [lines[0], *(",".join([str(float(first) + 1), *rest]) for first, *rest in cells)]

    done = validate(edit=longer)
    assert done.code == 1
    assert done.events["validate"]["rule"] == "drift"
    assert done.err.startswith("drift: `iris.csv`, column `sepal_length`: the values lie 0.")
    assert validate("--max_drift=0.9", edit=longer).code == 0


def test_a_gap_that_chance_explains_is_not_drift(step: Any, ingested: Any) -> None:
    few = "\n".join(ingested.text("iris.csv").splitlines()[:4]) + "\n"
    inputs = {"data": {"few.csv": few}, "reference": {"reference.csv": ingested.outputs / "reference.csv"}}
    arguments = ("--min_rows=1", "--min_share=0")
    done = step("validate", *arguments, inputs=inputs)
    assert done.events["validate"]["drift"] > 0.5
    assert done.code == 0
    assert step("validate", *arguments, "--drift_chance=1", inputs=inputs).code == 1


def test_without_a_reference_only_the_absolute_limits_count(step: Any, ingested: Any) -> None:
    lines = replace_cell(18, 3, "11.0")(ingested.text("iris.csv").splitlines())
    data = {"data": {"iris.csv": "\n".join(lines) + "\n"}}
    assert step("validate", inputs=data).code == 0
    done = step("validate", "--highest=10", inputs=data)
    assert done.err.splitlines()[0].endswith("row 18, column `petal_width`: 11.0 is outside 0.05 to 10 cm")


def test_unlabelled_flowers_need_no_species(step: Any, ingested: Any) -> None:
    data = {"data": {"new-flowers.csv": ingested.outputs / "new-flowers.csv"}}
    done = step("validate", "--unlabelled", "--min_rows=1", inputs=data)
    assert done.code == 0
    assert done.text("new-flowers.csv") == ingested.text("new-flowers.csv")
    assert "rarest_share" not in done.events["validate"]


def test_one_bad_file_among_several_holds_all_back(step: Any, ingested: Any) -> None:
    good = ingested.outputs / "iris.csv"
    done = step("validate", inputs={"data": {"good.csv": good, "bad.csv": "a,b\n1\n"}})
    assert done.code == 1
    assert done.err.splitlines()[0] == "readable: `bad.csv` row 2: the number of cells is 1, but 2 in the header"
    assert list(done.written()) == ["validation.json"]


def test_a_long_list_of_anomalies_is_cut_in_the_log_but_not_in_the_report(validate: Any) -> None:
    done = validate("--highest=1")
    assert len(done.err.splitlines()) == 22
    assert "more, all in validation.json" in done.err
    assert len(json.loads(done.text("validation.json"))["anomalies"]) == done.events["validate"]["anomalies"] > 20


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "`iris.csv` is empty"),
        ("a,b\n", "`iris.csv` has a header but no rows"),
        ("a,a\n1,2\n", "`iris.csv` has the column `a` more than once"),
        (b"a\n\xff\n", "`iris.csv` is not UTF-8 text (byte 2)"),
        ('a\n"open', "`iris.csv` row 2 is not CSV: unexpected end of data"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_one_sentence(step: Any, content: str | bytes, sentence: str) -> None:
    done = step("validate", inputs={"data": {"iris.csv": content}})
    assert done.code == 1
    assert done.err.splitlines()[0] == f"readable: {sentence}"
    assert json.loads(done.text("validation.json"))["passed"] is False


def test_no_data_at_all_is_refused(step: Any) -> None:
    done = step("validate")
    assert done.code == 1
    assert done.err.startswith("validate: input `data` has no file in ")


def test_a_broken_reference_is_refused_before_it_misleads(step: Any, ingested: Any) -> None:
    reference = {"reference.csv": ingested.text("reference.csv").replace("5.1,3.5", "5.1,x", 1)}
    done = step("validate", inputs={"data": {"iris.csv": ingested.outputs / "iris.csv"}, "reference": reference})
    assert (done.code, done.err) == (1, "validate: `reference.csv` row 2, column `sepal_width`: `x` is not a number\n")
