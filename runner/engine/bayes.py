"""Bayesian search by Optuna's tree-structured Parzen estimator; the one home of that library.

The study lives in memory and is made again from the journal. The first trials are random; after them whole batches are
chosen, each when all before it have ended. So what is chosen follows from the scores alone and not from who was faster:
a second run of the same task chooses the same trials.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256

from runner.engine.sampler import Told
from runner.errors import usage_error
from runner.job import Value
from runner.plan.space import Space
from runner.plan.variation import Axis, Choices
from runner.spec.tree import alike
from runner.state import FINAL, State

try:
    import optuna
    from optuna.distributions import (
        BaseDistribution,
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )
    from optuna.trial import TrialState
except ImportError as error:
    raise usage_error(
        "a Bayesian search needs the package `optuna`, which is not installed",
        hint="`pip install 'mlrun-yaml[tune]'`, or write `type: random_search`",
    ) from error

RANDOM = 20
"""How many trials are random before there is something to learn from, by Valohai's contract."""


class Bayesian:
    """Trials that get better from what the trials before them brought."""

    def __init__(self, space: Space) -> None:
        self.size: int | None = space.size
        self._axes = space.axes
        self._seed = "\0".join([space.seed, *space.seeds.values()])
        self._batch = space.batch
        self._distributions = {name: _distribution(axis) for name, axis in space.axes.items()}
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(direction="minimize")
        self._chosen = 0
        """How many trials were chosen."""
        self._ready: list[Mapping[str, Value]] = []
        """Those of the batch that were chosen and not given out yet."""
        self._ended: dict[int, Told] = {}
        """How trials came out of which the study was not told yet."""
        self._told = 0
        """Of how many trials the study was told: of all with a smaller index."""

    def restore(self, trials: Sequence[Told]) -> None:
        """Go on behind these."""
        for index, told in enumerate(trials):
            self._study.add_trial(self._running(told.parameters))
            self._chosen += 1
            if told.state in FINAL:
                self._ended[index] = told

    def ask(self, count: int) -> Sequence[Mapping[str, Value]]:
        """The next of the batch; of the next batch once this one has ended."""
        if not self._ready:
            self._choose()
        asked, self._ready = self._ready[: max(count, 0)], self._ready[max(count, 0) :]
        return asked

    def tell(self, trial: int, told: Told) -> None:
        """The trial came to its end; the study hears of it with all others of its batch."""
        self._ended[trial] = told

    @property
    def exhausted(self) -> bool:
        """Whether there will be no further trials."""
        return not self._ready and self._chosen >= (self.size or 0)

    def _choose(self) -> None:
        """Choose the rest of the batch, unless it waits for what trials before it bring."""
        begin, end = self._borders()
        if self._chosen == end or any(index not in self._ended for index in range(self._told, begin)):
            return
        for index in range(self._told, begin):
            self._learn(index, self._ended.pop(index))
        for index in range(self._chosen, end):
            self._study.sampler = self._sampler(index)
            trial = self._study.ask(self._distributions)
            self._ready.append({name: _value(axis, trial.params[name]) for name, axis in self._axes.items()})
        self._told, self._chosen = begin, end

    def _borders(self) -> tuple[int, int]:
        """Where the batch of the next trial begins and ends."""
        if self._chosen < RANDOM:
            begin, end = 0, RANDOM
        else:
            begin = RANDOM + (self._chosen - RANDOM) // self._batch * self._batch
            end = begin + self._batch
        return begin, min(end, self.size or 0)

    def _sampler(self, index: int) -> optuna.samplers.BaseSampler:
        """What chooses the trial with this index: by a seed of its own, so that nothing but the study counts."""
        seed = int.from_bytes(sha256(f"{self._seed}\0{index}".encode()).digest()[:4], "big")
        if index < RANDOM:
            return optuna.samplers.RandomSampler(seed=seed)
        # The others of its batch count as bad where they are, so that it goes elsewhere.
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=1, constant_liar=True)

    def _learn(self, index: int, told: Told) -> None:
        if told.score is not None and told.state is not State.STOPPED:
            self._study.tell(index, told.score)
        else:
            # One that was given up says that nothing is to be sought there; one that failed says nothing.
            given_up = told.state is State.STOPPED
            self._study.tell(index, state=TrialState.PRUNED if given_up else TrialState.FAIL)

    def _running(self, parameters: Mapping[str, Value]) -> optuna.trial.FrozenTrial:
        """A trial with these values that the study has not been told of."""
        found = {name: _internal(axis, parameters.get(name)) for name, axis in self._axes.items()}
        params = {name: internal for name, internal in found.items() if internal is not None}
        distributions = {name: self._distributions[name] for name in params}
        return optuna.trial.create_trial(state=TrialState.RUNNING, params=params, distributions=distributions)


def _distribution(axis: Axis) -> BaseDistribution:
    """The distribution of an axis; values are known to Optuna by their place."""
    if isinstance(axis, Choices):
        last = len(axis.values) - 1
        return IntDistribution(0, last) if axis.ordered else CategoricalDistribution(tuple(range(last + 1)))
    if axis.integer:
        return IntDistribution(int(axis.low), int(axis.high), log=axis.log)
    return FloatDistribution(axis.low, axis.high, log=axis.log)


def _value(axis: Axis, internal: int | float) -> Value:
    return axis.values[int(internal)] if isinstance(axis, Choices) else internal


def _internal(axis: Axis, value: Value | None) -> object:
    """What Optuna knows a value by; None for one that the axis does not have."""
    if isinstance(axis, Choices):
        return next((place for place, one in enumerate(axis.values) if alike(one, value)), None)
    return value
