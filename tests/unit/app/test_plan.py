"""Which commits the nodes of a pipeline are at, and what is said of one that is not there."""

import pytest

from runner.app.plan import open_commits
from runner.errors import ExitCode, MlrunError, usage_error
from runner.plan.model import Commit
from runner.spec.model import Pipeline
from runner.spec.project import parse_project

TEXT = """
- pipeline:
    name: p
    nodes:
      - {name: a, type: execution, step: s, commit: v1}
      - {name: b, type: execution, step: s, commit: v1}
      - {name: c, type: execution, step: s}
      - {name: d, type: execution, step: s, commit: 'library:shop/s'}
    edges: []
"""


def pipeline() -> Pipeline:
    return parse_project(TEXT.encode(), "valohai.yaml").pipelines["p"]


def test_every_commit_is_opened_once_and_a_library_never() -> None:
    asked: list[str] = []

    def opened(revision: str) -> Commit:
        asked.append(revision)
        return Commit("a" * 40, parse_project(b"[]", f"{revision}:valohai.yaml"))

    assert list(open_commits(pipeline(), opened)) == asked == ["v1"]


def test_a_commit_that_is_not_there_is_an_error_of_the_file_at_its_node() -> None:
    def opened(revision: str) -> Commit:
        raise usage_error(f"there is no commit `{revision}`", "look")

    with pytest.raises(MlrunError) as caught:
        open_commits(pipeline(), opened)
    error = caught.value
    assert (error.code, error.message, error.hint) == (ExitCode.SPEC, "node `a`: there is no commit `v1`", "look")
    assert error.location is not None
    assert error.location.line == 5
