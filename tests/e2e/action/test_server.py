"""The GitHub Action and the API: tokens, troubles, inputs that do not fit."""

import json
import shutil
from typing import Any

import pytest

Job = Hub = Asked = Any


def test_a_fork_without_write_access_gets_the_report_in_the_summary(changed: Job, hub: Hub) -> None:
    hub.readonly = True
    changed.event["pull_request"]["head"]["repo"]["full_name"] = "mallory/it"
    done = changed.run()
    assert done.code == 0
    assert "epochs" in done.summary
    assert hub.comments == []
    (notice,) = done.commands()
    assert notice.startswith("::notice title=mlrun::there is no comment, the report is in the summary of the job")
    assert "fork" in notice


def test_a_token_that_the_server_repeats_is_not_shown(changed: Job, hub: Hub) -> None:
    hub.readonly = True
    done = changed.run()
    assert "Resource not accessible by integration, ***" in done.log


@pytest.mark.parametrize(
    ("troubles", "made"),
    [
        ([(500, {"Retry-After": "0"}, b"oops"), (429, {"Retry-After": "0"}, b"{}")], 1),
        ([(403, {"Retry-After": "0"}, b'{"message": "secondary rate limit"}')], 1),
        ([(500, {"Retry-After": "0"}, b"")] * 4, 0),
        ([(200, {}, b"<html>not JSON")], 0),
        ([(200, {}, b'{"login": "octocat"}'), (200, {}, b'{"not": "a list"}')], 0),
        ([(403, {}, b"{}"), (200, {}, b"[]"), (422, {}, b'{"message": "Validation Failed\\n::error::x"}')], 0),
        ([(429, {"Retry-After": "86400"}, b"{}")], 0),
    ],
)
def test_a_moody_server_costs_a_warning_at_most(
    changed: Job, hub: Hub, troubles: list[tuple[int, dict[str, str], bytes]], made: int
) -> None:
    hub.troubles = list(troubles)
    done = changed.run()
    assert done.code == 0
    assert len(hub.comments) == made
    assert len(done.commands()) == 1 - made, done.log
    assert "epochs" in done.summary


def test_a_comment_that_was_made_with_a_lost_answer_is_not_made_again(changed: Job, hub: Hub) -> None:
    answer = hub.answer

    def lossy(asked: Asked) -> tuple[int, dict[str, str], bytes]:
        status, headers, data = answer(asked)
        return (502, {}, b"") if asked.method == "POST" else (status, headers, data)

    hub.answer = lossy
    done = changed.run()
    assert hub.changes() == ["POST"]
    assert done.outputs["comment-url"] == hub.comments[0]["html_url"]


def test_a_redirect_to_another_server_is_not_followed(changed: Job, hub: Hub, stranger: Hub) -> None:
    hub.troubles = [(307, {"Location": f"{stranger.url}/api/v3/user"}, b"")]
    done = changed.run()
    assert (done.code, stranger.asked) == (0, [])
    assert "another server" in done.commands()[0]


def test_an_address_from_the_server_cannot_write_outputs(changed: Job, hub: Hub) -> None:
    evil = {"id": 1, "html_url": "https://x\nerrors=999\nchanged=false"}
    hub.troubles = [(403, {}, b"{}"), (200, {}, b"[]"), (201, {}, json.dumps(evil).encode())]
    assert changed.run().outputs["errors"] == "0"


@pytest.mark.parametrize(
    ("inputs", "word"),
    [
        ({"fail_on": "$(touch pwned)"}, "fail-on"),
        ({"strict": "perhaps"}, "strict"),
        ({"yaml": "../../etc/passwd"}, "yaml"),
        ({"base": "--output=pwned"}, "base"),
    ],
)
def test_an_input_that_does_not_fit_is_one_error(changed: Job, inputs: dict[str, str], word: str) -> None:
    done = changed.run(**inputs)
    assert done.code == 1
    (line,) = done.log.splitlines()
    assert line.startswith(f"::error title=mlrun::the input `{word}`")


def test_a_job_without_a_checkout_is_one_error(changed: Job) -> None:
    shutil.rmtree(changed.checkout / ".git")
    done = changed.run()
    assert done.code == 1
    (line,) = done.log.splitlines()
    assert "actions/checkout" in line
