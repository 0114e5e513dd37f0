"""What a run would do, in words."""

from typing import Any

import pytest

from runner.app.forecast import Asks, Depends, Estimate, Fate, Runs, Stands, Sweeps
from runner.cli.fate import depends_words, estimate_words, fate_word, head_words, sweep_words
from runner.engine.callback import Stand
from runner.plan.bind import Left
from runner.reuse.decide import Miss
from runner.store.record import Reused

STANDS = Stands(Stand(Reused("id", 4, "run"), Left(), "execution 4 of run 2", 60.0))
RUNS, DEPENDS, ASKS = Runs(Miss(())), Depends(("a",)), Asks(("image x",))


@pytest.mark.parametrize(
    ("fates", "said"),
    [
        ([RUNS], "1 node would run"),
        ([RUNS, RUNS], "2 nodes would run"),
        ([STANDS, STANDS], "2 nodes: all reused"),
        ([STANDS, RUNS, DEPENDS, ASKS], "4 nodes: 1 reused, 1 runs, 2 depend on others"),
        ([RUNS, RUNS, DEPENDS], "3 nodes: 2 run, 1 depends on others"),
        ([ASKS], "1 node: 1 depends on others"),
    ],
)
def test_the_head_counts_nodes_by_their_fates(fates: list[Fate], said: str) -> None:
    assert head_words({str(place): fate for place, fate in enumerate(fates)}) == said


def test_nodes_that_are_waited_for_are_named() -> None:
    assert depends_words(("a",)) == "depends on what a writes"
    assert depends_words(("a", "b", "c\x1b")) == "depends on what a, b and c\\x1b write"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (Estimate(2, 2, 0.0, 0, 0), ""),
        (Estimate(2, 1, None, None, None), ""),
        (Estimate(2, 1, 240.0, 3 << 20, None), "about 4 min, 3.0 MiB of memory, by what it took before"),
        (Estimate(2, 1, None, None, 5), "5 B of outputs, by what it took before"),
    ],
)
def test_an_estimate_tells_only_what_was_measured(told: Estimate, said: str) -> None:
    assert estimate_words(told) == said


def sweep(size: int, looked_at: int, reused: int, **more: Any) -> Sweeps:
    return Sweeps(size, looked_at, {f"a.{number}": STANDS.stand for number in range(reused)}, Left(), **more)


@pytest.mark.parametrize(
    ("fate", "word", "said"),
    [
        (sweep(12, 12, 12), "reused", "reused: all of 12 trials"),
        (sweep(12, 12, 9), "runs", "runs: 12 trials, 9 reused"),
        (sweep(1, 1, 0), "runs", "runs: 1 trial"),
        (sweep(12, 12, 12, may_stop=True), "runs", "runs: 12 trials at most, 12 reused"),
        (sweep(12, 0, 0, never="`--refresh` names it"), "runs", "runs: 12 trials; `--refresh` names it"),
        (sweep(1500, 1000, 990), "runs", "runs: 1,500 trials, at least 990 reused; 1,000 were looked at"),
        (
            sweep(30, 20, 20, waits=True),
            "runs",
            "runs: 30 trials, 20 of the first 20 reused; what comes after depends on how those come out",
        ),
    ],
)
def test_a_sweep_says_how_many_of_its_trials_stand(fate: Sweeps, word: str, said: str) -> None:
    assert (fate_word(fate), sweep_words(fate)) == (word, said)
