"""Which remote a word means, and which addresses are none."""

from pathlib import Path
from typing import Any

import pytest

from runner.errors import ExitCode, MlrunError
from runner.remote.directory import Directory
from runner.remote.kind import choose_remote, open_remote, shown

REMOTES = {"lab": "ssh://lab/srv/mlrun", "share": "/mnt/share"}


@pytest.mark.parametrize(
    ("wanted", "remotes", "address"),
    [
        ("lab", REMOTES, "ssh://lab/srv/mlrun"),
        ("share", REMOTES, "/mnt/share"),
        ("./share", REMOTES, "./share"),
        ("/other", REMOTES, "/other"),
        ("~/x", {}, "~/x"),
        ("..", {}, ".."),
        ("s3://b/p", {}, "s3://b/p"),
        (None, {"lab": "/x"}, "/x"),
        (None, {**REMOTES, "default": "lab"}, "ssh://lab/srv/mlrun"),
        (None, {**REMOTES, "default": "/there"}, "/there"),
    ],
)
def test_a_remote_is_named_by_settings_path_or_address(
    wanted: str | None, remotes: dict[str, str], address: str
) -> None:
    assert choose_remote(wanted, remotes, "--to") == address


@pytest.mark.parametrize(
    ("wanted", "remotes", "hint"),
    [
        (None, REMOTES, "`lab`, `share`"),
        (None, REMOTES, "`--to`"),
        (None, {}, "[remotes]"),
        (None, {}, "`--to`"),
        ("lap", REMOTES, "`lab`"),
        ("share", {}, "./share"),
    ],
)
def test_a_word_that_means_no_remote_is_refused(wanted: str | None, remotes: dict[str, str], hint: str) -> None:
    with pytest.raises(MlrunError) as caught:
        choose_remote(wanted, remotes, "--to")
    assert caught.value.code is ExitCode.USAGE
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    "address",
    [
        "ftp://host/x",
        "http://host/x",
        "ssh://host",
        "ssh://host/",
        "ssh:///x",
        "ssh://-oProxyCommand=x/y",
        "ssh://me:secret@host/x",
        "ssh://host:99999/x",
        "s3://",
        "azure://account",
        "file:///a\nb",
    ],
)
def test_an_address_that_can_be_none_is_refused_without_its_password(address: str) -> None:
    with pytest.raises(MlrunError) as caught:
        open_remote(address)
    assert caught.value.code is ExitCode.USAGE
    assert "secret" not in f"{caught.value.message}{caught.value.hint}"


def test_a_path_may_be_written_as_an_address(tmp_path: Path) -> None:
    remote = open_remote(f"file://{tmp_path}/with%20blank")
    assert isinstance(remote, Directory)
    assert remote.shown == f"{tmp_path}/with blank"


@pytest.mark.parametrize(
    ("address", "called"),
    [
        ("/a/../b", "/b"),
        ("file:///with%20blank", "/with blank"),
        ("~/runs", "/home/me/runs"),
        ("ssh://me@lab:2222/srv/ml%20run?x", "ssh://me@lab:2222/srv/ml%20run"),
        ("s3://bucket/runs", "s3://bucket/runs"),
        ("s3://key:word@bucket/runs", "s3://bucket/runs"),
        ("ssh://[odd", "ssh://[odd"),
    ],
)
def test_what_a_remote_is_called_is_known_without_asking_it(
    monkeypatch: pytest.MonkeyPatch, address: str, called: str
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert shown(address) == called


def test_a_host_is_called_by_the_address_that_leads_there(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[Any, ...]] = []
    monkeypatch.setattr("runner.remote.ssh.is_installed", lambda: True)
    monkeypatch.setattr("runner.remote.ssh.Ssh", lambda *given: made.append(given))
    open_remote("ssh://me@lab:2222/srv/ml%20run")
    open_remote("ssh://lab/~/runs")
    assert made == [
        ("lab", 2222, "me", "/srv/ml run", "ssh://me@lab:2222/srv/ml%20run"),
        ("lab", None, None, "runs", "ssh://lab/~/runs"),
    ]


@pytest.mark.parametrize(
    ("address", "package"), [("ssh://host/x", "asyncssh"), ("s3://b/x", "s3fs"), ("gs://b/x", "gcsfs")]
)
def test_without_its_library_a_remote_says_how_to_get_it(
    address: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MlrunError, match=package) as caught:
        open_remote(address)
    assert "pip install 'mlrun-yaml[" in str(caught.value.hint)
