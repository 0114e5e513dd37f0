"""Signed envelopes: DSSE 1.0 (github.com/secure-systems-lab/dsse), of which in-toto's attestations are made. Pure.

What is signed is not the envelope but the exact bytes that it carries, with their type: so whoever checks never has to
write JSON the way the signer did. Knows no keys.
"""

import binascii
import json
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Any

from runner.export.document import json_bytes

MOST_BYTES = 64 << 20
"""Of an envelope: some hundred thousand outputs."""
MOST_SIGNATURES = 64


@dataclass(frozen=True, slots=True)
class Signature:
    """One of the signatures; `keyid` is what the signer called the key, which proves nothing."""

    keyid: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is carried, what type it is, and who vouches for both."""

    payload: bytes
    payload_type: str
    signatures: tuple[Signature, ...] = ()

    def signed(self) -> bytes:
        """The bytes that a signature is of ("pre-authentication encoding")."""
        kind = self.payload_type.encode()
        return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(self.payload), self.payload)

    def encode(self) -> bytes:
        """The envelope as JSON."""
        document = {
            "payload": b64encode(self.payload).decode(),
            "payloadType": self.payload_type,
            "signatures": [{"keyid": one.keyid, "sig": b64encode(one.value).decode()} for one in self.signatures],
        }
        return json_bytes(document)


def decode_envelope(data: bytes) -> Envelope:
    """The envelope that a file holds. Raises ValueError with what is wrong, which may hold anything."""
    if len(data) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
    try:
        document = json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"it is no JSON: {error}") from None
    if not isinstance(document, dict) or not document.keys() >= {"payload", "payloadType", "signatures"}:
        raise ValueError("it has no payload, no type or no list of signatures")
    signatures = document["signatures"]
    if not isinstance(document["payloadType"], str) or not isinstance(signatures, list):
        raise ValueError("its type is no text, or its signatures are no list")
    if len(signatures) > MOST_SIGNATURES:
        raise ValueError(f"it has more than {MOST_SIGNATURES} signatures")
    kind = document["payloadType"]
    if any("\ud800" <= character <= "\udfff" for character in kind):
        raise ValueError("its type is no Unicode")
    return Envelope(_bytes(document["payload"], "payload"), kind, tuple(_signature(one) for one in signatures))


def _signature(value: Any) -> Signature:
    if not isinstance(value, dict) or not isinstance(value.get("keyid", ""), str):
        raise ValueError("a signature is none")
    return Signature(value.get("keyid", ""), _bytes(value.get("sig"), "signature"))


def _bytes(value: Any, what: str) -> bytes:
    """Base64, of either alphabet."""
    if not isinstance(value, str):
        raise ValueError(f"a {what} is no text")
    try:
        return b64decode(value.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"a {what} is no base64") from None
