"""Markup by construction."""

import html5rdf
from hypothesis import given
from hypothesis import strategies as st

from runner.report.element import clean, element
from runner.report.log import readable

TEXT = st.text(st.characters(codec=None))


@given(TEXT, TEXT)
def test_any_text_comes_back_as_the_text_it_was_made_of(text: str, value: str) -> None:
    piece = element("p", text, title=value).text
    root = html5rdf.HTMLParser(strict=True).parseFragment(piece)
    (paragraph,) = root
    assert "".join(paragraph.itertext()) == clean(text)
    assert paragraph.attrib == {"title": clean(value)}
    assert len(list(paragraph)) == 0


def test_attributes_that_are_nothing_are_left_out() -> None:
    assert element("details", "x", open=True, id=None, class_="a", aria_label="b").text == (
        '<details open class="a" aria-label="b">x</details>'
    )


def test_void_elements_have_no_end() -> None:
    assert element("img", src="data:,").text == '<img src="data:,">'


def test_a_log_is_read_without_colours_and_with_the_last_form_of_a_progress_bar() -> None:
    data = b"\x1b[1;31mred\x1b[0m\r\n10%\r50%\r100%\n\xff\x1b[2J\n"
    assert readable(data) == "red\n100%\n\ufffd\x1b[2J"
