"""From a planned node and what its upstreams left to a job."""

import pytest

from runner.errors import ExitCode, MlrunError
from runner.job import InputFile, JobInput, Network
from runner.plan.bind import Left, Resolved, make_job, resolve
from runner.plan.compile import compile_pipeline, compile_step
from runner.plan.model import Arguments, Given, PlannedNode
from runner.spec.project import parse_project

TEXT = """
- step:
    name: make
    image: busybox
    command: make
    parameters: [{name: seed, type: integer, optional: true}]
    inputs: [{name: models, optional: true}, {name: table, optional: true}]
- step:
    name: use
    image: busybox
    command: use {parameters}
    parameters: [{name: n, type: integer, default: 3}, {name: set, default: a}]
    inputs: [{name: data, default: "data/{parameter:set}.csv", optional: OPTIONAL}]
- pipeline:
    name: both
    nodes:
      - {name: make, type: execution, step: make}
      - {name: use, type: execution, step: use, edge-merge-mode: MODE}
    edges: [EDGES]
"""


N = "{name: n, type: integer, default: 3}"


def node(edges: str, mode: str = "replace", optional: str = "true", parameter: str = N) -> PlannedNode:
    text = TEXT.replace("EDGES", edges).replace("MODE", mode).replace("OPTIONAL", optional).replace(N, parameter)
    project = parse_project(text.encode(), "valohai.yaml")
    return compile_pipeline(project, project.pipelines["both"], Arguments("/here"), "/p").nodes["use"]


def file(name: str) -> InputFile:
    return InputFile(name, "0" * 64, 1, f"datum://{name}")


def names(resolved: Resolved) -> list[str]:
    return [file.name for file in resolved.carried["data"]]


LEFT = Left(
    parameters={"seed": 9},
    inputs=(JobInput("models-a", (file("m.pkl"),)), JobInput("table", (file("t.csv"),))),
    outputs=(file("a.csv"), file("deep/b.csv"), file("deep/c.txt")),
    metrics={"rows": 12, "share": 0.5, "listed": [1, 2]},
)


def test_edge_files_take_the_place_of_the_default() -> None:
    resolved = resolve(node("[make.output.*.csv, use.input.data]"), {"make": LEFT})
    assert names(resolved) == ["a.csv", "b.csv"]
    assert "data" not in resolved.sources


def test_edge_files_add_to_the_default_where_the_node_says_append() -> None:
    resolved = resolve(node("[make.output.a.csv, use.input.data]", mode="append"), {"make": LEFT})
    assert names(resolved) == ["a.csv"]
    assert [source.uri for source in resolved.sources["data"]] == ["data/a.csv"]


def test_a_parameter_in_a_source_is_replaced_by_its_effective_value() -> None:
    resolved = resolve(node("[make.dependency.x, use.dependency.x]"), {"make": LEFT})
    assert [source.uri for source in resolved.sources["data"]] == ["data/a.csv"]


def test_an_input_edge_hands_on_the_files_of_all_inputs_whose_name_matches() -> None:
    assert names(resolve(node("[make.input.models*, use.input.data]"), {"make": LEFT})) == ["m.pkl"]


def test_parameter_and_metadata_edges_carry_typed_values() -> None:
    assert resolve(node("[make.parameter.seed, use.parameter.n]"), {"make": LEFT}).parameters["n"] == 9
    assert resolve(node("[make.metadata.rows, use.parameter.n]"), {"make": LEFT}).parameters["n"] == 12


@pytest.mark.parametrize("key", ["share", "listed"])
def test_a_metadata_value_of_the_wrong_type_is_refused(key: str) -> None:
    with pytest.raises(MlrunError, match=f"make.metadata.{key}"):
        resolve(node(f"[make.metadata.{key}, use.parameter.n]"), {"make": LEFT})


@pytest.mark.parametrize("declared", ["{name: n, type: integer, default: 3}", "{name: n}"])
def test_metadata_that_is_null_is_an_error_at_the_edge_for_a_parameter_that_needs_a_value(declared: str) -> None:
    planned = node("[make.metadata.none, use.parameter.n]", parameter=declared)
    with pytest.raises(MlrunError, match="printed null for its metadata `none`") as caught:
        resolve(planned, {"make": Left(metrics={"none": None})})
    assert caught.value.code is ExitCode.INPUT
    assert caught.value.location == planned.edges[0].location
    assert "`optional: true`" in str(caught.value.hint)


@pytest.mark.parametrize("declared", ["{name: n, default: 3, optional: true}", "{name: n, type: flag, default: true}"])
def test_metadata_that_is_null_leaves_a_parameter_that_needs_none_without_a_value_and_says_so(declared: str) -> None:
    planned = node("[make.metadata.none, use.parameter.n]", parameter=declared)
    resolved = resolve(planned, {"make": Left(metrics={"none": None})})
    (said,) = resolved.notices
    assert "n" not in resolved.parameters
    assert said.startswith(f"{planned.edges[0].location}: node `make` printed null")


def test_a_parameter_without_a_value_hands_on_none_and_nothing_is_said() -> None:
    resolved = resolve(node("[make.parameter.seed, use.parameter.n]"), {"make": Left()})
    assert "n" not in resolved.parameters
    assert not resolved.notices


def test_metadata_that_was_never_printed_is_an_input_error_that_lists_what_was() -> None:
    with pytest.raises(MlrunError, match="printed no metadata `loss`") as caught:
        resolve(node("[make.metadata.loss, use.parameter.n]"), {"make": LEFT})
    assert caught.value.code is ExitCode.INPUT
    assert caught.value.hint == "its metadata: `listed`, `rows`, `share`"


def test_an_edge_that_matches_nothing_is_an_error_unless_the_input_is_optional() -> None:
    with pytest.raises(MlrunError, match=r"`make.output.\*.pkl` matches no file for `use.input.data`") as caught:
        resolve(node("[make.output.*.pkl, use.input.data]", optional="false"), {"make": LEFT})
    assert caught.value.hint == "`make` left `a.csv`, `deep/b.csv`, `deep/c.txt`"
    assert resolve(node("[make.output.*.pkl, use.input.data]"), {"make": LEFT}).carried["data"] == ()


def test_filename_counts_all_edges_and_the_default_together() -> None:
    """Two files of two edges under one name would be one file."""
    text = TEXT.replace("{name: data,", "{name: data, filename: one.csv,").replace("OPTIONAL", "true")

    def names(edges: str, mode: str, **fetched: tuple[InputFile, ...]) -> list[str]:
        project = parse_project(text.replace("EDGES", edges).replace("MODE", mode).encode(), "valohai.yaml")
        planned = compile_pipeline(project, project.pipelines["both"], Arguments("/here"), "/p").nodes["use"]
        job = bound(planned, resolve(planned, {"make": LEFT}), **fetched)
        return [given.name for given in job.inputs[0].files]

    one, other = "[make.output.a.csv, use.input.data]", "[make.output.deep/b.csv, use.input.data]"
    assert names(one, "replace") == ["one.csv"]
    assert names(f"{one}, {other}", "replace") == ["a.csv", "b.csv"]
    assert names(one, "append", data=(file("default.csv"),)) == ["default.csv", "a.csv"]


def bound(planned: PlannedNode, resolved: Resolved, **fetched: tuple[InputFile, ...]):  # type: ignore[no-untyped-def]
    return make_job(
        planned,
        resolved,
        fetched,
        snapshot="s",
        network=Network.NONE,
    )


def test_a_job_has_the_filled_in_script_and_its_files() -> None:
    planned = node("[make.metadata.rows, use.parameter.n], [make.output.a.csv, use.input.data]")
    job = bound(planned, resolve(planned, {"make": LEFT}))
    assert job.script.items == ("use --n=12 --set=a",)
    assert job.inputs == (JobInput("data", (file("a.csv"),)),)
    assert job.documents == {"parameters": {"n": 12, "set": "a"}}
    assert job.id == ""


def test_a_flag_that_nobody_set_is_false_in_the_documents_and_not_in_the_command() -> None:
    text = """
- step:
    name: s
    image: busybox
    command: c {parameters} {parameter-value:quiet}
    parameters: [{name: quiet, type: flag, pass-false-as: --loud}, {name: n, default: 1}]
"""
    step = parse_project(text.encode(), "valohai.yaml").steps["s"]
    planned = compile_step(step, Arguments("/here"), "/p").nodes["s"]
    job = bound(planned, resolve(planned, {}))
    assert job.script.items == ("c --n=1 {parameter-value:quiet}",)
    assert job.parameters == job.documents["parameters"] == {"n": 1, "quiet": False}


def test_a_required_input_that_got_nothing_is_refused_at_the_end_too() -> None:
    planned = node("[make.dependency.x, use.dependency.x]", optional="false")
    with pytest.raises(MlrunError, match="input `data` got no files"):
        bound(planned, resolve(planned, {"make": LEFT}))


def test_what_the_command_line_gives_to_an_input_takes_the_place_of_an_edge() -> None:
    text = TEXT.replace("EDGES", "[make.output.a.csv, use.input.data]").replace("MODE", "replace")
    project = parse_project(text.replace("OPTIONAL", "true").encode(), "valohai.yaml")
    given = Arguments("/here", {"use": Given({}, {"data": ("mine.csv",)})})
    planned = compile_pipeline(project, project.pipelines["both"], given, "/p").nodes["use"]
    resolved = resolve(planned, {"make": LEFT})
    assert [source.uri for source in resolved.sources["data"]] == ["mine.csv"]
    assert resolved.carried == {}
    assert planned.upstream == ("make",)
