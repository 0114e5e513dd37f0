"""Envelopes: what is signed is told apart from what it says of itself."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope as Official

from runner.export import dsse
from runner.export.dsse import Envelope, Signature, decode_envelope

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["payload", "sig"]), inner),
)


def test_what_is_signed_is_the_example_of_the_specification() -> None:
    assert Envelope(b"hello world", "http://example.com/HelloWorld").signed() == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


@given(st.binary(), st.text(min_size=1), st.text(), st.binary())
def test_an_envelope_comes_back_and_the_official_library_reads_the_same(
    payload: bytes, kind: str, keyid: str, value: bytes
) -> None:
    kind, keyid = (text.encode("utf-8", "replace").decode() for text in (kind, keyid))
    envelope = Envelope(payload, kind, (Signature(keyid, value),))
    assert decode_envelope(envelope.encode()) == envelope
    assert Official.from_dict(json.loads(envelope.encode())).pae() == envelope.signed()


@given(st.binary(max_size=20), st.binary(max_size=20), st.text(max_size=5), st.text(max_size=5))
def test_no_two_contents_are_signed_as_the_same_bytes(one: bytes, other: bytes, kind: str, another: str) -> None:
    kind, another = (text.encode("utf-8", "replace").decode() for text in (kind, another))
    same = (one, kind) == (other, another)
    assert (Envelope(one, kind).signed() == Envelope(other, another).signed()) == same


@given(st.dictionaries(st.sampled_from(["payload", "payloadType", "signatures", "more"]), JSON) | JSON)
def test_any_other_json_is_refused_with_a_reason(document: Any) -> None:
    try:
        decode_envelope(json.dumps(document).encode())
    except ValueError as error:
        assert str(error)


def test_both_alphabets_of_base64_are_read_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"\xfb\xff\xfe"
    for text in (base64.b64encode(data), base64.urlsafe_b64encode(data)):
        document = {"payload": text.decode(), "payloadType": "x", "signatures": []}
        assert decode_envelope(json.dumps(document).encode()).payload == data
    for text in (b"+_ -", b"+/+", b"a\n==", b"=", b"\xff"):
        document = {"payload": text.decode("latin-1"), "payloadType": "x", "signatures": []}
        with pytest.raises(ValueError, match="base64"):
            decode_envelope(json.dumps(document).encode())
    monkeypatch.setattr(dsse, "MOST_BYTES", 10)
    with pytest.raises(ValueError, match="more than 10 bytes"):
        decode_envelope(b" " * 11)
