"""The user's own map of addresses."""

import stat
from pathlib import Path

import pytest

from runner.data.substitute import Substitutes, check_entry, load_substitutes, save_substitutes
from runner.errors import ExitCode, MlrunError


@pytest.mark.parametrize(
    ("uri", "instead"),
    [
        ("s3://b/one.csv", "/local/one"),
        ("s3://b/two.csv", "/mnt/b/two.csv"),
        ("s3://b/deep/x.csv", "/deep/x.csv"),
        ("s3://b/**/*.csv", "/mnt/b/**/*.csv"),
        ("s3://c/pre-1.csv", "/c/1.csv"),
        ("http://h/x", "/web/x"),
        ("http://me:pass@h/x", "/web/x"),
        ("s3://c/other", None),
        ("data/a.csv", None),
        ("s3://b", None),
    ],
)
def test_the_whole_address_wins_then_the_longest_prefix(uri: str, instead: str | None) -> None:
    entries = {
        "s3://b/": "/mnt/b/",
        "s3://b/one.csv": "/local/one",
        "s3://b/deep/*": "/deep/*",
        "s3://c/pre-*": "/c/",
        "http://h/": "/web/",
    }
    assert Substitutes(entries).find(uri) == instead


@pytest.mark.parametrize("rest", ["../../.ssh/id_rsa", "x/../../y", "..", "%2e%2e/y", "x/%2E./../y"])
def test_a_repository_does_not_get_out_of_what_a_prefix_stands_for(rest: str) -> None:
    assert Substitutes({"s3://b/": "/home/me/data/", "s3://*": "file:///home/me/"}).find(f"s3://b/{rest}") is None
    assert Substitutes({"s3://b/": "/home/me/data/"}).find("s3://b/a..b/c") == "/home/me/data/a..b/c"


def test_what_stands_for_an_address_is_not_looked_up_again() -> None:
    assert Substitutes({"s3://a": "s3://b", "s3://b": "s3://c"}).find("s3://a") == "s3://b"


@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        ("s3://b/x", "data/x", "/here/data/x"),
        ("s3://b/x", "../x", "/x"),
        ("s3://b/x", "file:///x", "file:///x"),
        ("s3://b/", "data/", "/here/data/"),
        ("s3://b/*", "gs://c/*", "gs://c/*"),
        ("s3://b/x", "~/x", "/home/me/x"),
        ("s3://b/x", "datum://best", "datum://best"),
    ],
)
def test_a_path_is_kept_as_an_absolute_one(old: str, new: str, kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert check_entry(old, new, Path("/here")) == (old, kept)


def test_a_folder_takes_the_place_of_a_prefix(tmp_path: Path) -> None:
    assert check_entry("s3://b/", str(tmp_path), Path("/"))[1] == f"{tmp_path}/"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("", "x", "empty"),
        ("s3://b/x", " ", "empty"),
        ("s3://b/", "/no/such/folder-at-all", "for many addresses"),
        ("s3://b/*", "gs://c/x", "for many addresses"),
        ("s3://b/x", "s3://b/x", "itself"),
        ("http://me:pass@h/x", "y", "leave the login out of `http://h/x`"),
    ],
)
def test_what_can_never_be_meant_is_refused(old: str, new: str, why: str) -> None:
    with pytest.raises(MlrunError, match=why) as caught:
        check_entry(old, new, Path("/here"))
    assert caught.value.code is ExitCode.USAGE
    assert "pass" not in caught.value.message


def test_every_address_survives_the_file_which_is_only_the_users(tmp_path: Path) -> None:
    file = tmp_path / "config" / "mlrun" / "inputs.toml"
    odd = {'s3://b/"quoted" \\ back': "/x\ty", "s3://b/ü\x7f\x01": "/ö 😀", "s3://b/": "http://me:pw@h/"}
    save_substitutes(file, Substitutes(odd))
    assert load_substitutes(file).entries == odd
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["inputs.toml"]


def test_no_file_is_an_empty_map(tmp_path: Path) -> None:
    assert load_substitutes(tmp_path / "inputs.toml").entries == {}


@pytest.mark.parametrize("text", ["map = 3", "[map]\nx = 3", "[map", b"\xff".decode("latin-1")])
def test_a_file_that_is_no_map_is_a_usage_error_with_its_place(tmp_path: Path, text: str) -> None:
    file = tmp_path / "inputs.toml"
    file.write_text(text, "latin-1")
    with pytest.raises(MlrunError) as caught:
        load_substitutes(file)
    assert caught.value.code is ExitCode.USAGE
    assert str(file) in caught.value.message


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MlrunError, match="cannot write"):
        save_substitutes(tmp_path / "file" / "inputs.toml", Substitutes({}))
