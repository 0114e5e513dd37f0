"""What the tables of the index hold of a run, column by column. Pure.

The index is written with it, and compared with the journals by it.
"""

import json
import uuid
from collections.abc import Iterator
from dataclasses import asdict

from blake3 import blake3

from runner.digest import Digest, is_digest
from runner.state import State
from runner.store.datum import datum_id
from runner.store.record import Execution, Run, standing
from runner.store.row import execution_row, run_row

_SEAL = 8
"""Bytes of the hash of a row that stand beside it: SQLite does not notice a changed byte."""

RUN_COLUMNS = ("id", "project", "counter", "final", "created", "owner", "row", "seal")
EXECUTION_COLUMNS = ("id", "run", "project", "counter", "final", "created", "row", "seal")
DATUM_COLUMNS = ("id", "digest", "execution")
INPUT_COLUMNS = ("digest", "execution")
KEY_COLUMNS = ("base", "execution")
STEP_COLUMNS = ("project", "step", "execution")
REUSE_COLUMNS = ("execution", "run")


def run_columns(run: Run, *, final: bool) -> tuple[object, ...]:
    """What the index has of a run (`RUN_COLUMNS`)."""
    text, owner = json.dumps(run_row(run)), json.dumps(asdict(run.owner))
    return (run.id, run.project.id, run.counter, final, run.created, owner, text, seal_of(text))


def execution_columns(run: Run, one: Execution, *, final: bool) -> tuple[object, ...]:
    """What the index has of an execution of a run (`EXECUTION_COLUMNS`)."""
    text = json.dumps(execution_row(run, one))
    return (one.id, run.id, run.project.id, one.counter, final, one.created, text, seal_of(text))


def datum_columns(one: Execution) -> Iterator[tuple[bytes, Digest, str]]:
    """What the index has of the outputs of an execution (`DATUM_COLUMNS`)."""
    return ((uuid.UUID(datum_id(one.id, file.name)).bytes, file.digest, one.id) for file in one.outputs)


def input_columns(one: Execution) -> Iterator[tuple[bytes, str]]:
    """What the index has of the inputs of an execution (`INPUT_COLUMNS`)."""
    return ((bytes.fromhex(digest), one.id) for digest in input_digests(one))


def key_columns(one: Execution) -> Iterator[tuple[bytes, str]]:
    """What finds an execution that may stand for another (`KEY_COLUMNS`): only one that succeeded may."""
    if one.key is not None and one.state is State.SUCCEEDED:
        yield bytes.fromhex(one.key), one.id


def step_columns(run: Run, one: Execution) -> Iterator[tuple[str, str, str]]:
    """What finds earlier executions of a step (`STEP_COLUMNS`)."""
    if one.state is State.SUCCEEDED:
        yield run.project.id, one.step, one.id


def reuse_columns(run: Run) -> Iterator[tuple[str, str]]:
    """What finds the runs in which an execution stands for a node (`REUSE_COLUMNS`)."""
    return ((id, run.id) for id in reused_executions(run))


def reused_executions(run: Run) -> set[str]:
    """The executions that stand for nodes of a run."""
    return {reused.execution for reused in standing(run)}


def input_digests(execution: Execution) -> set[Digest]:
    """The contents that an execution got as inputs."""
    files = (file for given in execution.job.get("inputs", ()) for file in given["files"])
    return {Digest(file["digest"]) for file in files if is_digest(file.get("digest", ""))}


def seal_of(text: str) -> bytes:
    """The hash that stands beside a row."""
    return blake3(text.encode()).digest()[:_SEAL]
