"""A recorded run once more: the same pipeline, task or step with the arguments that it had, on the file of now."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from runner.app.place import Place
from runner.app.plan import plan_recorded, recorded_arguments
from runner.app.taken import Choice, choose
from runner.errors import did_you_mean, usage_error
from runner.escape import printable
from runner.plan.model import Arguments, Plan
from runner.settings import Settings
from runner.spec.model import Pipeline, Project, Step, Task
from runner.store.record import Run

_NOWHERE = "it began by an older mlrun; run it anew, and for nodes of it that may stand write `--mimic`"


def arguments_of(run: Run, granted: Iterable[str], secret: Iterable[str]) -> Arguments:
    """What a run was compiled with, with the names of secrets that there are now. Raises MlrunError (USAGE, STORE)."""
    if run.arguments is None:
        raise usage_error(f"the record of run {run.counter} does not tell what it was given", hint=_NOWHERE)
    return replace(recorded_arguments(run), granted=frozenset(granted), secret=frozenset(secret), taken={})


def subject_of(project: Project, run: Run, arguments: Arguments) -> Step | Pipeline | Task:
    """What of the file a run is of: its pipeline, its task, or its step, of which a sweep of the command line is, too.
    Raises MlrunError (USAGE) where the file has none."""
    is_sweep = arguments.tuning is not None and bool(arguments.tuning.sweep)
    known: Mapping[str, Step | Pipeline | Task]
    match run.kind:
        case "pipeline":
            noun, known = "pipeline", project.pipelines
        case "task" if not is_sweep:
            noun, known = "task", project.tasks
        case _:
            noun, known = "step", project.steps
    if run.name not in known:
        raise usage_error(
            f"the file has no {noun} `{printable(run.name)}` any more, of which run {run.counter} is",
            hint=did_you_mean(run.name, map(printable, known)) or "`--commit REV` takes the file of an older commit",
        )
    return known[run.name]


def plan_again(
    place: Place, project: Project, run: Run, arguments: Arguments, choice: Choice, settings: Settings
) -> Plan:
    """The plan of a new run, in which what is not chosen is taken from `run`. Raises MlrunError."""

    def plan(arguments: Arguments) -> Plan:
        return plan_recorded(run, place, project, arguments, settings)

    whole = plan(arguments)
    taken = choose(whole, run, choice)
    return plan(replace(arguments, taken=taken)) if taken else whole
