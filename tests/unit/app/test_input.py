"""Fetching as a run does it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.app.input import check_inputs, compute_checksums, fetch_inputs, left_files, make_fetcher
from runner.data.means import Means
from runner.digest import Digest
from runner.errors import ExitCode, MlrunError
from runner.events import Event
from runner.job import InputFile
from runner.plan.bind import resolve
from runner.plan.compile import compile_pipeline, compile_step
from runner.plan.model import Arguments, Given, Plan, PlannedNode
from runner.spec.project import parse_project
from runner.store.datum import datum_id
from runner.store.record import OutputFile
from runner.store.store import Store

YAML = """
- step:
    name: first
    image: busybox
    command: 'true'
    parameters:
      - {name: which, type: string, default: a}
- step:
    name: look
    image: busybox
    command: 'true'
    parameters:
      - {name: which, type: string, default: a}
    environment-variables:
      - {name: VH_NO_DATA_CACHE, optional: true}
    inputs:
      - {name: data, default: "data/{parameter:which}.csv", optional: true}
- pipeline:
    name: two
    nodes:
      - {name: one, type: execution, step: first}
      - {name: other, type: execution, step: look}
    edges:
      - [one.parameter.which, other.parameter.which]
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "p" / "data").mkdir(parents=True)
    (tmp_path / "p" / "data" / "a.csv").write_text("a")
    return tmp_path / "p"


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with Store.open(tmp_path / "store", create=True) as store:
        yield store


def plan(root: Path, *uris: str, **environment: str) -> Plan:
    project = parse_project(YAML.encode(), "valohai.yaml")
    given = {"look": Given(inputs={"data": uris})} if uris else {}
    arguments = Arguments(str(root), nodes=given, environment=environment)
    return compile_step(project.steps["look"], arguments, str(root))


def files(root: Path, store: Store, node: PlannedNode, told: list[Event]) -> tuple[InputFile, ...]:
    return fetch_inputs(make_fetcher(root, store), node, resolve(node, {}), told.append)["data"]


def test_an_address_is_checked_with_the_values_of_its_parameters(root: Path, store: Store) -> None:
    check_inputs(make_fetcher(root, store), plan(root))
    (root / "data" / "a.csv").unlink()
    with pytest.raises(MlrunError, match=r"`data/a\.csv` does not exist"):
        check_inputs(make_fetcher(root, store), plan(root))


def test_an_address_that_an_edge_changes_is_not_checked_beforehand(root: Path, store: Store) -> None:
    (root / "data" / "a.csv").unlink()
    project = parse_project(YAML.encode(), "valohai.yaml")
    two = compile_pipeline(project, project.pipelines["two"], Arguments(str(root)), str(root))
    check_inputs(make_fetcher(root, store), two)


def test_a_name_that_nothing_has_is_refused_unless_an_upstream_node_may_make_it(root: Path, store: Store) -> None:
    alone = plan(root, "dataset://flowers/latest")
    with pytest.raises(MlrunError, match="there is no dataset `flowers`") as caught:
        check_inputs(make_fetcher(root, store), alone)
    assert caught.value.code is ExitCode.INPUT
    node = replace(alone.nodes["look"], upstream=("maker",))
    check_inputs(make_fetcher(root, store), replace(alone, nodes={"look": node}))


def test_the_variable_of_the_step_turns_the_cache_off(
    root: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def note(want: object, means: Means) -> tuple[InputFile, ...]:
        asked.append(means.fresh)
        return ()

    monkeypatch.setattr("runner.data.local.fetch", note)
    for value in ("1", "Yes", "true", "0", ""):
        files(root, store, plan(root, VH_NO_DATA_CACHE=value).nodes["look"], [])
    files(root, store, plan(root).nodes["look"], [])
    assert asked == [True, True, True, False, False, False]


def test_the_checksums_that_are_asked_for_are_known_of_every_file(root: Path, store: Store) -> None:
    node = plan(root).nodes["look"]
    (file,) = files(root, store, node, [])
    compute_checksums(store, (), {"data": (file,)}, resolve(node, {}))
    assert set(store.checksums.known(Digest(file.digest))) == {"blake3"}
    carried = replace(resolve(node, {}), carried={"data": (file,)})
    compute_checksums(store, ("md5",), {}, carried)
    assert set(store.checksums.known(Digest(file.digest))) == {"blake3", "md5"}


def test_a_broken_map_is_a_usage_error_before_anything_starts(root: Path, store: Store, tmp_path: Path) -> None:
    (tmp_path / "config" / "mlrun").mkdir(parents=True)
    (tmp_path / "config" / "mlrun" / "inputs.toml").write_text("[map")
    with pytest.raises(MlrunError) as caught:
        make_fetcher(root, store)
    assert caught.value.code is ExitCode.USAGE


def test_of_several_versions_of_an_output_the_newest_is_left_under_its_own_name() -> None:
    digests = [Digest(letter * 64) for letter in "abcd"]
    outputs = [
        OutputFile("m", digests[0], 1),
        OutputFile("m~2", digests[1], 1),
        OutputFile("m~10", digests[2], 1, version=10),
        OutputFile("m~3", digests[3], 1, version=3),
    ]
    left = {file.name: file for file in left_files("e", outputs)}
    assert {name: file.digest for name, file in left.items()} == {"m": digests[2], "m~2": digests[1]}
    assert left["m"].origin == f"datum://{datum_id('e', 'm~10')}"
