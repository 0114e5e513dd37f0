"""What somebody at the terminal is asked, and what counts as an answer."""

import pytest

from runner.cli.dialogue import Dialogue

ASKED = {"a": "node-starting", "b": "node-complete"}


def asking(asked: dict[str, str]) -> Dialogue:
    dialogue = Dialogue()
    dialogue.look(asked)
    return dialogue


@pytest.mark.parametrize(("typed", "approved"), [("y\n", True), ("YES\r", True), ("n\n", False), (" no \n", False)])
def test_an_answer_is_a_word_and_enter(typed: str, approved: bool) -> None:
    dialogue = asking(ASKED)
    assert dialogue.question() == "approve `a` (node-starting)? [y/n/later] "
    assert dialogue.hear(typed) == ("a", approved)


@pytest.mark.parametrize("typed", ["\n", "y", "maybe\n", "\n\n\n", "yy\n"])
def test_enter_alone_and_other_words_decide_nothing(typed: str) -> None:
    dialogue = asking(ASKED)
    assert dialogue.hear(typed) is None
    assert not dialogue.look(ASKED)
    assert dialogue.node == "a"


def test_what_was_typed_can_be_taken_back() -> None:
    dialogue = asking(ASKED)
    assert dialogue.hear("ny\x7f\x7fy") is None
    assert dialogue.typed == "y"
    assert dialogue.hear("\x15n\n") == ("a", False)


def test_an_answered_question_is_followed_by_the_next_one() -> None:
    dialogue = asking(ASKED)
    dialogue.hear("y\n")
    assert dialogue.look(ASKED)
    assert dialogue.question() == "approve `b` (node-complete)? [y/n/later] "


def test_later_leaves_the_node_to_others_and_asks_about_the_next() -> None:
    dialogue = asking(ASKED)
    assert dialogue.hear("later\n") is None
    assert dialogue.look(ASKED)
    assert dialogue.node == "b"
    dialogue.hear("l\n")
    assert dialogue.look(ASKED)
    assert dialogue.question() is None


def test_a_question_disappears_when_somebody_else_decided_and_with_it_what_was_typed() -> None:
    dialogue = asking(ASKED)
    dialogue.hear("y")
    assert dialogue.look({"b": "node-complete"})
    assert (dialogue.node, dialogue.typed) == ("b", "")
    assert dialogue.hear("\n") is None
    assert dialogue.look({})
    assert dialogue.question() is None
    assert dialogue.hear("y\n") is None


def test_a_node_that_waits_at_another_point_is_asked_about_again() -> None:
    dialogue = asking({"a": "node-starting"})
    dialogue.hear("y\n")
    assert dialogue.look({})
    assert dialogue.look({"a": "node-complete"})
    assert dialogue.question() == "approve `a` (node-complete)? [y/n/later] "


def test_a_node_that_was_put_off_and_waits_again_after_a_while_is_asked_about_again() -> None:
    dialogue = asking({"a": "node-starting"})
    dialogue.hear("later\n")
    assert dialogue.look({"a": "node-starting"})
    dialogue.look({})
    assert dialogue.look({"a": "node-starting"})


def test_endless_typing_is_bounded() -> None:
    dialogue = asking(ASKED)
    dialogue.hear("y" * 10_000 + "\x1b\x00")
    assert len(dialogue.typed) <= 16


def test_a_foreign_name_is_shown_escaped() -> None:
    assert "\x1b" not in str(asking({"\x1b[2J": "node-starting"}).question())
