from typing import Any

import pytest

pytest.importorskip("sklearn", reason="the steps need scikit-learn")


def test_training_prints_one_json_line_per_stage(trained: Any) -> None:
    assert trained.err == ""
    assert list(trained.events) == ["load", "cross-validate", "fit", "save"]
    assert trained.events["fit"]["train_accuracy"] > 0.9
    assert trained.events["cross-validate"]["cv_accuracy"] > 0.9


def test_the_same_training_gives_the_same_bytes(train_on: Any, trained: Any) -> None:
    assert sorted(trained.written()) == ["model.pkl", "model.txt", "scaler.pkl"]
    assert train_on().written() == trained.written()


def test_the_scaler_lies_beside_the_model_unchanged(trained: Any, preprocessed: Any) -> None:
    assert trained.written()["scaler.pkl"] == preprocessed.written()["scaler.pkl"]


def test_c_makes_training_differ(train_on: Any, trained: Any) -> None:
    smooth = train_on("--C=0.01")
    assert smooth.written()["model.pkl"] != trained.written()["model.pkl"]
    assert smooth.events["fit"]["support_vectors"] > trained.events["fit"]["support_vectors"]


def test_the_description_names_settings_data_accuracy_and_versions(trained: Any) -> None:
    text = trained.text("model.txt")
    assert text.startswith("support vector machine for iris species\n")
    for line in ("  kernel  rbf", "  origin      train.csv", "  rows        101", "  setosa      33 rows"):
        assert line in text.splitlines()
    for word in ("sepal_length", "petal_width", "support vectors", "training accuracy", "scikit-learn"):
        assert word in text


def test_a_linear_kernel_is_described_with_its_weights(train_on: Any) -> None:
    text = train_on("--kernel=linear").text("model.txt")
    (row,) = [line for line in text.splitlines() if line.startswith("  setosa / versicolor")]
    assert len(row.split()) == 3 + 5  # the pair of names, the intercept, one weight for each feature
    assert "gamma" not in text


def test_a_discriminant_analysis_is_described_with_its_functions(train_on: Any) -> None:
    done = train_on("--model=lda", "--shrinkage=0.1")
    assert done.code == 0
    assert done.text("model.txt").startswith("linear discriminant analysis for iris species\n")
    assert "  shrinkage  0.1" in done.text("model.txt").splitlines()
    assert done.events["fit"]["coefficients"] == 12


def test_the_step_can_run_by_itself(step: Any) -> None:
    done = step("train", "--C", "0.5")
    assert done.code == 0
    assert done.events["load"]["origin"] == "bundled"
    assert done.events["load"]["rows"] == 150
    assert "the table bundled with scikit-learn" in done.text("model.txt")
    assert sorted(done.written()) == ["model.pkl", "model.txt", "scaler.pkl"]


def test_a_train_set_without_its_scaler_is_refused(step: Any, preprocessed: Any) -> None:
    done = step("train", inputs={"train-set": {"train.csv": preprocessed.outputs / "train.csv"}})
    assert done.code == 1
    assert done.err.startswith("train: input `scaler` has no file in ")


def test_a_scaler_without_its_train_set_is_refused(step: Any, preprocessed: Any) -> None:
    done = step("train", inputs={"scaler": {"scaler.pkl": preprocessed.outputs / "scaler.pkl"}})
    assert (done.code, done.err) == (1, "train: there is a `scaler` but no `train-set` that it scaled\n")


def test_a_single_species_cannot_be_learned(step: Any, preprocessed: Any) -> None:
    lines = preprocessed.text("train.csv").splitlines()
    setosa = [line for line in lines if line.endswith(("species", "setosa"))]
    inputs = {
        "train-set": {"train.csv": "\n".join(setosa) + "\n"},
        "scaler": {"scaler.pkl": preprocessed.outputs / "scaler.pkl"},
    }
    done = step("train", inputs=inputs)
    sentence = "all 33 flowers are `setosa`: a classifier needs at least 2 species"
    assert (done.code, done.err) == (1, f"train: {sentence}\n")


def test_more_folds_than_flowers_are_refused(train_on: Any) -> None:
    done = train_on("--folds=34")
    sentence = "`folds` is 34: it must be from 2 to 33, the number of flowers of `setosa`"
    assert (done.code, done.err) == (1, f"train: {sentence}\n")


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("--C=0", "argument --C: 0 is not above 0"),
        ("--C=nan", "argument --C: `nan` is not a finite number"),
        ("--shrinkage=2", "argument --shrinkage: 2 is not between 0 and 1"),
        ("--seed=-1", "argument --seed: -1 is not between 0 and 4294967295"),
        ("--model=forest", "argument --model: invalid choice: 'forest'"),
    ],
)
def test_a_parameter_outside_its_range_is_a_usage_error(step: Any, argument: str, sentence: str) -> None:
    done = step("train", argument)
    assert done.code == 2
    assert sentence in done.err
    assert done.written() == {}
