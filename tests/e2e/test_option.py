"""The command line of `exec` and `pipeline`: every spelling of an option, and what each of our own does."""

import json

import pytest

SHOW = 'cat "$VH_CONFIG_DIR/parameters.json"'

YAML = f"""\
- step:
    name: train
    description: Learn something.
    image: busybox
    command:
      - {SHOW}
      - echo
      - echo given {{parameters}}
      - 'for file in "$VH_INPUTS_DIR"/*/*; do if [ -f "$file" ]; then echo "file ${{file##*inputs/}}"; fi; done'
      - echo "token $TOKEN"
    parameters:
      - {{name: learning_rate, type: float, default: 0.1, description: How fast.}}
      - {{name: batch-size, type: integer, default: 8, min: 1}}
      - {{name: model kind, type: string, default: svm, choices: [svm, lda]}}
      - {{name: quiet, type: flag, default: false}}
      - {{name: loud, type: flag, default: true}}
      - {{name: layers, type: integer, multiple: repeat, default: [1]}}
      - {{name: title, type: string, default: none}}
    inputs:
      - {{name: data, optional: true, description: What to learn from.}}
    environment-variables:
      - {{name: TOKEN, default: unset}}
- step:
    name: transfer
    image: busybox
    command: "true"
- step:
    name: report
    image: busybox
    command: ["false", echo went on]
- step:
    name: clash
    image: busybox
    command: echo {{parameters}}
    parameters:
      - {{name: data, type: string, default: x}}
    inputs:
      - {{name: data, optional: true}}
"""


def parameters(done) -> dict:
    """The parameters that the step saw."""
    return json.JSONDecoder().raw_decode(done.out)[0]


def files(done) -> list[str]:
    """The input files that the step saw."""
    return [line.removeprefix("file ") for line in done.out.splitlines() if line.startswith("file ")]


# --- which step


@pytest.mark.parametrize("name", ["train", "trai", "TRAIN"])
def test_a_step_is_found_by_name_or_by_a_unique_start(shared, name):
    shared.succeeds("exec", name)

    assert shared.show()["name"] == "train"


def test_a_step_has_a_help_page_of_its_own(shared):
    for words in (("train", "--help"), ("train", "--batch-size=3", "--help"), ("train", "-h")):
        page = shared.succeeds("exec", *words).out
        for text in ("Learn something.", "--learning_rate FLOAT", "How fast.", "default: 0.1", "one of svm, lda",
                     "--quiet / --no-quiet", "--data URI", "What to learn from.", "optional"):  # fmt: skip
            assert text in page
    assert shared.runs() == [] or "help" not in str(shared.runs()[0]["name"])


# --- their options


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--learning_rate", "0.5"], {"learning_rate": 0.5}),
        (["--learning-rate=0.5"], {"learning_rate": 0.5}),
        (["--batch-size", "9"], {"batch-size": 9}),
        (["--batch_size=9"], {"batch-size": 9}),
        (["--model kind=lda"], {"model kind": "lda"}),
        (["--model-kind", "lda"], {"model kind": "lda"}),
        (["--param", "model kind=lda"], {"model kind": "lda"}),
        (["--param=learning-rate=1e-3"], {"learning_rate": 0.001}),
        (["--learning_rate", "-0.5"], {"learning_rate": -0.5}),
        (["--quiet"], {"quiet": True}),
        (["--quiet=true", "--loud=no"], {"quiet": True, "loud": False}),
        (["--no-loud"], {"loud": False}),
        (["--layers", "3", "--layers=4"], {"layers": [3, 4]}),
        (["--layers=3"], {"layers": [3]}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_parameter_is_given_in_every_spelling(shared, words, expected):
    done = shared.succeeds("exec", "train", *words)

    seen = parameters(done)
    assert {name: seen[name] for name in expected} == expected


def test_parameters_reach_the_command_as_valohai_passes_them(shared):
    done = shared.succeeds("exec", "train", "--quiet", "--layers=1", "--layers=2", "--model-kind=lda")

    given = next(line for line in done.out.splitlines() if line.startswith("given "))
    assert given == (
        "given --learning_rate=0.1 --batch-size=8 --model kind=lda --quiet --loud --layers=1 --layers=2 --title=none"
    )


def test_a_value_is_data_and_never_code(shared):
    done = shared.succeeds("exec", "train", "--title", "$(id); `id` \"'\\ && echo caught > x")

    assert parameters(done)["title"] == "$(id); `id` \"'\\ && echo caught > x"
    assert "--title=$(id); `id` \"'\\ && echo caught > x" in done.out
    assert "uid=" not in done.out


def test_inputs_are_files_folders_and_patterns_relative_to_the_current_folder(shared, tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("a.csv", "b.csv", "c.txt", "deep/d.csv"):
        (tmp_path / name).write_text(name)

    def given(*words: str) -> list[str]:
        return files(shared.succeeds("exec", "train", *words))

    assert given(f"--data={tmp_path}/a.csv") == ["data/a.csv"]
    assert given("--data", f"{tmp_path}/*.csv") == ["data/a.csv", "data/b.csv"]
    assert given("--input", f"data={tmp_path}/c.txt", f"--data={tmp_path}/a.csv") == ["data/a.csv", "data/c.txt"]
    assert given(f"--data={tmp_path / 'deep'}") == ["data/d.csv"]
    assert given(f"--data=file://{tmp_path}/a.csv") == ["data/a.csv"]


def test_a_path_of_the_command_line_starts_at_the_current_folder(make):
    project = make(YAML, {"sub/mine.csv": "1"})

    done = project.succeeds("exec", "train", "--data", "mine.csv", folder=project.folder / "sub")

    assert files(done) == ["data/mine.csv"]


def test_a_parameter_and_an_input_of_one_name_are_told_apart_by_param_and_input(shared):
    said = shared.refused("exec", "clash", "--data=1", code=2)

    assert "`--data` could mean parameter `clash.data` and input `clash.data`" in said
    done = shared.succeeds("exec", "clash", "--param", "data=1", "--input", f"data={shared.folder}/valohai.yaml")
    assert done.out == "--data=1\n"
    assert [item["name"] for item in shared.show("latest")["job"]["inputs"]] == ["data"]


# --- our own options


def test_our_options_stand_before_the_step_or_behind_it(shared):
    before = ["--executor", "process", "--tag=a", "--tag", "b", "--var", "TOKEN=secret"]
    for words in ([*before, "train"], ["train", *before], ["--tag=a", "train", "--tag=b", *before[:2], *before[5:]]):
        done = shared.succeeds("exec", *words)
        run = shared.show()
        assert (run["executor"], run["tags"]) == ("process", ["a", "b"])
        assert "token secret" in done.out


def test_behind_the_step_the_steps_own_option_wins_over_ours(shared):
    done = shared.succeeds("exec", "--title", "ours", "train", "--title", "theirs")

    assert shared.show()["title"] == "ours"
    assert parameters(done)["title"] == "theirs"


def test_a_title_and_tags_are_found_again(shared):
    shared.succeeds("exec", "--title", "needle", "--tag", "hay", "transfer")

    rows = shared.succeeds("list", "--where", 'title == "needle"', "--json").json()
    assert [(row["step"], row["tag"]) for row in rows] == [("transfer", ["hay"])]


def test_variables_are_set_but_not_those_that_mlrun_sets_itself(shared):
    assert "token a=b c" in shared.succeeds("exec", "--var", "TOKEN=a=b c", "train").out
    assert "`VH_JOB_ID`" in shared.refused("exec", "--var", "VH_JOB_ID=1", "train", code=2)
    assert "has no `=`" in shared.refused("exec", "--var", "TOKEN", "train", code=2)


def test_commit_runs_the_code_and_the_file_of_that_commit(make):
    project = make("- step: {name: a, image: busybox, command: cat word}\n", {"word": "first\n"})
    first = project.commit()
    project.write("word", "second\n")
    project.write("valohai.yaml", "- step: {name: b, image: busybox, command: cat word}\n")
    project.commit()
    project.write("word", "third\n")

    assert project.succeeds("exec", "b").out == "third\n"
    for words in (["--commit", first, "a"], ["--commit", "HEAD~1", "a"], ["a", "--commit=HEAD^"]):
        assert project.succeeds("exec", *words).out == "first\n"
        code = project.show()["code"]
        assert (code["commit"], code["dirty"]) == (first, False)
    assert project.succeeds("exec", "--commit=HEAD", "b").out == "second\n"
    assert "there is no step `a`" in project.refused("exec", "a", code=2)


def test_another_yaml_file_is_another_project(make):
    project = make("[]\n", {"ml/other.yaml": "- step: {name: a, image: busybox, command: pwd; ls}\n"})

    for words in (("--yaml", "ml/other.yaml", "a"), ("a", "--yaml=ml/other.yaml"), ("a", "--yaml", "ml/other.yaml")):
        assert "valohai.yaml" in project.succeeds("exec", *words).out
    assert project.runs() == []


def test_json_prints_the_record_on_stdout_and_the_log_on_stderr(shared):
    for words in (["--json", "train"], ["train", "--json"]):
        done = shared.succeeds("exec", *words)
        assert done.json()["state"] == "succeeded"
        assert done.json()["id"] == shared.show()["id"]
        assert "token unset" in done.err


def test_a_failing_command_ends_the_step_unless_keep_going(shared):
    done = shared.fails("exec", "report")
    assert "went on" not in done.out

    done = shared.succeeds("exec", "--keep-going", "report")
    assert done.out == "went on\n"


def test_image_is_recorded_in_place_of_the_files(shared):
    shared.succeeds("exec", "--image", "alpine:3", "transfer")

    assert shared.show("latest")["job"]["image"] == "alpine:3"


@pytest.mark.sandbox
def test_network_none_hides_every_network_but_loopback(make, sandbox):
    script = "cat /proc/net/dev"
    project = make(f"- step: {{name: look, image: busybox, command: {script}}}\n")

    def interfaces(network: str) -> set[str]:
        out = project.succeeds("exec", "--executor", sandbox, "--network", network, "look").out
        return {line.split(":")[0].strip() for line in out.splitlines() if ":" in line}

    assert interfaces("none") <= {"lo"}
    assert interfaces("host") >= {"lo"}
    assert "`everything`" in project.refused("exec", "--network", "everything", "look", code=2)


def test_dry_run_says_what_would_run_and_runs_nothing(shared, tmp_path):
    before = shared.command.recorded()

    done = shared.succeeds("exec", "--dry-run", "train", "--batch-size=99")

    assert "batch-size = 99" in done.out
    assert shared.command.recorded() == before


def test_settings_of_the_user_count_unless_an_option_says_otherwise(shared, tmp_path):
    settings = tmp_path / "config" / "mlrun" / "settings.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text('executor = "process"\n')
    mine = shared.with_variables(XDG_CONFIG_HOME=str(tmp_path / "config"), MLRUN_EXECUTOR=None)

    mine.succeeds("exec", "transfer")
    assert mine.show()["executor"] == "process"

    settings.write_text("executor = 7\n")
    assert "settings.toml" in mine.refused("exec", "transfer", code=2)
    settings.write_text("executor = \n")
    assert "settings.toml" in mine.refused("exec", "transfer", code=2)
