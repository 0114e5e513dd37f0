"""Requests from other processes."""

from pathlib import Path

from runner.store.inbox import leave, take


def test_requests_are_taken_once_and_in_order(tmp_path: Path) -> None:
    for number in range(5):
        leave(tmp_path, {"type": "stop", "number": number})
    assert [request["number"] for request in take(tmp_path)] == [0, 1, 2, 3, 4]
    assert take(tmp_path) == []


def test_what_is_no_request_is_passed_over_and_removed(tmp_path: Path) -> None:
    for number, content in enumerate([b"", b"[]", b"{}", b'{"type": 1}', b"\xff"]):
        (tmp_path / f"{number}.json").write_bytes(content)
    assert take(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_request_that_is_still_written_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".new-1-abc").write_bytes(b'{"type": "st')
    assert take(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == [".new-1-abc"]
