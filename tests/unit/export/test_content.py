"""What the documents say, beyond that they are valid."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from runner.digest import hash_bytes
from runner.export import FORMATS
from runner.export.document import Document, Folder, Stored
from runner.export.subject import Subject, parts_of
from runner.store.datum import datum_id

from .conftest import COMMIT, EARLIER, MODEL, ODD_NAME, RUN, SNAPSHOT, Make, Memory, Tale, execution_id


def told(made: Document | Folder) -> Any:
    assert isinstance(made, Document)
    return json.loads(made.content)


def files(made: Document | Folder) -> dict[str, bytes | Stored]:
    assert isinstance(made, Folder)
    return dict(made.files)


def events(made: Document | Folder) -> list[dict[str, Any]]:
    assert isinstance(made, Document)
    return [json.loads(line) for line in made.content.splitlines()]


def graph(made: Document | Folder) -> dict[str, dict[str, Any]]:
    metadata = files(made)["ro-crate-metadata.json"]
    assert isinstance(metadata, bytes)
    return {one["@id"]: one for one in json.loads(metadata)["@graph"]}


@pytest.mark.parametrize(
    ("kind", "ends"),
    [
        ("succeeded pipeline", ["COMPLETE", "COMPLETE", "COMPLETE"]),
        ("failed", ["COMPLETE", "FAIL", "FAIL", "FAIL"]),
        ("stopped", ["ABORT", "ABORT"]),
        ("interrupted", ["ABORT", "ABORT"]),
        ("under way", []),
        ("refused", ["FAIL"]),
    ],
)
def test_every_run_and_execution_has_one_event_of_its_end(subject: Make, kind: str, ends: list[str]) -> None:
    made = events(FORMATS["openlineage"].document(subject(kind)))
    assert [event["eventType"] for event in made if event["eventType"] != "START"] == ends
    assert all(
        ("errorMessage" in event["run"]["facets"]) == (event["eventType"] in ("FAIL", "ABORT")) for event in made
    )


def test_an_edge_is_one_dataset_at_both_of_its_ends(subject: Make) -> None:
    made = events(FORMATS["openlineage"].document(subject("succeeded pipeline")))
    (left,) = (one for event in made for one in event["outputs"] if one["name"] == "train/model.pkl")
    got = [one for event in made for one in event["inputs"] if one["name"] == "train/model.pkl"]
    assert got and all(one["namespace"] == left["namespace"] for one in got)
    assert {one["facets"]["version"]["datasetVersion"] for one in got} == {left["facets"]["version"]["datasetVersion"]}


def test_executions_of_a_reused_node_stay_under_the_run_that_they_belong_to(subject: Make) -> None:
    made = events(FORMATS["openlineage"].document(subject("reused")))
    parents = {event["run"]["runId"]: event["run"]["facets"]["parent"]["run"]["runId"]
               for event in made if "parent" in event["run"]["facets"]}  # fmt: skip
    assert parents == {execution_id(1): EARLIER, execution_id(2): RUN}


def test_an_execution_that_stands_for_two_nodes_is_told_once(subject: Make) -> None:
    one = subject("shared")
    made = events(FORMATS["openlineage"].document(one))
    starts = [event["run"]["runId"] for event in made if event["eventType"] == "START"]
    assert len(starts) == len(set(starts)) == 3
    statements = told(FORMATS["prov"].document(one))
    makers = [(each["prov:entity"], each["prov:activity"]) for each in statements["wasGeneratedBy"].values()]
    assert len(makers) == len(set(makers))
    tasks = told(FORMATS["cyclonedx"].document(one))["formulation"][0]["workflows"][0]["tasks"]
    assert [task["name"] for task in tasks] == ["train", "twin", "check"] and len({task["uid"] for task in tasks}) == 3


def test_where_a_file_came_from_is_told_without_what_is_nobody_elses_business(subject: Make) -> None:
    made = events(FORMATS["openlineage"].document(subject("succeeded step", chosen=True)))
    inside, outside, far = ((one["namespace"], one["name"]) for one in made[0]["inputs"])
    assert inside == ("s3://bucket", "a b/%20/data.csv") and far == ("https://example.com", "far.csv")
    assert outside[0] == "file" and re.fullmatch("outside/[0-9a-f]{16}/own.csv", outside[1])


def test_the_plan_that_stands_for_a_lost_yaml_file_has_names_alone(subject: Make) -> None:
    plan = files(FORMATS["ro-crate"].document(subject("removed files")))["plan.json"]
    assert isinstance(plan, bytes)
    assert json.loads(plan)["nodes"] == [{"name": name, "step": name, "upstream": []} for name in ("train", "check")]


@pytest.mark.parametrize("name", ["ro-crate-metadata.json", "outputs", "code", "logs/inputs"])
def test_a_yaml_file_takes_no_place_of_a_crate(subject: Make, name: str) -> None:
    one = subject("succeeded pipeline")
    run = replace(one.run, project=replace(one.run.project, file=f"deep/{name}"))
    held = files(FORMATS["ro-crate"].document(replace(one, run=run)))
    assert held["valohai.yaml"] == Stored(run.spec) and isinstance(held["ro-crate-metadata.json"], bytes)
    assert not any(f"{path}/" in other for path in held for other in held if other.startswith(f"{path}/"))


def test_variables_are_told_by_an_allow_list_and_secrets_by_name(subject: Make) -> None:
    facets = events(FORMATS["openlineage"].document(subject("succeeded step", chosen=True)))[0]["run"]["facets"]
    variables = {one["name"]: one["value"] for one in facets["environmentVariables"]["environmentVariables"]}
    assert variables == {"TZ": "UTC", "PYTHONHASHSEED": "0"}
    assert facets["mlrun_execution"]["secrets"] == ["API_KEY"]


def test_a_model_has_its_digest_its_data_and_the_metrics_of_who_used_it(subject: Make) -> None:
    bom = told(FORMATS["cyclonedx"].document(subject("succeeded pipeline")))
    (model,) = (one for one in bom["components"] if one["type"] == "machine-learning-model")
    card = model["modelCard"]
    assert model["name"] == "model.pkl" and model["hashes"][0]["alg"] == "BLAKE3"
    (dataset,) = (one for one in bom["components"] if {"ref": one["bom-ref"]} in card["modelParameters"]["datasets"])
    assert dataset["name"] == "data"
    files = [one for one in bom["components"] if one["bom-ref"] in made_from(bom, dataset["bom-ref"])]
    assert [one["name"] for one in files] == ["data.csv", "own.csv", "far.csv"] and all(one["hashes"] for one in files)
    measured = {(one["slice"], one["type"], one["value"]) for one in card["quantitativeAnalysis"]["performanceMetrics"]}
    assert measured == {("train", "loss", "NaN"), ("train", "deep.er", "3"), ("train", "note", "fine"),
        ("train", "matrix", "[[1, 2], [3, 4]]"),
                        ("check", "accuracy", "0.9")}  # fmt: skip


def test_what_was_installed_is_a_component_and_the_image_with_its_digest(subject: Make) -> None:
    bom = told(FORMATS["cyclonedx"].document(subject("succeeded pipeline")))
    kinds = {one["bom-ref"]: one["type"] for one in bom["components"]}
    assert kinds["pkg:pypi/numpy@2.1"] == kinds["pkg:pypi/type-guard@4"] == "library"
    (image,) = (one for one in bom["components"] if one["type"] == "container")
    assert image["hashes"][0]["alg"] == "SHA-256"
    assert {"pkg:pypi/numpy@2.1", f"code:{SNAPSHOT}"} <= made_from(bom, model_ref())
    (of_image,) = (one for one in bom["components"] if one["name"] == "check" and one["type"] == "application")
    assert image["bom-ref"] in made_from(bom, of_image["bom-ref"]) and model_ref() in made_from(
        bom, of_image["bom-ref"]
    )


@pytest.mark.parametrize("many", [100, 400])
def test_a_bill_grows_with_the_files_and_not_with_their_square(many: int) -> None:
    memory = Memory()
    files = [{"name": f"{at}.csv", "digest": memory.keep(b"%d" % at), "size": 1, "origin": f"data/{at}.csv"}
             for at in range(many)]  # fmt: skip
    models = [{"name": f"{at}.pkl", "digest": memory.keep(b"%d!" % at), "size": 1} for at in range(many)]
    tale = Tale(memory, "exec", "train").ran("train", 1, inputs=[{"name": "data", "files": files}], outputs=models)
    run = tale.over()
    made = FORMATS["cyclonedx"].document(Subject(run, None, tuple(parts_of(run, None, {}.get)), (), memory))
    assert isinstance(made, Document) and len(made.content) < many * 8_000
    assert {one["bom-ref"] for one in told(made)["components"] if one["name"].endswith(".csv")} <= made_from(
        told(made), f"datum:{datum_id(execution_id(1), '7.pkl')}"
    )


def model_ref() -> str:
    return f"datum:{datum_id(execution_id(1), 'model.pkl')}"


def made_from(bom: Any, ref: str) -> set[str]:
    """Everything that a component depends on, also through others."""
    depends = {one["ref"]: one.get("dependsOn", []) for one in bom["dependencies"]}
    found: set[str] = set()
    waiting = [ref]
    while waiting:
        new = set(depends.get(waiting.pop(), ())) - found
        found |= new
        waiting += new
    return found


def test_only_clean_code_is_named_by_its_commit(subject: Make) -> None:
    clean = told(FORMATS["cyclonedx"].document(subject("succeeded step")))["metadata"]["component"]
    dirty = told(FORMATS["cyclonedx"].document(subject("dirty code")))["metadata"]["component"]
    assert clean["swhid"] == [f"swh:1:rev:{COMMIT}"] and clean["version"] == COMMIT and not clean["modified"]
    assert "swhid" not in dirty and dirty["version"] == f"~{SNAPSHOT}" and dirty["modified"]


def test_the_relations_lead_from_the_model_to_its_data(subject: Make) -> None:
    document = told(FORMATS["prov"].document(subject("succeeded pipeline")))
    model = f"mlrun:datum-{datum_id(execution_id(1), 'model.pkl')}"
    (made,) = (one for one in document["wasGeneratedBy"].values() if one["prov:entity"] == model)
    used = [one for one in document["used"].values() if one["prov:activity"] == made["prov:activity"]]
    assert {one["prov:role"] for one in used} == {"data", "code"}
    assert any(one["prov:entity"] == model for one in document["used"].values())


def test_a_run_that_reuses_says_which_execution_stands_for_a_node(subject: Make) -> None:
    document = told(FORMATS["prov"].document(subject("reused")))
    assert any(
        one["prov:influencee"] == f"mlrun:run-{RUN}" and one["prov:influencer"] == f"mlrun:execution-{execution_id(1)}"
        for one in document["wasInfluencedBy"].values()
    )


def test_a_crate_holds_every_file_once_described_with_two_digests(subject: Make) -> None:
    made = FORMATS["ro-crate"].document(subject("succeeded pipeline"))
    entities = graph(made)
    model = entities["outputs/1-train/model.pkl"]
    assert model["sha256"] and model["identifier"].startswith("blake3:") and model["contentSize"] == "7"
    held = files(made)
    assert held["outputs/1-train/model.pkl"] == Stored(model["identifier"].removeprefix("blake3:"))
    code = {path: kept for path, kept in held.items() if path.startswith("code/")}
    assert code == {f"code/{SNAPSHOT[:16]}/train.py": Stored(hash_bytes(b"print()"), executable=True)}
    assert "outputs/1-train/notes~2" in held
    assert {"ro-crate-metadata.json", "valohai.yaml"} <= set(held)


def test_an_odd_name_stands_in_a_crate_and_its_file_has_a_usual_one(subject: Make) -> None:
    entities = graph(FORMATS["ro-crate"].document(subject("succeeded step")))
    name = ODD_NAME.replace("\udcff", "\\xff")
    (odd,) = (one for one in entities.values() if one.get("name") == name and one["@type"] == "File")
    assert odd["@id"].isascii() and "%0A" not in odd["@id"]


def test_a_pipeline_is_a_workflow_of_steps_and_connections(subject: Make) -> None:
    entities = graph(FORMATS["ro-crate"].document(subject("failed")))
    kinds = [one["@type"] for one in entities.values()]
    assert kinds.count("HowToStep") == 2 and kinds.count("OrganizeAction") == 1 and kinds.count("ControlAction") == 3
    (connection,) = (one for one in entities.values() if one["@type"] == "ParameterConnection")
    assert connection["sourceParameter"]["@id"].startswith("#step/train/")
    failed = entities[f"#execution/{execution_id(2)}"]
    assert failed["actionStatus"].endswith("/FailedActionStatus") and "exit code 3" in failed["error"]


def test_what_is_gone_is_no_file_of_the_crate(subject: Make) -> None:
    made = FORMATS["ro-crate"].document(subject("removed files"))
    assert set(files(made)) == {"ro-crate-metadata.json", "plan.json"}
    gone = [one for one in graph(made).values() if "is not here" in str(one.get("description"))]
    assert gone and all(one["@id"].startswith("#") for one in gone)


def test_mlflow_has_the_history_of_a_metric_and_refuses_no_name(subject: Make) -> None:
    held = files(FORMATS["mlflow"].document(subject("succeeded step", chosen=True)))
    by_name = {path.partition("/0")[2].partition("/")[2]: content for path, content in held.items()}
    assert by_name["metrics/loss"] == b"1700000000000 0.5 1\n1700000001000 nan 2\n"
    assert by_name["metrics/deep.er"] == b"1700000001000 3.0 2\n"
    assert by_name["params/a/b c"] == b"x" and by_name["params/layers"] == b"[1, 2]"
    assert by_name["tags/mlrun.metric.note"] == b"fine"
    assert by_name["artifacts/model.pkl"] == Stored(by_name["artifacts/model.pkl"].digest)  # type: ignore[union-attr]


def test_names_that_cannot_both_be_files_are_told_apart() -> None:
    from runner.export.mlflow import _named

    names = dict(_named({"a/b": 1, "a": 2, "x": 3, "x/y": 4, "q?": 5, "q*": 6, "../up": 7, "": 8, "z" * 300: 9}))
    assert sorted(names.values()) == list(range(1, 10))
    assert names["a/b"] == 1 and names["x"] == 3 and names["q_"] == 5
    assert not any(name.startswith((".", "/")) or len(name) > 255 for name in names)
    assert not any(f"{name}/" in other for name in names for other in names)


def test_names_of_mlflow_fit_a_file_system() -> None:
    from runner.export.mlflow import _named

    long = "\N{KATAKANA LETTER DE}" * 100
    names = dict(_named({long: 1, f"{long}x": 2, "\N{KATAKANA LETTER DE}" * 60: 3}))
    assert len(names) == 3 and all(len(name.encode()) <= 255 for name in names)


def test_values_are_no_longer_than_mlflow_takes(subject: Make) -> None:
    one = subject("succeeded step", chosen=True)
    execution = next(execution for _, execution in one.executions())
    job = execution.job | {"script": {"items": ["x" * 10_000]}, "parameters": {"long": "y" * 10_000}}
    execution = replace(execution, job=job)
    held = files(FORMATS["mlflow"].document(replace(one, parts=(replace(one.parts[0], execution=execution),))))
    values = {path.rpartition("/")[2]: content for path, content in held.items()}
    assert values["mlrun.command"] == b"x" * 8000 and values["long"] == b"y" * 6000


def test_a_step_that_no_database_holds_is_the_number_of_its_event(subject: Make) -> None:
    one = subject("succeeded step", chosen=True)
    assert isinstance(one.contents, Memory)
    events = b"".join(b'{"time":1,"offset":0,"values":{"step":%s,"loss":1}}\n' % step for step in (b"1e300", b"7"))
    execution = replace(next(execution for _, execution in one.executions()), metric_log=one.contents.keep(events))
    held = files(FORMATS["mlflow"].document(replace(one, parts=(replace(one.parts[0], execution=execution),))))
    (loss,) = (content for path, content in held.items() if path.endswith("/metrics/loss"))
    assert loss == b"0 1.0 0\n0 1.0 7\n"


def test_metadata_alone_take_no_file_along(subject: Make) -> None:
    held = files(FORMATS["mlflow"].document(subject("succeeded pipeline", metadata_only=True)))
    assert all(isinstance(content, bytes) for content in held.values())
    assert isinstance(FORMATS["ro-crate"].document(subject("succeeded pipeline", metadata_only=True)), Document)
    assert MODEL not in held.values()
