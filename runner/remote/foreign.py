"""Whether a journal from elsewhere may be believed: it tells of one run, to its end, and all of it is harmless.

Whatever becomes a file name, a path, a number of the index or a word for other programs is checked here, before
anything of the run is kept. Words that are only shown are escaped where they are shown. Pure.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any, cast

from runner.digest import is_digest
from runner.goal import DIRECTIONS
from runner.remote.manifest import MOST_SIZE
from runner.remote.shape import TIME, Each, Maybe, Pair, Shape, is_count, is_json, is_seconds, misfit
from runner.state import FINAL, Reason, State
from runner.store.identity import is_id
from runner.store.record import Entry, Run
from runner.store.story import BrokenJournal, fold
from runner.store.tree import path_bytes

_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_VARIABLE = re.compile(r"[^=\x00]+")
_TEXT = re.compile(r"[^\x00]*", re.DOTALL)
_STATE = frozenset(map(str, State))
_REASON = Maybe(frozenset(map(str, Reason)))


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and is_digest(value)


def _is_id(value: object) -> bool:
    return isinstance(value, str) and is_id(value)


def _is_size(value: object) -> bool:
    return is_count(value) and isinstance(value, int) and value < MOST_SIZE


def is_path(value: object) -> bool:
    """A relative path that stays below the folder that it is put in: no empty part, no `.` and `..`, no NUL."""
    if not isinstance(value, str) or not value:
        return False
    try:
        raw = path_bytes(value)
    except UnicodeEncodeError:
        return False
    return b"\0" not in raw and {b"", b".", b".."}.isdisjoint(raw.split(b"/"))


def _is_name(value: object) -> bool:
    return is_path(value) and "/" not in str(value)


def _is_argument(value: object) -> bool:
    scalars = value if isinstance(value, list) else [value]
    return all(isinstance(one, str | int | float) for one in scalars)


def _is_aim(value: object) -> bool:
    """What is sought of a metric (`runner.goal`): a direction, or a finite number."""
    if isinstance(value, str):
        return value in DIRECTIONS
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _are_arguments(value: object) -> bool:
    """What a plan was compiled with; of what it has for nodes, files become inputs."""
    return misfit(value, Each(is_json), "") is None and misfit(
        cast(Mapping[str, Any], value).get("nodes", {}), Each(_GIVEN), ""
    ) is None  # fmt: skip


def _are_variables(value: object) -> bool:
    """Names and values that a process can get (environ(7))."""
    return misfit(value, Each(_TEXT), "") is None and all(map(_VARIABLE.fullmatch, cast(Mapping[str, str], value)))


def _is_exit_code(value: object) -> bool:
    """A number that a process can end with."""
    return is_count(value) and cast(int, value) < 256


_OUTPUT: Shape = {
    "name": is_path,
    "digest": _is_digest,
    "size": _is_size,
    "metadata?": Each(is_json),
    "version?": is_count,
}
_INPUT: Shape = {
    "name": is_path, "digest": _is_digest, "size": _is_size, "origin": str, "metadata?": Each(is_json)
}  # fmt: skip
_GIVEN: Shape = {"parameters?": Each(is_json), "inputs?": Each([str]), "files?": Each([_INPUT])}
_GANG: Shape = {"id": str, "index": is_count, "addresses": [str]}
_JOB: Shape = {
    "step": str,
    "image": str,
    "script": {"items": [_TEXT], "stop_at_failure": bool},
    "snapshot": _is_digest,
    "parameters": Each(_is_argument),
    "inputs": [{"name": _is_name, "files": [_INPUT]}],
    "environment": _are_variables,
    "network?": frozenset({"default", "host", "none"}),
    "time_limit?": Maybe(is_seconds),
    "no_output_timeout?": Maybe(is_seconds),
    "stop_condition?": Maybe(str),
    "allowance?": {
        "cpus?": Maybe(is_seconds),
        "cpu_set?": [is_count],
        "memory?": Maybe(is_count),
        "shm?": Maybe(is_count),
        "devices?": Each(int),
    },
    "mounts?": [{"source": _TEXT, "target": _TEXT, "read_only": bool}],
    "secrets?": [_VARIABLE],
    "defaults?": _are_variables,
    "told?": Each(is_json),
    "gang?": _GANG,
}
_KIND = frozenset({"execution", "task", "deployment"})
_NODE: Shape = {
    "name": str,
    "step": str,
    "image?": str,
    "definition?": is_json,
    "parameters?": Each(_is_argument),
    "inputs?": Each([str]),
    "environment?": [str],
    "edges?": [Pair(str, str)],
    "upstream?": [str],
    "on-error?": str,
    "kind?": _KIND,
    "task?": str,
    "goal?": {"metric": str, "aim": _is_aim},
    "commit?": str,
}
_ORIGIN: Shape = {"run": _is_id, "counter": is_count, "node": str, "execution": Maybe(_is_id)}
_CODE: Shape = {
    "snapshot": _is_digest,
    "commit?": Maybe(_COMMIT),
    "branch?": Maybe(str),
    "remote?": Maybe(str),
    "describe?": Maybe(str),
    "dirty?": bool,
    "not_captured?": [str],
}
_OWNER: Shape = {"host": str, "boot_id": str, "pid": is_count, "start_time": is_count}
_RUN: Shape = {
    "id": _is_id,
    "counter": is_count,
    "kind": frozenset({"exec", "pipeline", "task"}),
    "name": str,
    "project": {"id": _is_id, "name": str, "root": _TEXT, "file": is_path},
    "title": Maybe(str),
    "tags": [str],
    "argv": [str],
    "code": _CODE,
    "spec": _is_digest,
    "plan": {"nodes": [_NODE], "kind?": str, "name?": str, "inputs-from?": _ORIGIN},
    "executor": str,
    "host": Each(is_json),
    "version": str,
    "reuse?": Maybe({"on": bool, "refresh": [str], "code_key": str, "sources?": Maybe([str])}),
    "owner": _OWNER,
    "arguments?": Maybe(_are_arguments),
    "codes?": Each(_CODE),
}
_IDENTITY: Shape = {"id": str, "platform?": Maybe(str), "interpreter?": Maybe(str)}
_END: Shape = {"state": _STATE, "reason?": _REASON, "detail?": Maybe(str), "duration?": Maybe(is_seconds)}
_REUSED: Shape = {"execution": _is_id, "counter": is_count, "run": _is_id, "accepted?": bool, "taken?": bool}
_GATHERED: Shape = {
    "deployment": str,
    "id": _is_id,
    "version_id": _is_id,
    "endpoints": Each(Each(_OUTPUT)),
    "aliases?": [str],
    "deployed?": bool,
}
_READ: Shape = {"code?": Maybe([is_path]), "doubt?": Maybe(str), "inputs?": Maybe([str])}
_ENTRIES: dict[str, Shape] = {
    "run-created": {"run": _RUN},
    "run-resumed": {"owner": _OWNER, "again": [str]},
    "run-parked": {},
    "node-moved": {
        "node": str,
        "state": _STATE,
        "reason?": _REASON,
        "detail?": Maybe(str),
        "reused?": _REUSED,
        "point?": Maybe(str),
    },
    "trials-added": {
        "node": str,
        "trials": [{"name": str, "parameters": Each(_is_argument)}],
        "size?": Maybe(is_count),
    },
    "approval-decided": {"node": str, "point": str, "approved": bool, "by": str},
    "deployment-gathered": {"node": str, "gathered": _GATHERED},
    "execution-created": {"id": _is_id, "node": str, "counter": is_count, "key?": Maybe(_is_digest), "job": _JOB},
    "execution-started": {"id": _is_id, "executor": str, "identity": Each(is_json)},
    "output-taken": {"id": _is_id, "output": _OUTPUT},
    "execution-finished": _END
    | {
        "id": _is_id,
        "exit_code?": Maybe(int),
        "outputs?": [_OUTPUT],
        "log?": Maybe({"stdout": _is_digest, "stderr": _is_digest, "index": _is_digest}),
        "metrics?": Each(is_json),
        "metric_log?": Maybe(_is_digest),
        "warnings?": [str],
        "work?": Maybe(str),
        "read?": _READ,
        "peak_memory?": Maybe(is_count),
        "identity?": Each(is_json),
        "executor?": Maybe(str),
    },
    "run-finished": _END | {"exit_code?": Maybe(_is_exit_code)},
}


def believe(entries: Sequence[Entry], project: str, id: str) -> Run:
    """The run that a journal from elsewhere tells, which has to be `id` of `project`. Raises ValueError with what is
    wrong, which may hold anything: it must be shown escaped."""
    for at, entry in enumerate(entries):
        _check_entry(entry, f"entry {at + 1}")
    try:
        run = fold(entries)
    except BrokenJournal as error:
        raise ValueError(str(error)) from error
    if (run.id, run.project.id) != (id, project):
        raise ValueError(f"its journal tells of the run `{run.id}` of the project `{run.project.id}`")
    _check_end(run)
    return run


def _check_entry(entry: Any, place: str) -> None:
    kind = entry.get("type") if isinstance(entry, dict) else None
    shape = _ENTRIES.get(kind) if isinstance(kind, str) else None
    if shape is None:
        raise ValueError(f"{place} of its journal is of no known type")
    wrong = misfit(entry, {"type": str, "time": TIME, **shape}, f"{place} ({kind})")
    identity = entry.get("identity")
    if wrong is None and identity is not None:
        known = {key: identity[key] for key in ("id", "platform", "interpreter") if key in identity}
        wrong = misfit(known, _IDENTITY, f"{place} ({kind}).identity")
    if wrong is not None:
        raise ValueError(f"{wrong} of its journal is not what it may be")


def _check_end(run: Run) -> None:
    """A run that goes on belongs to its runner, and names that are taken twice to nobody."""
    states = [run.state, *(one.state for one in run.executions.values()), *(one.state for one in run.nodes.values())]
    if not FINAL.issuperset(states):
        raise ValueError("it has not ended")
    for execution in run.executions.values():
        names = [output.name for output in execution.outputs]
        if _repeated(names):
            raise ValueError(f"an output of execution `{execution.id}` is there twice")
        inputs = execution.job["inputs"]
        if _repeated(one["name"] for one in inputs) or any(
            _repeated(f["name"] for f in one["files"]) for one in inputs
        ):
            raise ValueError(f"an input of execution `{execution.id}` is there twice")


def _repeated(names: Iterable[str]) -> bool:
    listed = list(names)
    return len(set(listed)) < len(listed)
