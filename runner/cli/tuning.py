"""What the verbs that run tasks share: the options for their trials, and what these mean."""

from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from runner.cli.launch import Options
from runner.errors import did_you_mean, usage_error
from runner.goal import DIRECTIONS, Aim
from runner.plan.model import Tuning
from runner.spec.model import OnChildError

Trials = Annotated[
    int | None,
    typer.Option("--trials", metavar="N", min=1, help="How many trials; their values are chosen at random."),
]
Metric = Annotated[
    str | None, typer.Option("--metric", metavar="NAME", help="Compare trials by the last value of this metric.")
]
GoalOption = Annotated[
    str | None,
    typer.Option("--goal", metavar="G", help="maximize (the default), minimize, or the number that is sought."),
]
Prune = Annotated[
    str | None,
    typer.Option("--prune", metavar="RULE", help="Give up hopeless trials: median or halving; none for never."),
]
MaxQueued = Annotated[
    int | None,
    typer.Option("--max-queued", metavar="N", min=1, help="Have so many trials under way at the same time at most."),
]
OnChildErrorOption = Annotated[
    str | None,
    typer.Option(
        "--on-child-error",
        metavar="E",
        help="continue-and-complete, continue-and-error or stop-all-and-error: what a failed trial means.",
    ),
]

_RULES: tuple[Literal["median", "halving", "none"], ...] = ("median", "halving", "none")


@dataclass(frozen=True, slots=True)
class TrialOptions(Options):
    """Our own options of a verb that may run a task."""

    trials: int | None
    metric: str | None
    goal: str | None
    prune: str | None
    max_queued: int | None
    on_child_error: str | None
    sweep: list[str] | None

    def tuning(self) -> Tuning | None:
        """What they say of the trials; None if nothing. Raises MlrunError (code USAGE)."""
        tuning = Tuning(
            sweep=self._sweep(),
            trials=self.trials,
            metric=self.metric,
            goal=read_goal(self.goal),
            prune=self._prune(),
            queued=self.max_queued,
            on_child_error=self._on_child_error(),
        )
        return None if tuning == Tuning() else tuning

    def _sweep(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for text in self.sweep or ():
            name, equals, values = text.partition("=")
            if not equals or not name:
                hint = "write `--sweep NAME=1,2,3` or `--sweep NAME=2..8`"
                raise usage_error(f"`--sweep {text}` has no values", hint)
            if name in found:
                raise usage_error(f"`--sweep {name}` stands twice", "write all its values behind one `=`")
            found[name] = values
        return found

    def _prune(self) -> Literal["median", "halving", "none"] | None:
        for rule in _RULES:
            if self.prune == rule:
                return rule
        if self.prune is not None:
            raise usage_error(f"there is no rule `{self.prune}` for `--prune`", did_you_mean(self.prune, _RULES))
        return None

    def _on_child_error(self) -> str | None:
        if self.on_child_error is None:
            return None
        word = self.on_child_error.lower().replace("_", "-")
        if word not in list(OnChildError):
            hint = did_you_mean(word, list(OnChildError))
            raise usage_error(f"there is no `--on-child-error {self.on_child_error}`", hint)
        return word


def read_goal(text: str | None) -> Aim | None:
    """What `--goal` means; None where it is not given. Raises MlrunError (code USAGE)."""
    if text is None:
        return None
    for word in DIRECTIONS:
        if text.lower() == word:
            return word
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if abs(number) < float("inf"):
        return number
    raise usage_error(f"`--goal {text}` is no goal", "write `maximize`, `minimize` or the number that is sought")
