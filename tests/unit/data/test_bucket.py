"""Inputs from object stores, against a real S3 server that the tests start themselves (`tests/server.py`)."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from runner.data import bucket
from runner.data.bucket import CLOUDS, check, fetch, match
from runner.data.means import Means, Want
from runner.digest import Digest, hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.spec.model import KeepDirectories
from tests.server import S3_KEYS, S3Server

Wants = Callable[..., Want]
FILES = {
    "q.txt": b"q",
    "set/a.csv": b"a",
    "set/b.txt": b"b",
    "set/deep/c.csv": b"c",
    "set/deep/er/d.csv": b"d",
    "set/odd name ü[1].csv": b"odd",
    "big.bin": bytes(range(256)) * 200,
}


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        ("a/*.csv", "a/x.csv", True),
        ("a/*.csv", "a/b/x.csv", False),
        ("a/**.csv", "a/b/c/x.csv", True),
        ("a/**.csv", "a/x.csv", True),
        ("a/**/x.csv", "a/x.csv", True),
        ("a/**/x.csv", "a/b/c/x.csv", True),
        ("a/**/x.csv", "a/b/yx.csv", False),
        ("a/*/x.csv", "a/x.csv", False),
        ("**", "a/b", True),
        ("a.csv", "axcsv", False),
        ("[a].csv", "a.csv", False),
        ("a?.csv", "ab.csv", False),
    ],
)
def test_a_star_stays_within_a_level_and_two_do_not(pattern: str, key: str, matches: bool) -> None:
    assert match(pattern, key) is matches


@pytest.fixture
def weed(s3_server: S3Server) -> S3Server:
    """A running S3 server, its bucket `lab` filled."""
    _fill(s3_server)
    return s3_server


@cache
def _fill(server: S3Server) -> None:
    system = server.system()
    for key, content in FILES.items():
        system.pipe_file(f"lab/{key}", content)


@pytest.fixture
def lab(weed: Any, monkeypatch: pytest.MonkeyPatch, patient: None) -> Any:
    """The caller's environment points to the server, and to nothing else; gives a way to write to it."""
    alone(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", weed.address)
    for name, value in weed.keys.items():
        monkeypatch.setenv(name, value)
    return weed.system()


def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's credentials, no metadata service."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_", "FSSPEC_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def names(want: Want, means: Means) -> list[str]:
    return [file.name for file in fetch(want, means)]


def refusal(want: Want, means: Means) -> MlrunError:
    with pytest.raises(MlrunError) as caught:
        fetch(want, means)
    assert S3_KEYS["AWS_SECRET_ACCESS_KEY"] not in f"{caught.value.message}{caught.value.hint}"
    return caught.value


def test_an_object_becomes_a_file_with_its_address_as_origin(lab: Any, want: Wants, means: Means) -> None:
    (file,) = fetch(want("s3://lab/set/a.csv"), means)
    assert (file.name, file.digest, file.size) == ("a.csv", hash_bytes(b"a"), 1)
    assert file.origin == "s3://lab/set/a.csv"


def test_the_general_endpoint_variable_is_honoured_as_well(
    lab: Any, weed: Any, want: Wants, means: Means, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    monkeypatch.setenv("AWS_ENDPOINT_URL", weed.address)
    assert names(want("s3://lab/q.txt"), means) == ["q.txt"]


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("set/*.csv", ["a.csv", "odd name ü[1].csv"]),
        ("set/*/*.csv", ["c.csv"]),
        ("set/**.csv", ["a.csv", "c.csv", "d.csv", "odd name ü[1].csv"]),
        ("set/**/*.csv", ["a.csv", "c.csv", "d.csv", "odd name ü[1].csv"]),
        ("*/deep/c.csv", ["c.csv"]),
        ("s*/**/d.csv", ["d.csv"]),
        ("set/deep/**", ["c.csv", "d.csv"]),
        ("set/odd name ü[1].csv", ["odd name ü[1].csv"]),
        ("q*", ["q.txt"]),
    ],
)
def test_wildcards_find_what_they_mean(lab: Any, want: Wants, means: Means, key: str, found: list[str]) -> None:
    assert names(want(f"s3://lab/{key}"), means) == found


def test_directories_are_kept_as_asked_for(lab: Any, want: Wants, means: Means) -> None:
    full, suffix = KeepDirectories.FULL, KeepDirectories.SUFFIX
    deep = "s3://lab/set/deep/**.csv"
    assert names(want(deep, keep_directories=full), means) == ["set/deep/c.csv", "set/deep/er/d.csv"]
    assert names(want(deep, keep_directories=suffix), means) == ["c.csv", "er/d.csv"]
    assert names(want("s3://lab/set/a.csv", keep_directories=suffix), means) == ["a.csv"]


@pytest.mark.parametrize(
    ("key", "why"),
    [("none.csv", "does not exist"), ("none/*.csv", "matches nothing"), ("set", "is a folder")],
)
def test_what_is_not_there_is_an_input_error(lab: Any, want: Wants, means: Means, key: str, why: str) -> None:
    error = refusal(want(f"s3://lab/{key}"), means)
    assert error.code is ExitCode.INPUT
    assert why in error.message


def test_a_bucket_that_is_not_there_is_an_input_error(lab: Any, want: Wants, means: Means) -> None:
    assert "does not exist" in refusal(want("s3://nobodys/x.csv"), means).message


class Watched:
    """Counts the bytes that are asked for, and breaks off as told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import s3fs

        self.spans: list[tuple[int, int]] = []
        self.breaks: list[int] = []
        inner = s3fs.S3FileSystem.cat_file

        def cat_file(system: Any, path: str, start: int, end: int) -> bytes:
            self.spans.append((start, end))
            if len(self.spans) in self.breaks:
                raise ConnectionResetError("the line is dead")
            data: bytes = inner(system, path, start=start, end=end)
            return data

        monkeypatch.setattr(s3fs.S3FileSystem, "cat_file", cat_file)


@pytest.fixture
def watched(lab: Any, monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.setattr(bucket, "_PIECE", 20_000)
    return Watched(monkeypatch)


def test_a_broken_download_is_gone_on_with(want: Wants, means: Means, watched: Watched) -> None:
    watched.breaks = [2, 3]
    (file,) = fetch(want("s3://lab/big.bin"), means)
    assert file.digest == hash_bytes(FILES["big.bin"])
    assert [start for start, _ in watched.spans] == [0, 20_000, 20_000, 20_000, 40_000]


def test_another_command_goes_on_with_what_one_has_begun(want: Wants, means: Means, watched: Watched) -> None:
    watched.breaks = list(range(2, 10))
    error = refusal(want("s3://lab/big.bin"), means)
    assert "the line is dead" in error.message
    watched.breaks = []
    watched.spans.clear()
    fetch(want("s3://lab/big.bin"), means)
    assert watched.spans[0][0] == 20_000


def test_an_unchanged_object_is_not_downloaded_again(want: Wants, means: Means, watched: Watched) -> None:
    first, second = (fetch(want("s3://lab/set/**.csv"), means) for _ in range(2))
    assert first == second
    assert len(watched.spans) == 4
    fetch(want("s3://lab/q.txt"), replace(means, fresh=True))
    fetch(want("s3://lab/q.txt"), replace(means, fresh=True))
    assert len(watched.spans) == 6


def test_an_object_that_has_changed_is_downloaded_and_told(
    lab: Any, want: Wants, means: Means, watched: Watched, told: Any
) -> None:
    for content in (b"one", b"two"):
        lab.pipe_file("lab/moving.txt", content)
        (file,) = fetch(want("s3://lab/moving.txt"), means)
        assert file.digest == hash_bytes(content)
    (notice,) = told.notices
    assert notice.startswith("the content of `s3://lab/moving.txt` is not what it was on ")


def test_an_object_that_changes_meanwhile_is_never_a_mixture(
    lab: Any, want: Wants, means: Means, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.pipe_file("lab/moving.bin", b"1" * 50_000)
    append = bucket.Download.append

    def change(download: Any, data: bytes) -> None:
        append(download, data)
        lab.pipe_file("lab/moving.bin", b"2" * 50_000)

    monkeypatch.setattr(bucket.Download, "append", change)
    assert "was changed while it was downloaded" in refusal(want("s3://lab/moving.bin"), means).message


def test_an_empty_object_is_an_empty_file(lab: Any, want: Wants, means: Means) -> None:
    lab.pipe_file("lab/empty", b"")
    (file,) = fetch(want("s3://lab/empty"), means)
    assert (file.digest, file.size) == (hash_bytes(b""), 0)
    assert means.objects.has(Digest(file.digest))


def test_wrong_keys_are_an_input_error_that_says_where_keys_come_from(
    lab: Any, want: Wants, means: Means, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    error = refusal(want("s3://lab/q.txt"), means)
    assert error.code is ExitCode.INPUT
    assert error.hint is not None
    assert "`AWS_ACCESS_KEY_ID`" in error.hint


def test_without_keys_the_variables_the_profile_and_the_way_out_are_named(
    lab: Any, want: Wants, means: Means, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in S3_KEYS:
        monkeypatch.delenv(name)
    error = refusal(want("s3://lab/q.txt"), means)
    assert "no credentials were found" in error.message
    assert error.hint is not None
    for word in ("`AWS_ACCESS_KEY_ID`", "profile `default`", "`--data PATH`", "`mlrun inputs map s3://lab/q.txt PATH`"):
        assert word in error.hint


def test_a_profile_that_is_not_there_is_named(
    lab: Any, want: Wants, means: Means, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in S3_KEYS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_PROFILE", "work")
    error = refusal(want("s3://lab/q.txt"), means)
    assert error.hint is not None
    assert "profile `work`" in error.hint


def test_a_server_that_is_not_there_is_an_input_error(
    lab: Any, want: Wants, means: Means, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    error = refusal(want("s3://lab/q.txt"), means)
    assert error.code is ExitCode.INPUT
    assert "127.0.0.1:9" in error.message


@pytest.mark.parametrize("uri", ["s3://", "s3://lab", "s3://lab/", "s3://*/x", "azure://account/container", "gs:///k"])
def test_an_address_without_a_file_is_refused(want: Wants, means: Means, uri: str) -> None:
    with pytest.raises(MlrunError) as caught:
        check(want(uri), means)
    assert caught.value.code is ExitCode.INPUT


@pytest.mark.parametrize(("scheme", "extra"), [("s3", "s3"), ("gs", "gs"), ("azure", "azure")])
def test_a_missing_library_is_one_line_with_the_command_that_brings_it(
    want: Wants, means: Means, monkeypatch: pytest.MonkeyPatch, scheme: str, extra: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MlrunError) as caught:
        check(want(f"{scheme}://a/b/c"), means)
    assert f"needs the package `{CLOUDS[scheme].package}`" in caught.value.message
    assert caught.value.hint is not None
    assert f"`pip install 'mlrun-yaml[{extra}]'`" in caught.value.hint


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """Every cloud is fsspec's own file system in memory; gives the options with which clouds were asked."""
    fsspec = pytest.importorskip("fsspec")
    asked: list[dict[str, Any]] = []
    real = fsspec.filesystem

    def filesystem(protocol: str, **options: Any) -> Any:
        asked.append({"protocol": protocol, **options})
        return real("memory")

    monkeypatch.setattr(fsspec, "filesystem", filesystem)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    yield asked
    real("memory").store.clear()
    real("memory").pseudo_dirs[:] = [""]


@pytest.mark.parametrize(
    ("uri", "protocol", "account"),
    [
        ("gs://box/a/x.csv", "gcs", None),
        ("azure://team/box/a/x.csv", "abfs", "team"),
    ],
)
def test_the_other_clouds_are_asked_by_their_own_libraries(
    want: Wants, means: Means, memory: list[dict[str, Any]], uri: str, protocol: str, account: str | None
) -> None:
    import fsspec

    fsspec.filesystem("memory").pipe_file("/box/a/x.csv", b"x")
    memory.clear()
    (file,) = fetch(want(uri, keep_directories=KeepDirectories.FULL), means)
    assert (file.name, file.digest) == ("a/x.csv", hash_bytes(b"x"))
    assert file.origin == uri
    assert (memory[0]["protocol"], memory[0].get("account_name")) == (protocol, account)
