"""The servers that the tests share."""

import pytest

from tests.server import Weeds


def test_a_server_that_was_killed_is_replaced_and_its_end_is_told(weeds: Weeds) -> None:
    before = weeds.serving()
    assert weeds.serving() is before
    assert weeds.current is not None
    weeds.current.stop()
    with pytest.warns(UserWarning, match="the S3 server was ended by SIGKILL; its last words:\n.+"):
        after = weeds.serving()
    assert after is not before
    assert after.system().ls("lab") == []
