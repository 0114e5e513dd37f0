"""Places, processors, memory, devices and pools are shared out in order, never twice, and to everybody in the end."""

from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.engine.slots import Capacity, Claim, Slots
from tests.cost import steps

GIB = 1 << 30


def slots(capacity: Capacity, **claims: Claim) -> Slots:
    made = Slots(capacity)
    for name, claim in claims.items():
        made.add(name, claim)
    return made


def drained(made: Slots) -> list[list[str]]:
    """What starts, turn by turn, if all that runs ends at the same time."""
    turns: list[list[str]] = []
    while started := made.take():
        turns.append(started)
        for name in started:
            made.free(name)
    return turns


def test_as_many_start_as_there_are_places_in_the_order_in_which_they_came() -> None:
    made = slots(Capacity(2), a=Claim(), b=Claim(), c=Claim())
    assert made.take() == ["a", "b"]
    assert made.take() == []
    made.free("b")
    assert made.take() == ["c"]


def test_priority_comes_before_the_longest_path_and_that_before_arrival() -> None:
    made = slots(
        Capacity(1),
        first=Claim(path=5),
        second=Claim(path=5),
        longer=Claim(path=60),
        urgent=Claim(priority=1),
        late=Claim(priority=-1, path=900),
    )
    assert drained(made) == [["urgent"], ["longer"], ["first"], ["second"], ["late"]]


def test_one_that_comes_later_and_goes_first_leaves_the_order_of_the_others_as_it_was() -> None:
    made = slots(Capacity(1, memory=GIB), a=Claim(path=3), b=Claim(path=4), c=Claim(path=1), d=Claim(2, GIB, path=2))
    assert drained(made) == [["b"], ["a"], ["d"], ["c"]]


def test_what_is_kept_for_one_that_waits_is_kept_once() -> None:
    made = slots(
        Capacity(9, cpus=4, memory=4), a=Claim(1, 3, path=1), b=Claim(1, 3, path=2), small=Claim(2), other=Claim(2)
    )
    assert made.take() == ["b", "small"]


@pytest.mark.parametrize(
    ("capacity", "claim"),
    [
        (Capacity(9, cpus=0.3), Claim(cpus=0.1)),
        (Capacity(9, memory=7 * GIB), Claim(memory=2 * GIB)),
        (Capacity(9, devices={"gpu": 3}), Claim(devices={"gpu": 1})),
        (Capacity(9, pools={"gpu": 3}), Claim(pools=("gpu",))),
    ],
)
def test_whatever_is_counted_bounds_how_many_run(capacity: Capacity, claim: Claim) -> None:
    made = slots(capacity, a=claim, b=claim, c=claim, d=claim, free=Claim())
    assert made.take() == ["a", "b", "c", "free"]
    made.free("free")
    assert made.take() == []
    made.free("b")
    assert made.take() == ["d"]


def test_what_nobody_counts_bounds_nothing() -> None:
    large = Claim(cpus=1e6, memory=1 << 60, devices={"gpu": 99}, pools=("unknown",))
    assert slots(Capacity(2), a=large, b=large).take() == ["a", "b"]


def test_devices_of_different_kinds_are_counted_apart() -> None:
    one, other = Claim(devices={"one": 1}), Claim(devices={"other": 1})
    made = slots(Capacity(9, devices={"one": 1, "other": 2}), a=one, b=one, c=other, d=other, e=other)
    assert made.take() == ["a", "c", "d"]
    made.free("c")
    assert made.take() == ["e"]
    made.free("a")
    assert made.take() == ["b"]


def test_devices_of_two_kinds_that_others_take_in_turns_come_together_for_who_needs_both() -> None:
    one, other = Claim(devices={"one": 1}), Claim(devices={"other": 1})
    made = slots(Capacity(9, devices={"one": 1, "other": 1}), a=one, b=other)
    assert made.take() == ["a", "b"]
    made.add("both", Claim(devices={"one": 1, "other": 1}))
    made.add("c", one)
    made.add("d", other)
    made.free("a")
    assert made.take() == []
    made.free("b")
    assert made.take() == ["both"]


def test_one_that_waits_for_a_device_keeps_none_of_another_kind_from_others() -> None:
    one, other = Claim(devices={"one": 2}, priority=1), Claim(devices={"other": 2})
    made = slots(Capacity(2, devices={"one": 2, "other": 2}), a=one, b=one, c=other, d=other)
    assert made.take() == ["a", "c"]
    made.free("c")
    assert made.take() == ["d"]


def test_a_mutex_is_a_pool_of_one() -> None:
    made = slots(Capacity(4, pools={"port": 1}), a=Claim(pools=("port",)), b=Claim(pools=("port",)), c=Claim())
    assert made.take() == ["a", "c"]
    made.free("a")
    assert made.take() == ["b"]


def test_one_that_waits_for_a_pool_keeps_no_place_from_those_that_do_not() -> None:
    guarded = Claim(pools=("gpu",), priority=1)
    made = slots(Capacity(2, pools={"gpu": 1}), a=guarded, b=guarded, c=Claim(), d=Claim())
    assert made.take() == ["a", "c"]
    made.free("c")
    assert made.take() == ["d"]


def test_a_large_job_does_not_starve_behind_small_ones_that_keep_fitting() -> None:
    made = slots(Capacity(4, memory=4 * GIB), s0=Claim(memory=GIB), s1=Claim(memory=GIB), s2=Claim(memory=GIB))
    running = made.take()
    made.add("large", Claim(memory=4 * GIB))
    for number in range(3, 99):
        made.add(f"s{number}", Claim(memory=GIB))
        assert "large" not in running
        started = made.take()
        if "large" in started:
            break
        assert started == []
        made.free(running.pop(0))
    assert number == 6
    assert started == ["large"]


def test_a_gang_does_not_starve_behind_single_jobs() -> None:
    made = slots(Capacity(3), a=Claim(), b=Claim())
    assert made.take() == ["a", "b"]
    made.add_together({"g1": Claim(), "g2": Claim(), "g3": Claim()})
    made.add("small", Claim())
    assert made.take() == []
    made.free("a")
    assert made.take() == []
    made.free("b")
    assert made.take() == ["g1", "g2", "g3"]


def test_two_pools_that_others_take_in_turns_come_together_for_who_needs_both() -> None:
    made = slots(Capacity(9, pools={"p": 1, "q": 1}), p0=Claim(pools=("p",)), q0=Claim(pools=("q",)))
    assert made.take() == ["p0", "q0"]
    made.add("both", Claim(pools=("p", "q")))
    made.add("p1", Claim(pools=("p",)))
    made.add("q1", Claim(pools=("q",)))
    made.free("p0")
    assert made.take() == []
    made.free("q0")
    assert made.take() == ["both"]


@pytest.mark.parametrize(
    ("capacity", "claim"),
    [
        (Capacity(3, cpus=2), Claim(cpus=8)),
        (Capacity(3, memory=GIB), Claim(memory=2 * GIB)),
        (Capacity(3, devices={"gpu": 1}), Claim(devices={"gpu": 2})),
    ],
)
def test_who_wants_more_than_there_is_runs_alone_rather_than_never(capacity: Capacity, claim: Claim) -> None:
    made = slots(capacity, a=Claim(), large=claim, b=Claim())
    assert made.take() == ["a"]
    made.free("a")
    assert made.take() == ["large"]
    assert made.take() == []
    made.free("large")
    assert made.take() == ["b"]


def test_a_gang_starts_all_at_once_or_not_at_all() -> None:
    made = slots(Capacity(3, pools={"gpu": 2}), a=Claim())
    assert made.take() == ["a"]
    made.add_together({"x": Claim(pools=("gpu",)), "y": Claim(pools=("gpu",))})
    assert made.take() == ["x", "y"]
    made.add_together({"u": Claim(pools=("gpu",)), "v": Claim(pools=("gpu",))})
    made.free("x")
    assert made.take() == []
    made.free("y")
    assert made.take() == ["u", "v"]


def test_a_gang_that_outnumbers_the_places_runs_when_nothing_else_does() -> None:
    made = slots(Capacity(2), a=Claim())
    assert made.take() == ["a"]
    made.add_together({name: Claim() for name in "xyz"})
    made.add("b", Claim())
    assert made.take() == []
    made.free("a")
    assert made.take() == ["x", "y", "z"]
    made.free("x")
    made.free("y")
    assert made.take() == []
    made.free("z")
    assert made.take() == ["b"]


def test_who_is_removed_never_starts_and_nor_does_its_gang() -> None:
    made = slots(Capacity(1), a=Claim(), b=Claim())
    made.add_together({"x": Claim(), "y": Claim()})
    made.add("c", Claim())
    made.remove(["a", "y", "nobody"])
    assert drained(made) == [["b"], ["c"]]


def test_one_that_was_removed_or_is_over_may_come_again() -> None:
    made = slots(Capacity(1), a=Claim())
    made.remove(["a"])
    made.add("a", Claim())
    assert made.take() == ["a"]
    made.free("a")
    made.free("a")
    made.add("a", Claim())
    assert made.take() == ["a"]


def test_what_runs_since_before_may_be_more_than_there_is_room_for() -> None:
    made = Slots(Capacity(2, memory=GIB))
    for name in "abc":
        made.occupy(name, Claim(memory=GIB))
    made.add("d", Claim())
    made.free("a")
    assert made.take() == []
    made.free("b")
    assert made.take() == ["d"]


def work(count: int, claim_of: "list[Claim]", places: int) -> int:
    """The steps of starting and ending so many jobs."""

    def run() -> None:
        made = Slots(Capacity(places, cpus=4, memory=GIB, pools={"gpu": 1}))
        for number in range(count):
            made.add(str(number), claim_of[number % len(claim_of)])
        running: list[str] = []
        while running := running + made.take():
            made.free(running.pop(0))

    return steps(run)


@pytest.mark.parametrize(
    "claims",
    [
        [Claim()],
        [Claim(pools=("gpu",)), Claim()],
        [Claim(priority=number % 7, path=number * 31 % 1009) for number in range(5000)],
        [Claim(memory=GIB - number, path=number * 31 % 1009) for number in range(5000)],
    ],
    ids=["alike", "a pool", "in any order", "no two claims alike"],
)
def test_ten_times_as_many_jobs_cost_little_more_than_ten_times_as_much(claims: list[Claim]) -> None:
    assert work(3000, claims, 4) < 14 * work(300, claims, 4)


# Against a model that looks at everything ---------------------------------------------------------------------------

NAMES = ("p", "q")
KINDS = ("one", "other")
CLAIMS = st.builds(
    Claim,
    cpus=st.sampled_from([0.0, 0.0, 0.1, 1.0, 2.5, 9.0]),
    memory=st.integers(0, 6),
    devices=st.fixed_dictionaries({}, optional={kind: st.sampled_from([0, 1, 3]) for kind in (*KINDS, "unknown")}),
    pools=st.sets(st.sampled_from([*NAMES, "unknown"]), max_size=2).map(lambda pools: tuple(sorted(pools))),
    priority=st.integers(-1, 1),
    path=st.sampled_from([0.0, 3.0, 60.0]),
)
CAPACITIES = st.builds(
    Capacity,
    places=st.integers(1, 4),
    cpus=st.none() | st.sampled_from([0.5, 3.0]),
    memory=st.none() | st.integers(1, 8),
    devices=st.fixed_dictionaries({}, optional={kind: st.integers(0, 2) for kind in KINDS}),
    pools=st.fixed_dictionaries({}, optional={name: st.integers(1, 2) for name in NAMES}),
)
MOVES = st.lists(
    st.one_of(
        st.lists(CLAIMS, min_size=1, max_size=3).map(lambda claims: ("add", claims)),
        st.integers(0, 20).map(lambda which: ("free", which)),
        st.integers(0, 20).map(lambda which: ("remove", which)),
        CLAIMS.map(lambda claim: ("occupy", claim)),
    ),
    max_size=40,
)


class Model:
    """The same by looking at all that waits each time."""

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = {"places": capacity.places, "cpus": capacity.cpus, "memory": capacity.memory}
        self.capacity |= {**capacity.devices, **capacity.pools}
        self.waiting: list[dict[str, Claim]] = []
        self.running: dict[str, tuple[dict[str, float], list[str]]] = {}

    def wants(self, gang: dict[str, Claim]) -> tuple[dict[str, float], bool]:
        """What the gang takes of what is counted, and whether it has to be alone."""
        total: Counter[str] = Counter()
        for claim in gang.values():
            total.update({"places": 1, "cpus": round(claim.cpus, 3), "memory": claim.memory, **claim.devices})
            total.update(claim.pools)
        total = Counter({what: amount for what, amount in total.items() if amount and self.most(what) is not None})
        return dict(total), any(amount > self.most(what) for what, amount in total.items())

    def most(self, what: str) -> float:
        return self.capacity.get(what)  # type: ignore[return-value]

    def used(self) -> Counter[str]:
        used: Counter[str] = Counter()
        for wants, names in {id(one): one for one in self.running.values()}.values():
            assert names
            used.update(wants)
        return used

    def start(self, gang: dict[str, Claim]) -> None:
        wants, alone = self.wants(gang)
        if alone:
            wants = {what: min(amount, self.most(what)) for what, amount in wants.items()}
            wants["places"] = self.most("places")
            hold = (wants, list(gang))
            self.running |= dict.fromkeys(gang, hold)
        else:
            self.running |= {name: (self.wants({name: claim})[0], [name]) for name, claim in gang.items()}

    def free(self, name: str) -> None:
        self.running.pop(name)[1].remove(name)

    def take(self) -> list[str]:
        order = sorted(
            self.waiting,
            key=lambda gang: (-max(one.priority for one in gang.values()), -max(one.path for one in gang.values())),
        )
        kept: Counter[str] = Counter()
        passed: list[dict[str, float]] = []
        taken: list[str] = []
        for gang in order:
            wants, alone = self.wants(gang)
            if alone:
                wants = {what: min(amount, self.most(what)) for what, amount in wants.items()}
                wants["places"] = self.most("places")
            if wants in passed:
                continue
            used = self.used()
            if used["places"] + kept["places"] >= self.most("places"):
                break
            short = {
                what for what, amount in wants.items() if round(used[what] + kept[what] + amount, 3) > self.most(what)
            }
            if not short:
                self.waiting.remove(gang)
                self.start(gang)
                taken += gang
            else:
                passed.append(wants)
                kept.update({what: amount for what, amount in wants.items() if what != "places" or short == {"places"}})
        return taken


def overbooked(model: Model) -> Iterable[str]:
    return (what for what, amount in model.used().items() if round(amount, 3) > model.most(what))


@given(CAPACITIES, MOVES)
def test_they_start_as_the_model_does_never_over_capacity_and_all_in_the_end(
    capacity: Capacity, moves: list[tuple[str, object]]
) -> None:
    made, model, count = Slots(capacity), Model(capacity), 0
    occupied: set[str] = set()

    def look() -> list[str]:
        started = made.take()
        assert started == model.take()
        if not occupied:
            assert not list(overbooked(model))
        return started

    for move, what in moves:
        if move == "add":
            assert isinstance(what, list)
            gang = {f"n{count + number}": claim for number, claim in enumerate(what)}
            count += len(what)
            model.waiting.append(gang)
            made.add_together(gang)
        elif move == "occupy":
            assert isinstance(what, Claim)
            model.start({f"n{count}": what})
            made.occupy(f"n{count}", what)
            occupied.add(f"n{count}")
            count += 1
        elif move == "free" and model.running:
            assert isinstance(what, int)
            name = sorted(model.running)[what % len(model.running)]
            model.free(name)
            made.free(name)
            occupied.discard(name)
        elif move == "remove" and model.waiting:
            assert isinstance(what, int)
            gone = model.waiting.pop(what % len(model.waiting))
            made.remove([min(gone)])
        look()
    while model.running:
        name = min(model.running)
        model.free(name)
        made.free(name)
        occupied.discard(name)
        look()
    assert model.waiting == []
