"""`mlrun report` on what real runs left."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import html5rdf
import pytest

YAML = """\
- step:
    name: train
    image: busybox
    command:
      - 'for i in 1 2 3 4; do echo "{\\"epoch\\": $i, \\"loss\\": 0.$((9 - i))}"; done'
      - echo '</script><script>alert(1)</script>'
      - echo "$TOKEN"
      - 'echo "<svg xmlns=\\"http://www.w3.org/2000/svg\\" viewBox=\\"0 0 9 9\\"/>" > "$VH_OUTPUTS_DIR/curve.svg"'
    parameters:
      - {name: rate, type: float, default: 0.5}
    environment-variables:
      - {name: TOKEN, default: tell-nobody-of-me}
- step:
    name: check
    image: busybox
    command: 'echo "no such model" >&2; exit 3'
    inputs:
      - {name: model, optional: true}
- pipeline:
    name: both
    nodes:
      - {name: fit, type: execution, step: train}
      - {name: check, type: execution, step: check}
    edges:
      - [fit.output.*, check.input.model]
"""


def page(path: Path) -> tuple[str, str]:
    """A report as it is, and its text."""
    text = path.read_text(encoding="utf-8")
    root = html5rdf.HTMLParser(strict=True).parse(text)
    return text, " ".join(piece.strip() for piece in root.itertext() if piece.strip())


@pytest.fixture
def project(made: Callable[..., Any]) -> Any:
    return made(YAML)


def test_a_failed_pipeline_is_reported_with_what_went_wrong(project: Any) -> None:
    project.fails("pipeline", "both")
    done = project.succeeds("report")
    assert re.search(r"wrote run-1\.html \(\d+ KiB\)", done.err)
    text, told = page(project.folder / "run-1.html")
    for word in (
        "What went wrong",
        "exit code 3",
        "no such model",
        "loss",
        "curve.svg",
        "rate 0.5",
        "data:image/svg+xml",
    ):
        assert word in told or word in text, word
    assert "<script" not in text
    assert "tell-nobody-of-me" not in re.sub(r"<pre.*?</pre>", "", text, flags=re.S)


def test_a_reused_node_is_reported_with_what_stands_for_it(project: Any, tmp_path: Path) -> None:
    project.fails("pipeline", "both")
    project.fails("pipeline", "both")
    project.succeeds("report", "run:2", "-o", tmp_path / "two.html")
    _, told = page(tmp_path / "two.html")
    assert "execution 1 of run 1 stands for it" in told
    assert "loss" in told


def test_purged_content_is_said_to_be_gone(project: Any, tmp_path: Path) -> None:
    project.succeeds("exec", "train")
    project.succeeds("purge", "1/curve.svg", "--yes", "--reason", "asked for")
    project.succeeds("report", "run:1", "-o", tmp_path / "one.html")
    _, told = page(tmp_path / "one.html")
    assert "The picture was purged on" in told
    assert "asked for" in told


def test_a_report_goes_to_standard_output_too(project: Any) -> None:
    project.succeeds("exec", "train")
    assert project.succeeds("report", "-o", "-").out.startswith("<!doctype html>")


@pytest.mark.parametrize("name", ["1", "run:1", "latest", "run:latest"])
def test_a_run_has_the_names_that_it_has_everywhere(project: Any, tmp_path: Path, name: str) -> None:
    project.succeeds("exec", "train")
    project.succeeds("report", name, "-o", tmp_path / "one.html")
    assert "Run 1, " in page(tmp_path / "one.html")[1]


def test_what_cannot_be_reported_is_refused(project: Any) -> None:
    assert "nothing has been run" in project.refused("report", code=2)
    project.succeeds("exec", "train")
    assert "there is no run `2`" in project.refused("report", "2", code=2)
    assert "has a metric `los`" in project.refused("report", "--best", "los", code=2)
    assert "run 1 has no task" in project.refused("report", "--goal", "minimize", code=2)
    assert "is no goal" in project.refused("report", "--best", "loss", "--goal", "small", code=2)
    assert "cannot write" in project.refused("report", "-o", "/nonexistent/x.html", code=2)
