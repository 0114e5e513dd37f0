"""`mlrun spin`: run one step on what its latest execution had, with the code of the working tree, unrecorded."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from runner.app.origin import apply_inherited, from_execution, latest_execution
from runner.app.overlay import Overlay
from runner.app.spin import spin
from runner.cli import launch
from runner.cli.display import PlainDisplay
from runner.cli.launch import Options
from runner.cli.relay import Relay
from runner.cli.row import flattened
from runner.cli.salvage import Force, check_folder, salvage
from runner.cli.step import StepName, step_help, understand_step
from runner.cli.table import Column, text_table
from runner.cli.terminal import put, say
from runner.errors import ExitCode, usage_error
from runner.escape import printable
from runner.events import Event, NodeChanged, RunStarted
from runner.plan.compile import compile_step
from runner.quantity import value_text
from runner.spec.model import Step
from runner.store.record import Execution, OutputFile, Run
from runner.store.store import Store

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """Examples:

  mlrun spin train

  mlrun spin train --C 0.5 -d results

  mlrun spin train --of 12"""


@dataclass(frozen=True, slots=True)
class SpinOptions(Options):
    """Our own options of `spin`."""

    of_execution: str | None
    folder: str | None
    force: bool


@app.command(
    epilog=EXAMPLES,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
def execute(
    context: typer.Context,
    step: StepName = None,
    rest: Annotated[
        list[str] | None,
        typer.Argument(metavar="[--PARAM VALUE…] [--INPUT URI…]", help="As for `mlrun exec`; they win."),
    ] = None,
    of_execution: Annotated[
        str | None,
        typer.Option("--of", metavar="EXECUTION", help="Take inputs and parameters of this one, not of the latest."),
    ] = None,
    folder: Annotated[
        str | None,
        typer.Option("--dir", "-d", metavar="DIR", help="Copy the outputs here, not into a temporary folder."),
    ] = None,
    force: Force = False,
    image: launch.Image = None,
    executor: launch.ExecutorOption = None,
    var: launch.Variables = None,
    env_file: launch.EnvFile = None,
    yaml: launch.Yaml = None,
    no_git: launch.NoGit = False,
    keep_going: launch.KeepGoing = False,
    network: launch.NetworkOption = None,
    allow_mount: launch.AllowMount = None,
    allow_devices: launch.AllowDevices = False,
    gpus: launch.Gpus = None,
) -> int:
    """Run one step with the code as it is now, on the inputs and parameters of its latest execution; one that was never
    run here gets those of the file.

    Nothing is recorded: the log is printed, the metrics come last, and the outputs are in a folder that is named at the
    end. What the command line gives wins.
    """
    understood = understand_step(context, SpinOptions.of(context), step, rest or [], "spin")
    options, chosen = understood.options, understood.subject
    if understood.parsed.help:
        print(step_help(chosen, "spin"))
        return ExitCode.OK
    check_folder(options.folder, force=options.force)
    launch.refuse_broken(understood.project, chosen)
    secrets = launch.secrets(understood.place, options)
    with Store.open(options.settings().store, create=False) as store:
        found = _find(store, understood.place.ref.id, chosen, options.of_execution)
        inherited = None if found is None else from_execution(store, *found)
    arguments, origin = launch.arguments(options, understood.parsed, secrets), None
    if inherited is not None:
        chosen, arguments = apply_inherited(inherited, chosen, arguments, say)
        origin = inherited.origin
    plan = replace(compile_step(chosen, arguments, str(understood.place.root)), origin=origin)
    request = launch.make_request(understood.place, understood.project, plan, options, secrets)
    purpose = re.sub(r"[^A-Za-z0-9_.-]+", "-", chosen.name).strip("-.") or "spin"
    take = salvage(options.folder, force=options.force, purpose=purpose)
    with Relay(SpinDisplay(found[1] if found else None)) as display:

        def take_last(objects: Overlay, outputs: Sequence[OutputFile]) -> None:
            display.settle()
            take(objects, outputs)

        spun = spin(request, display, take_last)
    if spun.finished is not None and spun.finished.metrics:
        put(metric_table(flattened(spun.finished.metrics)), sys.stderr)
    return spun.exit


def _find(store: Store, project: str, step: Step, text: str | None) -> tuple[Run, Execution] | None:
    """The execution to take inputs from, None for a step that was never run. Raises MlrunError (code USAGE)."""
    if text is None:
        return latest_execution(store, project, step)
    run, execution = store.find_execution(project, text)
    if execution.step != step.name:
        raise usage_error(
            f"execution {execution.counter} is not one of step `{printable(step.name)}`",
            hint=f"it ran `{printable(execution.step)}`; leave `--of` out for the latest of this step",
        )
    return run, execution


def metric_table(values: Mapping[str, object]) -> str:
    """The last value of each metric, one per line."""
    cells = [[printable(name), value_text(value)] for name, value in values.items()]
    return text_table([Column("metric"), Column("value", right=True)], cells, sys.stderr)


class SpinDisplay(PlainDisplay):
    """Says from which execution the inputs come, None for the file's own, and no numbers, for there are none."""

    def __init__(self, source: Execution | None) -> None:
        super().__init__(sys.stdout)
        self._source = source

    def _sentence(self, event: Event) -> str | None:
        if isinstance(event, RunStarted):
            inputs = f"on the inputs of execution {self._source.counter}" if self._source else "as the file has it"
            return f"spin `{printable(event.name)}` {inputs} with {event.executor}; nothing is recorded"
        if isinstance(event, NodeChanged):
            event = replace(event, execution=None, work=None)
        return super()._sentence(event)
