import io

import pytest
from pullrequest.log import Log, annotations

TOKEN = "ghs_thetokenthatnobodymaysee"


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def log(stream: io.StringIO) -> Log:
    return Log((TOKEN,), stream)


def test_a_message_is_one_command_whatever_it_says(log: Log, stream: io.StringIO) -> None:
    log.error("100 %\n::set-output name=x::y\r\x1b[31m", file="a,b:c\n.yaml")
    (line,) = stream.getvalue().splitlines()
    assert line == r"::error title=mlrun,file=a%2Cb%3Ac\n.yaml::100 %25\n::set-output name=x::y\r\x1b[31m"


@pytest.mark.parametrize("text", ["::error::x", "  ::add-mask::x", "\u2028::stop-commands::x", "x ##[group]y"])
def test_a_plain_line_is_no_command(log: Log, stream: io.StringIO, text: str) -> None:
    log.plain(text)
    for line in stream.getvalue().split("\n"):
        assert not line.strip().startswith("::")
        assert "##[" not in line


def test_only_annotations_are_passed_on() -> None:
    wanted = ["::error file=valohai.yaml,line=3,col=5,title=cycle::message", "::warning file=a::b", "::notice::c"]
    others = ["::set-output name=a::b", "::add-mask::x", "::stop-commands::x", "text", " ::error::x", "::errors::x"]
    assert annotations("\n".join(wanted + others)) == wanted


@pytest.mark.parametrize("tell", [Log.error, Log.notice, Log.warning, Log.plain])
def test_a_secret_is_never_told(log: Log, stream: io.StringIO, tell: object) -> None:
    tell(log, f"the server said {TOKEN}")  # type: ignore[operator]
    log.annotate([f"::error::{TOKEN}"])
    assert TOKEN not in stream.getvalue()
    assert "***" in stream.getvalue()


def test_a_long_message_is_cut(log: Log, stream: io.StringIO) -> None:
    log.warning("x" * 100_000)
    assert len(stream.getvalue()) < 5000
