import json
from typing import Any

import pytest
from pullrequest import api as module
from pullrequest.api import Api
from pullrequest.problem import ApiError, Denied, Unsure

from tests.patience import not_for_ever

TOKEN = "ghs_thetokenthatnobodymaysee"


@pytest.fixture
def naps() -> list[float]:
    return []


@pytest.fixture
def api(fake: Any, naps: list[float]) -> Api:
    return Api(fake.url + "/api/v3", TOKEN, timeout=5, sleep=naps.append)


def test_a_request_bears_the_token_and_goes_below_the_path_of_an_enterprise_server(
    api: Api, fake: Any, reply: Any
) -> None:
    fake.replies = [reply(data={"login": "me"})]
    assert api.get("/user") == {"login": "me"}
    (asked,) = fake.asked
    assert asked.path == "/api/v3/user"
    assert asked.headers["Authorization"] == f"Bearer {TOKEN}"


def test_every_page_of_a_list_is_read(api: Api, fake: Any, reply: Any) -> None:
    def link(page: int) -> dict[str, str]:
        return {"Link": f'<{fake.url}/x?page=1>; rel="prev", <{fake.url}/api/v3/x?page={page}>; rel="next"'}

    fake.replies = [reply(data=[1, 2], headers=link(2)), reply(data=[3], headers=link(3)), reply(data=[4])]
    assert list(api.pages("/x?per_page=2")) == [1, 2, 3, 4]
    assert fake.said()[1:] == ["GET /api/v3/x?page=2", "GET /api/v3/x?page=3"]


def test_a_list_whose_next_page_is_itself_ends(api: Api, fake: Any, reply: Any) -> None:
    fake.otherwise = lambda asked: reply(data=[1], headers={"Link": f'<{fake.url}/api/v3/x>; rel="next"'})
    assert len(list(api.pages("/x"))) == module.MAX_PAGES


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_server_in_trouble_is_asked_again(api: Api, fake: Any, reply: Any, naps: list[float], status: int) -> None:
    fake.replies = [reply(status), reply(status), reply(data=7)]
    assert api.get("/x") == 7
    assert naps == [1.0, 2.0]


def test_the_server_says_how_long_to_wait(api: Api, fake: Any, reply: Any, naps: list[float]) -> None:
    slower = {"Retry-After": "17"}
    fake.replies = [reply(403, {"message": "secondary rate limit"}, slower), reply(data=7)]
    assert api.get("/x") == 7
    assert naps == [17.0]


def test_nobody_waits_for_an_hour(api: Api, fake: Any, reply: Any, naps: list[float]) -> None:
    fake.replies = [reply(429, {"message": "come back later"}, {"Retry-After": "3600"})]
    with pytest.raises(ApiError, match="come back later"):
        api.get("/x")
    assert (naps, len(fake.asked)) == ([], 1)


def test_a_spent_limit_is_no_denial(api: Api, fake: Any, reply: Any) -> None:
    fake.otherwise = lambda asked: reply(403, {"message": "limit"}, {"X-RateLimit-Remaining": "0"})
    with pytest.raises(ApiError) as caught:
        api.get("/x")
    assert not isinstance(caught.value, Denied)
    assert len(fake.asked) == module.TRIES


def test_trouble_that_lasts_ends_in_one_error(api: Api, fake: Any, reply: Any, naps: list[float]) -> None:
    fake.otherwise = lambda asked: reply(500)
    with pytest.raises(ApiError, match="did not answer: status 500"):
        api.get("/x")
    assert (len(fake.asked), naps) == (module.TRIES, [1.0, 2.0, 4.0])


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_denial_is_final(api: Api, fake: Any, reply: Any, status: int) -> None:
    fake.replies = [reply(status, {"message": "Resource not accessible by integration"})]
    with pytest.raises(Denied, match="Resource not accessible"):
        api.send("POST", "/x", {})
    assert len(fake.asked) == 1


def test_a_refusal_is_told_in_the_words_of_the_server_on_one_line(api: Api, fake: Any, reply: Any) -> None:
    fake.replies = [reply(422, {"message": "Validation\n::error::Failed\x1b[31m"})]
    with pytest.raises(ApiError) as caught:
        api.send("PATCH", "/x", {})
    assert str(caught.value) == r"the API refused: 422 Validation\n::error::Failed\x1b[31m"


def test_a_creation_is_never_repeated_by_itself(api: Api, fake: Any, reply: Any) -> None:
    fake.replies = [reply(502)]
    with pytest.raises(Unsure):
        api.send("POST", "/x", {})
    assert len(fake.asked) == 1


def test_a_creation_that_came_too_soon_is_repeated(api: Api, fake: Any, reply: Any) -> None:
    fake.replies = [reply(429, headers={"Retry-After": "2"}), reply(201, {"id": 1})]
    assert api.send("POST", "/x", {}) == {"id": 1}


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_to_another_server_gets_no_token(api: Api, fake: Any, other: Any, reply: Any, status: int) -> None:
    fake.replies = [reply(status, headers={"Location": other.url + "/x"})]
    with pytest.raises(ApiError, match="another server"):
        api.send("PATCH", "/x", {"a": 1})
    assert other.asked == []


def test_a_page_on_another_server_gets_no_token(api: Api, fake: Any, other: Any, reply: Any) -> None:
    fake.replies = [reply(data=[], headers={"Link": f'<{other.url}/x>; rel="next"'})]
    with pytest.raises(ApiError, match="another server"):
        list(api.pages("/x"))
    assert other.asked == []


def test_a_redirect_to_a_file_is_refused(api: Api, fake: Any, reply: Any) -> None:
    fake.replies = [reply(302, headers={"Location": "file:///etc/passwd"})]
    with pytest.raises(ApiError, match="another server"):
        api.get("/x")


def test_a_redirect_on_the_same_server_keeps_method_and_body(api: Api, fake: Any, reply: Any) -> None:
    fake.replies = [reply(301, headers={"Location": "/repositories/7"}), reply(data={})]
    api.send("PATCH", "/x", {"a": 1})
    assert (fake.asked[1].method, fake.asked[1].path, fake.asked[1].data) == ("PATCH", "/repositories/7", {"a": 1})


def test_redirects_in_circles_end(api: Api, fake: Any, reply: Any) -> None:
    fake.otherwise = lambda asked: reply(302, headers={"Location": "/api/v3/x"})
    with pytest.raises(ApiError, match="in circles"):
        api.get("/x")
    assert len(fake.asked) == module.MAX_HOPS + 1


@pytest.mark.parametrize("address", ["http://[", "//[x"])
def test_an_address_that_is_none_is_one_error(api: Api, fake: Any, reply: Any, address: str) -> None:
    fake.otherwise = lambda asked: reply(302, headers={"Location": address})
    with pytest.raises(ApiError):
        api.get("/x")
    fake.otherwise = lambda asked: reply(data=[1], headers={"Link": f'<{address}>; rel="next"'})
    with pytest.raises(ApiError, match="has no address"):
        list(api.pages("/x"))


@pytest.mark.parametrize("raw", [b"", b"<html>", b"[" * 100_000, b"\xff", b'{"a":'])
def test_an_answer_that_is_no_json_is_one_error(api: Api, fake: Any, reply: Any, raw: bytes) -> None:
    fake.replies = [reply(raw=raw)]
    with pytest.raises(ApiError, match="not JSON"):
        api.get("/x")


@pytest.mark.parametrize("data", [{"a": 1}, 3, "text", None])
def test_a_page_that_is_no_list_is_one_error(api: Api, fake: Any, reply: Any, data: Any) -> None:
    fake.replies = [reply(raw=json.dumps(data).encode())]
    with pytest.raises(ApiError, match="not a list"):
        list(api.pages("/x"))


def test_an_answer_that_trickles_is_given_up(fake: Any, reply: Any, naps: list[float]) -> None:
    fake.otherwise = lambda asked: reply(raw=b"x" * 10_000, slow=0.02)
    with not_for_ever(), pytest.raises(ApiError, match="did not answer"):
        Api(fake.url, TOKEN, timeout=0.2, sleep=naps.append).get("/x")


def test_an_answer_without_end_is_given_up(api: Api, fake: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ANSWER", 1 << 20)
    fake.otherwise = lambda asked: reply(raw=b"x" * 65536, repeat=1000)
    with pytest.raises(ApiError, match="more than 1 MiB"):
        api.get("/x")


def test_a_server_that_is_not_there_is_one_error(naps: list[float]) -> None:
    with pytest.raises(ApiError, match=r"did not answer: .*refused"):
        Api("http://127.0.0.1:1", TOKEN, sleep=naps.append).get("/x")
