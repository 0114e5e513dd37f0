"""`mlrun show`: the record, readable."""

import json
import re
from typing import Any

import pytest

from runner.cli.main import run
from runner.digest import Digest
from runner.store.record import Code

from .conftest import COMMIT, Project


def page(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert run(["show", *arguments]) == 0
    return capsys.readouterr().out


def section(page: str, title: str) -> list[str]:
    """The lines below a title."""
    lines = page.splitlines()
    after = lines[lines.index(title) + 1 :]
    return [line.strip() for line in after[: after.index("") if "" in after else None]]


INPUT = {
    "name": "data",
    "files": [{"name": "iris.csv", "digest": "a" * 64, "size": 2048, "origin": "datum://x"}],
}


def test_an_execution_is_shown_with_everything_recorded(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    telling = project.begin(argv=("exec", "train", "--title", "my best"), title="my best", tags=("a", "b"))
    id = telling.start(parameters={"C": 0.5, "names": ["x", "y"]}, inputs=[INPUT, {"name": "empty", "files": []}])
    telling.say(id, b"hello\n", "stderr")
    telling.measure(id, loss=0.25, nested={"a": 1})
    telling.finish(
        id,
        outputs={"model.pkl": b"model"},
        metrics={"loss": 0.25, "nested": {"a": 1}},
        warnings=["left out a pipe"],
    )
    telling.end()
    text = page(capsys, "1")
    assert text.startswith("execution 1  train  succeeded\n")
    assert section(text, "command") == ["python train.py --C=0.5"]
    assert section(text, "parameters") == ["C      0.5", 'names  ["x", "y"]']
    assert section(text, "inputs")[0].split() == ["data", "iris.csv", "2.0", "KiB", "a" * 16, "from", "datum://x"]
    assert section(text, "inputs")[1].split() == ["empty", "(empty)"]
    assert section(text, "variables") == [f"VH_JOB_ID  {id}"]
    assert section(text, "metrics") == ["loss      0.25", "nested.a  1"]
    assert section(text, "outputs")[0].startswith("model.pkl  5 B")
    assert section(text, "warnings") == ["-  left out a pipe"]
    assert section(text, "code")[:2] == [f"commit    {COMMIT}", "branch    main"]
    for fact in (
        "exit code 0",
        "12 s",
        "python:3.12",
        "host:abc",
        "run:1, exec `train`",
        "mlrun exec train --title 'my best'",
        "a, b",
        "stderr 6 B",
    ):
        assert fact in text


def test_a_run_is_shown_with_its_nodes_and_their_reasons(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    telling = project.begin("a", "b", kind="pipeline", name="both")
    telling.finish(telling.start("a"), "failed", detail="it fell over", work="/store/work/x y")
    skipped = {"type": "node-moved", "node": "b", "state": "skipped", "reason": "upstream", "detail": "`a` failed"}
    telling.writer.append([skipped])
    telling.end("failed")
    text = page(capsys)
    assert text.startswith("run 1  both  failed\n")
    assert section(text, "nodes")[0].split() == ["a", "failed", "#1", "exit"]
    assert section(text, "nodes")[1].split(maxsplit=2) == ["b", "skipped", "upstream, `a` failed"]
    assert "execution 1  a  failed" in text
    assert "exit code 1, it fell over" in text
    assert "bash '/store/work/x y/rerun.sh'" in text


def test_a_dirty_tree_and_what_was_not_captured_are_told(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.run(code=Code(Digest("0" * 64), None, dirty=True, not_captured=("sub: a submodule",)))
    text = page(capsys)
    assert "commit        none" in text
    assert "not captured  sub: a submodule" in text


def test_what_lost_its_runner_is_interrupted(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    telling = project.begin()
    telling.start()
    assert page(capsys, "1").startswith("execution 1  train  running\n")
    telling.die()
    text = page(capsys, "1")
    assert text.startswith("execution 1  train  interrupted\n")
    assert "runner-lost" in text


def test_an_interrupted_execution_names_the_work_folder_that_it_left(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    telling = project.begin()
    folder = project.store.work_folder(telling.start())
    (folder / "outputs").mkdir(parents=True)
    assert "work folder" not in page(capsys, "1")
    telling.die()
    for arguments in ([], ["1"]):
        text = page(capsys, *arguments)
        assert re.search(rf"^  work folder +{folder}$", text, re.MULTILINE)
        assert section(text, "outputs that were not collected") == [f"what it wrote is in {folder}/outputs"]
    (folder / "outputs").rmdir()
    folder.rmdir()
    assert str(folder) not in page(capsys, "1")


def test_hostile_text_cannot_reach_the_terminal(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b[2Jevil\u202e\x07"
    telling = project.begin(evil, name=evil, title=evil, tags=(evil,), argv=("exec", evil))
    id = telling.start(
        evil, {evil: evil}, [{"name": evil, "files": [INPUT["files"][0] | {"name": evil, "origin": evil}]}]
    )  # type: ignore[index,operator]
    telling.finish(id, outputs={f"{evil}\n\udcff": b""}, metrics={evil: evil}, detail=evil, warnings=[evil])
    telling.end()
    for arguments in ([], ["1"]):
        assert not set("\x1b\u202e\x07\udcff") & set(page(capsys, *arguments))


def test_json_is_the_record(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    id = project.run(metrics={"loss": "NaN"}, parameters={"C": 0.5}, outputs={"odd\udcff": b"x"})
    execution: dict[str, Any] = json.loads(page(capsys, "1", "--json"))
    assert (execution["id"], execution["run"]["counter"], execution["metrics"]) == (id, 1, {"loss": "NaN"})
    assert execution["outputs"][0]["name"] == "odd\udcff"
    whole: dict[str, Any] = json.loads(page(capsys, "--json"))
    assert whole["executions"][id]["job"]["parameters"] == {"C": 0.5}


def test_an_unknown_name_ends_with_a_hint(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.run()
    assert run(["show", "7"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "there is no execution `7`" in captured.err
    assert "hint:" in captured.err
