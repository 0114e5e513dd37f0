"""Names that outputs ask for: set when the execution is recorded, and only if it succeeded."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from runner.app.publication import catch_up, publish, publish_again, would_move
from runner.digest import hash_bytes
from runner.errors import ExitCode
from runner.job import Job, Outcome, Script
from runner.state import Reason, State
from runner.store.datum import datum_id
from runner.store.identity import new_id
from runner.store.record import Code, Execution, OutputFile, ProjectRef
from runner.store.store import Store
from runner.worker.report import Finished


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store", create=True)


def a_job() -> Job:
    return Job(new_id(), "train", "i", Script(("true",)), "0" * 64, {}, (), {})


def finished(store: Store, outputs: Mapping[str, Mapping[str, Any]], outcome: Outcome | None = None) -> Finished:
    files = tuple(
        OutputFile(name, store.objects.put_bytes(name.encode()), len(name), metadata, int(name.partition("~")[2] or 1))
        for name, metadata in outputs.items()
    )
    return Finished(
        outcome or Outcome(Reason.EXIT, 0), ExitCode.OK, None, None, files, None, {}, None, (), 1.0, None, None
    )


def version(uri: str, **more: Any) -> dict[str, Any]:
    return {"valohai.dataset-versions": [{"uri": uri, **more}]}


def names(store: Store, name: str, version: str) -> list[str]:
    return [datum.name for datum in store.catalog.version("dataset", name, version)]


def test_an_alias_means_the_output_and_the_log_knows_which_execution_set_it(store: Store) -> None:
    job = a_job()
    assert publish(store, "me", job, finished(store, {"m": {"valohai.alias": "prod"}, "other": {"k": 1}})) == []
    assert store.catalog.datum("prod").id == datum_id(job.id, "m")
    (entry,) = store.refs.history()
    assert entry["by"] == {"user": "me", "execution": job.id}


def test_an_alias_moves_to_the_newest(store: Store) -> None:
    jobs = [a_job(), a_job()]
    for job in jobs:
        publish(store, "me", job, finished(store, {"m": {"valohai.alias": "prod"}}))
    assert store.catalog.datum("prod").execution == jobs[1].id
    assert len(store.refs.history()) == 2


def test_of_the_versions_of_a_file_the_newest_gets_the_alias_without_a_word(store: Store) -> None:
    asked = {name: {"valohai.alias": "best"} for name in ("m", "m~10", "m~2", "m~9")}
    assert publish(store, "me", a_job(), finished(store, asked)) == []
    assert store.catalog.datum("best").name == "m~10"


def test_two_files_that_want_one_alias_are_told(store: Store) -> None:
    asked = {name: {"valohai.alias": "best\x1b[2J" if name == "c" else "best"} for name in "ab"}
    (told,) = publish(store, "me", a_job(), finished(store, asked))
    assert "2 outputs want the alias `best`: `b` gets it" in told


@pytest.mark.parametrize(
    "outcome", [Outcome(Reason.EXIT, 1), Outcome(Reason.TIMEOUT, None), Outcome(Reason.STOP, None)], ids=str
)
def test_a_step_that_did_not_succeed_moves_no_name_and_says_so(store: Store, outcome: Outcome) -> None:
    asked = {"m": {"valohai.alias": "prod", **version("dataset://iris/v1")}}
    (told,) = publish(store, "me", a_job(), finished(store, asked, outcome))
    assert told == ("not set, because the execution did not succeed: alias `prod`, dataset version `iris/v1`")
    assert store.refs.history() == []


def test_a_stop_condition_is_a_success(store: Store) -> None:
    asked = {"m": {"valohai.alias": "prod"}}
    assert publish(store, "me", a_job(), finished(store, asked, Outcome(Reason.STOP_CONDITION, 143))) == []
    assert store.refs.alias("prod") is not None


def test_outputs_that_ask_for_nothing_take_no_lock(store: Store) -> None:
    assert publish(store, "me", a_job(), finished(store, {"m": {"k": 1}})) == ()
    assert not (store.layout.refs / "log").exists()


def test_all_files_that_name_a_version_are_in_it(store: Store) -> None:
    asked = {name: version("dataset://iris/v1", targeting_aliases=["dev", "latest"]) for name in "abc"}
    assert publish(store, "me", a_job(), finished(store, asked | {"d": {}})) == []
    assert (
        names(store, "iris", "v1") == names(store, "iris", "dev") == names(store, "iris", "latest") == ["a", "b", "c"]
    )


def test_a_version_begins_with_another_unless_it_is_fresh_and_leaves_out_what_is_excluded(store: Store) -> None:
    publish(store, "me", a_job(), finished(store, dict.fromkeys(("a", "b", "x/c"), version("dataset://iris/v1"))))
    later = {
        "b": version("dataset://iris/v2", **{"from": "dataset://iris/v1"}),
        "d": version("dataset://iris/v2", exclude=["x/*"]),
    }
    job = a_job()
    assert publish(store, "me", job, finished(store, later)) == []
    assert names(store, "iris", "v2") == ["a", "b", "d"]
    assert {datum.name: datum.execution == job.id for datum in store.catalog.version("dataset", "iris", "v2")} == {
        "a": False,
        "b": True,
        "d": True,
    }
    fresh = {"e": version("dataset://iris/v3", start_fresh=True, **{"from": "dataset://iris/v2"})}
    assert publish(store, "me", a_job(), finished(store, fresh)) == []
    assert names(store, "iris", "v3") == ["e"]


def test_a_version_that_exists_is_never_changed_and_that_is_told(store: Store) -> None:
    job = a_job()
    publish(store, "me", job, finished(store, {"a": version("dataset://iris/v1")}))
    assert publish(store, "me", job, finished(store, {"a": version("dataset://iris/v1")})) == []
    (told,) = publish(store, "me", a_job(), finished(store, {"b": version("dataset://iris/v1", targeting_aliases="x")}))
    assert "the dataset version `iris/v1` was not set" in told
    assert "versions do not change" in told
    assert names(store, "iris", "v1") == ["a"]
    found = store.refs.collection("dataset", "iris")
    assert found is not None
    assert (found.names(), dict(found.aliases)) == (["v1"], {})


def test_a_base_that_is_missing_keeps_only_that_version_from_being_made(store: Store) -> None:
    asked = {
        "a": version("dataset://iris/v2", **{"from": "dataset://iris/v1"}),
        "b": {"valohai.alias": "prod", **version("dataset://other/v1")},
    }
    (told,) = publish(store, "me", a_job(), finished(store, asked))
    assert "there is no dataset `iris`" in told
    assert store.refs.alias("prod") is not None
    assert names(store, "other", "v1") == ["b"]


def test_versions_of_models_are_numbered_and_keep_their_notes(store: Store) -> None:
    note = {"model_uri": "model://churn/", "model_release_note": "better", "model_version_tags": ["x"]}
    for asked in (["model://churn/"], [note]):
        made = finished(store, {name: {"valohai.model-versions": asked} for name in "ab"})
        assert publish(store, "me", a_job(), made) == []
    found = store.refs.collection("model", "churn")
    assert found is not None
    assert [(one.name, one.files, dict(one.notes)) for one in found.versions] == [
        ("v1", 2, {}),
        ("v2", 2, {"model_release_note": "better", "model_version_tags": ["x"]}),
    ]


def test_a_store_that_cannot_be_written_is_told_and_nothing_is_raised(store: Store) -> None:
    (store.layout.refs).rmdir()
    (store.layout.refs).write_text("in the way")
    (told,) = publish(store, "me", a_job(), finished(store, {"m": {"valohai.alias": "prod"}}))
    assert "names that the outputs ask for were not set" in told


def test_what_was_told_at_collection_is_not_told_again(store: Store) -> None:
    asked = {"m": {"valohai.alias": 3, "valohai.dataset-versions": ["nonsense"]}}
    assert publish(store, "me", a_job(), finished(store, asked)) == ()


@pytest.fixture
def died(store: Store) -> Callable[[Mapping[str, Any]], tuple[str, str]]:
    """A run whose execution succeeded and was recorded, but whose names were not set; ids of run and execution."""

    def die(properties: Mapping[str, Any], state: str = "succeeded") -> tuple[str, str]:
        header = {
            "kind": "exec",
            "name": "train",
            "project": ProjectRef("p", "iris", "/iris", "valohai.yaml"),
            "title": None,
            "tags": (),
            "argv": (),
            "code": Code(hash_bytes(b"tree")),
            "spec": hash_bytes(b"spec"),
            "plan": {"nodes": [{"name": "a", "step": "a"}]},
            "executor": "sandbox",
            "host": {},
            "version": "1",
        }
        id = new_id()
        digest = store.objects.put_bytes(b"m")
        output = {"name": "m", "digest": digest, "size": 1, "metadata": dict(properties)}
        with store.begin_run(header) as writer:
            writer.append([{"type": "execution-created", "id": id, "node": "a", "counter": 1, "job": {}}])
            writer.append([{"type": "execution-finished", "id": id, "state": state, "outputs": [output]}])
        return writer.id, id

    return die


def test_names_that_a_dead_runner_did_not_set_are_set_by_the_next_once(store: Store, died: Any) -> None:
    run, execution = died({"valohai.alias": "prod", **version("dataset://iris/v1")})
    for _ in range(2):
        assert catch_up(store, "me", [run]) == []
    assert store.catalog.datum("prod").execution == execution
    assert names(store, "iris", "v1") == ["m"]
    assert len(store.refs.history()) == 2


def test_an_alias_that_was_set_since_then_is_not_moved_back(store: Store, died: Any) -> None:
    run, _ = died({"valohai.alias": "prod"})
    job = a_job()
    publish(store, "me", job, finished(store, {"m": {"valohai.alias": "prod"}}))
    assert catch_up(store, "me", [run]) == []
    assert store.catalog.datum("prod").execution == job.id


def test_what_failed_before_the_runner_died_gets_no_names(store: Store, died: Any) -> None:
    run, _ = died({"valohai.alias": "prod"}, state="failed")
    assert catch_up(store, "me", [run]) == []
    assert store.refs.aliases() == []


@pytest.mark.parametrize("outcome", [Outcome(Reason.EXIT, 0), Outcome(Reason.EXIT, 1)], ids=["succeeded", "failed"])
def test_an_execution_that_asks_for_too_many_names_gets_none_and_one_short_sentence(
    store: Store, outcome: Outcome
) -> None:
    wanted = [{"uri": f"dataset://d{number}/v1", "targeting_aliases": ["prod"]} for number in range(501)]
    outputs = {"a": {"valohai.dataset-versions": wanted}}

    (said,) = publish(store, "me", a_job(), finished(store, outputs, outcome))

    assert said == "not set: the outputs ask for 1,002 names, and at most 1,000 are set for one execution"
    assert store.refs.history() == []


MODEL = {"valohai.model-versions": [{"uri": "model://m"}]}
"""Asks for a version with the next number."""


def newest(store: Store) -> list[str]:
    return [datum.name for datum in store.catalog.version("model", "m", "latest")]


def recorded(store: Store, outputs: Mapping[str, Mapping[str, Any]]) -> Execution:
    """An execution that left these, whose names are set."""
    job, told = a_job(), finished(store, outputs)
    publish(store, "me", job, told)
    return Execution(job.id, 1, "train", "train", {}, State.SUCCEEDED, "t", outputs=told.outputs)


def test_names_that_mean_what_they_should_are_not_set_again(store: Store) -> None:
    wishes = {"a": {"valohai.alias": "prod"}, "b": version("dataset://d/v1"), "c": MODEL}
    execution = recorded(store, wishes)
    before = store.refs.history()
    assert not would_move(store, execution)
    assert publish_again(store, "me", execution) == []
    assert store.refs.history() == before


def test_names_that_mean_something_else_by_now_are_set_again_by_what_stands_for_another(store: Store) -> None:
    execution = recorded(store, {"a": {"valohai.alias": "prod"}, "b": MODEL})
    recorded(store, {"z": {"valohai.alias": "prod"}, "y": MODEL})
    assert would_move(store, execution)
    assert publish_again(store, "me", execution) == []
    alias = store.refs.alias("prod")
    assert alias is not None
    assert alias.datum.id == datum_id(execution.id, "a")
    assert newest(store) == ["b"]
    assert not would_move(store, execution)
    with store.refs.changing({"user": "me"}) as change:
        change.remove_alias("prod")
    assert would_move(store, execution)


def test_names_that_were_set_later_than_a_moment_stay(store: Store) -> None:
    execution = recorded(store, {"a": {"valohai.alias": "prod"}, "b": MODEL})
    later = recorded(store, {"z": {"valohai.alias": "prod"}, "y": MODEL})
    assert publish_again(store, "me", execution, since="2001-01-01T00:00:00.000000Z") == []
    alias = store.refs.alias("prod")
    assert alias is not None
    assert alias.datum.execution == later.id
    assert newest(store) == ["y"]
