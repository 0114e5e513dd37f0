import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn", reason="the steps need scikit-learn")


def inputs(trained: Any, preprocessed: Any, **test_set: str | Path) -> dict[str, Any]:
    test_set = test_set or {"test.csv": preprocessed.outputs / "test.csv"}
    return {"model": {"model.pkl": trained.outputs / "model.pkl"}, "test-set": test_set}


@pytest.fixture(scope="module")
def evaluated(step: Any, trained: Any, preprocessed: Any) -> Any:
    return step("evaluate", "--train_accuracy=1", inputs=inputs(trained, preprocessed))


def read_png(data: bytes) -> tuple[int, int, bytes]:
    """Width, height and scan lines; every chunk's checksum is verified."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    chunks: dict[bytes, bytes] = {}
    position = 8
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind, body = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        assert struct.unpack_from(">I", data, position + 8 + length)[0] == zlib.crc32(kind + body)
        chunks[kind] = body
        position += length + 12
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert rest == [8, 2, 0, 0, 0]
    return width, height, zlib.decompress(chunks[b"IDAT"])


def test_the_figures_agree_with_the_confusion_matrix(evaluated: Any) -> None:
    report = json.loads(evaluated.text("evaluation.json"))
    matrix = report["confusion_matrix"]
    right = [matrix[i][i] for i in range(3)]
    recalls = [right[i] / sum(matrix[i]) for i in range(3)]
    precisions = [right[i] / sum(row[i] for row in matrix) for i in range(3)]
    assert report["rows"] == sum(map(sum, matrix)) == 34
    assert report["accuracy"] == pytest.approx(sum(right) / 34, abs=1e-6)
    assert report["recall"] == pytest.approx(sum(recalls) / 3, abs=1e-6)
    assert report["precision"] == pytest.approx(sum(precisions) / 3, abs=1e-6)
    assert report["by_class"]["setosa"]["recall"] == recalls[0] == 1
    assert report["accuracy"] > 0.9


def test_the_metric_line_holds_what_the_report_holds(evaluated: Any) -> None:
    report = json.loads(evaluated.text("evaluation.json"))
    event = evaluated.events["evaluate"]
    assert {key: event[key] for key in event if key != "stage"} == {k: report[k] for k in report if k != "by_class"}


def test_the_difference_to_the_training_accuracy_is_reported_if_that_is_given(
    step: Any, evaluated: Any, trained: Any, preprocessed: Any
) -> None:
    event = evaluated.events["evaluate"]
    assert event["overfit"] == pytest.approx(1 - event["accuracy"])
    assert "overfit" not in step("evaluate", inputs=inputs(trained, preprocessed)).events["evaluate"]


def test_the_picture_is_a_png_with_blue_right_answers_and_red_wrong_ones(evaluated: Any) -> None:
    width, height, lines = read_png(evaluated.written()["confusion.png"])
    assert len(lines) == height * (3 * width + 1)
    pixels = {lines[y * (3 * width + 1) + 1 + 3 * x :][:3] for y in range(0, height, 9) for x in range(0, width, 9)}
    assert bytes((22, 78, 134)) in pixels  # setosa, all right
    assert any(red > 240 and blue < red - 20 for red, _, blue in pixels)
    assert bytes((255, 255, 255)) in pixels


def test_the_same_evaluation_gives_the_same_bytes(step: Any, evaluated: Any, trained: Any, preprocessed: Any) -> None:
    again = step("evaluate", "--train_accuracy=1", inputs=inputs(trained, preprocessed))
    assert again.written() == evaluated.written()


def test_a_species_that_the_model_does_not_know_is_refused(step: Any, trained: Any, preprocessed: Any) -> None:
    lines = preprocessed.text("test.csv").splitlines()
    lines[4] = lines[4].rpartition(",")[0] + ",rosa"
    done = step("evaluate", inputs=inputs(trained, preprocessed, **{"test.csv": "\n".join(lines) + "\n"}))
    sentence = "`test.csv` row 5, column `species`: the model does not know `rosa`, only setosa, versicolor, virginica"
    assert (done.code, done.err) == (1, f"evaluate: {sentence}\n")
    assert done.written() == {}


def test_a_scaler_in_place_of_the_model_is_refused(step: Any, preprocessed: Any) -> None:
    files = {"model": {"scaler.pkl": preprocessed.outputs / "scaler.pkl"}}
    done = step("evaluate", inputs={**files, "test-set": {"test.csv": preprocessed.outputs / "test.csv"}})
    assert (done.code, done.err) == (1, "evaluate: `scaler.pkl` holds a StandardScaler, not a fitted classifier\n")


def test_a_file_that_is_no_pickle_is_refused(step: Any, preprocessed: Any) -> None:
    files = {"model": {"model.pkl": "hello"}, "test-set": {"test.csv": preprocessed.outputs / "test.csv"}}
    done = step("evaluate", inputs=files)
    assert done.code == 1
    assert done.err.startswith("evaluate: `model.pkl` cannot be opened as a fitted classifier: ")
    assert len(done.err.splitlines()) == 1


def test_a_missing_model_is_refused(step: Any, preprocessed: Any) -> None:
    done = step("evaluate", inputs={"test-set": {"test.csv": preprocessed.outputs / "test.csv"}})
    assert done.code == 1
    assert done.err.startswith("evaluate: input `model` has no file in ")
