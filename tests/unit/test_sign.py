"""One word, one sign and one tone for each state, wherever people are told of it."""

from dataclasses import dataclass

import pytest

from runner.cli.cell import COLOURS
from runner.drawing.style import TONES
from runner.escape import display_width
from runner.sign import WORDS, Tone, sign_of, tone_of, word_of
from runner.state import FINAL, Reason, State


@dataclass
class Known:
    state: State
    reason: Reason | None = None


@pytest.mark.parametrize(
    ("state", "reason", "word"),
    [
        (State.STOPPED, Reason.PRUNED, "pruned"),
        (State.STOPPED, Reason.STOP, "stopped"),
        (State.STOPPING, Reason.PRUNED, "stopping"),
        (State.WAITING, Reason.RETRY, "retrying"),
        (State.WAITING, None, "waiting"),
        (State.FAILED, Reason.EXIT, "failed"),
    ],
)
def test_the_reason_is_the_word_where_it_says_more_than_the_state(
    state: State, reason: Reason | None, word: str
) -> None:
    assert word_of(Known(state, reason)) == word


def test_every_word_has_a_sign_of_one_column_and_a_colour_in_each_medium() -> None:
    assert {display_width(sign_of(word)) for word in WORDS} == {1}
    assert {tone_of(word) for word in WORDS} == set(Tone) == set(TONES)
    assert set(COLOURS) == set(WORDS) >= {str(state) for state in State}


def test_ends_that_mean_something_else_have_different_signs() -> None:
    assert len({sign_of(state) for state in FINAL}) == len(FINAL)
