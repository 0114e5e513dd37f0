"""Outputs as Valohai's programs leave them: taken while the step runs, described by sidecars, found by their names."""

import json
import signal

import pytest
from blake3 import blake3

YAML = """\
- step:
    name: train
    image: mlrun-test/busybox:1
    command:
      - cd /outputs && mkdir deep
      - |
        for epoch in 1 2; do
          echo "epoch $epoch" > deep/model.pkl
          echo "{\\"epoch\\": $epoch}" > deep/model.pkl.metadata.json
          chmod 444 deep/model.pkl
          n=0; while [ -e deep/model.pkl ]; do n=$((n+1)); [ $n -lt 300 ]; sleep 0.2; done
          echo "epoch $epoch was taken"
        done
      - rm deep/model.pkl.metadata.json
      - echo words > words.txt
      - echo '{"valohai.alias":"words-prod","valohai.tags":["a"],"note":[1]}' > words.txt.metadata.json
      - |
        echo '{"file":"deep/model.pkl","metadata":{"valohai.dataset-versions":["dataset://iris/v1"]}}' \\
          > valohai.metadata.jsonl
      - echo ready; sleep {parameter-value:seconds}; exit {parameter-value:code}
    parameters:
      - {name: seconds, type: integer, default: 0}
      - {name: code, type: integer, default: 0}
- step:
    name: use
    image: mlrun-test/busybox:1
    command:
      - cat /inputs/words/* > /outputs/words
      - cat /inputs/data/deep/* >> /outputs/words
      - cat /valohai/config/inputs.json
    inputs:
      - {name: words, default: datum://words-prod}
      - {name: data, default: dataset://iris/latest, keep-directories: full}
- step:
    name: list
    image: mlrun-test/busybox:1
    command: find /inputs/ -type f
    inputs:
      - {name: files}
- step:
    name: harm
    image: mlrun-test/busybox:1
    command:
      - cp /inputs/words/words /outputs/mine
      - |
        cd /inputs/words
        for attempt in 'echo x >> words' ': > words' 'chmod 777 words' 'touch words' 'mv words other' 'rm -f words' \\
          'ln words /outputs/link' 'ln words other' 'dd if=/dev/zero of=words bs=1 count=1 conv=notrunc' \\
          'echo x > /proc/self/cwd/words' 'chown 1 words'; do
          if sh -c "$attempt" 2>/dev/null; then echo "done: $attempt"; fi
        done
    inputs:
      - {name: words, default: datum://words-prod, filename: words}
- step:
    name: daemon
    image: mlrun-test/busybox:1
    command:
      - (setsid sh -c 'while :; do echo x >> /outputs/beat; done' > /dev/null 2>&1 &)
      - until [ -s /outputs/beat ]; do sleep 0.1; done
- pipeline:
    name: p
    nodes:
      - {name: train, type: execution, step: train}
      - {name: list, type: execution, step: list}
    edges:
      - [train.output.*, list.input.files]
"""


@pytest.fixture(params=["sandbox", pytest.param("docker", marks=pytest.mark.docker)])
def project(request, make):
    if request.param == "docker":
        request.getfixturevalue("docker")("mlrun-test/busybox:1")
    else:
        request.getfixturevalue("sandbox")
    return make(YAML).with_variables(MLRUN_EXECUTOR=request.param)


ALONE = ("--network", "none")


def outputs(project):
    return {row["name"]: row for row in project.succeeds("outputs", "latest", "--json").json()}


def test_checkpoints_are_taken_as_they_come_and_sidecars_describe_them(project, tmp_path):
    project.succeeds("exec", *ALONE, "train")

    found = outputs(project)
    assert {name: row["metadata"].get("epoch") for name, row in found.items()} == {
        "deep/model.pkl": 1,
        "deep/model.pkl~2": 2,
        "words.txt": None,
    }
    assert found["words.txt"]["metadata"] == {"valohai.alias": "words-prod", "valohai.tags": ["a"], "note": [1]}
    assert "epoch 2 was taken" in project.log()
    copied = project.outputs("latest", tmp_path / "out")
    assert copied == {"deep/model.pkl": b"epoch 1\n", "deep/model.pkl~2": b"epoch 2\n", "words.txt": b"words\n"}


def test_names_that_outputs_ask_for_can_be_inputs(project, tmp_path):
    project.succeeds("exec", *ALONE, "train")
    words = outputs(project)["words.txt"]

    project.succeeds("exec", *ALONE, "use")

    assert project.outputs("latest", tmp_path / "out")["words"] == b"words\nepoch 2\n"
    files = json.loads(project.log())["words"]["files"]
    assert [(file["datum_id"], file["metadata"][0]["note"]) for file in files] == [(words["datum"], [1])]
    shown = project.succeeds("datum", "show", "words-prod", "--uses", "--json").json()
    assert shown["id"] == words["datum"]
    assert [use["input"] for use in shown["used_by"]] == ["words"]


def test_a_failed_step_keeps_what_was_taken_and_moves_no_name(project):
    done = project.fails("exec", *ALONE, "train", "--code=3")

    assert set(outputs(project)) == {"deep/model.pkl", "deep/model.pkl~2", "words.txt"}
    assert "not set, because the execution did not succeed" in done.err


def test_a_killed_run_keeps_what_was_taken(project):
    run = project.start("exec", *ALONE, "train", "--seconds=600")
    run.until("ready")
    run.signal(signal.SIGKILL)
    run.end()

    assert list(outputs(project)) == ["deep/model.pkl", "deep/model.pkl~2"]
    project.succeeds("list")
    project.succeeds("exec", *ALONE, "list", "--files=valohai.yaml")
    first = project.succeeds("list", "--json").json()[1]["counter"]
    names = [row["name"] for row in project.succeeds("outputs", str(first), "--json").json()]
    assert names == ["deep/model.pkl", "deep/model.pkl~2"]


def test_sidecars_do_not_pass_over_edges(project):
    project.succeeds("pipeline", *ALONE, "p")

    assert "metadata" not in project.log()
    assert "words.txt" in project.log()


def test_a_step_cannot_change_the_store_through_its_inputs_and_its_copy_of_one_stays(project, tmp_path):
    project.succeeds("exec", *ALONE, "train")
    digest = outputs(project)["words.txt"]["digest"]
    project.succeeds("alias", "words-prod", "latest/words.txt")

    project.succeeds("exec", *ALONE, "harm")

    assert project.log() == ""
    assert project.command.object(digest) == b"words\n"
    assert {name: row["digest"] for name, row in outputs(project).items()} == {"mine": digest}


def test_a_daemon_is_dead_before_its_file_is_collected(project):
    project.succeeds("exec", *ALONE, "daemon")

    beat = outputs(project)["beat"]
    content = project.command.object(beat["digest"])
    assert len(content) == beat["size"]
    assert blake3(content).hexdigest() == beat["digest"]
