"""Which commits are compared, on real clones."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from pullrequest.problem import ActionError
from pullrequest.repository import NoFile, Repository
from pullrequest.setting import FailOn, PullRequest, Setting
from pullrequest.span import Span, find_span

IDENTITY = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.com", "-c", "init.defaultBranch=main")


def git(folder: Path, *words: str) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *IDENTITY, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def commit(folder: Path, text: str) -> str:
    (folder / f"{text}.txt").write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", text)
    return git(folder, "rev-parse", "HEAD")


@dataclass
class Hub:
    """A server's repository with a pull request: main moved on after the branch left it. `merge` is the trial merge."""

    origin: Path
    left: str
    base: str
    head: str
    merge: str

    def pull_request(self, distrusted: bool = False) -> PullRequest:
        return PullRequest(7, self.base, self.head, True, distrusted)

    def clone(self, commit: str, *options: str) -> Path:
        """A clone with nothing but what was asked for, as actions/checkout makes it."""
        folder = self.origin.parent / "clone"
        folder.mkdir()
        git(folder, "init", "--quiet")
        git(folder, "remote", "add", "origin", f"file://{self.origin}")
        git(folder, "fetch", "--quiet", *options, "origin", f"+{commit}:refs/remotes/pull/7/merge")
        git(folder, "checkout", "--quiet", "refs/remotes/pull/7/merge")
        return folder


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    folder = tmp_path / "hub"
    folder.mkdir()
    git(folder, "init", "--quiet")
    git(folder, "config", "uploadpack.allowAnySHA1InWant", "true")
    commit(folder, "first")
    left = commit(folder, "left")
    git(folder, "switch", "--quiet", "--create", "feature")
    for number in range(30):
        head = commit(folder, f"feature{number}")
    git(folder, "switch", "--quiet", "main")
    base = commit(folder, "main1")
    git(folder, "switch", "--quiet", "--detach", "main")
    git(folder, "merge", "--quiet", "--no-ff", "--message", "trial", "feature")
    merge = git(folder, "rev-parse", "HEAD")
    git(folder, "update-ref", "refs/pull/7/merge", merge)
    git(folder, "update-ref", "refs/pull/7/head", head)
    git(folder, "branch", "--quiet", "-D", "feature")
    git(folder, "switch", "--quiet", "main")
    return Hub(folder, left, base, head, merge)


Find = Callable[..., Span]


@pytest.fixture
def find(tmp_path: Path) -> Find:
    def find(clone: Path, pull_request: PullRequest | None, base: str | None = None) -> Span:
        setting = Setting(
            files=("valohai.yaml",),
            strict=False,
            comment=True,
            fail_on=FailOn.ERROR,
            base=base,
            author=None,
            token="",
            api="",
            server="",
            repository="me/it",
            pull_request=pull_request,
            workspace=clone,
            scratch=tmp_path,
            mlrun=Path("mlrun"),
            output=None,
            summary=None,
        )
        return find_span(Repository(clone), setting)

    return find


def shallow(clone: Path) -> bool:
    return Repository(clone).is_shallow()


def test_the_trial_merge_is_compared_with_the_branch_it_merges_into(hub: Hub, find: Find) -> None:
    clone = hub.clone(hub.merge, "--depth=1")
    assert find(clone, hub.pull_request()) == Span(hub.base, hub.merge)


def test_the_trial_merge_knows_a_newer_base_than_the_event(hub: Hub, find: Find) -> None:
    event = PullRequest(7, hub.left, hub.head, False, False)
    assert find(hub.clone(hub.merge, "--depth=1"), event).base == hub.base


def test_a_shallow_head_is_deepened_to_where_it_left_the_base(hub: Hub, find: Find) -> None:
    clone = hub.clone(hub.head, "--depth=1")
    assert find(clone, hub.pull_request()) == Span(hub.left, hub.head)


def test_a_whole_clone_stays_whole(hub: Hub, find: Find) -> None:
    clone = hub.clone(hub.head)
    assert find(clone, hub.pull_request()) == Span(hub.left, hub.head)
    assert not shallow(clone)
    assert git(clone, "rev-list", "--count", "HEAD") == "32"


def test_without_a_common_ancestor_in_reach_the_way_out_is_named(
    hub: Hub, find: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pullrequest.span.DEEPER", (2, 3))
    with pytest.raises(ActionError, match="fetch-depth: 0"):
        find(hub.clone(hub.head, "--depth=1"), hub.pull_request())


def test_a_commit_that_the_server_does_not_give_ends_in_a_way_out(hub: Hub, find: Find) -> None:
    with pytest.raises(ActionError, match="fetch-depth: 0"):
        find(hub.clone(hub.base, "--depth=1"), PullRequest(7, "c" * 40, hub.head, False, False))


def test_a_distrusted_head_is_fetched_and_not_checked_out(hub: Hub, find: Find) -> None:
    clone = hub.clone(hub.base, "--depth=1")
    assert find(clone, hub.pull_request(distrusted=True)) == Span(hub.left, hub.head)
    assert git(clone, "rev-parse", "HEAD") == hub.base
    assert not (clone / "feature0.txt").exists()


def test_another_event_has_no_base(hub: Hub, find: Find) -> None:
    assert find(hub.clone(hub.base, "--depth=1"), None) == Span(None, hub.base)


@pytest.mark.parametrize("name", ["main", "LEFT"])
def test_a_base_by_name_is_fetched(hub: Hub, find: Find, name: str) -> None:
    wanted = hub.left if name == "LEFT" else hub.base
    base = hub.left if name == "LEFT" else name
    assert find(hub.clone(hub.head, "--depth=1"), hub.pull_request(), base) == Span(wanted, hub.head)


def test_an_unknown_base_is_told(hub: Hub, find: Find) -> None:
    with pytest.raises(ActionError, match="no commit `nowhere`"):
        find(hub.clone(hub.head), None, "nowhere")


def test_a_folder_without_a_repository_is_told(tmp_path: Path, find: Find) -> None:
    with pytest.raises(ActionError, match="actions/checkout"):
        find(tmp_path, None)


def test_a_file_is_read_as_it_was_committed(hub: Hub) -> None:
    folder = hub.origin
    (folder / ".gitattributes").write_text("*.txt text eol=crlf filter=evil ident\n")
    git(folder, "config", "filter.evil.smudge", "touch evil; cat")
    head = commit(folder, "one")
    assert Repository(folder).read(head, "one.txt") == b"one"
    assert not (folder / "evil").exists()


def test_what_is_no_regular_file_is_not_read(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = hub.origin
    (folder / "link.yaml").symlink_to("/etc/passwd")
    (folder / "folder").mkdir()
    (folder / "folder" / "valohai.yaml").write_text("x" * 2000)
    (folder / "there").symlink_to("folder")
    head = commit(folder, "odd")
    repository = Repository(folder)
    monkeypatch.setattr("pullrequest.repository.MAX_BYTES", 1000)
    for path, word in {
        "link.yaml": "symbolic link",
        "there/valohai.yaml": "does not exist",
        "folder": "folder",
        "folder/valohai.yaml": "more than",
        "nowhere": "does not exist",
        "*.yaml": "does not exist",
        ":/odd.txt": "does not exist",
    }.items():
        with pytest.raises(NoFile, match=word):
            repository.read(head, path)
