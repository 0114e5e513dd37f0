"""Inputs from the web, from a server on this machine."""

import os
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from http.client import BadStatusLine
from pathlib import Path
from typing import Any

import pytest

from runner.data import http, web
from runner.data.http import fetch
from runner.data.means import Means, Want
from runner.digest import hash_bytes
from runner.errors import ExitCode, MlrunError
from runner.spec.model import KeepDirectories
from runner.store.objects import Objects

Wants = Callable[..., Want]
BIG = os.urandom(300_000)


def refusal(want: Want, means: Means) -> MlrunError:
    with pytest.raises(MlrunError) as caught:
        fetch(want, means)
    assert "secret" not in f"{caught.value.message} {caught.value.hint}"
    return caught.value


def left_over(means: Means) -> list[str]:
    """The kinds of files of downloads that are not whole."""
    return sorted(path.name.split(".", 1)[1] for path in (means.cache / "downloads").glob("*.part*"))


def test_a_file_is_named_by_the_last_part_of_its_path(server: Any, page: Any, want: Wants, means: Means) -> None:
    server.pages["/data/my%20file.csv"] = page.of(b"hello")
    (file,) = fetch(want(server.url("/data/my%20file.csv?v=1")), means)
    assert (file.name, file.digest, file.size) == ("my file.csv", hash_bytes(b"hello"), 5)
    assert means.objects.has(hash_bytes(b"hello"))
    assert left_over(means) == []


def test_keep_directories_keeps_the_path_of_the_address(server: Any, page: Any, want: Wants, means: Means) -> None:
    server.pages["/a/b/c.csv"] = page.of()
    (full,) = fetch(want(server.url("/a/b/c.csv"), keep_directories=KeepDirectories.FULL), means)
    (suffix,) = fetch(want(server.url("/a/b/c.csv"), keep_directories=KeepDirectories.SUFFIX), means)
    assert (full.name, suffix.name) == ("a/b/c.csv", "c.csv")


@pytest.mark.parametrize("fails", [[503], [500, 502], [429, 504, 408]])
def test_a_server_that_fails_is_asked_again(server: Any, page: Any, want: Wants, means: Means, fails: Any) -> None:
    server.pages["/x"] = page.of(fails=list(fails))
    assert fetch(want(server.url("/x")), means)[0].size == 5
    assert len(server.requests) == len(fails) + 1


def test_a_server_that_goes_on_failing_is_an_input_error(server: Any, page: Any, want: Wants, means: Means) -> None:
    server.pages["/x"] = page.of(fails=[503] * 50)
    error = refusal(want(server.url("/x")), means)
    assert error.code is ExitCode.INPUT
    assert "the server answered 503" in error.message
    assert len(server.requests) == 4


def test_a_server_says_how_long_to_wait(
    server: Any, page: Any, want: Wants, means: Means, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("runner.data.download.time.sleep", waited.append)
    server.pages["/x"] = page.of(fails=[503], headers={"Retry-After": "7"})
    fetch(want(server.url("/x")), means)
    assert waited == [7.0]


@pytest.mark.parametrize("fails", [404, 410, 403])
def test_what_the_server_does_not_give_is_asked_for_once_only(
    server: Any, page: Any, want: Wants, means: Means, fails: int
) -> None:
    server.pages["/x"] = page.of(fails=[fails])
    assert f"the server answered {fails}" in refusal(want(server.url("/x")), means).message
    assert len(server.requests) == 1


def test_a_broken_download_is_gone_on_with(server: Any, page: Any, want: Wants, means: Means) -> None:
    server.pages["/x"] = page.of(BIG, etag='"v1"', breaks=[100_000, 100_000])
    (file,) = fetch(want(server.url("/x")), means)
    assert file.digest == hash_bytes(BIG)
    assert server.sent("Range") == [None, "bytes=100000-", "bytes=200000-"]
    assert server.sent("If-Range") == [None, '"v1"', '"v1"']


def test_a_download_that_moves_on_is_never_given_up(server: Any, page: Any, want: Wants, means: Means) -> None:
    server.pages["/x"] = page.of(BIG, etag='"v1"', breaks=[20_000] * 12)
    assert fetch(want(server.url("/x")), means)[0].digest == hash_bytes(BIG)


def test_another_command_goes_on_with_what_one_has_begun(
    server: Any, page: Any, want: Wants, means: Means, objects: Objects
) -> None:
    server.pages["/x"] = page.of(BIG, etag='"v1"', breaks=[100_000, 0, 0, 0, 0, 0])
    refusal(want(server.url("/x")), means)
    assert left_over(means) == ["part", "part.json"]
    assert not objects.has(hash_bytes(BIG))
    server.pages["/x"] = page.of(BIG, etag='"v1"')
    (file,) = fetch(want(server.url("/x")), means)
    assert file.digest == hash_bytes(BIG)
    assert server.sent("Range")[-1] == "bytes=100000-"
    assert left_over(means) == []


def test_parts_of_two_contents_are_never_put_together(server: Any, page: Any, want: Wants, means: Means) -> None:
    server.pages["/x"] = page.of(BIG, etag='"v1"', breaks=[100_000, 0, 0, 0, 0, 0])
    refusal(want(server.url("/x")), means)
    server.pages["/x"] = page.of(BIG[::-1], etag='"v2"')
    assert fetch(want(server.url("/x")), means)[0].digest == hash_bytes(BIG[::-1])


@pytest.mark.parametrize("fields", [{"etag": 'W/"v1"'}, {}, {"etag": '"v1"', "ranges": False}])
def test_without_a_strong_validator_or_ranges_a_broken_download_begins_anew(
    server: Any, page: Any, want: Wants, means: Means, fields: Any
) -> None:
    server.pages["/x"] = page.of(BIG, breaks=[100_000], **fields)
    assert fetch(want(server.url("/x")), means)[0].digest == hash_bytes(BIG)
    if fields.get("ranges", True):
        assert server.sent("Range") == [None, None]


def test_a_modification_time_in_the_past_is_a_strong_validator(
    server: Any, page: Any, want: Wants, means: Means
) -> None:
    server.pages["/x"] = page.of(BIG, modified=page.past, breaks=[100_000])
    assert fetch(want(server.url("/x")), means)[0].digest == hash_bytes(BIG)
    assert server.sent("If-Range") == [None, page.past]


def test_a_part_from_before_the_last_start_of_the_machine_does_not_count(
    server: Any, page: Any, want: Wants, means: Means, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.pages["/x"] = page.of(BIG, etag='"v1"', breaks=[100_000, 0, 0, 0, 0, 0])
    refusal(want(server.url("/x")), means)
    monkeypatch.setattr("runner.data.download.boot_id", lambda: "another")
    fetch(want(server.url("/x")), means)
    assert server.sent("Range")[-1] is None


def test_a_part_longer_than_the_whole_is_thrown_away(server: Any, page: Any, want: Wants, means: Means) -> None:
    server.pages["/x"] = page.of(BIG, etag='"v1"', breaks=[100_000, 0, 0, 0, 0, 0])
    refusal(want(server.url("/x")), means)
    server.pages["/x"] = page.of(b"short", etag='"v1"')
    assert fetch(want(server.url("/x")), means)[0].digest == hash_bytes(b"short")


def test_what_never_comes_whole_is_an_input_error_and_no_object(
    server: Any, page: Any, want: Wants, means: Means
) -> None:
    server.pages["/x"] = page.of(b"hello", breaks=[2] * 20)
    error = refusal(want(server.url("/x")), means)
    assert error.code is ExitCode.INPUT
    assert "2 of 5 bytes arrived" in error.message
    assert not means.objects.has(hash_bytes(b"he"))


@pytest.mark.parametrize("modified", [False, True])
def test_an_unchanged_file_is_not_downloaded_again(
    server: Any, page: Any, want: Wants, means: Means, told: Any, modified: bool
) -> None:
    server.pages["/x"] = page.of(BIG, **({"modified": page.past} if modified else {"etag": '"v1"'}))
    first, second = (fetch(want(server.url("/x")), means) for _ in range(2))
    assert first == second
    assert server.sent("If-Modified-Since" if modified else "If-None-Match")[1] is not None
    assert told.notices == []


def test_content_that_has_changed_is_told(server: Any, page: Any, want: Wants, means: Means, told: Any) -> None:
    server.pages["/x"] = page.of(b"one", etag='"v1"')
    fetch(want(server.url("/x", "me:secret")), means)
    server.pages["/x"] = page.of(b"two", etag='"v2"')
    (file,) = fetch(want(server.url("/x", "me:secret")), means)
    assert file.digest == hash_bytes(b"two")
    (notice,) = told.notices
    assert re.fullmatch(rf"the content of `http://{server.address}/x` is not what it was on [-0-9: ]+", notice)


def test_a_new_validator_of_the_same_content_is_nothing_to_tell(
    server: Any, page: Any, want: Wants, means: Means, told: Any
) -> None:
    for etag in ('"v1"', '"v2"'):
        server.pages["/x"] = page.of(b"one", etag=etag)
        fetch(want(server.url("/x")), means)
    assert told.notices == []


def test_a_file_whose_object_is_gone_is_downloaded_again(
    server: Any, page: Any, want: Wants, means: Means, objects: Objects
) -> None:
    server.pages["/x"] = page.of(b"one", etag='"v1"')
    fetch(want(server.url("/x")), means)
    objects.path(hash_bytes(b"one")).unlink()
    fetch(want(server.url("/x")), means)
    assert objects.read(hash_bytes(b"one")) == b"one"


def test_who_wants_no_cache_gets_the_file_anew(server: Any, page: Any, want: Wants, means: Means) -> None:
    server.pages["/x"] = page.of(b"one", etag='"v1"')
    for _ in range(2):
        fetch(want(server.url("/x")), replace(means, fresh=True))
    assert server.sent("If-None-Match") == [None, None]


def test_a_damaged_note_in_the_cache_costs_only_a_download(server: Any, page: Any, want: Wants, means: Means) -> None:
    server.pages["/x"] = page.of(b"one", etag='"v1"')
    fetch(want(server.url("/x")), means)
    for note in (means.cache / "downloads").glob("*.json"):
        note.write_text('{"etag": 3')
    assert fetch(want(server.url("/x")), means)[0].digest == hash_bytes(b"one")


def test_two_at_once_download_a_file_once(server: Any, page: Any, want: Wants, means: Means) -> None:
    server.pages["/x"] = page.of(BIG, etag='"v1"')
    threads = [threading.Thread(target=fetch, args=(want(server.url("/x")), means)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(server.sent("If-None-Match"), key=str) == ['"v1"', '"v1"', '"v1"', None]


def test_a_login_in_the_address_is_used_and_kept_nowhere(
    server: Any, page: Any, want: Wants, means: Means, told: Any, tmp_path: Path
) -> None:
    server.pages["/login"] = page.of(login="Basic bWU6c2VjcmV0QCE=", etag='"v1"')
    (file,) = fetch(want(server.url("/login", "me:secret%40!")), means)
    assert file.origin == server.url("/login")
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"secret" not in kept
    assert b"bWU6c2VjcmV0QCE" not in kept


def test_an_error_does_not_show_the_login(server: Any, page: Any, want: Wants, means: Means) -> None:
    server.pages["/login"] = page.of(login="Basic other")
    error = refusal(want(server.url("/login", "me:secret")), means)
    assert "401" in error.message
    assert error.hint is not None
    assert "USER:PASSWORD" in error.hint


def test_a_login_goes_with_a_redirect_to_the_same_server_only(
    server: Any, start: Any, page: Any, want: Wants, means: Means
) -> None:
    other = start()
    other.pages["/y"] = server.pages["/y"] = page.of()
    server.pages["/here"] = page.of(redirect="/y")
    server.pages["/there"] = page.of(redirect=other.url("/y", "you:theirs"))
    fetch(want(server.url("/here", "me:pass")), means)
    fetch(want(server.url("/there", "me:pass")), means)
    assert server.sent("Authorization") == ["Basic bWU6cGFzcw=="] * 3
    assert other.sent("Authorization") == [None]


def test_a_file_behind_a_redirect_keeps_the_name_that_was_asked_for(
    server: Any, page: Any, want: Wants, means: Means
) -> None:
    server.pages["/data.csv"] = page.of(redirect="/blob/8f3a")
    server.pages["/blob/8f3a"] = page.of(b"x", etag='"v1"')
    (file,) = fetch(want(server.url("/data.csv")), means)
    assert (file.name, file.origin) == ("data.csv", server.url("/data.csv"))
    fetch(want(server.url("/data.csv")), means)
    assert server.sent("If-None-Match") == [None, None, '"v1"', '"v1"']


@pytest.mark.parametrize("target", ["file:///etc/passwd", "gopher://127.0.0.1/1", "ftp://127.0.0.1/x", "data:,x"])
def test_a_redirect_leads_to_the_web_only(server: Any, page: Any, want: Wants, means: Means, target: str) -> None:
    server.pages["/x"] = page.of(redirect=target)
    error = refusal(want(server.url("/x")), means)
    assert error.code is ExitCode.POLICY
    assert f"redirects to a `{target.partition(':')[0]}:` address" in error.message


def test_a_redirect_in_circles_ends(server: Any, page: Any, want: Wants, means: Means) -> None:
    server.pages["/x"] = page.of(redirect="/x")
    assert refusal(want(server.url("/x")), means).code is ExitCode.INPUT


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "2852039166", "0xa9fea9fe", "[fe80::1]", "[::ffff:169.254.169.254]"]
)
def test_a_redirect_never_leads_to_a_clouds_credentials(
    server: Any, page: Any, want: Wants, means: Means, host: str
) -> None:
    server.pages["/x"] = page.of(redirect=f"http://{host}/latest/meta-data/")
    error = refusal(want(server.url("/x"), trusted=True), means)
    assert error.code is ExitCode.POLICY
    assert "nearer to this machine" in error.message


@pytest.mark.parametrize("host", ["169.254.169.254", "2852039166"])
def test_a_file_of_a_repository_may_not_ask_for_a_clouds_credentials(want: Wants, means: Means, host: str) -> None:
    assert refusal(want(f"http://{host}/latest/meta-data/"), means).code is ExitCode.POLICY


def test_no_proxy_is_asked_for_a_clouds_credentials(
    server: Any, page: Any, want: Wants, means: Means, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://{server.address}")
    assert refusal(want("http://169.254.169.254/x"), means).code is ExitCode.POLICY
    assert server.requests == []
    server.pages["http://files.example/x"] = page.of(redirect="http://169.254.169.254/x")
    assert refusal(want("http://files.example/x", trusted=True), means).code is ExitCode.POLICY
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("written", "asked"), [("/a b/ü.csv", "/a%20b/%C3%BC.csv"), ("/a%20b/%C3%BC.csv", "/a%20b/%C3%BC.csv")]
)
def test_an_address_may_have_blanks_and_letters_of_any_language(
    server: Any, page: Any, want: Wants, means: Means, written: str, asked: str
) -> None:
    server.pages[asked] = page.of()
    assert fetch(want(server.url(written + "?q=ä ö")), means)[0].name == "ü.csv"
    assert server.requests[0][0] == f"{asked}?q=%C3%A4%20%C3%B6"


def test_a_server_speaks_in_one_line(
    server: Any, page: Any, want: Wants, means: Means, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.pages["/x"] = page.of(redirect="/x")
    assert "\n" not in refusal(want(server.url("/x")), means).message
    monkeypatch.setattr(
        web, "open_url", lambda want, headers: (_ for _ in ()).throw(BadStatusLine("hi\r\nrun succeeded"))
    )
    assert "run succeeded" not in refusal(want(server.url("/x")), means).message


def test_a_redirect_from_a_public_server_may_not_lead_inward(
    server: Any, page: Any, want: Wants, means: Means, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = iter([web.Reach.PUBLIC] + [web.Reach.THIS_MACHINE] * 9)
    monkeypatch.setattr(web, "reach_of", lambda address: next(seen))
    monkeypatch.setattr(web, "_literal", lambda host: None)
    server.pages["/x"] = page.of(redirect="/ui")
    server.pages["/ui"] = page.of()
    assert refusal(want(server.url("/x")), means).code is ExitCode.POLICY
    assert [path for path, _ in server.requests] == ["/x"]


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        ("8.8.8.8", web.Reach.PUBLIC),
        ("10.0.0.1", web.Reach.PRIVATE),
        ("fd00::1", web.Reach.PRIVATE),
        ("127.9.9.9", web.Reach.THIS_MACHINE),
        ("::1", web.Reach.THIS_MACHINE),
        ("0.0.0.0", web.Reach.THIS_MACHINE),
        ("::ffff:127.0.0.1", web.Reach.THIS_MACHINE),
        ("fe80::1%eth0", web.Reach.LINK),
        ("169.254.169.254", web.Reach.LINK),
    ],
)
def test_every_address_has_a_reach(address: str, reach: web.Reach) -> None:
    assert web.reach_of(address) is reach


def test_the_proxy_of_the_environment_is_asked_with_its_login(
    server: Any, start: Any, page: Any, want: Wants, means: Means, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://agent:pw@{server.address}")
    server.pages["http://files.example/x"] = page.of(b"by proxy")
    (file,) = fetch(want("http://me:pass@files.example/x"), means)
    assert file.digest == hash_bytes(b"by proxy")
    assert server.sent("Proxy-Authorization") == ["Basic YWdlbnQ6cHc="]
    assert server.sent("Authorization") == ["Basic bWU6cGFzcw=="]


def test_the_login_of_a_proxy_does_not_go_to_a_server(
    server: Any, start: Any, page: Any, want: Wants, means: Means, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = start()
    monkeypatch.setenv("http_proxy", f"http://agent:pw@{server.address}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server.pages["http://files.example/x"] = page.of(redirect=inner.url("/y"))
    inner.pages["/y"] = page.of()
    fetch(want("http://files.example/x"), means)
    assert inner.sent("Proxy-Authorization") == [None]


def test_a_server_that_says_nothing_is_named_with_the_time(
    server: Any, page: Any, want: Wants, means: Means, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "TIMEOUT", 0.2)
    server.pages["/x"] = page.of(hangs=True)
    error = refusal(want(server.url("/x")), means)
    assert error.code is ExitCode.INPUT
    assert "the server sent nothing for 0.2 s" in error.message


def test_a_server_that_only_drips_counts_as_gone(
    server: Any, page: Any, want: Wants, means: Means, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "_WINDOW", -1.0)
    monkeypatch.setattr(http, "_LEAST", 10**9)
    server.pages["/x"] = page.of(b"drip")
    assert "the server sent nothing" in refusal(want(server.url("/x")), means).message


def test_a_download_that_no_disk_holds_is_refused_before_it_is_written(
    server: Any, page: Any, want: Wants, means: Means
) -> None:
    server.pages["/x"] = page.of(b"", length=False, headers={"Content-Length": str(10**18)})
    error = refusal(want(server.url("/x")), means)
    assert error.code is ExitCode.DISK
    assert "has 0" not in error.message
    assert left_over(means) == []


def test_an_endless_body_leaves_room_on_the_disk(
    server: Any, page: Any, want: Wants, means: Means, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.data.download._CHECK_EVERY", 1)
    monkeypatch.setattr("runner.data.download._RESERVE", 10**18)
    server.pages["/x"] = page.of(BIG, length=False)
    assert refusal(want(server.url("/x")), means).code is ExitCode.DISK


def test_a_server_that_is_not_there_is_an_input_error(want: Wants, means: Means, patient: None) -> None:
    error = refusal(want("http://127.0.0.1:9/x"), means)
    assert error.code is ExitCode.INPUT
    assert error.hint is not None
    assert "`--data PATH`" in error.hint
    assert "`mlrun inputs map http://127.0.0.1:9/x PATH`" in error.hint


@pytest.mark.parametrize("uri", ["http://", "http:///x", "https://me:secret@", "http://h:port/x", "http://[::1/x"])
def test_an_address_without_a_server_is_refused_before_anything_is_asked(want: Wants, means: Means, uri: str) -> None:
    with pytest.raises(MlrunError) as caught:
        http.check(want(uri), means)
    assert "names no server" in caught.value.message
    assert "secret" not in caught.value.message


def test_progress_is_told_of_what_takes_long(
    server: Any, page: Any, want: Wants, means: Means, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.data.download._FIRST_WORD", 0.0)
    monkeypatch.setattr("runner.data.download._BETWEEN_WORDS", 0.0)
    server.pages["/x"] = page.of(BIG)
    fetch(want(server.url("/x", "me:secret")), means)
    assert told.progress[0][0] == server.url("/x")
    assert told.progress[-1] == (server.url("/x"), len(BIG), len(BIG))
    assert {total for _, _, total in told.progress} == {len(BIG)}


def test_what_fails_is_never_told_as_whole(
    server: Any, page: Any, want: Wants, means: Means, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.data.download._FIRST_WORD", 0.0)
    server.pages["/x"] = page.of(BIG, breaks=[1000] * 50)
    refusal(want(server.url("/x")), means)
    assert told.progress
    assert (server.url("/x"), len(BIG), len(BIG)) not in told.progress


def test_what_is_quick_is_done_in_silence(
    server: Any, page: Any, want: Wants, means: Means, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.data.download._FIRST_WORD", 3600.0)
    server.pages["/x"] = page.of(BIG)
    fetch(want(server.url("/x")), means)
    assert told.progress == []
