"""What must not be shown of a file's values: they may be secrets, and a report is read by more people. Pure.

A value of an environment variable is never shown. Of other texts, logins and queries of addresses and values that are
assigned to names such as `API_TOKEN` are left out.
"""

import re

HIDDEN = "…"

_SECRET = (
    r"(?:secret|token|passwd|password|passphrase|pwd|credentials?|api[-_]?key|access[-_]?key|private[-_]?key|auth)"
)
_NAME = re.compile(rf"(?:^|[^a-z]){_SECRET}(?:$|[^a-z])", re.IGNORECASE)
_LOGIN = re.compile(r"([a-z][a-z0-9+.-]{0,30}://)[^\s/@'\"]{1,500}@", re.IGNORECASE)
_QUERY = re.compile(r"([a-z][a-z0-9+.-]{0,30}://[^\s?'\"#]{1,500}\?)[^\s'\"#]+", re.IGNORECASE)
_ASSIGNED = re.compile(
    rf"((?:^|[^a-z]){_SECRET}(?:[-_0-9][a-z0-9_-]{{0,30}})?['\"]?\s?[=:]\s?)(['\"]?)[^\s'\"{{}}=]+", re.IGNORECASE
)
_OPTION = re.compile(rf"((?:^|\s)--?(?:[a-z0-9]+[-_])*{_SECRET}\s+)(['\"]?)(?![-{{'\"])[^\s'\"]+", re.IGNORECASE)
_CREDENTIALS = re.compile(r"((?:^|\s)(?:-u|--user)[\s=]?['\"]?[^\s:'\"{}]{1,100}:)[^\s'\"{}]+")
_HEADER = re.compile(r"\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}", re.IGNORECASE)
_KNOWN = re.compile(
    r"\b(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|AKIA[0-9A-Z]{12,}|hf_\w{20,}|sk-[\w-]{20,}|xox[abp]-[\w-]{10,})"
)


def is_secret_name(name: str) -> bool:
    """Whether a thing of this name is likely to be a secret: `api_key`, `db-password`; not `max_tokens`."""
    return _NAME.search(_split_camel(name)) is not None


def _split_camel(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)


def discreet(text: str) -> str:
    """The text with what is likely to be a secret left out."""
    if "://" in text:
        text = _LOGIN.sub(rf"\1{HIDDEN}@", text)
        text = _QUERY.sub(rf"\1{HIDDEN}", text)
    text = _HEADER.sub(rf"\1 {HIDDEN}", text)
    text = _CREDENTIALS.sub(rf"\1{HIDDEN}", text)
    for pattern in (_ASSIGNED, _OPTION):
        text = pattern.sub(rf"\1\2{HIDDEN}", text)
    return _KNOWN.sub(HIDDEN, text)
