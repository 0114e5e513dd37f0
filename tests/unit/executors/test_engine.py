"""What an engine answers, as it is understood."""

import json
from types import SimpleNamespace

import pytest
import requests

from runner.executors import engine
from runner.executors.engine import Engine


@pytest.fixture
def answering(monkeypatch):
    """An engine that gives these bytes to whoever asks for anything."""

    def make(body):
        response = requests.Response()
        response.status_code, response._content = 200, body
        made = object.__new__(Engine)
        made._endpoint = None
        made._api = SimpleNamespace(base_url="http://engine", api_version="1.41", get=lambda *_, **__: response)
        monkeypatch.setattr(engine, "trouble", lambda endpoint: None)
        return made

    return make


def test_a_label_with_an_odd_line_end_does_not_cut_the_event_that_tells_of_it(answering):
    events = [{"Actor": {"Attributes": {"title": f"one{odd}two"}}} for odd in "\x85\u2028\x0b\n"]
    body = "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events).encode()
    assert answering(body).remembered() == events


def test_an_engine_that_remembers_nothing_says_nothing(answering):
    assert answering(b"").remembered() == []
