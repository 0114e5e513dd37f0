"""Small files of JSON that tell when they were changed by anybody but us. Pure.

One line: the first 16 digits of the BLAKE3 hash of the JSON, a blank, the JSON in ASCII. A file that begins with `{`
has no such digits: format 1 of the store wrote it, and it is sealed when it is written again.
"""

import json
from typing import Any

from runner.digest import hash_bytes

_DIGITS = 16


def seal(value: Any) -> bytes:
    """The content of the file. Raises TypeError for what JSON does not have."""
    body = json.dumps(value, separators=(",", ":")).encode("ascii")
    return b"%s %s\n" % (_check(body), body)


def unseal(data: bytes) -> Any:
    """The value that a file holds. Raises ValueError when it is not as it was written."""
    if data.startswith(b"{"):
        return json.loads(data)
    check, body = data[:_DIGITS], data[_DIGITS + 1 : -1]
    if data != b"%s %s\n" % (check, body) or check != _check(body):
        raise ValueError("it is not as it was written")
    return json.loads(body)


def _check(body: bytes) -> bytes:
    return hash_bytes(body)[:_DIGITS].encode("ascii")
