"""What is wrong is said in one line with its place and a hint; nothing is started, recorded or lost."""

import pytest

YAML = """\
- step:
    name: train
    image: busybox
    command: echo {parameters}
    parameters:
      - {name: rate, type: float, default: 0.1, min: 0, max: 1}
      - {name: rounds, type: integer, default: 3}
      - {name: kernel, type: string, default: rbf, choices: [rbf, linear]}
      - {name: quiet, type: flag}
- step:
    name: evaluate
    image: busybox
    command: cat $VH_INPUTS_DIR/model/*
    inputs:
      - name: model
- step:
    name: insist
    image: busybox
    command: echo {parameters}
    parameters:
      - {name: must, type: string}
    environment-variables:
      - {name: TOKEN, optional: false}
- step:
    name: read
    image: busybox
    command: cat $VH_INPUTS_DIR/data/*
    inputs:
      - {name: data, default: data.csv}
- step:
    name: intrude
    image: busybox
    command: "true"
    inputs:
      - {name: data, default: /etc/hostname}
- step:
    name: cloud
    image: busybox
    command: "true"
    inputs:
      - {name: data, default: "swift://project/bucket/data.csv"}
- pipeline:
    name: both
    parameters:
      - {name: speed, targets: [train.parameters.rate], default: 0.5}
    nodes:
      - {name: train, type: execution, step: train}
      - {name: evaluate, type: execution, step: evaluate}
    edges:
      - [train.output.model, evaluate.input.model]
"""


@pytest.fixture
def project(make):
    return make(YAML)


# --- the file


def test_no_yaml_file(make):
    project = make("[]")
    (project.folder / "valohai.yaml").unlink()

    said = project.refused("exec", "train", code=10)

    assert f"there is no `valohai.yaml` here or above ({project.folder})" in said
    assert "mlrun init" in said


def test_a_yaml_file_named_that_is_not_there(project):
    assert "there is no `other.yaml`" in project.refused("exec", "--yaml", "other.yaml", "train", code=10)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("- step:\n    name: 'train\n", "valohai.yaml:"),
        ("- step:\n\tname: train\n", "valohai.yaml:2:1: "),
        ("- step: {name: a, name: b\n", "valohai.yaml:"),
        ("step: {}\n", "valohai.yaml:1:1: "),
        ("", "valohai.yaml:1:1: "),
        ("- step: &a [*a]\n", "valohai.yaml:1:"),
        ("- step: !!python/object/apply:os.system ['true']\n", "valohai.yaml:1:9: "),
        ("[" * 5000, "valohai.yaml:1:"),
    ],
    ids=["quote", "tab", "bracket", "mapping", "empty", "alias", "tag", "deep"],
)
def test_broken_yaml(make, text, place):
    project = make(text)

    for command in (("exec", "train"), ("pipeline", "both"), ("exec", "train", "--help")):
        assert project.refused(*command, code=10).startswith(place)


def test_bytes_that_are_no_text(make):
    project = make("")
    (project.folder / "valohai.yaml").write_bytes(b"- step:\n    name: caf\xe9\n")

    assert project.refused("exec", "train", code=10).startswith("valohai.yaml:2:14: ")


def test_a_step_with_schema_errors(make):
    project = make("- step:\n    name: train\n    image: [busybox]\n    command: 'true'\n")

    done = project.mlrun("exec", "train")

    assert done.code == 10
    assert "valohai.yaml:3:12: " in done.err
    assert "hint: " in done.err
    assert project.runs() == []


def test_a_broken_step_does_not_keep_another_from_running(make):
    project = make(
        "- step: {name: broken, image: 1, commnd: x}\n- step: {name: whole, image: busybox, command: echo fine}\n"
    )

    assert project.succeeds("exec", "whole").out == "fine\n"
    assert project.mlrun("lint").code == 10


def test_every_problem_of_a_file_is_found_at_once_by_lint(make):
    project = make("- step: {name: a, image: 1}\n- stepp: {}\n- pipeline: {name: p, nodes: [], edges: [[a, b]]}\n")

    done = project.mlrun("lint")

    assert done.code == 10
    for line in (1, 2, 3):
        assert f"valohai.yaml:{line}:" in done.out


# --- names and values


def test_an_unknown_step(project):
    said = project.refused("exec", "trian", code=2)

    assert "there is no step `trian`" in said
    assert "did you mean `train`?" in said


def test_an_ambiguous_start_of_a_step(make):
    project = make("".join(f"- step: {{name: {name}, image: busybox, command: 'true'}}\n" for name in ("aa", "ab")))

    said = project.refused("exec", "a", code=2)

    assert "`aa`" in said
    assert "`ab`" in said


def test_no_step_at_all(project):
    said = project.refused("exec", code=2)

    assert "needs a STEP" in said
    assert "`train`" in said


def test_an_unknown_pipeline(project):
    said = project.refused("pipeline", "bothh", code=2)

    assert "there is no pipeline `bothh`" in said
    assert "did you mean `both`?" in said


def test_no_pipeline_at_all(project):
    assert "`both`" in project.refused("pipeline", code=2)


def test_a_pipeline_is_asked_for_in_a_file_without_one(make):
    project = make("- step: {name: a, image: busybox, command: 'true'}\n")

    assert "there is no pipeline `train`" in project.refused("pipeline", "train", code=2)


def test_an_unknown_parameter(project):
    for words in (("--rat", "0.5"), ("--rat=0.5",), ("--param", "rat=0.5")):
        said = project.refused("exec", "train", *words, code=2)
        assert "step `train` has no " in said
        assert "rate" in said


def test_an_unknown_parameter_of_a_node(project):
    said = project.refused("pipeline", "both", "--train.rat=1", code=2)

    assert "pipeline `both` has no option `--train.rat`" in said
    assert "did you mean `--train.rate`?" in said


def test_an_unknown_option_of_ours(project):
    assert "--executer" in project.refused("exec", "--executer", "sandbox", "train", code=2)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--rate=fast", "`--rate`: `fast` is not a number"),
        ("--rate=2", "`--rate`: "),
        ("--rate=nan", "`--rate`: "),
        ("--rounds=1.5", "`--rounds`: `1.5` is not "),
        ("--rounds=", "`--rounds`: "),
        ("--kernel=poly", "`--kernel`: `poly` is "),
        ("--quiet=perhaps", "`--quiet`: `perhaps` is not "),
    ],
)
def test_a_value_of_the_wrong_type(project, option, said):
    assert said in project.refused("exec", "train", option, code=2)


def test_a_value_of_the_wrong_type_for_a_node_and_for_a_pipeline_parameter(project):
    assert "`--train.rate`: " in project.refused("pipeline", "both", "--train.rate=fast", code=2)
    assert "`--speed`: " in project.refused("pipeline", "both", "--speed=fast", code=2)


def test_a_default_of_the_wrong_type(make):
    project = make(
        "- step:\n    name: a\n    image: busybox\n    command: echo {parameters}\n    parameters:\n"
        "      - {name: rate, type: float, default: fast}\n"
    )

    assert "valohai.yaml:6:" in project.refused("exec", "a", code=10)


def test_an_option_without_its_value(project):
    assert "`--rate` needs a value" in project.refused("exec", "train", "--rate", code=2)


def test_a_single_value_given_twice(project):
    assert "`--rate`" in project.refused("exec", "train", "--rate=0.1", "--rate=0.2", code=2)


def test_a_missing_required_parameter(project):
    said = project.refused("exec", "insist", "--var", "TOKEN=1", code=2)

    assert "parameter `must` of step `insist` has no value" in said
    assert "--must VALUE" in said


def test_a_missing_required_variable(project):
    said = project.refused("exec", "insist", "--must", "1", code=2)

    assert "environment variable `TOKEN` of step `insist` has no value" in said
    assert "--var TOKEN=VALUE" in said


def test_a_missing_required_input(project):
    said = project.refused("exec", "evaluate", code=2)

    assert "input `model` of step `evaluate` has no files" in said
    assert "--model PATH" in said


# --- files


def test_a_file_of_the_command_line_that_is_not_there(project):
    said = project.refused("exec", "evaluate", "--model", "model.pkl", code=41)

    assert "input `model`: `model.pkl` does not exist" in said
    assert f"relative paths start at {project.folder}" in said


def test_a_pattern_that_matches_nothing(project):
    assert "`*.pkl` matches nothing" in project.refused("exec", "evaluate", "--model", "*.pkl", code=41)


def test_a_file_of_the_yaml_file_that_is_not_there(project):
    said = project.refused("exec", "read", code=41)

    assert said.startswith("valohai.yaml:29:")
    assert "`data.csv` does not exist" in said


def test_a_file_outside_the_project_needs_the_users_word(project):
    said = project.refused("exec", "intrude", code=40)

    assert said.startswith("valohai.yaml:35:")
    assert "hint: allow it by naming it yourself" in said
    project.succeeds("exec", "intrude", "--data", "/etc/hostname")


def test_a_link_out_of_the_project_needs_the_users_word_too(project):
    (project.folder / "data.csv").symlink_to("/etc/hostname")

    assert "outside the project" in project.refused("exec", "read", code=40)


def test_a_source_that_this_version_cannot_fetch(project):
    said = project.refused("exec", "cloud", code=41)

    assert said.startswith("valohai.yaml:41:")
    assert "nobody here knows `swift://` addresses" in said


def test_an_edge_file_that_its_node_did_not_leave(project):
    done = project.fails("pipeline", "both", code=41)

    assert "`train.output.model` matches no file for `evaluate.input.model`" in done.err
    nodes = project.show()["nodes"]
    assert (nodes["train"]["state"], nodes["evaluate"]["state"]) == ("succeeded", "failed")
    assert nodes["evaluate"]["reason"] == "input"


# --- images and executors


def test_an_executor_that_does_not_exist(project):
    assert "there is no executor `dokcer`" in project.refused("exec", "--executor", "dokcer", "train", code=2)


def test_docker_without_an_engine(project):
    alone = project.with_variables(DOCKER_HOST=f"unix://{project.folder}/none.sock")

    said = alone.refused("exec", "--executor", "docker", "train", code=20)

    assert "--executor sandbox" in said


@pytest.mark.docker
def test_a_missing_image_without_a_registry(project, docker):
    docker("mlrun-test/busybox:1")

    said = project.refused("exec", "--executor=docker", "--image=registry.invalid/none/such:1", "train", code=21)

    assert "registry.invalid/none/such:1" in said
    assert "--executor sandbox" in said


# --- git


def test_a_folder_without_git(project, tmp_path):
    (tmp_path / "plain").mkdir()
    (project.folder / "valohai.yaml").rename(tmp_path / "plain" / "valohai.yaml")

    said = project.refused("exec", "train", code=2, folder=tmp_path / "plain")

    assert f"{tmp_path / 'plain'} is not in a git repository" in said
    assert "`--no-git`" in said


def test_a_folder_without_git_runs_with_no_git(project, tmp_path):
    folder = tmp_path / "plain"
    folder.mkdir()
    (project.folder / "valohai.yaml").rename(folder / "valohai.yaml")

    project.succeeds("exec", "--no-git", "train", folder=folder)

    code = project.succeeds("show", "--json", folder=folder).json()["code"]
    assert (code["commit"], code["branch"]) == (None, None)
    assert code["snapshot"]


def test_a_repository_without_a_commit_is_recorded_without_one(make):
    project = make(YAML)
    project.git("update-ref", "-d", "HEAD")

    project.succeeds("exec", "train")

    code = project.show()["code"]
    assert (code["commit"], code["branch"], code["dirty"]) == (None, "main", True)


def test_a_commit_that_does_not_exist(project):
    assert "`nosuch`" in project.refused("exec", "--commit", "nosuch", "train", code=2)


def test_a_commit_without_the_yaml_file(make):
    project = make(YAML)
    project.git("rm", "--quiet", "valohai.yaml")
    project.write("readme", "nothing")
    project.commit()
    project.write("valohai.yaml", YAML)

    said = project.refused("exec", "--commit", "HEAD", "train", code=10)

    assert "valohai.yaml" in said


# --- graphs


def graph(edges: str) -> str:
    """A pipeline of two nodes that each take a file and leave one."""
    return f"""\
- step:
    name: copy
    image: busybox
    command: cp $VH_INPUTS_DIR/in/* $VH_OUTPUTS_DIR/
    parameters:
      - {{name: n, type: integer, default: 1}}
    inputs:
      - {{name: in}}
- pipeline:
    name: p
    nodes:
      - {{name: a, type: execution, step: copy}}
      - {{name: b, type: execution, step: copy}}
    edges:
{edges}"""


def test_a_cycle(make):
    project = make(graph("      - [a.output.x, b.input.in]\n      - [b.output.x, a.input.in]\n"))

    said = project.refused("pipeline", "p", code=10)

    assert said.startswith("valohai.yaml:1")
    assert "these nodes wait for each other: `a` → `b` → `a`" in said


@pytest.mark.parametrize(
    ("edge", "message"),
    [
        ("[a.output.x, c.input.in]", "pipeline `p` has no node `c`"),
        ("[c.output.x, a.input.in]", "pipeline `p` has no node `c`"),
        ("[a.output.x, b.input.inn]", "no input `inn`"),
        ("[a.parameter.m, b.parameter.n]", "no parameter `m`"),
        ("[a.parameter.n, b.parameter.m]", "no parameter `m`"),
        ("[a.outputs, b.input.in]", "a.outputs"),
        ("[a.output.x, b.parameter.n]", "cannot carry output to parameter"),
    ],
)
def test_an_edge_to_nothing(make, edge, message):
    project = make(graph(f"      - {edge}\n"))

    said = project.refused("pipeline", "p", "--a.in", "valohai.yaml", "--b.in", "valohai.yaml", code=10)

    assert said.startswith("valohai.yaml:15:")
    assert message in said


def test_a_node_of_a_step_that_does_not_exist(make):
    project = make(
        graph("      []\n").replace("{name: b, type: execution, step: copy}", "{name: b, type: execution, step: cpy}")
    )

    said = project.refused("pipeline", "p", "--a.in", "valohai.yaml", code=10)

    assert said.startswith("valohai.yaml:13:")
    assert "did you mean `copy`?" in said


def test_a_node_of_a_shared_library_is_refused_at_its_place(make):
    node = '{name: b, type: execution, step: copy, commit: "library:ours/copy"}'
    project = make(graph("      []\n").replace("{name: b, type: execution, step: copy}", node))

    said = project.refused("pipeline", "p", "--a.in", "valohai.yaml", code=10)

    assert said.startswith("valohai.yaml:13:")
    assert "library" in said


# --- reading


@pytest.mark.parametrize("verb", ["show", "logs", "metrics", "outputs", "stop"])
def test_an_execution_that_does_not_exist(project, verb):
    said = project.refused(verb, "999", code=2)

    assert "999" in said


def test_an_unknown_verb(project):
    said = project.refused("pipline", code=2)

    assert "did you mean `pipeline`?" in said


def test_a_condition_that_cannot_be_read(project):
    assert "hint: " in project.refused("list", "--where", "loss <", code=2)
