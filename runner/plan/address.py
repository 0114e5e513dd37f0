"""Addresses of inputs: their scheme, their wildcards, and how they may be shown and recorded, which is without
passwords. Pure."""

import re

_LOGIN = re.compile(r"(?<=://)[^/?#\s]*@")
"""User and password before the host (RFC 3986, section 3.2.1); an `@` may stand in a password as it is."""


def public(text: str) -> str:
    """`text` without the logins of the addresses in it."""
    return _LOGIN.sub("", text)


def scheme(uri: str) -> str:
    """The scheme in lower case; empty for a path."""
    before, mark, _ = uri.partition("://")
    return before.lower() if mark and before.replace("+", "").replace("-", "").replace(".", "").isalnum() else ""


def wildcard_root(pattern: str) -> str:
    """The folders of `pattern` before its first wildcard, with the slash: `a/b*/c` has `a/`."""
    literal = pattern
    for sign in "*?[":
        literal = literal.partition(sign)[0]
    return literal[: literal.rfind("/") + 1]
