"""Versions of each other: by what they were to whom, the newest kept whole, each file in one row."""

from dataclasses import replace

import pytest

from runner.digest import Digest, hash_bytes
from runner.state import State
from runner.store.datum import Datum
from runner.store.record import Code, Execution, OutputFile, Owner, ProjectRef, Run
from runner.upkeep.succession import Succession, Successions

A, B, C, D = (hash_bytes(name) for name in (b"a", b"b", b"c", b"d"))
ALL = {A, B, C, D}


def run(number: int, *executions: Execution, project: str = "p", state: State = State.SUCCEEDED) -> Run:
    return Run(
        id=str(number),
        counter=number,
        kind="exec",
        name="run",
        project=ProjectRef(project, project, "/", "valohai.yaml"),
        title=None,
        tags=(),
        argv=(),
        code=Code(hash_bytes(b"tree")),
        spec=hash_bytes(b"spec"),
        plan={},
        executor="process",
        host={},
        version="1",
        owner=Owner("", "", 0, 0),
        created="",
        state=state,
        executions={execution.id: execution for execution in executions},
    )


def execution(number: int, step: str = "train", **changes: object) -> Execution:
    made = Execution(str(number), number, step, step, {}, State.SUCCEEDED, f"2026-01-01T00:00:{number:02}.000000Z")
    return replace(made, **changes)  # type: ignore[arg-type]


def left(number: int, digest: Digest, name: str = "model", *, version: int = 1, step: str = "train") -> Execution:
    shown = f"{name}~{version}" if version > 1 else name
    return execution(number, step, outputs=(OutputFile(shown, digest, 1, version=version),))


def got(number: int, digest: Digest, name: str, origin: str, *, given: str = "data", step: str = "train") -> Execution:
    file = {"name": name, "digest": digest, "size": 1, "origin": origin}
    return execution(number, step, job={"inputs": [{"name": given, "files": [file]}]})


def found(*executions: Execution) -> list[Succession]:
    successions = Successions(ALL)
    # The order in which they are told says nothing.
    for one in reversed(executions):
        successions.add_run(run(one.counter, one))
    return successions.found()


def test_outputs_of_one_step_and_path_are_versions_and_the_newest_is_the_last_by_time() -> None:
    assert found(left(1, A), left(2, B), left(3, C)) == [Succession(C, (B, A))]


def test_an_output_written_again_while_the_step_runs_is_a_version_of_the_same_path() -> None:
    one = execution(1, outputs=(OutputFile("m", A, 1), OutputFile("m~2", B, 1, version=2)))
    assert found(one) == [Succession(B, (A,))]


@pytest.mark.parametrize(
    "other", [left(2, B, "other"), left(2, B, step="other"), got(2, B, "model", "/b")], ids=["path", "step", "input"]
)
def test_other_paths_steps_and_uses_are_other_rows(other: Execution) -> None:
    assert found(left(1, A), other) == []


def test_other_projects_are_other_rows() -> None:
    successions = Successions(ALL)
    successions.add_run(run(1, left(1, A)))
    successions.add_run(run(2, left(2, B), project="q"))
    assert successions.found() == []


def test_inputs_are_versions_by_name_or_by_address() -> None:
    assert found(got(1, A, "x.csv", "datum://1"), got(2, B, "x.csv", "datum://2")) == [Succession(B, (A,))]
    moved = got(1, A, "x.csv", "s3://data/x"), got(2, B, "y.csv", "s3://data/x", given="other", step="other")
    # Each is the newest of its name, too.
    assert found(*moved) == []
    assert found(*moved, got(3, C, "x.csv", "s3://data/x")) == [Succession(C, (A,))]


def test_a_version_that_is_used_again_is_the_newest() -> None:
    assert found(left(1, A), left(2, B), left(3, A)) == [Succession(A, (B,))]


def test_what_is_the_newest_of_any_row_is_older_than_nothing() -> None:
    assert found(left(1, A), left(2, B), left(3, B, "other"), left(4, C), left(5, A, "third")) == []


def test_a_file_in_several_rows_is_told_once_with_the_newest_of_where_it_was_last() -> None:
    rows = left(1, A), left(2, A, "other"), left(3, B), left(4, C, "other")
    assert found(*rows) == [Succession(C, (A,))]


def test_files_of_no_interest_are_no_versions() -> None:
    successions = Successions({A, C})
    for number, digest in enumerate((A, B, C, D)):
        successions.add_run(run(number, left(number, digest)))
    assert successions.found() == [Succession(C, (A,))]


def test_what_a_run_under_way_uses_stays_whole() -> None:
    successions = Successions(ALL)
    for number, digest in enumerate((A, B, C)):
        successions.add_run(run(number, left(number, digest), state=State.RUNNING if number == 1 else State.FAILED))
    assert successions.found() == [Succession(C, (A,))]


def test_versions_of_a_dataset_are_told_by_file_name() -> None:
    successions = Successions(ALL)
    for number, (digest, name) in enumerate([(A, "x"), (B, "x"), (C, "y"), (D, "x")]):
        datum = Datum(digest, name, digest, 1, "")
        successions.add_version(("dataset", "iris"), ("2026-01-01T00:00:00.000000Z", number), [datum])
    assert successions.found() == [Succession(D, (B, A))]
    successions.keep_whole([B])
    assert successions.found() == [Succession(D, (A,))]
