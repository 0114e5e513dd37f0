"""`mlrun lint`: what it prints and how it ends."""

import io
import json
import sys
from pathlib import Path

import pytest

from runner.cli import finding
from runner.cli.finding import repository_path
from runner.cli.main import run
from runner.spec.check.code import CODES, OLD_FORMS

GOOD = "- step:\n    name: train\n    image: busybox:1\n    command: 'true'\n"
WARNING = (
    "- step:\n    name: train\n    image: busybox:1\n    command: 'true'\n    colour: red\n- flavour:\n    name: x\n"
)
FLAT = "# about\n- step: null\n  name: train  # its name\n  image: busybox:1\n  command: 'true'\n"
MENDED = "# about\n- step:\n    name: train  # its name\n    image: busybox:1\n    command: 'true'\n"
ERROR = "- step:\n    name: train\n    image: busybox:1\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for variable in ("GITHUB_ACTIONS", "GITHUB_WORKSPACE"):
        monkeypatch.delenv(variable, raising=False)
    finding._root.cache_clear()
    for name, text in (
        ("good", GOOD),
        ("warning", "- flavour:\n    name: x\n" + GOOD),
        ("error", ERROR),
        ("flat", FLAT),
    ):
        (project / f"{name}.yaml").write_text(text)
    return project


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["good.yaml"], 0),
        (["warning.yaml"], 0),
        (["warning.yaml", "--strict"], 11),
        (["error.yaml"], 10),
        (["error.yaml", "--strict"], 10),
        (["good.yaml", "error.yaml"], 10),
        (["good.yaml", "missing.yaml"], 10),
        (["good.yaml", "--strict"], 0),
        (["good.yaml", "--format", "xml"], 2),
        (["good.yaml", "--dry-run"], 2),
        (["good.yaml", "--fix", "--dry-run", "--json"], 2),
        (["-", "--fix", "--format", "sarif"], 2),
        (["flat.yaml"], 0),
        (["flat.yaml", "--strict"], 11),
        (["error.yaml", "--strict", "flat.yaml"], 10),
    ],
)
def test_the_exit_code_tells_the_worst_problem(arguments: list[str], code: int) -> None:
    assert run(["lint", *arguments]) == code


def test_problems_are_shown_with_their_line_and_a_caret(capsys: pytest.CaptureFixture[str]) -> None:
    run(["lint", "error.yaml"])
    captured = capsys.readouterr()
    assert captured.out.startswith("error.yaml:")
    assert "^" in captured.out
    assert "1 error, 0 warnings" in captured.err


def test_the_projects_own_file_is_the_default(folder: Path) -> None:
    (folder / "valohai.yaml").write_text(ERROR)
    assert run(["lint"]) == 10


def test_without_a_project_the_hint_names_init(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint"]) == 10
    assert "mlrun init" in capsys.readouterr().err


def test_standard_input_is_read_for_a_dash(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(ERROR.encode())))
    assert run(["lint", "-"]) == 10
    assert capsys.readouterr().out.startswith("<stdin>:")


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xff\xfe", b"[" * 5000, b"a: &a [*a]", b"- step: [}", b"\x1b[2J: 1"])
def test_no_file_is_odd_enough_for_a_traceback(folder: Path, data: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "odd.yaml").write_bytes(data)
    assert run(["lint", "odd.yaml"]) in {0, 10}
    captured = capsys.readouterr()
    assert "bug" not in captured.err
    assert "\x1b" not in captured.out


def test_json_has_every_problem_and_the_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint", "error.yaml", "warning.yaml", "--json"]) == 10
    document = json.loads(capsys.readouterr().out)
    assert document["files"] == 2
    assert document["errors"] == sum(problem["severity"] == "error" for problem in document["problems"])
    assert {problem["file"] for problem in document["problems"]} == {"error.yaml", "warning.yaml"}


def test_a_file_that_is_a_link_to_itself_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / ".git").mkdir()
    (folder / "valohai.yaml").symlink_to("valohai.yaml")
    for arguments in (["lint"], ["exec", "train"]):
        assert run(arguments) == 10
        assert "is a symbolic link that leads back to itself" in capsys.readouterr().err


def stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def severities(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, str]:
    run(["lint", "--json", *arguments])
    return {problem["code"]: problem["severity"] for problem in json.loads(capsys.readouterr().out)["problems"]}


def test_files_are_sorted_by_name_and_problems_by_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "z.yaml").write_text(WARNING)
    run(["lint", "z.yaml", "error.yaml", "z.yaml", "flat.yaml"])
    places = [line.split(":") for line in capsys.readouterr().out.splitlines() if ".yaml:" in line]
    found = [(place[0], int(place[1])) for place in places]
    assert found == sorted(found)
    assert {name for name, _ in found} == {"z.yaml", "error.yaml", "flat.yaml"}


def test_old_forms_are_called_errors_under_strict_in_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    assert severities(capsys, "flat.yaml")["flat-item"] == "warning"
    assert severities(capsys, "flat.yaml", "--strict")["flat-item"] == "error"
    for form, mark in (("text", ": error flat-item:"), ("github", "::error "), ("sarif", '"level": "error"')):
        run(["lint", "flat.yaml", "--strict", "--format", form])
        captured = capsys.readouterr()
        assert mark in captured.out
        assert "1 error, 0 warnings" in captured.err


def test_other_warnings_stay_warnings_under_strict(capsys: pytest.CaptureFixture[str]) -> None:
    assert severities(capsys, "warning.yaml", "--strict") == {"unknown-item": "warning"}


def test_every_code_that_strict_calls_an_error_exists() -> None:
    assert CODES.keys() >= OLD_FORMS


def test_the_last_line_says_how_much_can_be_mended(capsys: pytest.CaptureFixture[str]) -> None:
    run(["lint", "flat.yaml", "error.yaml"])
    assert capsys.readouterr().err == "2 files: 1 error, 1 warning; `--fix` mends 1 of them\n"


def test_fix_mends_the_file_and_keeps_comments(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint", "--fix", "--strict", "flat.yaml", "good.yaml"]) == 0
    assert (folder / "flat.yaml").read_text() == MENDED
    assert (folder / "good.yaml").read_text() == GOOD
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "flat.yaml: mended 1 problem\n2 files: 0 errors, 0 warnings\n"


def test_what_fix_leaves_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "flat.yaml").write_text(FLAT.replace("  command: 'true'\n", ""))
    assert run(["lint", "--fix", "flat.yaml"]) == 10
    captured = capsys.readouterr()
    assert "flat.yaml:3:5: error missing-key" in captured.out
    assert "flat.yaml: mended 1 problem" in captured.err


def test_a_dry_run_shows_the_changes_and_makes_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint", "--fix", "--dry-run", "--strict", "flat.yaml"]) == 11
    assert (folder / "flat.yaml").read_text() == FLAT
    captured = capsys.readouterr()
    assert captured.out.startswith("--- flat.yaml\n+++ flat.yaml (mended)\n@@ ")
    assert "\n-  image: busybox:1\n" in captured.out
    assert "\n+    image: busybox:1\n" in captured.out
    assert "flat-item" in captured.err


def test_a_difference_is_shown_without_control_codes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "flat.yaml").write_text("# \u202e direction\n" + FLAT, encoding="utf-8")
    run(["lint", "--fix", "--dry-run", "flat.yaml"])
    out = capsys.readouterr().out
    assert "\\u202e" in out
    assert "\u202e" not in out


def test_fix_of_standard_input_prints_the_mended_text(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    for data, wanted in ((FLAT, MENDED), (GOOD, GOOD)):
        stdin(monkeypatch, data.encode())
        assert run(["lint", "--fix", "-"]) == 0
        sys.stdout.flush()
        assert capfdbinary.readouterr().out == wanted.encode()


def test_what_is_wrong_with_mended_input_is_told_beside_it(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    stdin(monkeypatch, ERROR.encode())
    assert run(["lint", "--fix", "-"]) == 10
    sys.stdout.flush()
    captured = capfdbinary.readouterr()
    assert captured.out == ERROR.encode()
    assert b"<stdin>:2:5: error missing-key" in captured.err


def test_annotations_name_files_from_the_root_of_the_repository(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / ".git").mkdir()
    below = folder / "some, folder"
    below.mkdir()
    (below / "valohai.yaml").write_text(ERROR)
    monkeypatch.chdir(below)
    assert run(["lint", "--format", "github", "valohai.yaml", "../error.yaml", str(folder / "flat.yaml")]) == 10
    files = [line.partition("file=")[2].partition(",")[0] for line in capsys.readouterr().out.splitlines()]
    assert sorted(files) == ["error.yaml", "flat.yaml", "some%2C folder/valohai.yaml"]


def test_the_workspace_is_the_root_for_a_submodule_and_not_for_a_checkout_below_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "inner" / ".git").mkdir(parents=True)
    monkeypatch.setenv("GITHUB_WORKSPACE", str(folder))
    assert repository_path("inner/f.yaml") == "f.yaml"
    (folder / ".git").mkdir()
    finding._root.cache_clear()
    assert repository_path("inner/f.yaml") == "inner/f.yaml"


def test_without_a_repository_the_workspace_or_the_current_folder_is_the_root(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert repository_path("f.yaml") == "f.yaml"
    assert repository_path("../f.yaml") == str(folder.parent / "f.yaml")
    finding._root.cache_clear()
    monkeypatch.setenv("GITHUB_WORKSPACE", str(folder.parent))
    assert repository_path("f.yaml") == "project/f.yaml"


def test_sarif_has_a_result_for_each_problem(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint", "--format", "sarif", "error.yaml", "warning.yaml"]) == 10
    (log,) = json.loads(capsys.readouterr().out)["runs"]
    places = [result["locations"][0]["physicalLocation"] for result in log["results"]]
    assert {place["artifactLocation"]["uri"] for place in places} == {"error.yaml", "warning.yaml"}
    for rule in log["tool"]["driver"]["rules"]:
        assert rule["shortDescription"]["text"] == CODES[rule["id"]]


@pytest.mark.parametrize("form", ["text", "json", "sarif"])
def test_a_foreign_file_gives_no_command_to_githubs_runner(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    (folder / "::error::x").mkdir()
    hostile = "- step: {name: '##[add-mask]a', image: 'b:1', command: c, '##[stop-commands]d': 1}\n"
    (folder / "::error::x" / "valohai.yaml").write_text(hostile)
    assert run(["lint", "--format", form, "::error::x/valohai.yaml"]) == 10
    out = capsys.readouterr().out
    assert "##[" not in out
    assert not any(line.lstrip().startswith("::") for line in out.splitlines())
    assert "stop-commands" in out


def test_talk_and_diffs_give_no_command_to_githubs_runner_either(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    (folder / "a.yaml").write_text(
        "- step:\n    name: '##[error]a'\n    image: b:1\n    time_limit: 5\n    command: |\n      ::error::b\n"
    )
    (folder / "##[error]b.yaml").symlink_to("nowhere")
    (folder / "c.py").write_text("import valohai\nvalohai.prepare(step='##[error]c')\n")
    assert run(["lint", "--fix", "--dry-run", "a.yaml", "##[error]b.yaml"]) == 10
    assert run(["yaml", "step", "--dry-run", "--yaml", "c.yaml", "c.py"]) == 0
    captured = capsys.readouterr()
    for shown in (captured.out, captured.err):
        assert "##[" not in shown
        assert not any(line.lstrip().startswith("::") for line in shown.splitlines())
        assert "error]" in shown


def test_in_github_actions_text_stays_the_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    run(["lint", "error.yaml"])
    assert capsys.readouterr().out.startswith("error.yaml:2:5: error missing-key")


def test_a_file_is_checked_whatever_the_settings_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mlrun").mkdir()
    (tmp_path / "mlrun" / "settings.toml").write_text("nonsense")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert run(["lint", "error.yaml"]) == 10
    assert "missing-key" in capsys.readouterr().out


def test_the_second_look_at_a_file_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for _ in range(2):
        run(["lint", "error.yaml", "warning.yaml", "flat.yaml"])
        said.append(capsys.readouterr())
    assert said[0] == said[1]
