"""Which two commits a pull request is about. Gets what a shallow clone lacks, in a bounded number of steps."""

from dataclasses import dataclass

from pullrequest.problem import ActionError
from pullrequest.repository import Repository
from pullrequest.setting import PullRequest, Setting

DEEPER = (20, 100, 500, 2000)
"""By how many commits a shallow history is made longer, one step after the other."""

HINT = "give actions/checkout `fetch-depth: 0`"


@dataclass(frozen=True, slots=True)
class Span:
    """`head` is the state that is looked at, `base` what it is compared with, if with anything."""

    base: str | None
    head: str


def find_span(repository: Repository, setting: Setting) -> Span:
    """The commits of this job. Raises ActionError when they are not to be had."""
    pull_request = setting.pull_request
    head = repository.commit("HEAD")
    if head is None:
        raise ActionError(f"{repository.root} is no git repository with a commit: run actions/checkout before")
    if pull_request is not None and pull_request.distrusted:
        head = _brought(repository, pull_request.head)
    if setting.base:
        return Span(_named(repository, setting.base), head)
    return Span(_base(repository, pull_request, head) if pull_request else None, head)


def _named(repository: Repository, name: str) -> str:
    """The commit of a branch, tag or id."""
    for attempt in (name, f"origin/{name}"):
        if found := repository.commit(attempt):
            return found
    place = "refs/mlrun/base"
    how = "--depth=1" if repository.is_shallow() else None
    if repository.fetch(f"+{name}:{place}", how=how) and (found := repository.commit(place)):
        return found
    raise ActionError(f"there is no commit `{name}` here or at `origin`: {HINT}, or name another `base`")


def _base(repository: Repository, pull_request: PullRequest, head: str) -> str:
    parents = repository.parents(head)
    if len(parents) == 2 and parents[1] == pull_request.head:
        # The checkout is GitHub's trial merge: its first parent is the branch as it would be merged into.
        return _brought(repository, parents[0])
    tip = _brought(repository, pull_request.base)
    found = repository.merge_base(tip, head)
    for commits in DEEPER if repository.is_shallow() else ():
        if found or not repository.fetch(tip, head, how=f"--deepen={commits}"):
            break
        found = repository.merge_base(tip, head)
    if found is None:
        raise ActionError(f"no common ancestor of the pull request and its base is known here: {HINT}")
    return found


def _brought(repository: Repository, commit: str) -> str:
    """A commit that is here, or can be got."""
    if repository.commit(commit) is None:
        # Depth is asked for only where history is cut off already: it would cut a whole one.
        repository.fetch(commit, how="--depth=1" if repository.is_shallow() else None)
        if repository.commit(commit) is None:
            raise ActionError(f"commit {commit[:12]} is not here and cannot be fetched: {HINT}")
    return commit
