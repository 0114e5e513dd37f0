from typing import Any

import pytest
from pullrequest.api import Api
from pullrequest.comment import Thread, marker
from pullrequest.problem import ApiError, Unsure

MARK = marker(["valohai.yaml"])
BOT = "github-actions[bot]"


def comment(number: int, body: str, login: str = BOT) -> dict[str, Any]:
    return {"id": number, "body": body, "user": {"login": login}, "html_url": f"https://example.org/{number}"}


@pytest.fixture
def thread(fake: Any) -> Thread:
    return Thread(Api(fake.url, "token", sleep=lambda _: None), "me/it", 7, MARK, BOT)


def test_jobs_for_different_files_have_different_comments() -> None:
    assert len({marker(["a"]), marker(["b"]), marker(["a", "b"]), marker(["a,b"])}) == 4


def test_the_first_report_makes_a_comment(thread: Thread, fake: Any, reply: Any) -> None:
    fake.replies = [reply(data=[]), reply(201, comment(5, "x"))]
    assert thread.publish("x") == "https://example.org/5"
    assert fake.said() == ["GET /repos/me/it/issues/7/comments?per_page=100", "POST /repos/me/it/issues/7/comments"]


def test_a_later_report_updates_it(thread: Thread, fake: Any, reply: Any) -> None:
    fake.replies = [reply(data=[comment(3, "hello"), comment(4, MARK + "old")]), reply(data=comment(4, "new"))]
    thread.publish("new")
    assert fake.said()[1:] == ["PATCH /repos/me/it/issues/comments/4"]


def test_a_comment_that_says_it_already_is_left_alone(thread: Thread, fake: Any, reply: Any) -> None:
    fake.replies = [reply(data=[comment(4, MARK + "same")])]
    assert thread.publish(MARK + "same") == "https://example.org/4"
    assert len(fake.asked) == 1


@pytest.mark.parametrize(
    "foreign",
    [
        comment(4, MARK + "copied", "mallory"),
        comment(4, "quoted: " + MARK),
        {"id": 4, "body": MARK, "user": None},
        {"id": 4, "body": None, "user": {"login": BOT}},
        {"id": "../../4", "body": MARK, "user": {"login": BOT}},
        None,
        "text",
    ],
)
def test_what_is_not_ours_is_never_touched(thread: Thread, fake: Any, reply: Any, foreign: Any) -> None:
    fake.replies = [reply(data=[foreign]), reply(201, comment(5, "x"))]
    thread.publish("x")
    assert fake.said()[1:] == ["POST /repos/me/it/issues/7/comments"]


def test_of_several_comments_one_stays(thread: Thread, fake: Any, reply: Any) -> None:
    both = [comment(4, MARK + "one"), comment(9, MARK + "two")]
    fake.replies = [reply(data=both), reply(data=comment(4, "new")), reply(204)]
    thread.publish("new")
    assert fake.said()[1:] == ["PATCH /repos/me/it/issues/comments/4", "DELETE /repos/me/it/issues/comments/9"]


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_second_comment_that_cannot_be_deleted_does_not_keep_the_first_from_its_news(
    thread: Thread, fake: Any, reply: Any, status: int
) -> None:
    both = [comment(4, MARK + "one"), comment(9, MARK + "two")]
    fake.replies = [reply(data=both), reply(data=comment(4, "new")), reply(status)]
    assert thread.publish("new") == "https://example.org/4"


def test_a_comment_whose_making_was_not_answered_is_not_made_twice(thread: Thread, fake: Any, reply: Any) -> None:
    fake.replies = [reply(data=[]), reply(502), reply(data=[comment(5, MARK + "x")])]
    assert thread.publish(MARK + "x") == "https://example.org/5"
    assert [asked.method for asked in fake.asked] == ["GET", "POST", "GET"]


def test_a_comment_that_was_not_made_is_made_at_the_next_try(thread: Thread, fake: Any, reply: Any) -> None:
    fake.replies = [reply(data=[]), reply(502), reply(data=[]), reply(201, comment(5, "x"))]
    assert thread.publish("x") == "https://example.org/5"


def test_nobody_tries_for_ever(thread: Thread, fake: Any, reply: Any) -> None:
    fake.otherwise = lambda asked: reply(data=[]) if asked.method == "GET" else reply(502)
    with pytest.raises(Unsure):
        thread.publish("x")
    assert len(fake.asked) == 6


def test_nothing_to_say_makes_no_comment(thread: Thread, fake: Any, reply: Any) -> None:
    fake.replies = [reply(data=[])]
    assert thread.replace("nothing") is None
    assert len(fake.asked) == 1


def test_the_owner_of_a_personal_token_is_the_author(fake: Any, reply: Any) -> None:
    fake.replies = [
        reply(data={"login": "Robot"}),
        reply(data=[comment(3, MARK), comment(4, MARK, "robot")]),
        reply(data=comment(4, "new")),
    ]
    Thread(Api(fake.url, "token"), "me/it", 7, MARK).publish("new")
    assert fake.said()[0] == "GET /user"
    assert fake.said()[-1].endswith("/4")


def test_the_token_of_a_job_belongs_to_github_actions(fake: Any, reply: Any) -> None:
    fake.replies = [reply(403, {"message": "no"}), reply(data=[comment(3, MARK)]), reply(data=comment(3, "new"))]
    Thread(Api(fake.url, "token"), "me/it", 7, MARK).publish("new")
    assert fake.said()[-1] == "PATCH /repos/me/it/issues/comments/3"


def test_an_answer_of_another_shape_is_no_crash(thread: Thread, fake: Any, reply: Any) -> None:
    fake.replies = [reply(data=[]), reply(201, ["what"])]
    assert thread.publish("x") == ""
    fake.replies = [reply(data={"message": "what"})]
    with pytest.raises(ApiError):
        thread.publish("x")
