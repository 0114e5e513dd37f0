"""Statements are what in-toto and SLSA say, by the libraries of those who made them."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import google.protobuf.json_format
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from runner.app.export import export, subject_of
from runner.app.signing import OwnKey, make_key
from runner.errors import MlrunError
from runner.export.dsse import decode_envelope
from runner.export.slsa import statement
from runner.state import State
from runner.store.record import Reused, Run
from runner.store.store import Store
from tests.unit.remote.conftest import Place


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with Store.open(tmp_path / "store", create=True) as store:
        yield Place(store)


@pytest.fixture
def key(place: Place) -> OwnKey:
    return make_key()


def exported(place: Place, run: Run) -> bytes:
    data = export(place.store, run, None, "slsa", metadata_only=False)
    assert isinstance(data, bytes)
    return data


def check(document: dict[str, Any]) -> None:
    """Raises for what the official libraries would not read. Fields that they do not know are errors, too."""
    read = google.protobuf.json_format.ParseDict(document, statement_pb2.Statement())
    Statement.copy_from_pb(read).validate()
    google.protobuf.json_format.ParseDict(document["predicate"], Provenance())


def test_a_statement_is_one_for_the_official_libraries(place: Place, key: OwnKey) -> None:
    run = place.run("model.pkl", "b\udcffad name", "deep/ünïcode €.txt")
    document = json.loads(decode_envelope(exported(place, run)).payload)
    check(document)
    assert [one["name"] for one in document["subject"]] == [
        "train/model.pkl",
        "train/b\\xffad name",
        "train/deep/ünïcode €.txt",
    ]
    for broken in ({"subject": []}, {"predicateType": ""}, {"subject": [{"name": "x"}]}, {"more": 1}):
        with pytest.raises((ValueError, google.protobuf.json_format.ParseError)):
            check({**document, **broken})


def test_the_signature_is_good_for_the_official_library(place: Place, key: OwnKey) -> None:
    data = exported(place, place.run())
    public = SSlibKey.from_crypto(load_pem_public_key(key.public.pem.encode()), keyid=key.public.id)  # type: ignore[arg-type]
    assert set(Envelope.from_dict(json.loads(data)).verify([public], 1)) == {key.public.id}
    broken = json.loads(data) | {"payloadType": "text/plain"}
    with pytest.raises(VerificationError):
        Envelope.from_dict(broken).verify([public], 1)


def test_the_statement_names_what_went_in_and_what_came_out(place: Place) -> None:
    run = place.run("model")
    execution = next(iter(run.executions.values()))
    document = statement(subject_of(place.store, run, None))
    definition, details = document["predicate"]["buildDefinition"], document["predicate"]["runDetails"]
    assert details["metadata"] == {"invocationId": run.id, "startedOn": run.created, "finishedOn": run.finished}
    assert document["subject"][0]["digest"]["blake3"] == execution.outputs[0].digest
    given = {one["name"]: one.get("digest", {}) for one in definition["resolvedDependencies"]}
    assert given["code"]["blake3"] == run.code.snapshot
    assert given["commit"] == {"gitCommit": run.code.commit}
    assert given["valohai.yaml"]["blake3"] == run.spec
    assert "train/data/d.csv" in given
    assert definition["externalParameters"]["executions"]["train"]["parameters"] == {"C": 0.5, "words": ["a", 1]}
    assert {one["name"] for one in details["byproducts"]} == {"train/stdout", "train/stderr", "train/metrics"}
    assert "/home/me" not in json.dumps(document) and '"/data/d.csv' not in json.dumps(document)


def test_the_same_record_gives_the_same_bytes(place: Place, key: OwnKey) -> None:
    run = place.run("a", "b")
    assert exported(place, run) == exported(place, run)


def test_a_run_that_goes_on_or_left_nothing_has_no_statement(place: Place) -> None:
    run = place.run("model")
    with pytest.raises(MlrunError, match="run 1 is running"):
        statement(subject_of(place.store, replace(run, state=State.RUNNING), None))
    nothing = {id: replace(one, outputs=()) for id, one in run.executions.items()}
    with pytest.raises(MlrunError, match="left no output"):
        statement(subject_of(place.store, replace(run, executions=nothing), None))


def test_what_an_earlier_execution_left_is_told_as_reused(place: Place) -> None:
    earlier, run = place.run("model"), place.run("other")
    (execution,) = earlier.executions.values()
    reused = Reused(execution.id, execution.counter, earlier.id)
    node = replace(run.nodes["train"], state=State.REUSED, reused=reused, executions=())
    document = statement(subject_of(place.store, replace(run, nodes={"train": node}, executions={}), None))
    check(document)
    assert document["subject"][0]["digest"]["blake3"] == execution.outputs[0].digest
    told = document["predicate"]["buildDefinition"]["internalParameters"]["executions"]["train"]
    assert (told["id"], told["run"], told["reused"]) == (execution.id, earlier.id, True)
    assert document["predicate"]["runDetails"]["metadata"]["invocationId"] == run.id


def test_every_subject_has_a_name_of_its_own(place: Place) -> None:
    run = place.run("b\udcff", "b\\xff", "c")
    (execution,) = run.executions.values()
    nodes = {name: replace(run.nodes["train"], name=name) for name in ("train", "train.2")}
    twice = replace(nodes["train"], executions=(execution.id, execution.id))
    whole = replace(run, nodes={"train": twice, "train.2": nodes["train.2"]})
    names = [one["name"] for one in statement(subject_of(place.store, whole, None))["subject"]]
    assert len(names) == len(set(names)) == 9
    assert {"train.1/b\\xff", "train.1/b\\\\xff", "train.3/c", "train.2/c"} <= set(names)


def test_a_run_whose_end_nobody_wrote_down_has_no_statement(place: Place) -> None:
    run = replace(place.run("model"), state=State.INTERRUPTED, finished=None)
    with pytest.raises(MlrunError, match="run 1 is interrupted"):
        statement(subject_of(place.store, run, None))


def test_files_that_are_gone_are_told_by_the_digest_that_the_record_has(place: Place) -> None:
    run = place.run("model")
    execution = next(iter(run.executions.values()))
    place.store.objects.path(execution.outputs[0].digest).unlink()
    (subject,) = statement(subject_of(place.store, run, None))["subject"]
    assert subject["digest"] == {"blake3": execution.outputs[0].digest}
    check(statement(subject_of(place.store, run, None)))
