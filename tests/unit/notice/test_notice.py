"""The ways to tell somebody."""

import json
import os
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner import notice
from runner.notice import apprise, command, webhook
from runner.notice.message import NotTold
from runner.notifier import Notifier
from tests.patience import wait_for
from tests.unit.notice.conftest import MESSAGE, Hook

KEY = "T000-very-secret"


def script(tmp_path: Path, text: str) -> str:
    """A program in Python."""
    path = tmp_path / "program"
    path.write_text(f"#!{sys.executable}\nimport json, os, sys, time\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_program_gets_the_message_by_its_input_its_variables_and_its_arguments(tmp_path: Path) -> None:
    told = tmp_path / "told"
    program = script(
        tmp_path,
        f"values = {{k: v for k, v in os.environ.items() if k.startswith('MLRUN_')}}\n"
        f"json.dump([json.load(sys.stdin), values, sys.argv[1:]], open({str(told)!r}, 'w'))",
    )
    notice.send(Notifier(command=(program, "{title}", "-m={text}", "{name}", "{other}", "$HOME `id`")), MESSAGE)
    document, variables, words = json.loads(told.read_text())
    assert document == json.loads(MESSAGE.json())
    assert (document["event"], document["number"], document["nodes"][0]["reason"]) == ("failed", 7, "oom")
    assert variables["MLRUN_EVENT"] == "failed"
    assert variables["MLRUN_STATE"] == "failed"
    assert variables["MLRUN_NUMBER"] == "7"
    # No shell reads them, and what a value says is not replaced again.
    assert words == [MESSAGE.title, f"-m={MESSAGE.text}", "a; touch /tmp/owned $(id)?", "{other}", "$HOME `id`"]


def test_a_program_that_does_not_read_its_input_is_told_all_the_same() -> None:
    command.send(Notifier(command=("true",)), MESSAGE)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("/nonexistent/program",), "it cannot be run: No such file or directory"),
        (("/etc/passwd",), "it cannot be run: Permission denied"),
        (("sh", "-c", "echo first >&2; echo 'no\x1b[31m bell' >&2; exit 3"), r"it ended with 3: no\x1b[31m bell"),
        (("false",), "it ended with 1"),
    ],
)
def test_a_program_that_fails_says_why(words: tuple[str, ...], why: str) -> None:
    with pytest.raises(NotTold) as caught:
        command.send(Notifier(command=words), MESSAGE)
    assert str(caught.value) == why


def test_a_program_that_does_not_end_is_ended_with_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "LIMIT", 0.3)
    pid = tmp_path / "pid"
    with pytest.raises(NotTold, match=r"it had not ended after 0\.3 s"):
        command.send(Notifier(command=("sh", "-c", f"sleep 3600 & echo $! > {pid}; wait")), MESSAGE)
    if pid.exists() and pid.read_text().strip():
        wait_for(lambda: _is_gone(int(pid.read_text())), "end of what it started")


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_program_that_leaves_another_behind_is_not_waited_for_any_longer() -> None:
    command.send(Notifier(command=("sh", "-c", "sleep 3 & exit 0")), MESSAGE)


def test_a_webhook_gets_the_message_as_json(hook: Hook) -> None:
    notice.send(Notifier(webhook=f"{hook.address}/a/{KEY}?b=c#d"), MESSAGE)
    ((path, headers, body),) = hook.got
    assert path == f"/a/{KEY}?b=c"
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == json.loads(MESSAGE.json())


def test_a_login_before_the_host_is_sent_as_such(hook: Hook) -> None:
    address = hook.address.replace("http://", "http://anna:se%40cret@")
    webhook.send(Notifier(webhook=address), MESSAGE)
    assert hook.got[0][1]["Authorization"] == "Basic YW5uYTpzZUBjcmV0"


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(hook: Hook, code: int) -> None:
    hook.answer, hook.location = code, f"{hook.address}/elsewhere"
    with pytest.raises(NotTold, match=f"the server answered {code} .*redirects are not followed"):
        webhook.send(Notifier(webhook=f"{hook.address}/{KEY}"), MESSAGE)
    assert [path for path, _, _ in hook.got] == [f"/{KEY}"]


def test_a_server_that_refuses_is_told_without_the_address(hook: Hook) -> None:
    hook.answer = 404
    with pytest.raises(NotTold) as caught:
        webhook.send(Notifier(webhook=f"{hook.address}/{KEY}"), MESSAGE)
    assert str(caught.value) == "the server answered 404 Not Found"


def test_a_server_that_is_not_there_is_told_without_the_address() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(NotTold) as caught:
            webhook.send(Notifier(webhook=f"http://127.0.0.1:{taken.getsockname()[1]}/{KEY}"), MESSAGE)
    assert str(caught.value) == "the server cannot be reached: Connection refused"


def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NotTold, match="did not answer within"):
        webhook.send(Notifier(webhook=f"http://127.0.0.1:{silent.getsockname()[1]}/{KEY}"), MESSAGE)


def library(monkeypatch: pytest.MonkeyPatch, *, knows: bool = True, takes: bool | Exception = True) -> list[Any]:
    """Apprise as far as it is used."""
    said: list[Any] = []

    class Postman:
        def add(self, address: str) -> bool:
            said.append(address)
            return knows

        def notify(self, *, title: str, body: str) -> bool:
            said.append((title, body))
            if isinstance(takes, Exception):
                raise takes
            return takes

    monkeypatch.setitem(sys.modules, "apprise", SimpleNamespace(Apprise=Postman))
    return said


def test_apprise_is_told_by_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    said = library(monkeypatch)
    notice.send(Notifier(apprise=f"slack://{KEY}"), MESSAGE)
    assert said == [f"slack://{KEY}", (MESSAGE.title, MESSAGE.text)]


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"knows": False}, "apprise does not know such an address"),
        ({"takes": False}, "the service did not take it"),
        ({"takes": TypeError(f"no slack://{KEY}")}, "apprise failed (TypeError)"),
    ],
)
def test_apprise_that_fails_says_why_without_the_address(
    monkeypatch: pytest.MonkeyPatch, how: dict[str, Any], why: str
) -> None:
    library(monkeypatch, **how)
    with pytest.raises(NotTold) as caught:
        apprise.send(Notifier(apprise=f"slack://{KEY}"), MESSAGE)
    assert str(caught.value) == why


def test_apprise_that_is_not_installed_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(NotTold, match=r"pip install 'mlrun-yaml\[notify\]'"):
        apprise.send(Notifier(apprise="slack://x"), MESSAGE)


@pytest.mark.filterwarnings("default")
def test_the_real_apprise_reaches_a_server(hook: Hook) -> None:
    pytest.importorskip("apprise", reason="the extra `notify` is not installed")
    apprise.send(Notifier(apprise=hook.address.replace("http://", "json://")), MESSAGE)
    assert json.loads(hook.got[0][2])["title"] == MESSAGE.title


def test_no_notifier_shows_a_key() -> None:
    for notifier in (
        Notifier(webhook=f"https://anna:{KEY}@example.com/{KEY}?k={KEY}"),
        Notifier(apprise=f"slack://{KEY}"),
    ):
        assert KEY not in notifier.shown + repr(notifier)
    assert Notifier(webhook="https://example.com/x").shown == "webhook at example.com"
    assert os.path.basename(Notifier(command=("notify-send", KEY)).shown) == "command `notify-send`"
