import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pullrequest.problem import ActionError
from pullrequest.setting import FailOn, Setting, read_setting

EVENT = {
    "pull_request": {
        "number": 7,
        "base": {"sha": "a" * 40, "repo": {"full_name": "Me/It"}},
        "head": {"sha": "b" * 40, "repo": {"full_name": "me/it"}},
    }
}

Read = Callable[..., Setting]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(event: Any = EVENT, **variables: str) -> Setting:
        file = tmp_path / "event.json"
        file.write_text(event if isinstance(event, str) else json.dumps(event))
        given = {
            "GITHUB_REPOSITORY": "me/it",
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_EVENT_PATH": str(file),
            "GITHUB_WORKSPACE": str(tmp_path),
            "MLRUN_ACTION_SCRATCH": str(tmp_path),
            "MLRUN_ACTION_COMMAND": "mlrun",
        }
        return read_setting({**given, **variables})

    return read


def test_what_is_not_said_has_a_default(read: Read) -> None:
    setting = read()
    assert setting.files == ("valohai.yaml",)
    assert (setting.strict, setting.comment, setting.fail_on) == (False, True, FailOn.ERROR)
    assert (setting.api, setting.base, setting.author) == ("https://api.github.com", None, None)


def test_an_enterprise_server_has_an_api_of_its_own(read: Read) -> None:
    assert read(GITHUB_API_URL="https://git.example.org/api/v3/").api == "https://git.example.org/api/v3"


def test_a_pull_request_from_another_repository_is_a_forks(read: Read) -> None:
    found = read().pull_request
    assert found is not None
    assert (found.number, found.fork, found.distrusted) == (7, False, False)
    fork = json.loads(json.dumps(EVENT))
    fork["pull_request"]["head"]["repo"] = None
    gone = read(fork, GITHUB_EVENT_NAME="pull_request_target").pull_request
    assert gone is not None
    assert (gone.fork, gone.distrusted) == (True, True)


def test_another_event_is_about_no_pull_request(read: Read) -> None:
    assert read("no JSON at all", GITHUB_EVENT_NAME="push").pull_request is None


def test_several_files_are_named_one_a_line(read: Read) -> None:
    assert read(INPUT_YAML="  a/valohai.yaml \n\n./b.yaml\na/valohai.yaml\n").files == ("a/valohai.yaml", "b.yaml")


@pytest.mark.parametrize(
    ("variables", "word"),
    [
        ({"INPUT_YAML": "/etc/passwd"}, "yaml"),
        ({"INPUT_YAML": "a/../../b"}, "yaml"),
        ({"INPUT_YAML": "."}, "yaml"),
        ({"INPUT_STRICT": "yes"}, "strict"),
        ({"INPUT_FAIL_ON": "errors"}, "fail-on"),
        ({"INPUT_BASE": "--upload-pack=touch x"}, "base"),
        ({"INPUT_BASE": "+a:b"}, "base"),
        ({"INPUT_BASE": "a..b"}, "base"),
        ({"GITHUB_API_URL": "file:///etc"}, "GITHUB_API_URL"),
        ({"GITHUB_API_URL": "https://user@example.org"}, "GITHUB_API_URL"),
        ({"GITHUB_API_URL": "https://[::1"}, "GITHUB_API_URL"),
        ({"GITHUB_REPOSITORY": "me/it/../other"}, "GITHUB_REPOSITORY"),
        ({"GITHUB_REPOSITORY": ""}, "GITHUB_REPOSITORY"),
        ({"GITHUB_EVENT_PATH": "/nowhere"}, "event"),
    ],
)
def test_what_does_not_fit_is_named(read: Read, variables: dict[str, str], word: str) -> None:
    with pytest.raises(ActionError, match=word):
        read(**variables)


@pytest.mark.parametrize(
    "event",
    [
        "",
        "[]",
        "[" * 100_000,
        {"pull_request": None},
        {"pull_request": {"number": "7; rm"}},
        {"pull_request": {**EVENT["pull_request"], "number": "7"}},
        {"pull_request": {**EVENT["pull_request"], "base": {"sha": "--output=x"}}},
        {"pull_request": {**EVENT["pull_request"], "head": {"sha": None}}},
        {"pull_request": {**EVENT["pull_request"], "head": {"sha": "b" * 40, "repo": "text"}}},
    ],
)
def test_an_event_that_cannot_be_read_is_one_error(read: Read, event: Any) -> None:
    with pytest.raises(ActionError, match="event"):
        read(event)
