"""Runs as documents: what the installed command writes, checked by the validators of the standards."""

import json
import os
import zipfile

import pytest

from tests.standard import bom_issues, crate_issues, lineage_issues, mlflow_runs, prov_issues

SINGLE = {"openlineage": lineage_issues, "cyclonedx": bom_issues, "prov": prov_issues}
PLAIN = """\
- step:
    name: odd
    image: busybox
    command:
      - printf x > "$VH_OUTPUTS_DIR/$(printf 'a\\377\\nb')"
      - echo "the key is $API_KEY"
      - exit {parameter-value:code}
    environment-variables:
      - {name: API_KEY}
      - {name: TOKEN, default: not-for-everybody}
    parameters:
      - {name: code, type: integer, default: 0}
"""


@pytest.mark.parametrize("form", SINGLE)
@pytest.mark.parametrize("subject", ["run:1", "latest"])
def test_a_document_of_the_training_pipeline_goes_to_standard_output_and_is_valid(trained, form, subject):
    done = trained.succeeds("export", subject, "--format", form)

    assert SINGLE[form](done.out.encode()) == []
    assert trained.succeeds("export", subject, "--format", form).out == done.out


def test_a_crate_of_the_training_pipeline_is_valid_as_a_folder_and_as_an_archive(trained, tmp_path):
    folder, archive = tmp_path / "crate", tmp_path / "crate.zip"
    trained.succeeds("export", "run:1", "--format", "ro-crate", "-o", folder)
    trained.succeeds("export", "run:1", "--format", "ro-crate", "-o", archive)

    assert crate_issues(folder, "provenance-run-crate") == []
    assert crate_issues(archive, "provenance-run-crate") == []
    with zipfile.ZipFile(archive) as opened:
        held = {one.filename: opened.read(one) for one in opened.infolist() if not one.is_dir()}
    assert held == {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert any(name.endswith("/model.pkl") for name in held) and any(name.endswith("/train.py") for name in held)


def test_mlflow_reads_the_training_pipeline_with_its_models(trained, tmp_path):
    trained.succeeds("export", "run:1", "--format", "mlflow", "-o", tmp_path / "out")

    runs = {run.info.run_name: (run, files) for run, _, files in mlflow_runs(tmp_path / "out")}
    parent, _ = runs["Training Pipeline"]
    trained_run, files = runs["train"]
    assert trained_run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert files["model.pkl"]


def test_a_secret_stands_in_no_document(make, tmp_path):
    project = make(PLAIN).with_variables(API_KEY="correct-horse-battery")
    project.succeeds("exec", "odd", "--env-file", secrets(tmp_path))

    for form in SINGLE:
        text = project.succeeds("export", "run:latest", "--format", form).out
        assert SINGLE[form](text.encode()) == []
        assert "correct-horse-battery" not in text and "not-for-everybody" not in text
        assert "API_KEY" in text
    crate = tmp_path / "crate"
    project.succeeds("export", "run:latest", "--format", "ro-crate", "-o", crate)
    assert crate_issues(crate, "process-run-crate") == []
    for path in crate.rglob("*"):
        assert not path.is_file() or b"correct-horse-battery" not in path.read_bytes()


def secrets(folder):
    path = folder / "keys.env"
    path.write_text("API_KEY=correct-horse-battery\n")
    path.chmod(0o600)
    return path


def test_a_failed_step_with_an_output_of_an_odd_name_is_told_in_every_format(make, tmp_path):
    project = make(PLAIN)
    project.fails("exec", "odd", "--code", "3")

    for form in SINGLE:
        assert SINGLE[form](project.succeeds("export", "--format", form).out.encode()) == []
    for form in ("ro-crate", "mlflow"):
        project.succeeds("export", "--format", form, "-o", tmp_path / form)
    assert crate_issues(tmp_path / "ro-crate", "process-run-crate") == []
    ((run, _, files), _) = sorted(mlflow_runs(tmp_path / "mlflow"), key=lambda one: -len(one[2]))
    assert run.info.status == "FAILED" and list(files.values()) == [b"x"]


def test_a_file_that_was_purged_is_told_as_gone(make, tmp_path):
    project = make(PLAIN)
    project.succeeds("exec", "odd")
    (output,) = project.show("latest")["outputs"]
    project.succeeds("purge", output["digest"], "--reason", "a request", "--yes")

    metadata = json.loads(project.succeeds("export", "--format", "ro-crate", "--metadata-only").out)
    (told,) = (one for one in metadata["@graph"] if output["digest"] in str(one.get("identifier")))
    assert "was purged on" in told["description"] and "a request" in told["description"]
    project.succeeds("export", "--format", "ro-crate", "-o", tmp_path / "crate")
    assert crate_issues(tmp_path / "crate", "process-run-crate") == []


def test_what_cannot_be_is_refused(trained, tmp_path):
    assert "`--format` is missing" in trained.refused("export", "run:1", code=2)
    assert "did you mean `prov`" in trained.refused("export", "run:1", "--format", "prof", code=2)
    assert "is a folder of files" in trained.refused("export", "run:1", "--format", "mlflow", "-o", "-", code=2)
    (tmp_path / "there").mkdir()
    place = ("-o", tmp_path / "there")
    assert "is there already" in trained.refused("export", "run:1", "--format", "mlflow", *place, code=42)
    assert os.listdir(tmp_path / "there") == []
