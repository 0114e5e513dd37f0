"""Graphs: what each kind of edge carries, what runs at the same time, and how values of several origins meet."""

from itertools import pairwise

import pytest

YAML = """\
- step:
    name: make
    image: busybox
    command:
      - 'echo "{\\"loss\\": 0.9}"'
      - 'echo "{\\"loss\\": 0.5, \\"best\\": {\\"epoch\\": 3}}"'
      - mkdir -p "$VH_OUTPUTS_DIR/deep"
      - for name in a.csv b.csv deep/c.csv notes.txt; do echo "$name" > "$VH_OUTPUTS_DIR/$name"; done
      - echo "seed {parameter-value:seed} word $WORD"
    parameters:
      - {name: seed, type: integer, default: 1}
      - {name: rate, type: float, optional: true}
    inputs:
      - {name: raw, optional: true}
    environment-variables:
      - {name: WORD, default: hello}
- step:
    name: take
    image: busybox
    command:
      - cd "$VH_INPUTS_DIR" && find . -type f | sort
      - cat "$VH_CONFIG_DIR/parameters.json"
      - echo
      - echo "word $WORD"
    parameters:
      - {name: seed, type: integer, default: 2}
      - {name: limit, type: float, optional: true}
    inputs:
      - {name: data, optional: true}
    environment-variables:
      - {name: WORD, default: bye}
- step:
    name: meet
    image: busybox
    command:
      - touch {parameter-value:folder}/{parameter-value:me}
      - for try in $(seq 200); do
      - if [ -e {parameter-value:folder}/{parameter-value:other} ]; then exit 0; fi
      - sleep 0.05
      - done
      - exit 1
    parameters:
      - {name: folder, type: string}
      - {name: me, type: string}
      - {name: other, type: string}
- step:
    name: stamp
    image: busybox
    command: date +%s%N
- step:
    name: broken
    image: busybox
    command: exit 7
"""


def pipeline(nodes: str, edges: str, more: str = "") -> str:
    """The steps above with a pipeline of nodes `NAME=STEP …` and an edge per line."""
    pairs = [word.split("=") for word in nodes.split()]
    lines = [f"      - {{name: {name}, type: execution, step: {step}}}" for name, step in pairs]
    wires = [f"      - [{edge.strip()}]" for edge in edges.strip().splitlines()]
    joined = ["    edges:", *wires] if edges else ["    edges: []"]
    return "\n".join([YAML + "- pipeline:", "    name: p", more + "    nodes:", *lines, *joined, ""])


def ran(project, *words: str, yaml: str) -> dict[str, dict]:
    """Run pipeline `p` of `yaml`; gives its executions by node."""
    project.write("valohai.yaml", yaml)
    project.succeeds("pipeline", "--no-reuse", "p", *words)
    return {execution["node"]: execution for execution in project.show()["executions"].values()}


def names(execution) -> list[str]:
    """The input files of an execution."""
    return sorted(f"{item['name']}/{file['name']}" for item in execution["job"]["inputs"] for file in item["files"])


@pytest.fixture
def project(make):
    return make(YAML)


# --- edges


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a.csv", ["data/a.csv"]),
        ("*.csv", ["data/a.csv", "data/b.csv", "data/c.csv"]),
        ("deep/*", ["data/c.csv"]),
        ("deep/c.csv", ["data/c.csv"]),
        ("*", ["data/a.csv", "data/b.csv", "data/c.csv", "data/notes.txt"]),
    ],
)
def test_a_file_edge_carries_what_its_pattern_matches(project, pattern, expected):
    found = ran(project, yaml=pipeline("a=make b=take", f"a.output.{pattern}, b.input.data"))

    assert names(found["b"]) == expected
    assert [f"./{name}" for name in expected] == project.log(str(found["b"]["counter"])).splitlines()[: len(expected)]


def test_an_input_edge_carries_the_same_files(project, tmp_path):
    (tmp_path / "raw.bin").write_bytes(b"\x00\xff")

    found = ran(
        project, "--a.raw", str(tmp_path / "raw.bin"), yaml=pipeline("a=make b=take", "a.input.raw, b.input.data")
    )

    assert names(found["b"]) == ["data/raw.bin"]
    digests = [execution["job"]["inputs"][0]["files"][0]["digest"] for execution in found.values()]
    assert digests[0] == digests[1]


def test_several_edges_into_one_input_add_up(project):
    found = ran(
        project,
        yaml=pipeline("a=make b=make c=take", "a.output.a.csv, c.input.data\nb.output.b.csv, c.input.data"),
    )

    assert names(found["c"]) == ["data/a.csv", "data/b.csv"]


def test_a_parameter_edge_carries_the_effective_value(project):
    found = ran(project, "--a.seed=42", yaml=pipeline("a=make b=take", "a.parameter.seed, b.parameter.seed"))

    assert found["b"]["job"]["parameters"]["seed"] == 42


def test_a_metadata_edge_carries_the_last_value(project):
    found = ran(project, yaml=pipeline("a=make b=take", "a.metadata.loss, b.parameter.limit"))

    assert found["b"]["job"]["parameters"]["limit"] == 0.5


def test_an_environment_variable_edge_carries_the_value(project):
    found = ran(project, yaml=pipeline("a=make b=take", "a.environment-variable.WORD, b.environment-variable.WORD"))

    assert project.log(str(found["b"]["counter"])).splitlines()[-1] == "word hello"


def test_a_dependency_edge_only_orders(project):
    found = ran(project, yaml=pipeline("b=stamp a=stamp", "a.dependency.after, b.dependency.before"))

    first, second = (int(project.log(str(found[node]["counter"]))) for node in "ab")
    assert first < second


def test_what_the_command_line_gives_wins_over_an_edge(project, tmp_path):
    (tmp_path / "mine.csv").write_text("1")
    yaml = pipeline("a=make b=take", "a.output.*.csv, b.input.data\na.parameter.seed, b.parameter.seed")

    found = ran(project, "--b.data", str(tmp_path / "mine.csv"), "--b.seed=9", yaml=yaml)

    assert names(found["b"]) == ["data/mine.csv"]
    assert found["b"]["job"]["parameters"]["seed"] == 9


def test_a_metric_that_its_node_never_printed_fails_the_node_below(project):
    project.write("valohai.yaml", pipeline("a=make b=take", "a.metadata.los, b.parameter.limit"))

    done = project.fails("pipeline", "--no-reuse", "p", code=41)

    assert "node `a` printed no metadata `los` for `b.parameter.limit`" in done.err
    assert project.show()["nodes"]["b"]["state"] == "failed"


def test_a_metric_of_the_wrong_type_fails_the_node_below(project):
    project.write("valohai.yaml", pipeline("a=make b=take", "a.metadata.best, b.parameter.limit"))

    done = project.fails("pipeline", "--no-reuse", "p", code=41)

    assert "`a.metadata.best`" in done.err
    assert project.show()["nodes"]["b"]["reason"] == "input"


# --- values


def test_a_pipeline_parameter_sets_those_of_several_nodes(project):
    more = "    parameters:\n      - {name: all, default: 5, targets: [a.parameters.seed, b.parameters.seed]}\n"
    yaml = pipeline("a=make b=take", "a.output.a.csv, b.input.data", more)

    for words, seeds in (((), (5, 5)), (("--all=6",), (6, 6)), (("--all", "6", "--b.seed", "7"), (6, 7))):
        found = ran(project, *words, yaml=yaml)
        assert tuple(found[node]["job"]["parameters"]["seed"] for node in "ab") == seeds


def test_an_override_changes_defaults_for_its_node_only(project):
    yaml = pipeline("a=take b=take", "a.dependency.x, b.dependency.x").replace(
        "name: b, type: execution, step: take",
        "name: b, type: execution, step: take, override: {image: other, parameters: [{name: seed, default: 8}]}",
    )

    found = ran(project, yaml=yaml)

    assert [found[node]["job"]["parameters"]["seed"] for node in "ab"] == [2, 8]
    assert [found[node]["job"]["image"] for node in "ab"] == ["busybox", "other"]


def test_a_pipeline_has_a_help_page_with_the_options_of_its_nodes(project):
    project.write("valohai.yaml", pipeline("a=make b=take", "a.output.a.csv, b.input.data"))

    page = project.succeeds("pipeline", "--no-reuse", "p", "--help").out

    for text in ("--a.seed", "--a.raw", "--b.limit", "--b.data", "`make`", "`take`"):
        assert text in page


def test_dry_run_tells_nodes_values_and_edges_and_runs_nothing(project):
    project.write("valohai.yaml", pipeline("a=make b=take", "a.output.a.csv, b.input.data"))
    before = project.command.recorded()

    done = project.succeeds("pipeline", "--no-reuse", "p", "--dry-run", "--a.seed=77")

    assert "2 nodes would run" in done.out
    assert "seed = 77" in done.out
    assert "data ← a.output.a.csv" in done.out
    assert project.command.recorded() == before


def test_json_prints_one_document_and_every_log_on_stderr(project):
    project.write("valohai.yaml", pipeline("a=make b=take", "a.output.a.csv, b.input.data"))

    done = project.succeeds("pipeline", "--no-reuse", "p", "--json")

    assert {node: record["state"] for node, record in done.json()["nodes"].items()} == dict.fromkeys("ab", "succeeded")
    assert "a │ seed 1 word hello" in done.err


# --- time


def meeting(project, folder, *options: str):
    """Two nodes that each wait until the other one runs."""
    project.write("valohai.yaml", pipeline("a=meet b=meet", ""))
    words = [f"--{me}.{name}={value}" for me, other in ("ab", "ba")
             for name, value in (("folder", folder), ("me", me), ("other", other))]  # fmt: skip
    return project.mlrun("pipeline", "--no-reuse", "p", "--executor", "process", *words, *options)


def test_two_branches_run_at_the_same_time(project, tmp_path):
    assert meeting(project, tmp_path, "-j", "2").code == 0


def test_with_one_slot_nothing_runs_at_the_same_time(project):
    project.write("valohai.yaml", pipeline("a=stamp b=stamp c=stamp", ""))

    project.succeeds("pipeline", "--no-reuse", "p", "--jobs=1")

    spans = sorted((execution["started"], execution["finished"]) for execution in project.show()["executions"].values())
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


# --- failure in a graph


def test_a_failing_node_skips_what_hangs_on_it_and_what_has_not_started(project):
    project.write(
        "valohai.yaml",
        pipeline("x=broken y=take z=take", "x.dependency.a, y.dependency.a\ny.dependency.a, z.dependency.a"),
    )

    done = project.fails("pipeline", "--no-reuse", "p")

    nodes = project.show()["nodes"]
    assert [nodes[name]["state"] for name in "xyz"] == ["failed", "skipped", "skipped"]
    assert "exit code 7" in done.err or "exit 7" in done.err


@pytest.mark.parametrize(
    ("policy", "other", "below", "code"),
    [
        ("stop-all", "skipped", "skipped", 1),
        ("stop-next", "succeeded", "skipped", 1),
        ("continue", "succeeded", "succeeded", 0),
    ],
)
def test_on_error_decides_what_goes_on(project, policy, other, below, code):
    yaml = pipeline("x=broken y=take other=take", "x.dependency.a, y.dependency.a").replace(
        "name: x, type: execution, step: broken", f"name: x, type: execution, step: broken, on-error: {policy}"
    )
    project.write("valohai.yaml", yaml)

    assert project.mlrun("pipeline", "--no-reuse", "p", "-j", "1").code == code

    nodes = project.show()["nodes"]
    assert [nodes[name]["state"] for name in ("x", "y", "other")] == ["failed", below, other]


def test_the_final_table_names_every_node_with_its_state_and_metrics(project):
    project.write("valohai.yaml", pipeline("a=make b=take", "a.output.a.csv, b.input.data"))

    out = project.succeeds("pipeline", "--no-reuse", "p").out

    table = {line.split()[0]: line for line in out.splitlines() if "│" not in line}
    assert table["node"].split() == ["node", "state", "execution", "duration", "timeline", "metrics"]
    assert "succeeded" in table["a"]
    assert "loss=0.5" in table["a"]
    assert "succeeded" in table["b"]


def test_a_chain_of_many_nodes_runs_in_order(project):
    count = 8
    nodes = " ".join(f"n{index}=stamp" for index in range(count))
    edges = "\n".join(f"n{index}.dependency.x, n{index + 1}.dependency.x" for index in range(count - 1))

    found = ran(project, yaml=pipeline(nodes, edges))

    times = [int(project.log(str(found[f"n{index}"]["counter"]))) for index in range(count)]
    assert times == sorted(times)


def test_what_has_no_effect_is_said_once_with_its_places(make):
    step = "- step: {{name: {0}, image: 'busybox:1', command: 'true', environment: big, upload-store: far}}\n"
    nodes = "".join(f"{{name: {name}, type: execution, step: {name}}}, " for name in "abc")
    text = "".join(step.format(name) for name in "abc")
    text += f"- pipeline: {{name: p, nodes: [{nodes}], edges: []}}\n- policy: {{step: a, reuse: never, pool: big}}\n"
    said = make(text).succeeds("pipeline", "--no-reuse", "p").err

    assert "valohai.yaml:1:56: `environment` has no effect in this version (and in 2 more places)" in said
    assert said.count("`upload-store` has no effect") == 1
    assert said.count("pool `big` bounds nothing") == 1
    assert "`reuse`" not in said
