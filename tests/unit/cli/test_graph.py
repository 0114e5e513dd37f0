"""`mlrun graph`: the formats, the choice of a pipeline, and broken files."""

import io
import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from runner.cli.main import run

STEP = "- step: {name: s, image: 'busybox:1', command: 'true', inputs: [{name: in, optional: true}]}\n"
ONE = """\
- pipeline:
    name: %s
    nodes:
      - {name: a, type: execution, step: s}
      - {name: b, type: execution, step: s}
    edges: [[a.output.x, b.input.in]]
"""
CYCLE = ONE.replace("edges: [", "edges: [[b.output.x, a.input.in], ") % "round"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "valohai.yaml").write_text(STEP + ONE % "first")
    return tmp_path


def test_text_is_the_default_and_has_no_colour_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["graph"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("first: 2 nodes, 1 edge\n\n●  a  step s  busybox:1\n")
    assert "\x1b" not in captured.out
    assert not captured.err


@pytest.mark.parametrize(
    ("form", "start"),
    [("text", "first:"), ("mermaid", "flowchart"), ("dot", "digraph"), ("svg", "<svg"), ("json", "{")],
)
def test_every_format_is_printed(form: str, start: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["graph", "--format", form]) == 0
    assert capsys.readouterr().out.startswith(start)


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("g.txt", "first:"),
        ("g.mmd", "flowchart"),
        ("g.GV", "digraph"),
        ("g.dot", "digraph"),
        ("g.svg", "<svg"),
        ("g.json", "{"),
    ],
)
def test_the_suffix_of_the_file_chooses_the_format(
    name: str, start: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["graph", "first", "-o", name]) == 0
    assert not capsys.readouterr().out
    assert (folder / name).read_text(encoding="utf-8").startswith(start)


def test_a_format_that_is_named_wins_over_the_suffix(folder: Path) -> None:
    assert run(["graph", "-o", "g.txt", "--format", "svg"]) == 0
    ET.fromstring((folder / "g.txt").read_text(encoding="utf-8"))


def test_all_pipelines_come_in_order_without_a_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "valohai.yaml").write_text(STEP + ONE % "first" + ONE % "again")
    assert run(["graph"]) == 0
    out = capsys.readouterr().out
    assert out.index("first: 2 nodes") < out.index("again: 2 nodes")
    assert run(["graph", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [pipeline["pipeline"] for pipeline in document["pipelines"]] == ["first", "again"]
    assert run(["graph", "--format", "mermaid"]) == 0
    assert capsys.readouterr().out.count("subgraph") == 2
    assert run(["graph", "--format", "dot"]) == 0
    assert capsys.readouterr().out.count("digraph") == 2


def test_a_picture_of_several_pipelines_needs_a_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "valohai.yaml").write_text(STEP + ONE % "first" + ONE % "again")
    assert run(["graph", "--format", "svg"]) == 2
    assert "`again`, `first`" in capsys.readouterr().err
    assert run(["graph", "ag", "--format", "svg"]) == 0


def test_a_broken_pipeline_is_drawn_and_its_errors_are_told_once(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "valohai.yaml").write_text(STEP + ONE % "first" + CYCLE)
    assert run(["graph", "round"]) == 0
    captured = capsys.readouterr()
    assert "(a cycle)" in captured.out
    assert captured.err.count("\n") == 2
    assert "pipeline `round` has 1 error" in captured.err
    assert "`mlrun lint`" in captured.err
    assert run(["graph", "first"]) == 0
    assert not capsys.readouterr().err


def test_a_pipeline_that_cannot_run_at_all_is_drawn(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = STEP + (ONE % "first").replace("type: execution, step: s}\n      - {name: b", "type: wat}\n      - {name: b")
    (folder / "valohai.yaml").write_text(text.replace("[[a.", "[[nonsense], [a."))
    assert run(["graph"]) == 0
    captured = capsys.readouterr()
    assert "● " in captured.out
    assert "a: output x → input in" in captured.out
    assert "errors" in captured.err


@pytest.mark.parametrize("arguments", [["-"], ["--yaml", "-"], ["first", "--yaml", "-"]])
def test_standard_input_is_read_for_a_dash(
    arguments: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "valohai.yaml").unlink()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((STEP + ONE % "first").encode())))
    assert run(["graph", *arguments]) == 0
    assert capsys.readouterr().out.startswith("first:")


def test_another_file_is_named_by_yaml(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "other.yaml").write_text(STEP + ONE % "elsewhere")
    assert run(["graph", "--yaml", "other.yaml"]) == 0
    assert capsys.readouterr().out.startswith("elsewhere:")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nope"], 2, "there is no pipeline `nope`"),
        (["--format", "png"], 2, "there is no format `png`"),
        (["-o", "g.png"], 2, "suffix"),
        (["-o", "no/such/g.svg"], 2, "cannot be written"),
        (["--yaml", "gone.yaml"], 10, "there is no `gone.yaml`"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["graph", *arguments]) == code
    captured = capsys.readouterr()
    assert said in captured.err
    assert "hint:" in captured.err


@pytest.mark.parametrize("data", [b"", b"\x00", b"[" * 5000, b"- step: [}", b"a: 1", STEP.encode(), b"- pipeline:"])
def test_a_file_without_a_pipeline_is_an_error(data: bytes, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "valohai.yaml").write_bytes(data)
    assert run(["graph"]) == 10
    assert "bug" not in capsys.readouterr().err


def test_a_terminal_without_unicode_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding="ascii", errors="strict"))
    assert run(["graph"]) == 0
    sys.stdout.flush()
    assert b"*  a  step s" in buffer.getvalue()


def test_a_flowchart_that_viewers_refuse_is_written_with_a_warning(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = "".join(f"      - {{name: n{index}, type: execution, step: s}}\n" for index in range(502))
    edges = "".join(f"      - [n{index}.output.x, n{index + 1}.input.in]\n" for index in range(501))
    head = "- pipeline:\n    name: long\n    nodes:\n"
    (folder / "valohai.yaml").write_text(f"{STEP}{ONE % 'first'}{head}{nodes}    edges:\n{edges}")
    assert run(["graph", "long", "--format", "mermaid"]) == 0
    captured = capsys.readouterr()
    assert captured.out.count(" --> ") + captured.out.count("|") // 2 >= 501
    assert "warning: the flowchart has 501 edges: viewers such as GitHub show at most 500 edges" in captured.err
    assert run(["graph", "first", "--format", "mermaid"]) == 0
    assert not capsys.readouterr().err


def test_the_name_of_a_broken_pipeline_is_no_command_of_githubs_runner(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    (folder / "valohai.yaml").write_text(STEP + CYCLE.replace("name: round", "name: '##[error]x'"))
    assert run(["graph", "--format", "json"]) == 0
    said = capsys.readouterr().err
    assert "has 1 error" in said
    assert "##[" not in said
