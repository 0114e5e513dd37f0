"""What a condition reads of a run, and what becomes of commits that cannot be run."""

from pathlib import Path
from typing import Any

import pytest

from runner.app import bisect as module
from runner.app.bisect import Criterion, Stopped, bisect, make_lookup
from runner.app.bisection import Judgement
from runner.app.run import Ended
from runner.cli.query import Condition
from runner.errors import ExitCode, MlrunError
from runner.provenance.log import CommitInfo, FileStat
from runner.state import State
from runner.store.record import Execution


def execution(metrics: dict[str, Any], **parameters: Any) -> Execution:
    return Execution("id", 1, "n", "s", {"parameters": parameters}, State.SUCCEEDED, "t", metrics=metrics)


RUN = {
    "train": execution({"accuracy": 0.9, "loss": 0.1, "val/acc": 1, "a.b": 2}, C=0.5, seed=1),
    "evaluate": execution({"accuracy": 0.7, "per class": 3}, C=2.0),
    "report": execution({}),
}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("accuracy == 0.7", True),
        ("train.accuracy == 0.9", True),
        ("metric.accuracy == 0.7 and metadata.loss < 1", True),
        ("param.C == 2.0", True),
        ("parameter.seed == 1", True),
        ('metric("val/acc") == 1', True),
        ('metric("per class") == 3', True),
        ("a.b == 2", True),
        ("loss > 1", False),
    ],
)
def test_a_name_means_the_last_node_that_has_it_or_the_node_that_it_names(condition: str, holds: bool) -> None:
    assert Condition(condition, "--metric").matches(make_lookup(RUN)) is holds


@pytest.mark.parametrize("name", ["lost", "report.accuracy", "train.lost", "param.lost", "metric.lost", "C"])
def test_a_name_that_nothing_has_is_lacking(name: str) -> None:
    with pytest.raises(KeyError):
        make_lookup(RUN)(name)


class Heard:
    def __init__(self) -> None:
        self.told: list[Any] = []

    def begins(self, commit: CommitInfo, left: int | None) -> None:
        self.told.append((commit.id, left))

    def ends(self, trial: Any) -> None:
        self.told.append(trial.judgement)


@pytest.fixture
def no_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "commit_info", lambda root, one: CommitInfo(one, f"about {one}", "me", "t"))
    monkeypatch.setattr(module, "changed_files", lambda root, one, other: (FileStat(f"{one}..{other}", 1, 0),))


def run_of(state: State, **metrics: float) -> Any:
    """As much of a run as is looked at."""

    class Node:
        name, state, reused, executions, detail, reason = "n", State.SUCCEEDED, None, ("e",), "exit 1", None
        trial_of = None

    Node.state = state

    class FakeRun:
        counter, duration, nodes, executions = 5, 1.0, {"n": Node}, {"e": execution(metrics)}

    FakeRun.state = state  # type: ignore[attr-defined]
    return FakeRun


CONDITION: Criterion = Condition("accuracy < 0.9", "--metric")


def search(tmp_path: Path, fates: dict[str, Any], heard: Heard | None = None, *, bounded: bool = True) -> Any:
    """Bisect `a`, `b`, … newest first, each with a metric, a state, or an error."""

    def attempt(commit: str) -> Ended:
        match fates[commit]:
            case MlrunError() as error:
                raise error
            case State() as state:
                return Ended(run_of(state), 130)
            case value:
                return Ended(run_of(State.SUCCEEDED, accuracy=value), 0)

    return bisect(tmp_path, list(fates), CONDITION, attempt, tmp_path / "store", heard or Heard(), bounded=bounded)


@pytest.mark.usefixtures("no_git")
def test_the_suspect_comes_with_what_it_changed_since_the_commit_before(tmp_path: Path) -> None:
    heard = Heard()
    found = search(tmp_path, {"a": 0.1, "b": 0.2, "c": 0.95, "d": 0.99}, heard)
    (suspect,) = found.suspects
    assert (suspect.commit.id, suspect.files[0].path) == ("b", "c..b")
    assert (found.bad.values, found.good.values) == ({"accuracy": 0.2}, {"accuracy": 0.95})
    assert heard.told[::2] == [("a", 3), ("d", 2), ("b", 1), ("c", 0)]


@pytest.mark.usefixtures("no_git")
@pytest.mark.parametrize("code", [ExitCode.SPEC, ExitCode.USAGE, ExitCode.INPUT, ExitCode.IMAGE])
def test_a_commit_that_cannot_be_run_is_passed_over(tmp_path: Path, code: ExitCode) -> None:
    found = search(tmp_path, {"a": 0.1, "b": MlrunError("it is broken", code=code), "c": State.FAILED, "d": 0.95})
    assert [one.commit.id for one in found.suspects] == ["a", "b", "c"]
    whys = {one.commit.id: one.why for one in found.trials if one.judgement is Judgement.SKIPPED}
    assert whys == {"b": "it is broken", "c": "run 5 failed: `n`: exit 1"}


@pytest.mark.usefixtures("no_git")
@pytest.mark.parametrize("code", [ExitCode.DISK, ExitCode.STORE, ExitCode.EXECUTOR, ExitCode.POLICY, ExitCode.LOCKED])
def test_what_is_wrong_with_this_machine_ends_the_search(tmp_path: Path, code: ExitCode) -> None:
    with pytest.raises(MlrunError) as caught:
        search(tmp_path, {"a": 0.1, "b": MlrunError("no", code=code), "c": 0.95})
    assert caught.value.code is code


@pytest.mark.usefixtures("no_git")
def test_where_no_commit_is_good_it_is_told_how_many_could_not_be_judged(tmp_path: Path) -> None:
    with pytest.raises(MlrunError) as caught:
        search(tmp_path, {"a": 0.1, "b": 0.2, "c": State.FAILED, "d": State.FAILED}, bounded=False)
    assert caught.value.message == "no commit back to d is good, and nothing can be said of 2 commits"
    with pytest.raises(MlrunError, match=r"no commit back to b is good$"):
        search(tmp_path, {"a": 0.1, "b": 0.2}, bounded=False)


@pytest.mark.usefixtures("no_git")
def test_a_run_that_somebody_stopped_ends_the_search_as_that_run_ended(tmp_path: Path) -> None:
    with pytest.raises(Stopped) as caught:
        search(tmp_path, {"a": 0.1, "b": State.STOPPED, "c": 0.95})
    assert caught.value.exit == 130
