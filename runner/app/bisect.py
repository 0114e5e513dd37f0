"""Finds the commit that broke a metric: ordinary runs of commits, each with every unchanged node reused.

Nothing of the user's working tree or of `.git` is looked at or changed: each run takes its code from its commit. What
was judged is recorded as runs, so whoever stops in the middle and begins again finds them reused.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from runner.app.bisection import AllBad, Ask, Judgement, Narrowed, Unfit, next_step
from runner.app.run import Ended
from runner.app.standing import made_by
from runner.errors import ExitCode, MlrunError, did_you_mean, usage_error
from runner.escape import printable
from runner.provenance.git import Repository
from runner.provenance.log import CommitInfo, FileStat, changed_files, commit_info, first_parents
from runner.spec.condition import Lookup
from runner.spec.phrase import counted
from runner.state import DONE, State
from runner.store.record import Execution, Run, in_order, standing
from runner.store.store import Store

_PASSED_OVER = frozenset({ExitCode.SPEC, ExitCode.USAGE, ExitCode.INPUT, ExitCode.IMAGE})
"""What is wrong with a commit when it cannot be run; anything else is wrong with this machine, and ends the search."""

Attempt = Callable[[str], Ended]
"""Runs a commit. Raises MlrunError when it cannot start."""


class Criterion(Protocol):
    """What makes a commit bad: a condition over metrics and parameters."""

    @property
    def names(self) -> Collection[str]:
        """What it reads."""
        ...

    def matches(self, lookup: Lookup) -> bool:
        """Whether it holds."""
        ...


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a commit. `run` is None where none began, `why` tells why it was passed over; `values` are those
    that the criterion reads."""

    commit: CommitInfo
    judgement: Judgement
    why: str | None = None
    run: Run | None = None
    values: Mapping[str, object] | None = None

    @property
    def nodes(self) -> int:
        """The nodes and trials of its run."""
        return len(self.run.nodes) if self.run else 0

    @property
    def reused(self) -> int:
        """Those of them for which earlier executions stood."""
        return sum(1 for _ in standing(self.run)) if self.run else 0

    @property
    def seconds(self) -> float:
        """How long its run took."""
        return (self.run.duration or 0.0) if self.run else 0.0


@dataclass(frozen=True, slots=True)
class Suspect:
    """A commit that may have broken it, and what it changed."""

    commit: CommitInfo
    files: tuple[FileStat, ...]


@dataclass(frozen=True, slots=True)
class Bisected:
    """What was found: the suspects, newest first, of which there is one unless some could not be judged; the trials of
    the commits on either side; and all trials in their order."""

    suspects: tuple[Suspect, ...]
    good: Trial
    bad: Trial
    trials: tuple[Trial, ...]


class Stopped(Exception):
    """Somebody stopped the run of a commit, which ended with this exit code."""

    def __init__(self, exit: int) -> None:
        super().__init__(exit)
        self.exit = exit


class Listener(Protocol):
    """Who is told how it goes."""

    def begins(self, commit: CommitInfo, left: int | None) -> None:
        """A commit is about to be run; about `left` are to follow it, None where nobody knows."""
        ...

    def ends(self, trial: Trial) -> None:
        """It was judged."""
        ...


def line_of(repository: Repository, good: str | None, bad: str) -> list[str]:
    """The commits from `bad` back to `good`, or to the oldest, by first parents. Raises MlrunError (USAGE)."""
    newest = repository.resolve(bad)
    line = first_parents(repository.root, newest)
    if good is None:
        return line
    oldest = repository.resolve(good)
    if oldest == newest:
        raise usage_error(f"`{printable(good)}` and `{printable(bad)}` are the same commit")
    if oldest not in line:
        if newest in first_parents(repository.root, oldest):
            raise usage_error(
                f"`{printable(good)}` is newer than `{printable(bad)}`",
                hint="`--good` is the older one; the opposite condition in `--metric` finds what mended it",
            )
        raise usage_error(
            f"`{printable(good)}` is not among the first parents of `{printable(bad)}`",
            hint=f"`git log --first-parent {printable(bad)}` shows those that can be named",
        )
    return line[: line.index(oldest) + 1]


def bisect(
    root: Path,
    line: list[str],
    criterion: Criterion,
    attempt: Attempt,
    store: Path,
    listener: Listener,
    *,
    bounded: bool,
) -> Bisected:
    """Find the commit of `line`, newest first, since which the criterion holds; with `bounded` it must not hold for the
    oldest. `root` is the repository, `store` where runs are recorded.

    Raises Stopped, and MlrunError: USAGE where there is nothing to find, and what a run that cannot start raises.
    """
    judged: dict[int, Judgement] = {}
    trials: dict[int, Trial] = {}
    while True:
        match next_step(len(line), judged, bounded=bounded):
            case Ask(at, left):
                info = commit_info(root, line[at])
                listener.begins(info, left)
                trials[at] = _try(info, criterion, attempt, store)
                judged[at] = trials[at].judgement
                listener.ends(trials[at])
            case Narrowed(bad, good):
                suspects = tuple(_suspect(root, line[at], line[at + 1]) for at in range(bad, good))
                return Bisected(suspects, trials[good], trials[bad], tuple(trials.values()))
            case Unfit(at, wanted):
                raise _unfit(trials[at], wanted)
            case AllBad():
                raise _all_bad(line[-1], sum(one is Judgement.SKIPPED for one in judged.values()))


def _suspect(root: Path, commit: str, before: str) -> Suspect:
    return Suspect(commit_info(root, commit), changed_files(root, before, commit))


def _all_bad(oldest: str, skipped: int) -> MlrunError:
    message = f"no commit back to {oldest[:10]} is good"
    if skipped:
        hint = "the reasons are told above; `--good` names a commit that can be judged"
        return usage_error(f"{message}, and nothing can be said of {counted(skipped, 'commit')}", hint=hint)
    return usage_error(
        message, hint="a shallow clone does not reach back: `git fetch --unshallow`; or it never was good"
    )


def _unfit(trial: Trial, wanted: Judgement) -> MlrunError:
    short = trial.commit.id[:10]
    if trial.judgement is Judgement.SKIPPED:
        return usage_error(f"commit {short} should be {wanted}, and nothing can be said of it: {trial.why}")
    values = ", ".join(f"{name} = {value}" for name, value in (trial.values or {}).items())
    holds = "does not hold" if wanted is Judgement.BAD else "holds"
    return usage_error(
        f"commit {short} should be {wanted}, and is {trial.judgement}: the condition {holds} ({printable(values)})",
        hint="`--metric` says what is bad; `--good` and `--bad` name commits on either side",
    )


def _try(commit: CommitInfo, criterion: Criterion, attempt: Attempt, store: Path) -> Trial:
    """Run a commit and judge it."""
    try:
        ended = attempt(commit.id)
    except MlrunError as error:
        if error.code not in _PASSED_OVER:
            raise
        where = f"{error.location}: " if error.location else ""
        return Trial(commit, Judgement.SKIPPED, f"{where}{error.message}")
    run = ended.run
    if run.state is State.STOPPED:
        raise Stopped(ended.exit)
    if run.state is not State.SUCCEEDED:
        return Trial(commit, Judgement.SKIPPED, _failure(run), run)
    with Store.open(store, create=False) as reading:
        told = executions_of(reading, run)
    lookup = make_lookup(told)
    values: dict[str, object] = {}
    for name in sorted(criterion.names):
        try:
            values[name] = lookup(name)
        except KeyError:
            return Trial(commit, Judgement.SKIPPED, _lacking(name, told), run)
    judgement = Judgement.BAD if criterion.matches(lookup) else Judgement.GOOD
    return Trial(commit, judgement, run=run, values=values)


def _failure(run: Run) -> str:
    failed = next((node for node in run.nodes.values() if node.state is State.FAILED), None)
    where = f": `{printable(failed.name)}`: {printable(failed.detail or str(failed.reason))}" if failed else ""
    return f"run {run.counter} {run.state}{where}"


def executions_of(store: Store, run: Run) -> dict[str, Execution]:
    """The execution that each node which is done came to, in the order of the nodes. Raises MlrunError (STORE)."""
    read = cache(store.run)
    found = {node.name: made_by(store, run, node, read) for node in in_order(run) if node.state in DONE}
    return {name: one[1] for name, one in found.items() if one is not None}


def make_lookup(executions: Mapping[str, Execution]) -> Lookup:
    """What names mean: `accuracy`, `metric.accuracy` or `metadata.accuracy` the metric of the last node that has it,
    `param.C` or `parameter.C` its parameter, and `NODE.accuracy` the metric of that node."""

    def latest(key: str, kind: str) -> object:
        for execution in reversed(list(executions.values())):
            values = execution.metrics if kind == "metric" else execution.job.get("parameters", {})
            if key in values:
                return values[key]
        raise KeyError(key)

    def lookup(name: str) -> object:
        prefix, dot, rest = name.partition(".")
        if dot and prefix in ("metric", "metadata"):
            return latest(rest, "metric")
        if dot and prefix in ("param", "parameter"):
            return latest(rest, "parameter")
        for node, execution in executions.items():
            if name.startswith(f"{node}.") and name[len(node) + 1 :] in execution.metrics:
                return execution.metrics[name[len(node) + 1 :]]
        return latest(name, "metric")

    return lookup


def _lacking(name: str, executions: Mapping[str, Execution]) -> str:
    known = {key for execution in executions.values() for key in execution.metrics}
    hint = did_you_mean(name, sorted(known))
    return f"it has no `{printable(name)}`" + (f" ({printable(hint)})" if hint else "")
