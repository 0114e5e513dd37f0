"""Every kind of run gives documents that the validators of their own standards take."""

from pathlib import Path

import pytest

from runner.export import FORMATS
from runner.export.document import Document, Folder
from runner.export.subject import Subject
from tests.standard import bom_issues, crate_issues, lineage_issues, mlflow_runs, prov_issues

from .conftest import KINDS, PERSON, SECRET, Make, Memory

OURS = ("ro-crate", "openlineage", "cyclonedx", "prov", "mlflow")
WITH_EXECUTIONS = [kind for kind in KINDS if kind not in ("refused", "reused of a removed run")]
EXCEPTIONS = {
    # The record knows no person and no organisation.
    "process-run-crate-0.5_8.6",
    "ro-crate-1.1_22.2",
    "ro-crate-1.1_22.3",
    # Steps are programs of a project and no web pages.
    "process-run-crate-0.5_3.2",
    "process-run-crate-0.5_5.1",
    # There is no README.md, which these are about.
    "workflow-ro-crate-1.0_6.1",
    "workflow-ro-crate-1.0_6.2",
    # What failed may have left nothing.
    "process-run-crate-0.5_11.1",
}


def document(subject: Subject, form: str) -> bytes:
    made = FORMATS[form].document(subject)
    assert isinstance(made, Document)
    return made.content


def texts(subject: Subject, form: str) -> list[bytes]:
    """Everything that the format says, without the files of the store."""
    made = FORMATS[form].document(subject)
    if isinstance(made, Document):
        return [made.content]
    return [content for content in made.files.values() if isinstance(content, bytes)]


def written(subject: Subject, form: str, place: Path) -> Path:
    made = FORMATS[form].document(subject)
    assert isinstance(made, Folder)
    for path in made.folders:
        (place / path).mkdir(parents=True, exist_ok=True)
    for path, content in made.files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else subject.contents.read(content.digest)
        (place / path).write_bytes(data)
    return place


def profile(subject: Subject) -> str:
    if subject.chosen is not None or subject.run.kind == "exec":
        return "process-run-crate"
    return "provenance-run-crate" if list(subject.executions()) else "workflow-run-crate"


@pytest.mark.parametrize("kind", KINDS)
def test_a_crate_of_any_run_breaks_no_rule(subject: Make, kind: str, tmp_path: Path) -> None:
    told = subject(kind)
    assert crate_issues(written(told, "ro-crate", tmp_path / "crate"), profile(told)) == []


@pytest.mark.parametrize("kind", WITH_EXECUTIONS)
def test_a_crate_of_one_execution_breaks_no_rule(subject: Make, kind: str, tmp_path: Path) -> None:
    told = subject(kind, chosen=True)
    assert crate_issues(written(told, "ro-crate", tmp_path / "crate"), "process-run-crate") == []


@pytest.mark.parametrize("kind", ["succeeded pipeline", "succeeded step", "failed", "reused"])
def test_a_crate_follows_the_recommendations_but_for_those_that_nobody_can_follow(
    subject: Make, kind: str, tmp_path: Path
) -> None:
    told = subject(kind)
    issues = crate_issues(written(told, "ro-crate", tmp_path / "crate"), profile(told), "RECOMMENDED")
    assert [issue for issue in issues if issue.partition(":")[0] not in EXCEPTIONS] == []


@pytest.mark.parametrize("kind", KINDS)
def test_metadata_alone_break_no_rule(subject: Make, kind: str, tmp_path: Path) -> None:
    told = subject(kind, metadata_only=True)
    (tmp_path / "ro-crate-metadata.json").write_bytes(document(told, "ro-crate"))
    assert crate_issues(tmp_path, profile(told), metadata_only=True) == []


@pytest.mark.parametrize("chosen", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_events_of_any_run_follow_the_standard(subject: Make, kind: str, chosen: bool) -> None:
    if not chosen or kind in WITH_EXECUTIONS:
        content = document(subject(kind, chosen=chosen), "openlineage")
        assert content
        assert lineage_issues(content) == []


@pytest.mark.parametrize("chosen", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_bill_of_materials_of_any_run_follows_the_standard(subject: Make, kind: str, chosen: bool) -> None:
    if not chosen or kind in WITH_EXECUTIONS:
        assert bom_issues(document(subject(kind, chosen=chosen), "cyclonedx")) == []


@pytest.mark.parametrize("chosen", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_statements_of_any_run_are_read_and_written_as_they_are(subject: Make, kind: str, chosen: bool) -> None:
    if not chosen or kind in WITH_EXECUTIONS:
        assert prov_issues(document(subject(kind, chosen=chosen), "prov")) == []


@pytest.mark.parametrize("chosen", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_mlflow_reads_any_run(subject: Make, kind: str, chosen: bool, tmp_path: Path) -> None:
    if chosen and kind not in WITH_EXECUTIONS:
        return
    told = subject(kind, chosen=chosen)
    runs = mlflow_runs(written(told, "mlflow", tmp_path / "here"))
    assert len(runs) == len(list(told.executions())) + (0 if chosen else 1)


@pytest.mark.parametrize("form", OURS)
@pytest.mark.parametrize("kind", KINDS)
def test_no_document_has_a_secret_or_what_may_be_one_or_a_place_of_this_machine(
    subject: Make, kind: str, form: str
) -> None:
    told = subject(kind)
    assert not any(SECRET.encode() in text for text in texts(told, form))
    assert not any(PERSON.encode() in text for text in texts(told, form))


@pytest.mark.parametrize("form", OURS)
def test_the_same_record_gives_the_same_bytes(subject: Make, form: str) -> None:
    assert FORMATS[form].document(subject("reused")) == FORMATS[form].document(subject("reused"))


@pytest.mark.parametrize("form", OURS)
def test_what_is_gone_is_told_with_its_digest_and_why(subject: Make, form: str) -> None:
    told = subject("removed files")
    made = FORMATS[form].document(told)
    text = (
        made.content
        if isinstance(made, Document)
        else b"".join(one for one in made.files.values() if type(one) is bytes)
    )
    assert isinstance(told.contents, Memory)
    for output in next(execution for _, execution in told.executions()).outputs:
        assert output.digest.encode() in text
    assert b"was purged on 2026-02-03 by anna" in text


def test_the_validators_notice_what_is_wrong(subject: Make, tmp_path: Path) -> None:
    told = subject("succeeded pipeline")
    events = document(told, "openlineage")
    assert lineage_issues(events.replace(b'"nominalStartTime": "2026', b'"nominalStartTime": "noon of 2026'))
    assert lineage_issues(events.replace(b'"size": 7', b'"size": "seven"'))
    assert lineage_issues(events.replace(b'"COMPLETE"', b'"DONE"'))
    assert lineage_issues(events + events.splitlines()[0])
    bom = document(told, "cyclonedx")
    assert bom_issues(bom.replace(b'"BLAKE3"', b'"BLAKE4"'))
    assert bom_issues(bom.replace(b'"bom-ref": "datum:', b'"bom-ref": "other:'))
    assert prov_issues(document(told, "prov").replace(b'"prov:activity": "mlrun:', b'"prov:activity": "mlrun:x'))
    crate = written(told, "ro-crate", tmp_path / "crate")
    (crate / "outputs" / "1-train" / "model.pkl").unlink()
    assert crate_issues(crate, "provenance-run-crate")
