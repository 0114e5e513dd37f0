"""What a task node takes from those above it, and what it leaves for those below."""

import pytest

from runner.errors import ExitCode, MlrunError
from runner.job import InputFile, JobInput
from runner.plan.bind import Left, gather, resolve, settle
from runner.plan.compile import compile_pipeline
from runner.plan.model import Arguments, PlannedNode
from runner.spec.project import parse_project

TEXT = """
- step:
    name: first
    image: busybox
    command: first
    parameters: [{name: seed, type: integer, default: 3}]
    inputs: [{name: raw, optional: true}]
- step:
    name: train
    image: busybox
    command: train
    parameters:
      - {name: lr, type: float, default: 1}
      - {name: fixed, type: integer, default: 7}
    inputs: [{name: data, optional: true}, {name: other, optional: true}]
    environment-variables: [{name: MODE, default: plain}]
- step:
    name: join
    image: busybox
    command: join
    parameters:
      - {name: all, type: float, multiple: repeat, optional: true}
      - {name: one, type: float, optional: true}
      - {name: id, optional: true}
    inputs: [{name: models, keep-directories: KEEP, optional: OPTIONAL}, {name: spare, optional: true}]
    environment-variables: [{name: MODE, default: none}]
- endpoint: {name: e, image: i, server-command: s, files: [{name: f, path: f}]}
- pipeline:
    name: p
    nodes:
      - {name: first, type: execution, step: first}
      - {name: train, type: task, step: train, on-error: continue}
      - {name: join, type: execution, step: join}
      - {name: shop, type: deployment, deployment: d, endpoints: [e]}
    edges:
      - [FILE, shop.file.e.f]
EDGES
"""


def node(
    name: str, *edges: str, file: str = "first.output.m", keep: str = "none", optional: str = "true"
) -> PlannedNode:
    wires = "".join(f"      - [{edge}]\n" for edge in edges)
    text = TEXT.replace("EDGES\n", wires).replace("FILE", file).replace("KEEP", keep).replace("OPTIONAL", optional)
    project = parse_project(text.encode(), "valohai.yaml")
    return compile_pipeline(project, project.pipelines["p"], Arguments("/here"), "/p").nodes[name]


def file(name: str, digest: str = "0" * 64) -> InputFile:
    return InputFile(name, digest, 1, f"datum://{name}")


def trial(number: int, lr: float, *names: str, **metrics: object) -> tuple[int, Left]:
    files = tuple(file(name, f"{number}" * 64) for name in names)
    inputs = (JobInput("data", (file("d.csv"),)), JobInput("other", (file("o", str(number)),)))
    return number, Left({"lr": lr, "fixed": 7}, {"MODE": "fast"}, inputs, files, metrics)


TRAINED = Left(
    {"fixed": 7},
    {"MODE": "fast"},
    trials=(trial(1, 0.1, "m.bin", "log/a.txt", accuracy=0.5), trial(3, 0.3, "m.bin", accuracy=0.7, loss=2)),
)


def carried(*edges: str, keep: str = "none") -> list[str]:
    resolved = resolve(node("join", *edges, keep=keep, optional="false"), {"train": TRAINED})
    return [one.name for one in resolved.carried["models"]]


# What it leaves -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keep", "expected"), [("none", ["1-m.bin", "3-m.bin"]), ("full", ["1/m.bin", "3/m.bin"])], ids=str
)
def test_the_files_of_all_trials_come_together_under_their_numbers(keep: str, expected: list[str]) -> None:
    assert carried("train.output.m.bin, join.input.models", keep=keep) == expected


def test_a_key_is_matched_by_the_names_that_each_trial_gave_and_a_trial_may_have_none() -> None:
    assert carried("train.output.*.txt, join.input.models") == ["1-a.txt"]
    assert carried("train.output.log/a.txt, join.input.models", keep="full") == ["1/log/a.txt"]


def test_a_key_that_no_trial_has_is_an_error_that_lists_what_they_left() -> None:
    with pytest.raises(MlrunError, match=r"`train.output.x` matches no file") as caught:
        carried("train.output.x, join.input.models")
    assert caught.value.hint == "`train` left `m.bin`, `log/a.txt`"
    resolved = resolve(node("join", "train.output.x, join.input.spare"), {"train": TRAINED})
    assert resolved.carried["spare"] == ()


def test_inputs_that_all_trials_had_alike_are_handed_on_once_and_others_by_trial() -> None:
    assert carried("train.input.data, join.input.models") == ["d.csv"]
    assert carried("train.input.other, join.input.models") == ["1-o", "3-o"]


def test_metadata_of_a_task_node_is_the_list_of_its_trials_latest_values() -> None:
    resolved = resolve(node("join", "train.metadata.accuracy, join.parameter.all"), {"train": TRAINED})
    assert resolved.parameters["all"] == [0.5, 0.7]
    resolved = resolve(node("join", "train.metadata.loss, join.parameter.all"), {"train": TRAINED})
    assert resolved.parameters["all"] == [2]


def test_a_list_for_a_parameter_that_takes_one_value_is_refused_at_its_edge() -> None:
    with pytest.raises(MlrunError, match="takes one value, not a list") as caught:
        resolve(node("join", "train.metadata.accuracy, join.parameter.one"), {"train": TRAINED})
    assert caught.value.code is ExitCode.INPUT
    assert caught.value.location is not None
    assert "`type: task`" in (caught.value.hint or "")


def test_a_key_that_no_trial_printed_is_an_error_that_lists_what_they_did() -> None:
    with pytest.raises(MlrunError, match="printed no metadata `f1`") as caught:
        resolve(node("join", "train.metadata.f1, join.parameter.all"), {"train": TRAINED})
    assert caught.value.hint == "its metadata: `accuracy`, `loss`"


def test_a_parameter_that_varies_is_a_list_and_one_that_does_not_a_value() -> None:
    edges = "train.parameter.lr, join.parameter.all", "train.parameter.fixed, join.parameter.one"
    resolved = resolve(node("join", *edges), {"train": TRAINED})
    assert resolved.parameters == {"all": [0.1, 0.3], "one": 7}


def test_a_variable_of_a_task_node_is_that_of_its_trials() -> None:
    edge = "train.environment-variable.MODE, join.environment-variable.MODE"
    assert resolve(node("join", edge), {"train": TRAINED}).environment["MODE"] == "fast"


# What it takes --------------------------------------------------------------------------------------------------------

ABOVE = Left({"seed": 3}, {"MODE": "x"}, outputs=(file("d.csv"),), metrics={"lrs": [0.1, 0.2], "lr": 0.5, "none": []})


def test_a_list_over_an_edge_spreads_over_trials_and_a_value_is_for_all_of_them() -> None:
    spread, _ = settle(node("train", "first.metadata.lrs, train.parameter.lr"), {"first": ABOVE})
    assert spread.task is not None
    assert [(one.name, one.rules) for one in spread.task.variations] == [("lr", {"items": [0.1, 0.2]})]
    assert "lr" not in spread.parameters
    one, _ = settle(node("train", "first.metadata.lr, train.parameter.lr"), {"first": ABOVE})
    assert one.task is not None
    assert (one.task.variations, one.parameters["lr"]) == ((), 0.5)


def test_a_settled_task_node_has_only_edges_left_that_bring_files_or_nothing() -> None:
    edges = (
        "first.metadata.lrs, train.parameter.lr",
        "first.environment-variable.MODE, train.environment-variable.MODE",
        "first.output.*, train.input.data",
        "first.dependency.x, train.dependency.x",
    )
    settled, notices = settle(node("train", *edges), {"first": ABOVE})
    assert [str(edge.target) for edge in settled.edges] == ["train.input.data", "train.dependency.x"]
    assert settled.environment["MODE"] == "x"
    assert notices == ()


def test_an_empty_list_and_a_value_that_does_not_fit_are_refused_at_their_edge() -> None:
    with pytest.raises(MlrunError, match="brings an empty list") as caught:
        settle(node("train", "first.metadata.none, train.parameter.lr"), {"first": ABOVE})
    assert caught.value.location is not None
    wrong = Left(metrics={"lrs": [0.1, "fast"]})
    with pytest.raises(MlrunError, match="`fast` is not a number"):
        settle(node("train", "first.metadata.lrs, train.parameter.lr"), {"first": wrong})


# Deployments ----------------------------------------------------------------------------------------------------------


def test_a_deployment_gets_one_file_per_name() -> None:
    above = Left(outputs=(file("m"), file("n")))
    assert gather(node("shop"), {"first": above}) == {"e": {"f": file("m")}}


@pytest.mark.parametrize(
    ("key", "message"), [("*", r"`first.output.\*` matches 2 files"), ("x", "`first.output.x` matches no file")]
)
def test_none_and_several_files_for_one_name_are_refused(key: str, message: str) -> None:
    with pytest.raises(MlrunError, match=message) as caught:
        gather(node("shop", file=f"first.output.{key}"), {"first": Left(outputs=(file("m"), file("n")))})
    assert (caught.value.code, caught.value.location is None) == (ExitCode.INPUT, False)


def test_a_file_that_several_trials_left_is_not_one_file() -> None:
    with pytest.raises(MlrunError, match="matches 2 files"):
        gather(node("shop", file="train.output.m.bin"), {"train": TRAINED})
    assert gather(node("shop", file="train.output.*.txt"), {"train": TRAINED})["e"]["f"].name == "log/a.txt"
    assert gather(node("shop", file="train.input.data"), {"train": TRAINED})["e"]["f"].name == "d.csv"


def test_the_ids_of_a_deployment_become_values() -> None:
    ids = Left({"id": "1", "version_id": "2"})
    resolved = resolve(node("join", "shop.deployment.version_id, join.parameter.id"), {"shop": ids})
    assert resolved.parameters["id"] == "2"
