"""`mlrun compare`: executions, runs and the makers of files side by side."""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from runner.cli.main import run
from runner.digest import hash_bytes
from runner.errors import ExitCode
from runner.escape import display_width
from runner.state import State
from runner.store.record import Code, Reused
from tests.unit.cli.conftest import COMMIT, Project
from tests.unit.cli.test_lineage import given

FIRST = {"train.py": b"import data\nprint(1)\n", "data.py": b"a = 1\n", "README.md": b"hello\n"}


def snapshot(project: Project, files: Mapping[str, bytes]) -> Code:
    """Code with these files."""
    objects = project.store.objects
    entries = [(path, "100644", objects.put_bytes(data), len(data)) for path, data in files.items()]
    return Code(objects.put_tree(entries), COMMIT, "main", None, None, dirty=False)


def train(
    project: Project,
    parameters: Mapping[str, Any] | None = None,
    files: Mapping[str, bytes] = FIRST,
    metrics: Mapping[str, Any] | None = None,
    outputs: Mapping[str, bytes] | None = None,
    data: bytes = b"data",
    node: str = "train",
    **more: Any,
) -> str:
    """A run of one execution that read `train.py` and `data.py`; gives its id."""
    telling = project.begin(node, code=snapshot(project, files))
    id = telling.start(node, parameters, [given("train-set", "train.csv", data, "https://example.com/train.csv")])
    read = {"code": ["data.py", "train.py"], "inputs": None}
    telling.finish(id, "succeeded", outputs, metrics, read=read, **more)
    telling.end()
    return id


def compare(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert run(["compare", *words]) == ExitCode.OK
    return capsys.readouterr().out


def document(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    (found,) = json.loads(compare(capsys, *words, "--json"))["comparisons"]
    return found


def test_what_is_the_same_is_named_in_one_line(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    train(project, {"C": 1}, metrics={"accuracy": 0.9}, outputs={"model.pkl": b"m"})
    train(project, {"C": 1}, metrics={"accuracy": 0.9}, outputs={"model.pkl": b"m"})
    out = compare(capsys, "1", "2")
    assert "execution 2: nothing differs" in out
    # Figures are shown though they are the same.
    assert out.splitlines()[-1] == "the same: parameters, settings, code, inputs, environment, outputs"
    assert document(capsys, "1", "2")["differs"] is False
    assert run(["compare", "1", "2", "--exit-code"]) == ExitCode.OK


def test_parameters_metrics_inputs_and_outputs_that_differ_are_shown_with_both_values(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    train(project, {"C": 1, "seed": 7}, metrics={"accuracy": 0.5}, outputs={"m.json": b'{"a": 1}', "gone.txt": b"x"})
    train(project, {"C": 2, "seed": 7}, metrics={"accuracy": 0.75}, outputs={"m.json": b'{"a": 2}'}, data=b"other")
    out = compare(capsys, "1", "2")
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip()}
    assert lines["C"] == ["1", "2"]
    assert "seed" not in lines
    assert "parameters: 1 differs, 1 the same" in out
    assert lines["accuracy"] == ["0.5", "0.75", "(+0.25)"]
    assert lines["train-set/train.csv"] == [hash_bytes(b"data")[:12], hash_bytes(b"other")[:12]]
    assert "m.json, execution 2: $.a: 1 → 2" in out
    assert lines["gone.txt"][:2] == ["only", "here"]
    assert "execution 2: parameter C: 1 → 2" in out
    assert "execution 2: input train-set: file train.csv changed" in out
    assert run(["compare", "1", "2", "--exit-code"]) == ExitCode.STEP_FAILED


def test_one_and_true_and_one_point_zero_are_not_the_same(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    train(project, {"a": 1})
    train(project, {"a": 1.0})
    train(project, {"a": True})
    (row,) = document(capsys, "1", "2", "3")["parameters"]
    assert row["same"] is False
    assert row["values"] == [1, 1.0, True]


def test_the_code_is_compared_file_by_file_and_says_what_was_read(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    train(project)
    train(project, files=FIRST | {"train.py": b"import data\nprint(2)\n", "README.md": b"bye\n", "new.py": b"x\n"})
    out = compare(capsys, "1", "2")
    assert "code of execution 2: 3 files differ" in out
    assert "  ~ train.py  +1 -1  read" in out
    assert "  ~ README.md  +1 -1  not read" in out
    assert "  + new.py  +1 -0  not read" in out
    assert "print(2)" not in out
    patch = compare(capsys, "1", "2", "--code")
    assert "  -print(1)\n  +print(2)\n" in patch
    changes = document(capsys, "1", "2")["against"][0]
    assert [one["kind"] for one in changes["counts"]] == ["file", "code"]


def test_a_comment_is_a_difference_that_does_not_count(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    train(project)
    train(project, files=FIRST | {"data.py": b"a = 1  # one\n"})
    out = compare(capsys, "1", "2")
    assert "execution 2: nothing differs" in out
    assert "  ~ data.py  +1 -1  read" in out


def test_a_comment_counts_where_the_settings_say_that_bytes_do(
    project: Project, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(project)
    train(project, files=FIRST | {"data.py": b"a = 1  # one\n"})
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    settings = tmp_path / "config" / "mlrun" / "settings.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text('code-key = "bytes"\n')
    assert "execution 2: data.py changed (1 line)" in compare(capsys, "1", "2")


def test_a_file_that_nobody_read_is_shown_and_is_no_difference(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    train(project)
    train(project, files=FIRST | {"README.md": b"bye\n"})
    assert "  ~ README.md  +1 -1  not read" in compare(capsys, "1", "2", "--exit-code")
    assert document(capsys, "1", "2")["differs"] is False
    train(project, files=FIRST | {"data.py": b"a = 1  # one\n"})
    assert document(capsys, "1", "3")["differs"] is True


def test_code_that_is_not_in_the_store_any_more_is_told(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    train(project)
    project.run(node="train")
    out = compare(capsys, "1", "2")
    assert "code of execution 2: not in the store any more" in out
    assert "execution 2: the record does not tell" in out


@pytest.mark.parametrize("count", [2, 3, 6])
def test_a_page_fits_a_terminal_of_80_columns(
    project: Project, count: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("runner.cli.contrast.terminal_width", lambda _: 80)
    for number in range(count):
        long = {"a-parameter-with-a-very-long-name-that-nobody-can-read": f"value {number} " * 20, "漢字": "漢字" * 40}
        train(project, long, metrics={"accuracy": number / 7}, outputs={"long/" * 30 + "x": str(number).encode()})
    out = compare(capsys, *map(str, range(1, count + 1)))
    assert max(map(display_width, out.splitlines())) <= 80
    assert out.splitlines()[0].count("exec") == count


def test_six_are_the_most_and_two_the_least(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    train(project)
    assert run(["compare", "1"]) == ExitCode.USAGE
    assert run(["compare", *["1"] * 7]) == ExitCode.USAGE
    assert "2 to 6" in capsys.readouterr().err


def test_files_stand_for_the_executions_that_made_them(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(project, {"C": 1}, outputs={"model.pkl": b"one"})
    train(project, {"C": 2}, outputs={"model.pkl": b"two"})
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    sides = document(capsys, str(tmp_path / "one"), str(tmp_path / "two"))["sides"]
    assert [side["counter"] for side in sides] == [1, 2]
    assert [side["label"] for side in sides] == ["one", "two"]
    assert document(capsys, "1/model.pkl", "2")["sides"][0]["counter"] == 1
    (tmp_path / "three").write_text("three")
    assert run(["compare", "1", str(tmp_path / "three")]) == ExitCode.INPUT
    assert "no execution left `three`" in capsys.readouterr().err


def pipeline(project: Project, c: int) -> list[str]:
    telling = project.begin("prepare", "train", kind="pipeline", name="p", code=snapshot(project, FIRST))
    ids = [telling.start("prepare"), telling.start("train", {"C": c})]
    for id in ids:
        telling.finish(id, read={"code": [], "inputs": None})
    telling.end()
    return ids


def test_runs_are_compared_node_by_node(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline(project, 1)
    pipeline(project, 2)
    out = compare(capsys, "run:1", "run:2")
    assert "node train" in out and "node prepare" not in out
    assert out.splitlines()[-1] == "the same but for times: prepare"
    # Of a run and an execution the node of the same name is meant.
    train(project, {"C": 1}, node="train")
    assert [side["counter"] for side in document(capsys, "run:1", "5")["sides"]] == [2, 5]
    train(project, node="elsewhere")
    assert run(["compare", "run:1", "6"]) == ExitCode.USAGE
    assert "none of node `elsewhere`" in capsys.readouterr().err


def test_a_reused_node_is_compared_by_the_execution_that_stands_for_it(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    first = pipeline(project, 1)
    telling = project.begin("prepare", "train", kind="pipeline", name="p", code=snapshot(project, FIRST))
    reused = asdict(Reused(first[0], 1, project.told[0].writer.run().id))
    telling.writer.append([{"type": "node-moved", "node": "prepare", "state": "reused", "reused": reused}])
    telling.finish(telling.start("train", {"C": 1}), read={"code": [], "inputs": None})
    telling.end()
    found = json.loads(compare(capsys, "run:1", "run:2", "--json"))["comparisons"]
    assert {one["node"]: [side["counter"] for side in one["sides"]] for one in found} == {
        "prepare": [1, 1],
        "train": [2, 3],
    }


def test_a_node_that_only_one_run_has_is_told_as_missing(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline(project, 1)
    telling = project.begin("other", "train", kind="pipeline", name="p", code=snapshot(project, FIRST))
    for node in ("other", "train"):
        telling.finish(telling.start(node, {"C": 1} if node == "train" else None), read={"code": [], "inputs": None})
    telling.end()
    found = json.loads(compare(capsys, "run:1", "run:2", "--json"))["comparisons"]
    assert {one["node"]: one["differs"] for one in found} == {"prepare": True, "train": False, "other": True}
    assert "node other" in compare(capsys, "run:1", "run:2")


def test_markdown_has_words_of_strangers_in_code_spans_only(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    wild = "<img src=x> @somebody [a](http://b) | `c`"
    train(project, {wild: 1, "t": wild}, outputs={"o.txt": b"one"})
    other = FIRST | {"train.py": b"````\n@b\n"}
    train(project, {wild: 2, "t": f"{wild}\x1b[31m"}, files=other, outputs={"o.txt": b"two"})
    out = compare(capsys, "1", "2", "--format", "markdown", "--code")
    assert "\x1b" not in out
    assert "\n+````\n+@b\n`````\n" in out
    row = next(line for line in out.splitlines() if "(differs) | `1` | `2` |" in line)
    assert row == "| `` <img src=x> @somebody [a](http://b) \\| `c` `` (differs) | `1` | `2` |"
    outside = re.sub(r"(`+).*?(?<!`)\1(?!`)", "", re.sub(r"(?s)`````diff.*?\n`````\n", "", out))
    assert "@" not in outside and "<img" not in outside


def test_markdown_is_never_longer_than_a_comment_may_be(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(2):
        files = {f"{name}.py": f"print({number})\n".encode() * 300 for name in range(40)}
        parameters = {f"parameter-{index}": f"{number} " * 100 for index in range(400)}
        train(project, parameters, files=files)
    out = compare(capsys, "1", "2", "--format", "markdown", "--code")
    assert 50_000 < len(out) < 65_536
    assert out.endswith("shows the rest\n")


def test_a_distribution_of_another_version_is_named(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    for version in ("1.0", "2.0"):
        telling = project.begin("train", code=snapshot(project, FIRST))
        id = telling.start("train")
        identity = {"id": f"host:{version}", "distributions": ["numpy==1.26", f"scikit-learn=={version}"]}
        telling.writer.append([{"type": "execution-started", "id": id, "executor": "sandbox", "identity": identity}])
        telling.finish(id, read={"code": [], "inputs": None})
        telling.end()
    out = compare(capsys, "1", "2")
    line = next(line for line in out.splitlines() if line.split()[:1] == ["scikit-learn"])
    assert line.split()[1:] == ["1.0", "2.0"]
    assert "scikit-learn 1.0 → 2.0" in out
    assert "numpy" not in out


def test_no_secret_is_shown(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    train(project)
    project.run(node="train", state=State.FAILED)
    out = compare(capsys, "1", "2", "--json")
    assert "VH_JOB_ID" not in out


def test_outputs_whose_content_is_gone_are_told_without_a_first_difference(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    train(project, outputs={"o.txt": b"one"})
    train(project, outputs={"o.txt": b"two"})
    shutil.rmtree(project.store.objects.path(hash_bytes(b"one")).parent)
    (output,) = document(capsys, "1", "2")["outputs"]
    assert output["same"] is False
    assert output["findings"] == [None, None]
