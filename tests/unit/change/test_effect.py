"""What the result of a node depends on: small edits that a careless comparison would call valid."""

import pytest

from runner.change.model import Change, Fate, FileChange, Kind
from runner.change.report import compare_projects
from runner.spec.model import Project
from runner.spec.project import parse_project


def project(text: str) -> Project:
    return parse_project(text.encode(), "valohai.yaml")


def step(command: str = "python steps/train.py") -> str:
    return f"""
- step:
    name: train
    image: i
    command: "{command}"
"""


def fates(change: Change) -> dict[str, Fate]:
    verdicts = [*change.steps, *(verdict for pipeline in change.pipelines for verdict in pipeline.verdicts)]
    return {verdict.name: verdict.fate for verdict in verdicts}


def with_files(text: str, *files: FileChange) -> Change:
    return compare_projects(project(text), project(text), files)


def edited(path: str) -> FileChange:
    return FileChange(path, Kind.CHANGED, names=False)


CHAIN = """
- step:
    name: first
    image: i
    command: python first.py
    inputs:
      - name: raw
        default: data/raw.csv
- step:
    name: second
    image: i
    command: python second.py
    inputs:
      - name: data
- pipeline:
    name: p
    nodes:
      - {{name: a, type: execution, step: first}}
      - {{name: b, type: execution, step: first}}
      - {{name: c, type: execution, step: second{node}}}
    edges:
{edges}
"""
PASSED_ON = "      - [a.input.raw, c.input.data]\n"
TWO = "      - [a.output.x, c.input.data]\n", "      - [b.output.x, c.input.data]\n"


def chain(edges: str, node: str = "") -> str:
    return CHAIN.format(edges=edges, node=node)


def test_a_file_that_an_edge_passes_on_counts_for_who_takes_it_whatever_its_policy() -> None:
    text = chain(PASSED_ON) + "- policy: {step: second, code: [src]}\n"
    assert fates(with_files(text, edited("data/raw.csv")))["c"] is Fate.RUNS_AGAIN


FOREIGN = f", commit: {'a' * 40}"


@pytest.mark.parametrize(
    ("node", "more"),
    [("", ", unheard-of: 1"), (FOREIGN, ", unheard-of: 1"), (FOREIGN, ", edge-merge-mode: append")],
)
def test_what_a_node_says_besides_counts(node: str, more: str) -> None:
    change = compare_projects(project(chain("".join(TWO), node)), project(chain("".join(TWO), node + more)))
    assert fates(change)["c"] is Fate.RUNS_AGAIN


def test_what_an_edge_says_besides_counts_for_its_target() -> None:
    long = "      - {source: a.output.x, target: c.input.data}\n"
    more = "      - {source: a.output.x, target: c.input.data, configuration: {x: 1}}\n"
    assert fates(compare_projects(project(chain(long)), project(chain(more))))["c"] is Fate.RUNS_AGAIN


def test_the_order_of_edges_is_a_difference_where_it_counts_for_a_node() -> None:
    change = compare_projects(project(chain("".join(TWO))), project(chain("".join(TWO[::-1]))))
    assert fates(change)["c"] is Fate.RUNS_AGAIN
    assert not change.empty
    assert [detail.kind for item in change.items for detail in item.details] == [Kind.MOVED]


def test_the_order_of_edges_to_different_places_is_no_difference() -> None:
    edges = "      - [a.output.x, c.input.data]\n", "      - [a.output.x, b.input.raw]\n"
    assert compare_projects(project(chain("".join(edges))), project(chain("".join(edges[::-1])))).empty


@pytest.mark.parametrize("default", ["data/[ab].csv", "data/**/*.csv", "**/a.csv"])
def test_an_input_leads_to_files_by_every_kind_of_pattern(default: str) -> None:
    text = (
        step("true") + f"    inputs: [{{name: data, default: '{default}'}}]\n- policy: {{step: train, code: [src]}}\n"
    )
    assert fates(with_files(text, edited("data/a.csv")))["train"] is Fate.RUNS_AGAIN


@pytest.mark.parametrize("pattern", ["/src", "/src/*.py", "/valohai/repository/src", "/", "src//a.py"])
def test_a_pattern_of_code_that_begins_with_a_slash_begins_at_the_root(pattern: str) -> None:
    text = step("make") + f"- policy: {{step: train, code: ['{pattern}']}}\n"
    assert fates(with_files(text, edited("src/a.py")))["train"] is Fate.MAY_RUN_AGAIN


@pytest.mark.parametrize(
    ("code", "command", "fate"),
    [
        ("libs/sub/a.py", "true", Fate.MAY_RUN_AGAIN),
        ("src", "python libs/sub/a.py", Fate.RUNS_AGAIN),
        ("src", "cat libs/*/*.txt", Fate.RUNS_AGAIN),
    ],
)
def test_a_submodule_stands_for_the_files_in_it(code: str, command: str, fate: Fate) -> None:
    text = step(command) + f"- policy: {{step: train, code: [{code}]}}\n"
    submodule = FileChange("libs/sub", Kind.CHANGED, names=False, holds_others=True)
    assert fates(with_files(text, submodule))["train"] is fate


def test_a_task_depends_on_what_its_step_says_and_not_on_its_name() -> None:
    text = step() + "- task: {name: t, type: random_search, step: train, parameters: []}\n"
    text += "- pipeline: {name: p, nodes: [{name: n, type: task, task: t}]}\n"
    change = compare_projects(
        project(text), project(text.replace("name: train", "name: fit").replace("p: train", "p: fit"))
    )
    assert fates(change)["n"] is Fate.STAYS_VALID


def test_groups_of_variables_are_variables() -> None:
    change = compare_projects(project(step()), project(step() + "    environment-variable-groups: [g]\n"))
    assert fates(change)["train"] is Fate.RUNS_AGAIN


@pytest.mark.parametrize(
    ("command", "default"), [("python x.py", "s3://b/{parameter:p}"), ("python x.py {parameter-value:p}", "data/x.csv")]
)
@pytest.mark.parametrize("multiple", ["separate", "repeat"])
def test_what_stands_between_bare_values_counts(command: str, default: str, multiple: str) -> None:
    text = step(command) + "    inputs: [{name: data, default: '" + default + "'}]\n    parameters:\n"
    text += "      - {name: p, type: string, multiple: %s, multiple-separator: '%s', default: [a, b]}\n"
    one, other = (project(text % (multiple, sign)) for sign in ",;")
    assert fates(compare_projects(one, other))["train"] is Fate.RUNS_AGAIN


def test_what_would_stand_between_values_that_nothing_shows_does_not_count() -> None:
    text = (
        step() + "    parameters: [{name: p, type: string, multiple: repeat, multiple-separator: '%s', default: [a]}]\n"
    )
    assert fates(compare_projects(project(text % ","), project(text % ";")))["train"] is Fate.STAYS_VALID
