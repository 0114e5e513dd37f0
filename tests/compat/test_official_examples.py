"""The example files in the source distribution of `valohai-yaml` say here what they say there, and say where.

They are fetched by pip when the tests run; without a network these tests are skipped with pip's reason.
"""

from collections import Counter
from pathlib import Path

import pytest

from runner.cli.main import run
from runner.errors import ExitCode, Problem, Severity
from runner.spec.lint import lint
from runner.spec.project import load_project

PLAIN = """
edge-merge-mode endpoint-example environment-variable-group-example example1 example2 example3 flag-param-example
flag-param-pass-as-example input-extras keep-order mount-example multiple-param optional-default-param
pipeline-deployment-edge-example pipeline-edge-types-example pipeline-example pipeline-execution-retry-example
pipeline-with-automatic-deployment-creation pipeline-with-autorestart-override pipeline-with-different-commit
pipeline-with-override-example pipeline-with-override-only-preset pipeline-with-param-referring-to-different-commit
pipeline-with-parameters-example pipeline-with-runtime-config-preset pipeline-with-task-blueprint-example
pipeline-with-tasks-example shebang-example step-with-autorestart step-with-cache-volumes step-with-partial-resources
step-with-preset step-with-resources task-example timeouts-example
""".split()  # noqa: SIM905 - a list of 35 names is a page
VALID = ["edge-merge-mode", "endpoint-names-valid", "step-stop-condition", "task-stop-condition"]

WARNINGS = {
    "duplicate_step_names": [(6, "duplicate-name")],
    "ineffective-optional-on-flag": [(9, "no-effect")],
    "invalid-numeric-parameter-default": [(8, "bad-default")],
    "invalid-numeric-range-parameter-default": [(8, "bad-default")],
    "invalid-string-parameter-default": [(7, "yaml-type")],
    "nonsensical-task-bits": [(20, "no-effect"), (21, "no-effect"), (23, "no-effect")],
    "targetless-pipeline-params": [(14, "no-target")],
}
"""What the library warns of, by line and code; other warnings may stand beside these."""

ERRORS = {
    "endpoint-names-invalid": [(2, "wrong-value"), (8, "wrong-value"), (14, "wrong-value"), (20, "wrong-value")],
    "endpoint-shared-volumes-invalid-paths": [(7, "bad-volume"), (11, "bad-volume"), (14, "bad-volume")],
    "endpoint-workspace-volume-invalid-paths": [
        (7, "bad-volume"), (10, "bad-volume"), (10, "bad-volume"), (21, "bad-volume"),
    ],
    "input-name-too-long": [(6, "wrong-value")],
    "invalid-YAML-indentation": [(3, "yaml-syntax")],
    "invalid-edge-parts": [(19, "bad-socket")],
    "invalid-on-error-value": [(24, "wrong-value")],
    "invalid-pipeline-with-override-example": [
        (48, "unknown-override"), (53, "unknown-override"), (57, "unknown-step"),
    ],
    "invalid-shorthand-edge": [(16, "wrong-value")],
    "invalid-task-blueprint-reference": [(25, "unknown-task")],
    "invalid-upload-store-value": [(4, "wrong-value")],
    "pipeline-with-null-autorestart-override": [(16, "wrong-type")],
    "pipeline-with-preset-override-without-environment": [(16, "preset-without-environment")],
    "step-invalid-resources": [(7, "wrong-type")],
    "step-missing-required-properties": [
        (2, "missing-key"), (2, "missing-key"), (2, "wrong-type"), (6, "wrong-type"),
    ],
    "step-preset-without-environment": [(5, "preset-without-environment")],
    "step-stop-condition": [(5, "bad-condition")],
    "step-with-error-tasks": [
        (17, "missing-key"), (22, "wrong-type"), (29, "missing-key"), (29, "wrong-type"), (44, "missing-key"),
        (61, "missing-key"), (61, "missing-key"),
    ],
    "task-stop-condition": [(10, "bad-condition")],
    "wrong-edge-merge-mode": [(15, "wrong-value")],
}  # fmt: skip
"""Every error of every file, by line and code: as many as the library counts, which gives no lines."""

FLAT = "invalid-indentation-with-valid-YAML"
"""An error there; understood here, with a warning."""


@pytest.fixture
def examples(official_examples: Path | None) -> Path:
    if official_examples is None:
        pytest.skip("the examples of valohai-yaml cannot be fetched here")
    return official_examples


def problems_of(path: Path) -> list[Problem]:
    return lint(load_project(path, path.name))


def found(problems: list[Problem], severity: Severity) -> Counter[tuple[int, str]]:
    return Counter((problem.location.line, problem.code) for problem in problems if problem.severity is severity)


def test_every_file_of_the_distribution_is_in_a_list(examples: Path) -> None:
    names = {kind: sorted(path.stem for path in (examples / kind).iterdir()) for kind in ("plain", "valid")}
    assert names == {"plain": sorted(PLAIN), "valid": sorted(VALID)}
    warnings = {path.stem for path in (examples / "warning").iterdir()}
    assert warnings == {*WARNINGS, "override-with-extra-fields-warning"}
    assert {path.stem for path in (examples / "error").iterdir()} == {*ERRORS, FLAT}


@pytest.mark.parametrize("name", [*(f"plain/{name}" for name in PLAIN), *(f"valid/{name}" for name in VALID)])
def test_an_example_that_the_library_accepts_loads_whole_and_has_no_error(name: str, examples: Path) -> None:
    path = examples / f"{name}.yaml"
    project = load_project(path, path.name)
    assert not project.broken
    assert project.steps or project.pipelines or project.endpoints or project.tasks
    assert found(lint(project), Severity.ERROR) == {}


@pytest.mark.parametrize("name", WARNINGS)
def test_what_the_library_warns_of_is_a_warning_at_its_line(name: str, examples: Path) -> None:
    problems = problems_of(examples / "warning" / f"{name}.yaml")
    assert found(problems, Severity.ERROR) == {}
    assert Counter(WARNINGS[name]) <= found(problems, Severity.WARNING)


def test_fields_that_an_override_cannot_have_are_an_error(examples: Path) -> None:
    problems = problems_of(examples / "warning" / "override-with-extra-fields-warning.yaml")
    assert found(problems, Severity.ERROR) == {(18, "unknown-key"): 1}


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_is_found_at_its_line_and_nothing_else_is_called_one(name: str, examples: Path) -> None:
    problems = problems_of(examples / "error" / f"{name}.yaml")
    assert found(problems, Severity.ERROR) == Counter(ERRORS[name])


def test_the_flat_form_is_a_warning_and_an_error_when_strict(
    examples: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = examples / "error" / f"{FLAT}.yaml"
    problems = problems_of(path)
    assert (found(problems, Severity.ERROR), found(problems, Severity.WARNING)[1, "flat-item"]) == ({}, 1)
    assert run(["lint", str(path)]) == ExitCode.OK
    capsys.readouterr()
    assert run(["lint", "--strict", str(path)]) == ExitCode.STRICT
    assert ": error flat-item:" in capsys.readouterr().out
