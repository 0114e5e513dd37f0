"""Differences from `vh yaml step` of Valohai's own client: those that `docs/yaml-step.md` names, and no other."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import MlrunError
from runner.spec.prepare import write_step
from runner.spec.script import read_script

valohai = pytest.importorskip("valohai", reason="valohai-utils is not installed")
from valohai.internals.merge import python_to_yaml_merge_strategy  # noqa: E402
from valohai.internals.yaml import parse_config_from_source  # noqa: E402
from valohai_yaml import parse  # noqa: E402
from valohai_yaml.lint import lint  # noqa: E402
from valohai_yaml.objs.config import Config  # noqa: E402

TRIALS = settings(max_examples=30, deadline=None, database=None)

NAMES = st.text("abcxyz019-_. ", min_size=1, max_size=8).filter(lambda name: name == name.strip())
FOLDERS = NAMES.filter(lambda name: name not in (".", ".."))
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=10)
VALUES = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
SPECS = st.fixed_dictionaries(
    {"type": st.just("string"), "default": TEXTS.filter(bool)},
    optional={"description": TEXTS.filter(bool), "optional": st.booleans(), "pass_as": st.just("-x {v}")},
)
URIS = st.sampled_from(["s3://b/a.csv", "s3://b/*.csv", "https://h/x.zip", "datum://a", "local.csv", "data/*.csv"])
CALLS = st.fixed_dictionaries(
    {"step": NAMES},
    optional={
        "default_parameters": st.dictionaries(NAMES, VALUES | SPECS, max_size=4),
        "default_inputs": st.dictionaries(
            FOLDERS,
            URIS | st.lists(URIS, max_size=3) | st.fixed_dictionaries({"default": URIS, "optional": st.booleans()}),
        ),
        "image": st.sampled_from(["busybox:1", "python:3.12"]),
        "environment": st.just("gpu"),
        "multifile": st.booleans(),
        "upload_store": st.just("store"),
    },
)


def script_of(call: dict[str, Any]) -> str:
    return f"import valohai\nvalohai.prepare({', '.join(f'{key}={value!r}' for key, value in call.items())})\n"


def official(folder: Path, name: str) -> Config:
    return parse_config_from_source(str(folder / name), str(folder / "valohai.yaml"))


def ours(folder: Path, name: str, before: str = "") -> Config:
    path = name if "/" in name else f"./{name}"
    data = write_step(before.encode(), "valohai.yaml", read_script((folder / name).read_bytes(), name), path).data
    assert not list(lint(data.decode()).errors)
    return parse(data.decode())


def same(one: Config, other: Config) -> None:
    """Two files mean the same, and where the client writes a list of one URI, one URI will do."""

    def plain(config: Config) -> Any:
        items = json.loads(json.dumps(config.serialize()))
        for item in items:
            for entry in item["step"].get("inputs", []):
                entry["default"] = [entry["default"]] if isinstance(entry.get("default"), str) else entry.get("default")
        return items

    assert plain(one) == plain(other)


@TRIALS
@given(CALLS)
def test_a_fresh_step_means_what_the_official_client_writes(
    tmp_path_factory: pytest.TempPathFactory, call: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("fresh")
    (folder / "train.py").write_text(script_of(call), "utf-8")
    same(ours(folder, "train.py"), official(folder, "train.py"))


@pytest.mark.parametrize("name", ["src/train.py", "note book.ipynb", "src/nb.ipynb"])
def test_the_command_is_that_of_the_official_client(tmp_path: Path, name: str) -> None:
    code = "valohai.prepare(step='s')"
    notebook = json.dumps({"nbformat": 4, "cells": [{"cell_type": "code", "source": ["!pip\n", code]}]})
    (tmp_path / "src").mkdir()
    (tmp_path / name).write_text(notebook if name.endswith("ipynb") else code)
    same(ours(tmp_path, name), official(tmp_path, name))


BEFORE = """\
- step:
    name: other
    image: other:1
    command: other
- step:
    name: train
    image: mine:1
    command: [make, 'train {parameters}']
    environment: cpu
    description: by hand
    outputs: [{name: model}]
    environment-variables: [{name: A, default: b}]
"""


@TRIALS
@given(CALLS)
def test_an_update_means_what_the_official_client_writes(
    tmp_path_factory: pytest.TempPathFactory, call: dict[str, Any]
) -> None:
    # The client forgets the store of a step that it updates.
    call = {**call, "step": "train", "upload_store": None}
    folder = tmp_path_factory.mktemp("update")
    (folder / "train.py").write_text(script_of(call), "utf-8")
    merged = parse(BEFORE).merge_with(official(folder, "train.py"), python_to_yaml_merge_strategy)
    same(ours(folder, "train.py", BEFORE), merged)


def test_what_people_wrote_stays_where_the_official_client_drops_it(tmp_path: Path) -> None:
    before = BEFORE + (
        "    time-limit: 90\n    upload-store: s\n    parameters:\n"
        "    - {name: lr, type: float, default: 1, description: by hand}\n    - {name: gone, default: x}\n"
        "    inputs: [{name: i, default: 's3://b/x'}]\n"
    )
    (tmp_path / "train.py").write_text(
        "valohai.prepare(step='train', default_parameters={'lr': 2.0}, default_inputs={'i': 'local'})"
    )
    merged = parse(before).merge_with(official(tmp_path, "train.py"), python_to_yaml_merge_strategy).steps["train"]
    kept = ours(tmp_path, "train.py", before).steps["train"]
    assert (merged.time_limit, merged.upload_store, merged.inputs["i"].default) == (None, None, None)
    assert (kept.time_limit.total_seconds(), kept.upload_store, kept.inputs["i"].default) == (90, "s", "s3://b/x")
    assert (list(merged.parameters), merged.parameters["lr"].description) == (["lr"], None)
    assert (list(kept.parameters), kept.parameters["lr"].description) == (["lr", "gone"], "by hand")
    assert kept.parameters["lr"].default == merged.parameters["lr"].default == 2.0


@pytest.mark.parametrize(
    ("code", "step"),
    [
        ("from valohai import prepare\nprepare(step='a')", "a"),
        ("import valohai as vh\nvh.prepare(step='a')", "a"),
        ("x = valohai.prepare(step='a')", "a"),
        ("NAME = 'a'\nvalohai.prepare(step=NAME)", "a"),
    ],
)
def test_calls_are_found_that_the_official_client_does_not_see(tmp_path: Path, code: str, step: str) -> None:
    (tmp_path / "train.py").write_text(code)
    with pytest.raises(ValueError, match=r"missing a call|malformed node"):
        official(tmp_path, "train.py")
    assert list(ours(tmp_path, "train.py").steps) == [step]


@pytest.mark.parametrize(
    "code",
    [
        "valohai.prepare()",
        "valohai.prepare(step='a')\nvalohai.prepare(step='b')",
        "P = {'a': 1}\nP = f()\nvalohai.prepare(step='a', default_parameters=P)",
        "valohai.prepare(step='a', parameters={'a': 1})",
    ],
)
def test_what_the_official_client_guesses_is_an_error_here(tmp_path: Path, code: str) -> None:
    (tmp_path / "train.py").write_text(code)
    assert official(tmp_path, "train.py").steps
    with pytest.raises(MlrunError):
        ours(tmp_path, "train.py")
