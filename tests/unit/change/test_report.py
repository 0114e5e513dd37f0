"""What must hold for every change, whatever the files are."""

from pathlib import Path

import pytest

from runner.change.model import Change, Fate, FileChange, Foreign, Kind
from runner.change.report import compare_projects, new_errors
from runner.change.wording import headline, verdict_phrase
from runner.spec.model import Project
from runner.spec.project import parse_project

ROOT = Path(__file__).parents[3]
EXAMPLE = (ROOT / "valohai.yaml.example").read_text(encoding="utf-8")
PAIRS = sorted((Path(__file__).parent / "pairs").iterdir())

STEP = """
- step:
    name: {name}
    image: {image}
    command: {command}
"""


def project(text: str) -> Project:
    return parse_project(text.encode(), "valohai.yaml")


def step(command: str = "python steps/train.py", name: str = "train", image: str = "i") -> str:
    return STEP.format(name=name, image=image, command=command)


def fates(change: Change) -> dict[str, Fate]:
    verdicts = [*change.steps, *(verdict for pipeline in change.pipelines for verdict in pipeline.verdicts)]
    return {verdict.name: verdict.fate for verdict in verdicts}


def reasons(change: Change) -> str:
    return " | ".join("".join(verdict_phrase(verdict)) for verdict in change.steps)


def with_files(text: str, *files: FileChange) -> Change:
    return compare_projects(project(text), project(text), files)


def edited(path: str) -> FileChange:
    return FileChange(path, Kind.CHANGED, names=False)


@pytest.mark.parametrize("text", [EXAMPLE, *(pair.joinpath("head.yaml").read_text() for pair in PAIRS)])
def test_a_file_does_not_differ_from_itself(text: str) -> None:
    change = compare_projects(project(text), project(text))
    assert change.empty
    assert headline(change) == ("no difference",)
    assert all(pipeline.before is None and pipeline.after is None for pipeline in change.pipelines)


BASE = """
- step:
    name: a
    image: i
    command: [x]
    parameters:
      - name: p
        default: 1
        type: integer
    inputs:
      - {name: data, default: s3://b/x}
- pipeline:
    name: line
    nodes:
      - {name: n, type: execution, step: a}
      - {name: m, type: execution, step: a}
    edges:
      - [n.output.*, m.input.data]
"""
SAME = """
# Comments, other quotes, another order of keys, anchors, defaults written out, long and short forms.
- step:
    parameters:
      - &p
        type: integer
        optional: false
        multiple: none
        default: 1
        name: "p"
    inputs:
      - name: data
        keep-directories: false
        default:
          - 's3://b/x'
    command: x
    mounts: []
    image: "i"
    name: a
- pipeline:
    edges:
      - {target: m.input.data, source: n.output.*}
    nodes:
      - {step: a, type: execution, name: n, on-error: stop-all, edge-merge-mode: replace}
      - {step: a, type: execution, name: m}
    name: line
"""


def test_form_is_no_difference() -> None:
    assert compare_projects(project(BASE), project(SAME)).items == ()


@pytest.mark.parametrize("pair", PAIRS, ids=lambda path: path.name)
def test_what_is_added_one_way_is_removed_the_other_way(pair: Path) -> None:
    base, head = (project((pair / f"{side}.yaml").read_text()) for side in ("base", "head"))

    def names(change: Change, kind: Kind) -> set[tuple[object, ...]]:
        whole = {(item.sort, item.name) for item in change.items if item.kind is kind}
        inner = {
            (item.sort, detail.path, detail.key, detail.before if kind is Kind.REMOVED else detail.after)
            for item in change.items
            for detail in item.details
            if detail.kind is kind and not (detail.path and detail.path[-1].name)
        }
        return whole | inner

    there, back = compare_projects(base, head), compare_projects(head, base)
    assert names(there, Kind.ADDED) == names(back, Kind.REMOVED)
    assert names(there, Kind.REMOVED) == names(back, Kind.ADDED)


def test_a_file_that_a_command_names_makes_its_step_run_again() -> None:
    change = with_files(step(), edited("steps/train.py"), edited("README.md"))
    assert fates(change) == {"train": Fate.RUNS_AGAIN}
    assert reasons(change) == "runs again: file steps/train.py changed"


@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("python ./steps/train.py --x=1", "steps/train.py"),
        ("python -m pkg.sub.tool", "pkg/sub/tool.py"),
        ("python -m pkg.sub.tool", "pkg/__init__.py"),
        ("python -m pkg", "pkg/__main__.py"),
        ("cd steps && python train.py", "steps/train.py"),
        ("python tool.py --config=conf/a.toml", "conf/a.toml"),
        ("pip install -e .", "setup.py"),
        ("ls conf", "conf/deep/a.toml"),
        ("'cat conf/*.toml'", "conf/a.toml"),
        ("sh /valohai/repository/go.sh", "go.sh"),
    ],
)
def test_a_command_names_a_file_in_many_ways(command: str, path: str) -> None:
    assert fates(with_files(step(command), edited(path))) == {"train": Fate.RUNS_AGAIN}


@pytest.mark.parametrize("command", ["python steps/train.py", ". venv/bin/activate; true", "echo train"])
def test_a_file_that_no_command_names_leaves_a_doubt(command: str) -> None:
    change = with_files(step(command), edited("lib/model.py"), edited("README.md"))
    assert fates(change) == {"train": Fate.MAY_RUN_AGAIN}
    assert "2 files of code changed; which of them a step reads is known when it has run" in reasons(change)


def test_a_file_that_comes_or_goes_counts_for_every_step() -> None:
    change = with_files(step() + step("echo", "other"), FileChange("docs/x.md", Kind.ADDED, names=True))
    assert fates(change) == {"train": Fate.RUNS_AGAIN, "other": Fate.RUNS_AGAIN}
    assert "file docs/x.md is new" in reasons(change)


def test_a_policy_says_which_files_are_code() -> None:
    text = step() + "\n- policy:\n    step: train\n    code: ['steps/*.py']\n"
    assert fates(with_files(text, edited("README.md"))) == {"train": Fate.STAYS_VALID}
    assert fates(with_files(text, edited("steps/other.py"))) == {"train": Fate.MAY_RUN_AGAIN}


@pytest.mark.parametrize("pattern", ["steps", "steps/", "./steps/*.py", "steps/**/*.py", "**/*.py", "."])
def test_a_pattern_of_code_takes_folders_and_dots_as_people_write_them(pattern: str) -> None:
    text = step() + f"\n- policy:\n    step: train\n    code: ['{pattern}']\n"
    assert fates(with_files(text, edited("steps/other.py"))) == {"train": Fate.MAY_RUN_AGAIN}


def test_what_a_policy_leaves_out_is_told() -> None:
    text = step() + "\n- policy:\n    step: train\n    code: ['steps/*.py']\n"
    assert reasons(with_files(text, edited("README.md"))) == "stays valid: its policy leaves out the files that changed"


@pytest.mark.parametrize("earlier", ["", "\n- policy:\n    step: train\n    code: ['lib/*']\n"])
def test_a_change_cannot_narrow_by_itself_what_counts_as_code(earlier: str) -> None:
    later = step() + "\n- policy:\n    step: train\n    code: ['nothing/*']\n"
    change = compare_projects(project(step() + earlier), project(later), [edited("lib/model.py")])
    assert fates(change) == {"train": Fate.MAY_RUN_AGAIN}


@pytest.mark.parametrize("command", ["cat valohai.yaml", "grep x ./*.yaml", "cp /valohai/repository/valohai.yaml ."])
def test_a_command_that_names_the_yaml_file_runs_again_with_it(command: str) -> None:
    text = step(command) + "- policy: {step: train, code: ['**']}\n"
    change = compare_projects(project(text), project(text), yaml=edited("valohai.yaml"))
    assert reasons(change) == "runs again: file valohai.yaml changed"


@pytest.mark.parametrize("command", ["pip install .", "python steps/train.py", "rm -f *"])
def test_the_yaml_file_is_no_code_where_nothing_names_it(command: str) -> None:
    change = compare_projects(project(step(command)), project(step(command)), yaml=edited("valohai.yaml"))
    assert fates(change) == {"train": Fate.STAYS_VALID}


def test_a_default_with_a_placeholder_may_lead_to_any_file_it_matches() -> None:
    text = step() + "    inputs: [{name: x, default: 'data/{parameter:p}.csv'}]\n"
    text += "- policy: {step: train, code: [none]}\n"
    assert fates(with_files(text, edited("data/a.csv"))) == {"train": Fate.RUNS_AGAIN}


def test_a_policy_may_say_that_a_step_is_never_reused() -> None:
    text = step() + "\n- policy:\n    step: train\n    reuse: never\n"
    assert fates(with_files(text, edited("README.md"))) == {"train": Fate.RUNS_AGAIN}


def test_a_parameter_that_is_never_passed_changes_nothing() -> None:
    text = step() + "    parameters:\n      - {name: unset, optional: true}\n"
    change = compare_projects(project(step()), project(text))
    assert fates(change) == {"train": Fate.STAYS_VALID}
    assert not change.empty


PASSED = "    parameters:\n      - {name: p, default: 1, type: integer%s}\n"


@pytest.mark.parametrize(("command", "fate"), [("'x {parameters}'", Fate.RUNS_AGAIN), ("x", Fate.STAYS_VALID)])
def test_how_a_value_is_passed_counts_where_the_command_passes_it(command: str, fate: Fate) -> None:
    base, head = (project(step(command) + PASSED % f", pass-as: '{form}'") for form in ("-p {v}", "--p {v}"))
    assert fates(compare_projects(base, head)) == {"train": fate}


def test_the_default_form_of_passing_can_be_written_out() -> None:
    base, head = (step("'x {parameters}'") + PASSED % form for form in ("", ", pass-as: '--{name}={value}'"))
    assert fates(compare_projects(project(base), project(head))) == {"train": Fate.STAYS_VALID}


CHAIN = """
- step: {name: s, image: i, command: 'x {parameters}', parameters: [{name: p, default: %s}]}
- pipeline:
    name: chain
    nodes: [%s]
    edges: [%s]
"""


def chain(length: int, default: str, close: bool = False) -> str:
    nodes = ", ".join(f"{{name: n{i}, type: execution, step: s}}" for i in range(length))
    edges = [f"[n{i}.parameter.p, n{i + 1}.parameter.p]" for i in range(length - 1)]
    edges += [f"[n{length - 1}.parameter.p, n0.parameter.p]"] if close else []
    return CHAIN % (default, nodes, ", ".join(edges))


def test_a_value_is_followed_along_any_number_of_edges() -> None:
    change = compare_projects(project(chain(2000, "a")), project(chain(2000, "b")))
    assert set(fates(change).values()) == {Fate.RUNS_AGAIN}
    assert not compare_projects(project(chain(2000, "a")), project(chain(2000, "a"))).items


PASSED_ON = """
- step:
    name: s
    image: i
    command: x
    parameters: [{name: year, default: 2020, type: integer}]
    inputs: [{name: data, default: 's3://b/{parameter:year}.csv', optional: true}]
    environment-variables: [{name: REGION, default: north, optional: true}]
- task: {name: sweep, step: s, type: grid_search, parameters: [{name: year, style: multiple, rules: {items: [1, 2]}}]}
- pipeline:
    name: p
    nodes:
      - {name: one, type: execution, step: s, override: {parameters: [{name: year, default: 2021}],
         environment-variables: [{name: REGION, default: south}]}}
      - {name: swept, type: task, task: sweep}
      - {name: two, type: execution, step: s}
      - {name: three, type: execution, step: s}
    edges: [%s]
"""


def passed_on(edges: str, old: str, new: str) -> dict[str, Fate]:
    text = PASSED_ON % edges
    assert old in text
    return fates(compare_projects(project(text), project(text.replace(old, new))))


def test_files_that_are_passed_on_depend_on_the_parameters_in_their_address() -> None:
    edges = "[one.input.data, two.input.data], [two.input.data, three.input.data]"
    found = passed_on(edges, "default: 2021", "default: 2022")
    assert (found["one"], found["two"], found["three"]) == (Fate.RUNS_AGAIN,) * 3


def test_a_variable_is_followed_along_any_number_of_edges() -> None:
    edges = ", ".join(
        f"[{source}.environment-variable.REGION, {target}.environment-variable.REGION]"
        for source, target in (("one", "two"), ("two", "three"))
    )
    found = passed_on(edges, "south", "east")
    assert (found["one"], found["two"], found["three"]) == (Fate.RUNS_AGAIN,) * 3


def test_a_node_keeps_its_own_variable_where_the_edge_brings_none() -> None:
    edges = "[one.environment-variable.OTHER, two.environment-variable.REGION]"
    assert passed_on(edges, "north", "west")["two"] is Fate.RUNS_AGAIN


def test_a_node_with_an_edge_from_nowhere_is_never_valid() -> None:
    edges = "[one.output.o, two.input.data], [two.output.o, three.input.data]"
    text = PASSED_ON % edges
    found = compare_projects(project(text), project(text.replace("name: one", "name: first")))
    assert (fates(found)["two"], fates(found)["three"]) == (Fate.UNKNOWN, Fate.MAY_RUN_AGAIN)
    back = compare_projects(project(text.replace("name: one", "name: first")), project(text))
    assert fates(back)["two"] is Fate.RUNS_AGAIN


def test_what_a_sweep_passes_on_is_not_its_default() -> None:
    found = passed_on("[swept.parameter.year, two.parameter.year]", "[1, 2]", "[1, 3]")
    assert (found["swept"], found["two"], found["three"]) == (Fate.RUNS_AGAIN, Fate.DEPENDS, Fate.STAYS_VALID)


@pytest.mark.parametrize("key", ["stop-condition: 'loss < 1'", "mounts: [{source: /a, destination: /b}]"])
def test_a_key_that_only_an_override_has_counts(key: str) -> None:
    text = PASSED_ON % ""
    more = text.replace("override: {", f"override: {{{key}, ")
    assert fates(compare_projects(project(text), project(more)))["one"] is Fate.RUNS_AGAIN


def test_where_a_deployment_goes_counts_for_its_node() -> None:
    text = """
- endpoint: {name: e, image: i, port: 80, server-command: serve}
- deployment: {name: d, defaults: {target: %s}}
- pipeline: {name: p, nodes: [{name: n, type: deployment, deployment: d, endpoints: [e]}], edges: []}
"""
    assert fates(compare_projects(project(text % "here"), project(text % "there"))) == {"n": Fate.RUNS_AGAIN}


def test_nodes_that_wait_for_each_other_end_no_comparison() -> None:
    change = compare_projects(project(chain(2000, "a", close=True)), project(chain(2000, "b", close=True)))
    assert len(fates(change)) == 2000


def test_a_file_that_cannot_be_understood_removes_nothing() -> None:
    change = compare_projects(project(step()), project("- step: ["))
    assert change.unreadable == ("head",)
    assert not change.items
    assert not change.empty
    assert "cannot be understood on the head side" in headline(change)[0]


def test_only_errors_that_the_base_lacks_are_new() -> None:
    broken = "- step:\n    name: a\n    image: i\n"
    worse = "# one line more\n" + broken + "- step:\n    name: b\n    command: x\n"
    old, new = project(broken).problems, project(worse).problems
    assert [problem.location.line for problem in new_errors(old, new)] == [6]
    assert new_errors(old, old) == ()


HOSTILE = [
    "[]", "- step", "- step: 5", "- step: {name: [1], inputs: 7, command: {x: y}, mounts: [1, {}]}",
    "- step: {name: s, image: i, command: x, parameters: {a: 1}}",
    "- pipeline: {name: p, nodes: [1, {}, {name: 2}], edges: [[1], {source: 3}, a], parameters: [{targets: [4]}]}",
    "- pipeline: {name: p, nodes: {a: b}, edges: {c: d}, parameters: x}",
    "- {thing: {name: x}}", "- {}", "- 5", "- task: {name: t, parameters: 4}", "- policy: {step: [1]}",
    "- step: {name: s, image: 1, time-limit: x, environment-variables: [{default: 1}, 4], resources: []}",
]  # fmt: skip


@pytest.mark.parametrize("base", HOSTILE)
def test_whatever_a_file_says_it_is_compared(base: str) -> None:
    for head in [*HOSTILE, EXAMPLE, BASE]:
        for one, other in ((base, head), (head, base)):
            change = compare_projects(project(one), project(other))
            assert change.empty or headline(change) != ("no difference",)


def test_what_comes_from_the_file_is_told_apart_from_our_words() -> None:
    name = "x` @all <img src=x> \x1b[2J"
    head = f'- step: {{name: "{name.encode("unicode_escape").decode()}", image: i, command: x}}'
    change = compare_projects(project("[]"), project(head))
    assert change.items[0].name == name
    assert all(name not in piece or isinstance(piece, Foreign) for piece in verdict_phrase(change.steps[0]))
