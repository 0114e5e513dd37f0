"""Curves: what is drawn of many values keeps what is to be seen of them."""

from math import inf, nan

from hypothesis import given
from hypothesis import strategies as st

from runner.report.chart import scale_of
from runner.report.curve import Dot, gather, thin
from tests.unit.report.conftest import Diary

VALUES = st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=400)


@given(VALUES, st.integers(4, 50))
def test_thinning_keeps_both_ends_the_order_and_the_extremes(values: list[float], most: int) -> None:
    dots = [Dot(place, float(place), value) for place, value in enumerate(values)]
    kept = thin(dots, most)
    assert len(kept) <= most
    assert (kept[0], kept[-1]) == (dots[0], dots[-1])
    assert kept == sorted(set(kept))
    assert (min(kept, key=lambda dot: dot.value).value, max(kept, key=lambda dot: dot.value).value) == (
        min(values),
        max(values),
    )


@given(VALUES)
def test_a_scale_has_a_place_for_each_of_its_values(values: list[float]) -> None:
    scale = scale_of(values, 0, 100, log_from=1000)
    assert all(-0.001 <= scale.place(value) <= 100.001 for value in values)
    ticks = scale.ticks()
    assert len(ticks) < 12
    assert all(-0.1 <= scale.place(tick) <= 100.1 for tick in ticks)


def test_a_metric_is_drawn_over_what_the_program_counts() -> None:
    events = [{"epoch": place * 10, "loss": 1.0 / (place + 1), "best": {"f1": place}} for place in range(5)]
    (loss, f1) = gather(Diary("exec", "a", [{"name": "a"}]).ran("a", events=events).subject()).panels
    assert (loss.metric, f1.metric, loss.clock) == ("loss", "best.f1", "epoch")
    assert loss.points(loss.lines[0])[1] == (10, 0.5)


def test_a_count_that_falls_is_not_drawn_over() -> None:
    events = [{"epoch": epoch, "loss": 1.0} for epoch in (0, 1, 0, 1)]
    (panel,) = gather(Diary("exec", "a", [{"name": "a"}]).ran("a", events=events).subject()).panels
    assert panel.clock is None
    assert [x for x, _ in panel.points(panel.lines[0])] == [0, 1, 2, 3]


def test_what_is_no_finite_number_is_counted_and_not_drawn() -> None:
    events = [{"loss": value} for value in (1.0, "NaN", nan, inf, True, "text", None, 2.0)]
    diary = Diary("exec", "a", [{"name": "a"}]).ran("a", events=[{"x": 1}])
    subject = diary.subject()
    diary.evidence.events = lambda run, execution: iter(events)  # type: ignore[method-assign]
    (panel,) = gather(subject).panels
    assert panel.lines[0].lost == 3
    assert [y for _, y in panel.points(panel.lines[0])] == [1.0, 2.0]


def test_a_program_that_measures_without_end_costs_no_memory() -> None:
    diary = Diary("exec", "a", [{"name": "a"}]).ran("a", events=[{"x": 1}])
    subject = diary.subject()
    diary.evidence.events = (  # type: ignore[method-assign]
        lambda run, execution: ({"step": place, "loss": 50.0 if place == 33_333 else 1.0} for place in range(100_000))
    )
    (panel,) = gather(subject).panels
    (line,) = panel.lines
    assert line.count == 100_000
    assert len(line.dots) < 2_000
    assert max(y for _, y in panel.points(line)) == 50.0
    assert panel.is_thinned()
