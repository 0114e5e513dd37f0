"""The description of the machine."""

import json
import os

import pytest

from runner.provenance.host import describe_host, user_name


def test_the_host_is_described_in_plain_json_with_the_facts_that_matter() -> None:
    host = describe_host()
    assert json.loads(json.dumps(host)) == host
    assert host["kernel"].startswith("Linux ")
    assert host["memory"] > 1 << 20
    assert host["processors"] >= 1


def test_who_has_no_name_here_is_known_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("no such user")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert user_name() == str(os.getuid())
