import pytest
from hypothesis import given
from hypothesis import strategies as st
from pullrequest.report import MAX_COMMENT, compose, cut, footer

LINES = ("```mermaid", "```", "````", "~~~", "<details>", "</details>", "text", "- item", "", "x" * 50)


def test_a_short_report_is_left_as_it_is() -> None:
    assert compose("<!-- m -->", ["one", "two"], "foot") == "<!-- m -->\none\n\ntwo\n\nfoot\n"


@pytest.mark.parametrize("size", [10, 60_000, 65_536, 200_000])
def test_a_report_is_never_longer_than_a_comment_may_be(size: int) -> None:
    text = compose("<!-- m -->", ["line\n" * (size // 5)], "foot")
    assert len(text) <= MAX_COMMENT
    assert text.startswith("<!-- m -->\n")
    assert text.endswith("\nfoot\n")


def test_a_code_block_and_a_fold_that_are_cut_are_closed() -> None:
    text = cut("<details>\n\n```mermaid\n" + "n1 --> n2\n" * 100 + "```\n\n</details>", 200)
    assert len(text) <= 200
    assert text.count("```") == 2
    assert text.index("</details>") > text.rindex("```")
    assert "left out" in text


@given(st.lists(st.sampled_from(LINES), max_size=60), st.integers(100, 400))
def test_whatever_is_cut_is_whole_again(pieces: list[str], limit: int) -> None:
    text = cut("\n".join(pieces), limit)
    assert len(text) <= limit
    if len("\n".join(pieces)) > limit:
        fence, folds = "", 0
        for line in text.split("\n"):
            if line[:3] in {"```", "~~~"} and not fence:
                fence = line.removesuffix("mermaid")
            elif fence and line.startswith(fence) and set(line) == {fence[0]}:
                fence = ""
            elif not fence:
                folds = max(0, folds + line.count("<details>") - line.count("</details>"))
        assert (fence, folds) == ("", 0)


def test_the_last_line_counts_in_words() -> None:
    assert "1 error, 2 warnings · aaaaaaaaaa … bbbbbbbbbb" in footer(1, 2, "a" * 40, "b" * 40)
    assert "0 errors, 1 warning · bbbbbbbbbb<" in footer(0, 1, None, "b" * 40)
