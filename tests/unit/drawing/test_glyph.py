"""Texts are measured, broken and shortened."""

import pytest

from runner.drawing.glyph import shorten_end, shorten_middle, text_width, wrap


def test_wide_letters_are_wider() -> None:
    assert text_width("i", 10) < text_width("n", 10) < text_width("W", 10) < text_width("名", 10) * 1.1
    assert text_width("name", 10) < text_width("name", 10, bold=True)


@pytest.mark.parametrize("text", ["short", "x" * 500, "名" * 100, "a b " * 50, ""])
@pytest.mark.parametrize("room", [40, 200])
def test_what_is_shortened_fits(text: str, room: int) -> None:
    for shown in (shorten_end(text, room, 11), shorten_middle(text, room, 11)):
        assert text_width(shown, 11) <= room
    for line in wrap(text, room, 11, 2):
        assert text_width(line, 11) <= room


def test_the_tag_of_an_image_stays() -> None:
    shown = shorten_middle("registry.example.com/a/very/long/path/to/an/image:2026.11", 150, 11)
    assert shown.startswith("regi")
    assert shown.endswith("image:2026.11")
    assert "…" in shown


def test_a_name_is_broken_between_its_parts() -> None:
    assert wrap("extract_customer_data", 90, 11, 2) == ["extract_", "customer_data"]
    assert wrap("one", 90, 11, 2) == ["one"]
