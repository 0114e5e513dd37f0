import base64
import html
import json
import shlex
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.job import LogChunk
from runner.metrics import MetricEvent
from runner.worker.mask import Mask

TOKEN = "s3cr'et/to+ken!&\"%$42 é"
PEM = (
    "-----BEGIN KEY-----\n" + "\n".join(f"{n}MIIEvQIBADANBgkqhkiG9w0BAQ{n}EFAASCBKcw{n}" for n in range(9)) + "\nabc=\n"
)


def masked(secret: str, *pieces: bytes) -> bytes:
    """What is left of the pieces of one stream."""
    mask = Mask({"SECRET": secret})
    shown = [mask.chunk(LogChunk("stdout", piece)).data for piece in pieces]
    return b"".join([*shown, *(chunk.data for chunk in mask.rest())])


def printed(value: str) -> dict[str, str]:
    """How programs print a value."""
    data = value.encode()
    return {
        "plain": value,
        "json": json.dumps({"token": value}),
        "json, not ASCII": json.dumps({"token": value}, ensure_ascii=False),
        "json of PHP": json.dumps({"token": value}).replace("/", "\\/"),
        "json of Go": json.dumps({"token": value}, ensure_ascii=False).replace("&", "\\u0026"),
        "repr": repr({"token": value}),
        "repr of bytes": repr({"token": data}),
        "ascii": ascii({"token": value}),
        "url of a browser": "https://host/?q=" + quote(value, safe="!'()*") + "&x",
        "url": f"https://host/?q={quote(value, safe='')}&x",
        "path": f"https://host/{quote(value)}/x",
        "form": f"q={quote_plus(value)}&x",
        "shell": f"+ curl -u {shlex.quote(value)} host",
        "set -x of bash": "+ curl '" + value.replace("'", "'\\''") + "' host",
        "html": f"<td>{html.escape(value)}</td>",
        **{f"base64 behind {n}": base64.b64encode(b"user:"[:n] + data + b"@host").decode() for n in range(6)},
        "url-safe base64": base64.urlsafe_b64encode(b"u:" + data).decode(),
        "base64 of a line": base64.b64encode(data + b"\n").decode(),
    }


@pytest.mark.parametrize("spelling", printed(TOKEN))
def test_a_secret_is_masked_however_it_is_spelled(spelling: str) -> None:
    text = f"before {printed(TOKEN)[spelling]} after\n".encode()
    shown = masked(TOKEN, text)

    assert b"***" in shown
    assert shown.startswith(b"before ")
    assert shown.endswith(b" after\n")
    assert len(shown) < len(text) - len(TOKEN) + 4


@pytest.mark.parametrize("spelling", printed(TOKEN))
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_borders_of_chunks_do_not_matter(spelling: str, size: int) -> None:
    text = f"before {printed(TOKEN)[spelling]} after\n".encode() * 2

    assert masked(TOKEN, *(text[at : at + size] for at in range(0, len(text), size))) == masked(TOKEN, text)


def test_a_secret_over_the_border_of_a_pipe_is_masked() -> None:
    text = b"x" * 65_530 + TOKEN.encode() + b"\n"

    assert masked(TOKEN, text[:65_536], text[65_536:]) == b"x" * 65_530 + b"***\n"


@pytest.mark.parametrize("text", [PEM, PEM.replace("\n", "\r\n"), PEM.replace("\n", " "), json.dumps(PEM)])
def test_lines_of_a_long_value_are_masked_each(text: str) -> None:
    shown = masked(PEM, b"key: " + text.encode())

    assert b"MIIEvQ" not in shown
    assert b"BEGIN" not in shown


@pytest.mark.parametrize("encode", [base64.b64encode, base64.encodebytes])
def test_a_long_value_in_base64_is_masked_though_it_is_wrapped(encode) -> None:  # type: ignore[no-untyped-def]
    encoded = encode(PEM.encode())

    assert max(map(len, masked(PEM, encoded).split(b"***"))) <= 8


def test_only_what_may_be_the_beginning_of_a_secret_is_held_back() -> None:
    mask = Mask({"SECRET": "hunter2-hunter2"})
    shown = [
        mask.chunk(LogChunk("stdout", data)).data for data in (b"50 %|####  \r", b"who? hun", b"gry\n", b"hunter2-")
    ]

    assert shown == [b"50 %|####  \r", b"who? ", b"hungry\n", b""]
    assert [chunk.data for chunk in mask.rest()] == [b"hunter2-"]


def test_streams_do_not_mix() -> None:
    mask = Mask({"SECRET": "hunter2-hunter2"})
    shown = [mask.chunk(chunk).data for chunk in (LogChunk("stdout", b"hunter2-"), LogChunk("stderr", b"hunter2\n"))]

    assert shown == [b"", b"hunter2\n"]
    assert mask.rest() == [LogChunk("stdout", b"hunter2-")]


def test_secrets_that_overlap_are_masked_together() -> None:
    mask = Mask({"A": "alpha-beta", "B": "beta-gamma", "C": "alpha-beta-x"})

    assert mask.text("1 alpha-beta-gamma 2 alpha-beta-x 3 alpha-beta 4") == "1 *** 2 *** 3 *** 4"


@given(st.integers(1, 9), st.lists(st.sampled_from([b"abcde", b"fg", b"abcdefg", b"abc", b"\n", b"x"]), max_size=30))
def test_overlapping_secrets_are_found_in_whatever_pieces_they_come(size: int, words: list[bytes]) -> None:
    secrets = {"A": "abcdefg", "B": "defgabcd", "C": "efgabcdefgab"}
    text = b"".join(words)
    mask = Mask(secrets)
    shown = b"".join(mask.chunk(LogChunk("stdout", text[at : at + size])).data for at in range(0, len(text), size))
    shown += b"".join(chunk.data for chunk in mask.rest())

    assert shown == Mask(secrets).text(text.decode()).encode()
    assert not [value for value in secrets.values() if value.encode() in shown]


@given(st.text(min_size=6, max_size=40), st.binary(max_size=60), st.binary(max_size=60), st.integers(1, 50))
def test_any_value_is_found_in_any_text(value: str, before: bytes, after: bytes, size: int) -> None:
    mask = Mask({"SECRET": value})
    text = before + value.encode("utf-8") + after
    shown = b"".join(mask.chunk(LogChunk("stdout", text[at : at + size])).data for at in range(0, len(text), size))
    shown += b"".join(chunk.data for chunk in mask.rest())

    if mask.unmasked:
        assert shown == text
    else:
        assert value.encode() not in shown
        assert b"***" in shown


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_what_has_no_secret_is_not_changed(pieces: list[bytes]) -> None:
    assert masked("\N{OGHAM LETTER BEITH}" * 3 + "-unlikely-7361", *pieces) == b"".join(pieces)


@pytest.mark.parametrize("value", ["a", "true", "12345", "12345678", "aaaaaaaaaa", "null", "ab", "abab" * 5])
def test_a_value_that_is_too_plain_is_told_and_not_masked_letter_by_letter(value: str) -> None:
    mask = Mask({"DEBUG": value, "TOKEN": TOKEN})

    assert mask.text(f"value {value} of a banana, {TOKEN}") == f"value {value} of a banana, ***"
    assert mask.warnings() == ["too short or too plain to be hidden in the log: `DEBUG`"]


def test_json_is_masked_as_a_whole_and_in_its_long_texts() -> None:
    key = {"type": "service", "id": 12, "private_key": PEM, "list": [{"password": "correct horse battery staple"}]}
    mask = Mask({"KEY": json.dumps(key)})

    assert mask.text(f"x {json.dumps(key)} y") == "x *** y"
    assert mask.text("a service of type {}, correct horse battery staple") == "a service of type {}, ***"
    assert "MIIEvQ" not in mask.text(PEM)
    assert "`KEY` is JSON" in mask.warnings()[0]


def test_a_metric_is_masked_even_where_json_spells_it_in_its_own_way() -> None:
    values = json.loads(
        r'{"a": 1.5, "tokenized": "s\u0033cret-1234", "s\u0033cret-1234": ["x", {"b": "s3cret-1234!"}]}'
    )
    event = Mask({"TOKEN": "s3cret-1234"}).event(MetricEvent(7, values))

    assert event == MetricEvent(7, {"a": 1.5, "tokenized": "***", "***": ["x", {"b": "***!"}]})


def test_without_secrets_nothing_is_touched() -> None:
    mask, chunk = Mask({}), LogChunk("stdout", b"anything")

    assert not mask
    assert mask.chunk(chunk) is chunk
    assert (mask.rest(), mask.warnings()) == ([], [])


def test_what_is_held_stays_small_for_a_program_that_prints_beginnings_for_ever() -> None:
    mask = Mask({"A": "abcdabcdabcdx", "B": "bcdabcdabcda"})
    given = sum(len(mask.chunk(LogChunk("stdout", b"abcd")).data) for _ in range(2000))
    held = sum(len(chunk.data) for chunk in mask.rest())

    assert held <= 12
    assert given < 12
